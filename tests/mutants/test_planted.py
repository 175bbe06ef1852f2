"""The planted bugs still fit the code, and the simulator still finds a handful at once. The long run: `python -m tests.mutants`."""

import pathlib
import shutil

import pytest

from tests.mutants.plant import SOURCE, Planted, hunt, load, plant

PLANTED = load()
BY_NAME = {bug.name: bug for bug in PLANTED}

QUICK = (
    ("ack-before-fsync", 1, 40),
    ("log-not-synced", 1, 40),
    ("mark-before-data", 1, 40),
    ("dedupe-skipped", 1, 40),
    ("history-loses-an-event", 1, 40),
    ("client-resumes-a-watch-late", 1, 40),
)
"""One or two of each room: mostly found in the first seeds; the range leaves room for what a change of the simulator shifts."""


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_every_planted_bug_still_fits_the_code(bug: Planted, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "src"
    target = source / "coordnode" / bug.file
    target.parent.mkdir(parents=True)
    shutil.copy(SOURCE / "coordnode" / bug.file, target)
    before = target.read_text()
    plant(bug, source)
    after = target.read_text()
    assert after != before
    compile(after, bug.file, "exec")
    assert bug.breaks, "name the promise that it breaks"


def test_a_bug_that_does_not_fit_is_an_error(tmp_path: pathlib.Path) -> None:
    source = tmp_path / "src"
    (source / "coordnode").mkdir(parents=True)
    (source / "coordnode" / "here.py").write_text("a = 1\na = 1\n")
    for old in ("b = 1", "a = 1"):
        with pytest.raises(ValueError, match="not once"):
            plant(Planted("made-up", "here.py", old, "a = 2", "nothing"), source)


def test_every_room_has_its_bugs() -> None:
    rooms = [bug.file.partition("/")[0] for bug in PLANTED]
    assert len(PLANTED) >= 180
    for room in ("raft", "replica", "services", "storage", "client"):
        assert rooms.count(room) >= 9, room


@pytest.mark.parametrize(("name", "first", "last"), QUICK)
def test_found_at_once(name: str, first: int, last: int) -> None:
    found = hunt(BY_NAME[name], first, last, timeout_s=900)
    again = f"python -m tests.mutants --only {name} --seeds {first}-{last}"
    assert found.is_named, f"{found.check or 'green'} {found.sentence}; {again}"
