"""Hard state in two copies, and the mark in two slots: which one counts, and when they are written."""

from random import Random

import pytest

from coordnode.errors import Rotten
from coordnode.ids import Index, Revision, Term, WriteId
from coordnode.raft.entry import HardState
from coordnode.raft.ready import Write
from coordnode.replica.known import Known
from coordnode.simulator.disk import PowerLost
from coordnode.storage.hard_state import HARD_STATE_FILES, read_copies
from coordnode.storage.mark import MARK_FILE, read_mark
from coordnode.storage.recovery import open_folder
from tests.unit.storage.lives import IDENTITY, SMALL, entry, filled, reopen


@pytest.mark.parametrize("which", [0, 1])
def test_one_bad_copy_of_the_hard_state_is_written_anew(which: int) -> None:
    disk, _, _ = filled(3)
    disk.rot(HARD_STATE_FILES[which], 50, Random(1))
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.hard_state.term == 1
    assert any(HARD_STATE_FILES[which] in line for line in found.report)
    disk.crash(Random(1))
    disk.rot(HARD_STATE_FILES[1 - which], 50, Random(1))
    assert reopen(disk).hard_state.term == 1


def test_the_newer_of_two_whole_copies_wins() -> None:
    disk, found, _ = filled(1)
    found.wal.commit([])
    state = HardState(Term(5), found.hard_state.vote, found.hard_state.boot, False)
    disk.cut_at(disk.operations + 3)
    with pytest.raises(PowerLost):
        found.wal.commit([Write(WriteId(5), hard_state=state)])
    disk.settle()
    disk.power_loss(Random(1))
    copies = read_copies(disk, IDENTITY)
    assert copies[0] != copies[1]
    assert reopen(disk).hard_state.term == 5


def test_two_bad_copies_are_refused_with_the_remedy() -> None:
    disk, _, _ = filled(3)
    for path in HARD_STATE_FILES:
        disk.rot(path, 50, Random(1))
    disk.crash(Random(1))
    with pytest.raises(Rotten, match=r"hard_state\.0 .*hard_state\.1 .*remove it from the cluster and add it under a new id"):
        reopen(disk)


def test_a_missing_copy_counts_as_bad() -> None:
    disk, _, _ = filled(3)
    disk.unlink(HARD_STATE_FILES[0])
    disk.sync_folder("")
    disk.settle()
    disk.crash(Random(1))
    assert reopen(disk).hard_state.term == 1
    assert disk.exists(HARD_STATE_FILES[0])


def test_an_old_hard_state_put_back_is_refused() -> None:
    disk, found, _ = filled(1)
    old = [disk.durable_bytes(path) for path in HARD_STATE_FILES]
    for term in (2, 3):
        state = HardState(Term(term), found.hard_state.vote, found.hard_state.boot, False)
        found.wal.commit([Write(WriteId(term), hard_state=state, entries=[entry(term, term)])])
    disk.settle()
    disk.crash(Random(1))
    for path, content in zip(HARD_STATE_FILES, old, strict=True):
        file = disk.create(path)
        file.write(0, content)
        file.datasync()
    with pytest.raises(Rotten, match="older than the log"):
        reopen(disk)


def test_a_vote_is_durable_in_the_second_copy_only_after_the_first() -> None:
    disk, found, _ = filled(1)
    before = disk.operations
    found.wal.commit([Write(WriteId(5), hard_state=HardState(Term(9), found.hard_state.vote, found.hard_state.boot, False))])
    assert disk.operations - before == 4  # write, sync, write, sync: never both unsynced


def test_an_idle_member_does_no_fsync() -> None:
    disk, found, _ = filled(3)
    before = disk.operations
    for _ in range(5):
        found.wal.idle()
        found.wal.poll_space()
    assert disk.operations - before <= 2  # a spare, once
    settled = disk.operations
    for _ in range(5):
        found.wal.idle()
        found.wal.poll_space()
    assert disk.operations == settled


def test_the_mark_speaks_of_the_last_batch_and_survives_damage_of_its_older_slot() -> None:
    disk, found, _ = filled(3)
    _, mark, problems = read_mark(disk, IDENTITY)
    assert mark is not None
    assert not problems
    assert (mark.last_index, mark.offset, mark.segment) == (3, found.wal._offset, found.wal._number)
    sequence, _, _ = read_mark(disk, IDENTITY)
    disk.rot(MARK_FILE, (sequence + 1) % 2 * 4096 + 30, Random(1))
    _, again, problems = read_mark(disk, IDENTITY)
    assert again == mark
    assert len(problems) == 1


def test_how_far_the_state_had_come_is_known_to_every_later_start() -> None:
    disk, found, _ = filled(3, idle=False)
    found.wal.idle(Known(Index(3), Revision(9)))
    for _ in range(2):  # a start that marks nothing of its own forgets nothing
        disk.settle()
        disk.crash(Random(1))
        found = reopen(disk)
        assert found.known == (3, 9)
    found.wal.idle(Known(Index(2), Revision(8)))  # it has not come as far again yet
    disk.settle()
    disk.crash(Random(1))
    assert reopen(disk).known == (3, 9)
    disk.crash(Random(1))
    assert open_folder(disk, IDENTITY, SMALL, discard_state=True).known == (0, 0)


def test_a_lost_mark_is_reported_and_written_anew() -> None:
    disk, _, entries = filled(3)
    disk.unlink(MARK_FILE)
    disk.sync_folder("")
    disk.settle()
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.entries == entries
    assert any("mark is missing" in line for line in found.report)
    disk.crash(Random(1))
    assert reopen(disk).report == []
