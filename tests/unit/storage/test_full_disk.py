"""A full disk interrupts and never breaks: head-room, retry of the same writes, recovery by itself."""

import errno
from random import Random

import pytest

from coordnode.errors import DiskFailed, DiskFull
from coordnode.ids import Index, WriteId
from coordnode.limits import FREE_FILES_MIN
from coordnode.raft.ready import Write
from coordnode.replica.effects import StoreSlice
from coordnode.simulator.disk import SimDisk
from coordnode.storage.hard_state import HARD_STATE_FILES
from coordnode.storage.recovery import create_folder, open_folder
from coordnode.storage.wal import Settings
from tests.unit.storage.lives import GENESIS, IDENTITY, SMALL, Life, check_recovered, entry, filled, meta_at, new_disk, reopen


def test_head_room_carries_commits_after_the_alarm_and_a_retry_goes_on_exactly() -> None:
    disk = new_disk()
    found = reopen(disk)
    found.wal.poll_space()
    assert found.wal.space_ok
    disk.capacity = 1 << 40
    disk.capacity -= disk.free_bytes()  # nothing is free any more
    written = []
    alarmed_at = 0
    index = 0
    write = Write(WriteId(0))
    with pytest.raises(DiskFull):
        while True:
            index += 1
            write = Write(WriteId(index), entries=[entry(index, 0, 1000)])
            found.wal.commit([write])
            disk.settle()
            written.append(write)
            found.wal.poll_space()
            if not found.wal.space_ok and not alarmed_at:
                alarmed_at = index
    assert 0 < alarmed_at < index - 8, "the alarm comes while there is head-room"
    assert not found.wal.space_ok
    for _ in range(3):
        with pytest.raises(DiskFull):
            found.wal.commit([write])
    found.wal.poll_space()
    assert not found.wal.space_ok
    disk.capacity += 100_000
    found.wal.commit([write, Write(WriteId(index + 1), entries=[entry(index + 1, 0)])])
    disk.settle()
    for _ in range(3):
        found.wal.poll_space()
    assert found.wal.space_ok
    disk.power_loss(Random(1))
    again = reopen(disk)
    assert [one.index for one in again.entries] == list(range(1, index + 2))
    assert again.report == []


@pytest.mark.parametrize("path", HARD_STATE_FILES)
def test_a_start_that_has_no_room_says_the_damage_that_it_healed_before(path: str) -> None:
    """The next one finds the copy whole, and has nothing to say of it."""
    disk, _, _ = filled(3)
    disk.capacity = 1 << 40
    disk.capacity -= disk.free_bytes()
    disk.crash(Random(1))
    disk.rot(path, 0, Random(1))
    with pytest.raises(DiskFull, match=f"rot in {path}"):
        open_folder(disk, IDENTITY, Settings(segment_bytes=1 << 20, free_bytes_min=0))  # larger than any spare
    disk.settle()
    disk.crash(Random(1))
    assert reopen(disk).report == []


def test_releasing_makes_room() -> None:
    disk = new_disk()
    found = reopen(disk)
    index = 0
    disk.capacity = 150_000
    with pytest.raises(DiskFull):
        while True:
            index += 1
            found.wal.commit([Write(WriteId(index), entries=[entry(index, 0, 1000)])])
            disk.settle()
    found.snapshots.store_slice(StoreSlice(meta_at(index - 1, 0), 0, True, b"s"))
    found.wal.release_before(Index(index - 1))
    found.wal.commit([Write(WriteId(index), entries=[entry(index, 0, 1000)])])
    disk.settle()
    found.wal.poll_space()
    assert found.wal.space_ok
    disk.power_loss(Random(1))
    assert [one.index for one in reopen(disk).entries] == [index]


def test_the_alarm_comes_before_the_last_file_is_made() -> None:
    disk = new_disk()
    found = reopen(disk)
    found.wal.poll_space()
    assert found.wal.space_ok
    disk.files_max = 1 << 20
    disk.files_max += FREE_FILES_MIN - 1 - disk.free_files()
    found.wal.poll_space()
    assert not found.wal.space_ok
    found.snapshots.store_slice(StoreSlice(meta_at(0, 0), 0, True, b"s"))
    disk.files_max += FREE_FILES_MIN
    found.wal.poll_space()
    assert found.wal.space_ok
    disk.files_max -= disk.free_files()
    with pytest.raises(DiskFull, match="no space left to create more"):
        disk.create("more")


