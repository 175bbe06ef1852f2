"""What the `logs` verbs print, and their codes."""

import json
from pathlib import Path

import msgspec
import pytest

from coordctl.commands import logs
from coordctl.results.logs import LogsDiff
from tests.unit.coordctl.log_scene import Scene


def test_diff_on_one_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene(3, n2=-90_000)
    scene.kill("n1", 100)
    folder = scene.write(tmp_path)
    assert logs.main(["diff", str(folder), "--from", "14:21:10", "--to", "14:22:00"]) == 1
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0].startswith("14:21:10Z - 14:22:00Z  3 members, ")
    assert "n2 -89,970 ms (+-151), n3 +0 ms" in " ".join(shown.split())
    assert "first divergence: 14:21:39.999  n1  says nothing for" in shown
    assert "then, as consequences:" in shown
    assert lines[-1].startswith("sources: 3 files, ")
    assert max(map(len, lines)) <= 80

    assert logs.main(["diff", str(folder), "--from", "14:21:10", "-o", "json"]) == 1
    found = msgspec.json.decode(capsys.readouterr().out, type=LogsDiff)
    assert json.loads(msgspec.json.encode(found))["findings"][0]["member"] == "n1"


def test_nothing_different_is_0_and_nothing_there_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Scene(3).write(tmp_path)
    assert logs.main(["diff", str(folder), "--since", "40s"]) == 0
    assert "no difference that is more than chance" in capsys.readouterr().out
    assert logs.main(["diff", str(folder), "--from", "2020-01-01T00:00Z", "--to", "2020-01-01T01:00Z"]) == 3
    assert "no line of any member is in this window" in capsys.readouterr().out


def test_bad_input_is_64(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Scene(1, 30).write(tmp_path)
    for arguments in (["diff", str(tmp_path / "gone")], ["diff", str(folder), "--around", "noon"], ["diff", str(folder), "--since", "10"]):
        assert logs.main(arguments) == 64
        assert capsys.readouterr().err.startswith("coordctl: ")
