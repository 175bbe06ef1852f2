"""Which writes are made durable by one write to the disk and one sync: only these may be carried out where nothing must wait long."""

import pytest

from coordnode.errors import DiskFull
from coordnode.ids import Index, MemberId, Term, WriteId
from coordnode.raft.entry import HardState
from coordnode.raft.ready import Write
from coordnode.simulator.disk import SimDisk
from coordnode.storage.recovery import Recovered, open_folder
from coordnode.storage.wal import SMALL_BYTES_MAX, Settings
from tests.unit.storage.lives import GENESIS, IDENTITY, entry, new_disk, reopen


def operations_of(disk: SimDisk, found: Recovered, write: Write) -> int:
    before = disk.operations
    found.wal.commit([write])
    disk.settle()
    return disk.operations - before


def test_a_small_write_is_a_write_and_a_sync_until_the_segment_is_full() -> None:
    disk = new_disk()
    found = reopen(disk)
    large = []
    for index in range(1, 201):
        write = Write(WriteId(index), entries=[entry(index, 0, 1_000)])
        is_small = found.wal.is_small(write)
        assert (operations_of(disk, found, write) == 2) == is_small
        if not is_small:
            large.append(index)
    assert 10 < len(large) < 20, "each is where a segment ended"


def test_what_changes_more_than_the_end_of_the_log_is_not_small() -> None:
    disk = new_disk()
    found = reopen(disk)
    found.wal.commit([Write(WriteId(1), entries=[entry(1, 0), entry(2, 0)])])
    disk.settle()
    state = HardState(Term(1), MemberId(0), found.hard_state.boot, False)
    assert found.wal.is_small(Write(WriteId(2), entries=[entry(3, 0)]))
    assert not found.wal.is_small(Write(WriteId(2), hard_state=state, entries=[entry(3, 0)]))
    assert not found.wal.is_small(Write(WriteId(2), truncate_from=Index(2), entries=[entry(2, 1)]))
    assert not found.wal.is_small(Write(WriteId(2), reset_to=GENESIS.meta))


def test_many_bytes_are_not_small_however_much_room_there_is() -> None:
    disk = new_disk()
    found = open_folder(disk, IDENTITY, Settings(segment_bytes=4 * SMALL_BYTES_MAX, free_bytes_min=0))
    found.wal.commit([Write(WriteId(1), entries=[entry(1, 0)])])
    assert found.wal.is_small(Write(WriteId(2), entries=[entry(2, 0, SMALL_BYTES_MAX // 2)]))
    assert not found.wal.is_small(Write(WriteId(2), entries=[entry(2, 0, SMALL_BYTES_MAX)]))


def test_nothing_is_small_while_a_full_disk_has_interrupted_the_log() -> None:
    disk = new_disk()
    found = reopen(disk)
    disk.capacity = 1 << 40
    disk.capacity -= disk.free_bytes()
    index = 1
    with pytest.raises(DiskFull):
        while True:
            found.wal.commit([Write(WriteId(index), entries=[entry(index, 0, 1_000)])])
            index += 1
    assert not found.wal.is_small(Write(WriteId(index + 1), entries=[entry(index + 1, 0)]))