def test_the_alarm_comes_before_the_disk_is_full() -> None:
    disk = SimDisk(Random(1), capacity=400_000)
    settings = Settings(segment_bytes=16 * 1024, free_bytes_min=200_000)
    create_folder(disk, IDENTITY, GENESIS, settings)
    found = open_folder(disk, IDENTITY, settings)
    found.wal.poll_space()
    assert found.wal.space_ok
    disk.capacity = 250_000
    found.wal.poll_space()
    assert not found.wal.space_ok
    found.wal.commit([Write(WriteId(1), entries=[entry(1, 0)])])
    disk.capacity = 400_000
    found.wal.poll_space()
    assert found.wal.space_ok


class _Retrying:
    """A log whose commit is repeated, with more behind it, until the disk has room."""

    def __init__(self, wal: object, disk: SimDisk, rng: Random) -> None:
        self._wal = wal
        self._disk = disk
        self._rng = rng
        self.refused = 0

    def commit(self, writes: list[Write]) -> None:
        sent = writes[: self._rng.randint(1, len(writes))]
        while True:
            try:
                self._wal.commit(sent)  # type: ignore[attr-defined]
            except DiskFull:
                self.refused += 1
                if self._rng.random() < 0.5:
                    self._disk.write_errors = [errno.ENOSPC]
                sent = writes if self._rng.random() < 0.5 else sent
                continue
            break
        if len(sent) < len(writes):
            self._disk.write_errors = []
            self._wal.commit(writes[len(sent) :])  # type: ignore[attr-defined]
        self._disk.write_errors = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._wal, name)


@pytest.mark.parametrize("seed", range(12))
def test_a_life_with_a_disk_that_is_full_at_any_write(seed: int) -> None:
    disk = new_disk(seed)
    life = Life(disk, seed)
    found = life.begin()
    wal = _Retrying(found.wal, disk, Random(seed))
    for _ in range(80):
        disk.write_errors = [errno.ENOSPC] if life.rng.random() < 0.5 else []
        life._commit(found._replace(wal=wal))  # type: ignore[arg-type]
        disk.settle()
    assert wal.refused > 10
    disk.power_loss(Random(seed))
    check_recovered(life, reopen(disk))


def test_any_other_failed_write_ends_the_log() -> None:
    disk = new_disk()
    found = reopen(disk)
    disk.fail_next_write(errno.EIO)
    with pytest.raises(DiskFailed):
        found.wal.commit([Write(WriteId(1), entries=[entry(1, 0)])])
    for work in (lambda: found.wal.commit([]), found.wal.idle, found.wal.poll_space, lambda: found.wal.release_before(Index(1))):
        with pytest.raises(DiskFailed):
            work()
    assert found.wal.failed


@pytest.mark.parametrize("seed", range(20))
def test_after_a_failed_sync_only_what_is_on_the_device_counts(seed: int) -> None:
    disk = new_disk()
    found = reopen(disk)
    found.wal.commit([Write(WriteId(1), entries=[entry(1, 0), entry(2, 0)])])
    disk.settle()
    disk.fail_next_sync()
    with pytest.raises(DiskFailed):
        found.wal.commit([Write(WriteId(2), entries=[entry(3, 0), entry(4, 0)])])
    with pytest.raises(DiskFailed):
        found.wal.commit([Write(WriteId(3), entries=[entry(5, 0)])])
    disk.crash(Random(seed))  # the kernel lives, and its cache lies
    again = reopen(disk)
    assert not again.lost_entries
    assert [one.index for one in again.entries][:2] == [1, 2]
    disk.power_loss(Random(seed))
    last = reopen(disk)
    assert last.entries == again.entries
    assert last.report == []


def test_sizes_are_told() -> None:
    disk = new_disk()
    found = reopen(disk)
    before = found.wal.bytes_used
    assert before >= SMALL.segment_bytes
    for index in range(1, 40):
        found.wal.commit([Write(WriteId(index), entries=[entry(index, 0, 1500)])])
    assert found.wal.bytes_used >= before + 3 * SMALL.segment_bytes
