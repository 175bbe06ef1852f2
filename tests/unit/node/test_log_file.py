"""A log that never takes more than its two files."""

import os
import subprocess
import sys
from pathlib import Path

from coordnode.node.log_file import LogFile


def test_it_is_put_aside_before_it_grows_beyond_its_bound_and_no_line_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "n1.log"
    log = LogFile(str(path), 1_000)
    for number in range(40):
        log.write(b"%098d\n" % number)
    older = (tmp_path / "n1.log.1").read_bytes()
    newer = path.read_bytes()
    assert len(older) <= 1_000
    assert len(newer) <= 1_000
    assert [int(line) for line in (older + newer).splitlines()] == list(range(40 - len(older + newer) // 99, 40))
    assert sorted(os.listdir(tmp_path)) == ["n1.log", "n1.log.1"]


def test_what_an_earlier_life_wrote_counts(tmp_path: Path) -> None:
    path = tmp_path / "n1.log"
    path.write_bytes(b"x" * 990 + b"\n")
    LogFile(str(path), 1_000).write(b"a line of this life\n")
    assert path.read_bytes() == b"a line of this life\n"
    assert (tmp_path / "n1.log.1").stat().st_size == 991


def test_a_line_beyond_the_bound_is_written_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "n1.log"
    log = LogFile(str(path), 10)
    log.write(b"twenty bytes at once")
    log.write(b"next")
    assert path.read_bytes() == b"next"


def test_standard_error_goes_along_when_it_is_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "n1.log"
    code = (
        "import os, sys\nfrom coordnode.node.log_file import LogFile\n"
        "log = LogFile(sys.argv[1], 100)\nlog.write(b'x' * 99 + b'\\n')\nlog.write(b'an event\\n')\nos.write(2, b'last words\\n')\n"
    )
    for stderr, expected in ((path, b"an event\nlast words\n"), (tmp_path / "other", b"an event\n")):
        with stderr.open("ab") as file:
            subprocess.run([sys.executable, "-c", code, str(path)], stderr=file, check=True, env={"PYTHONPATH": "src"})
        assert path.read_bytes() == expected
    assert (tmp_path / "other").read_bytes() == b"last words\n"


def test_where_it_cannot_be_put_aside_no_event_is_lost(tmp_path: Path) -> None:
    (tmp_path / "n1.log.1").mkdir()
    log = LogFile(str(tmp_path / "n1.log"), 10)
    log.write(b"first line\n")
    log.write(b"second line\n")
    assert (tmp_path / "n1.log").read_bytes() == b"first line\nsecond line\n"
