"""Where the report of a run goes: to a file as a whole, and to what is no file without replacing it."""

import json
import os
import stat
from pathlib import Path

import pytest

from coordctl.runner import outcome

ENDED = outcome.Outcome(outcome.ENDED, 5)


def test_a_file_is_replaced_as_a_whole_also_through_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "report", tmp_path / "latest"
    path.write_text("the report before")
    link.symlink_to(path)
    outcome.write(str(link), ENDED)
    assert json.loads(path.read_text())["exit_code"] == 5
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, path]


def test_what_is_no_file_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as reader:
        outcome.write(str(path), ENDED)
        assert json.loads(reader.read())["exit_code"] == 5
    with pytest.raises(OSError, match="No such device"):
        outcome.write(str(path), ENDED)
    assert stat.S_ISFIFO(path.stat().st_mode)
    with pytest.raises(IsADirectoryError):
        outcome.write(str(tmp_path), ENDED)
    assert list(tmp_path.iterdir()) == [path]
