"""Snapshots: whole or not there; resumed after a restart; rot noticed; a full disk leaves the older ones whole."""

import errno
from random import Random

import pytest

from coordnode.errors import DiskFull, Rotten
from coordnode.ids import Index, MemberId, WriteId
from coordnode.limits import SLICE_BYTES_HARD_MAX, SNAPSHOT_UNSYNCED_BYTES_MAX
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.ready import Write
from coordnode.replica.effects import StoreChunk, StoreSlice
from coordnode.simulator.disk import PowerLost, SimDisk
from coordnode.storage.recovery import Recovered
from coordnode.storage.snapshot_file import SLICE_HEADER_BYTES
from coordnode.storage.snapshots import SNAPSHOT_FOLDER, SnapshotStore, snapshot_path
from tests.unit.storage.lives import IDENTITY, entry, meta_at, new_disk, reopen

SLICES = [b"one" * 100, b"", b"three" * 1000]


def opened(entries: int = 30) -> tuple[SimDisk, Recovered]:
    disk = new_disk()
    found = reopen(disk)
    found.wal.commit([Write(WriteId(1), entries=[entry(index, 0) for index in range(1, entries + 1)])])
    disk.settle()
    return disk, found


def make(store: SnapshotStore, meta: SnapshotMeta, slices: list[bytes] = SLICES) -> SnapshotMeta:
    for number, data in enumerate(slices[:-1]):
        assert store.store_slice(StoreSlice(meta, number, False, data)) is None
    stored = store.store_slice(StoreSlice(meta, len(slices) - 1, True, slices[-1]))
    assert stored is not None
    return stored


def receive(store: SnapshotStore, meta: SnapshotMeta, number: int) -> tuple[int, bool]:
    return store.store_chunk(StoreChunk(MemberId(8), meta, number, number == len(SLICES) - 1, SLICES[number]))


def names(disk: SimDisk, suffix: str) -> list[str]:
    return [name for name in disk.list(SNAPSHOT_FOLDER) if name.endswith(suffix)]


def test_what_is_made_is_read_back_with_its_chain() -> None:
    disk, found = opened()
    stored = make(found.snapshots, meta_at(10, 0))
    assert stored.chain == found.wal.chain_at(Index(10)) != 0
    assert found.snapshots.newest == stored
    assert list(found.snapshots.load(stored)) == SLICES
    assert [found.snapshots.read_slice(stored, number) for number in range(4)] == [
        (SLICES[0], False), (SLICES[1], False), (SLICES[2], True), None
    ]  # fmt: skip
    disk.settle()
    disk.power_loss(Random(1))
    again = reopen(disk)
    assert again.snapshot == stored
    assert list(again.snapshots.load(stored)) == SLICES


def test_the_older_one_is_kept_and_those_before_it_are_dropped() -> None:
    disk, found = opened()
    metas = [make(found.snapshots, meta_at(index, 0)) for index in (5, 10, 15)]
    assert found.snapshots.read_slice(metas[0], 0) is None
    assert found.snapshots.read_slice(metas[1], 0) == (SLICES[0], False)
    assert len(names(disk, ".snap")) == 2


def test_an_unfinished_one_of_our_own_is_gone_after_a_restart() -> None:
    disk, found = opened()
    found.snapshots.store_slice(StoreSlice(meta_at(10, 0), 0, False, b"x"))
    assert len(names(disk, ".tmp")) == 1
    disk.settle()
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.snapshot is not None
    assert found.snapshot.index == 0
    assert names(disk, ".tmp") == []


def test_beginning_anew_drops_what_was_under_way() -> None:
    disk, found = opened()
    found.snapshots.store_slice(StoreSlice(meta_at(10, 0), 0, False, b"x"))
    make(found.snapshots, meta_at(12, 0))
    assert names(disk, ".tmp") == []
    found.snapshots.store_slice(StoreSlice(meta_at(14, 0), 0, False, b"x"))
    found.snapshots.abandon()
    assert names(disk, ".tmp") == []


def test_a_received_one_is_resumed_after_a_restart() -> None:
    disk, found = opened()
    meta = meta_at(50, 0, author=8, chain=5)
    assert receive(found.snapshots, meta, 1) == (0, False)  # not begun here
    assert receive(found.snapshots, meta, 0) == (1, False)
    assert receive(found.snapshots, meta, 0) == (1, False)  # doubled
    assert receive(found.snapshots, meta, 2) == (1, False)  # ahead
    assert receive(found.snapshots, meta, 1) == (2, False)
    disk.settle()
    disk.power_loss(Random(1))
    found = reopen(disk)
    assert receive(found.snapshots, meta, 0) == (1, False)  # the one after it may have been the last
    assert receive(found.snapshots, meta, 1) == (2, False)
    assert receive(found.snapshots, meta, 2) == (3, True)
    assert receive(found.snapshots, meta, 2) == (3, True)
    assert found.snapshots.newest == meta
    assert list(found.snapshots.load(meta)) == SLICES
    assert names(disk, ".part") == []


def test_after_a_failed_sync_a_received_one_resumes_from_what_is_on_the_device() -> None:
    resumed = set()
    for seed in range(20):
        disk, found = opened()
        disk.rng.seed(seed)
        meta = meta_at(50, 0, author=8)
        receive(found.snapshots, meta, 0)
        receive(found.snapshots, meta, 1)
        disk.settle()
        disk.fail_next_sync()
        with pytest.raises(Exception, match="told to fail"):
            receive(found.snapshots, meta, 2)
        disk.crash(Random(seed))
        found = reopen(disk)
        number, _ = receive(found.snapshots, meta, 0)
        resumed.add(number)
        while number < len(SLICES):
            number, complete = receive(found.snapshots, meta, number)
        assert complete
        disk.settle()
        disk.power_loss(Random(seed))
        assert reopen(disk).snapshot == meta
    assert resumed == {1, 2}


@pytest.mark.parametrize("slices", [1, 3])
def test_wherever_receiving_is_cut_off_it_comes_to_its_end(slices: int) -> None:
    """With a leader that has no more slices than it has, and begins again when another is asked for."""
    meta, sent = meta_at(50, 0, author=8), SLICES[-slices:]

    def transfer(store: SnapshotStore) -> bool:
        number = 0
        for _ in range(2 * slices + 1):
            chunk = StoreChunk(MemberId(8), meta, number, number == slices - 1, sent[number])
            number, complete = store.store_chunk(chunk)
            if complete:
                return True
            number = number if number < slices else 0
        return False

    disk, found = opened()
    disk.settle()
    before = disk.operations
    assert transfer(found.snapshots)
    disk.settle()
    for point in range(1, disk.operations - before + 1):
        for seed in range(8):
            disk, found = opened()
            disk.settle()
            disk.cut_at(disk.operations + point)
            with pytest.raises(PowerLost):
                transfer(found.snapshots)
                disk.settle()
            disk.power_loss(Random(seed)) if seed % 2 else disk.crash(Random(seed))
            found = reopen(disk)
            assert transfer(found.snapshots), f"cut at operation {point}, outcome {seed}"
            assert list(found.snapshots.load(meta)) == sent


def test_two_are_received_at_the_same_time_and_a_third_drops_the_one_that_rests_longest() -> None:
    disk, found = opened()
    metas = [meta_at(50 + author, 0, author=author) for author in (1, 2, 3)]
    for meta in metas[:2]:
        receive(found.snapshots, meta, 0)
    receive(found.snapshots, metas[0], 1)
    receive(found.snapshots, metas[2], 0)
    assert receive(found.snapshots, metas[0], 0) == (2, False)
    assert receive(found.snapshots, metas[1], 1) == (0, False)
    assert len(names(disk, ".part")) == 2


def test_slices_of_another_author_are_never_joined() -> None:
    _, found = opened()
    assert receive(found.snapshots, meta_at(50, 0, author=8), 0) == (1, False)
    assert receive(found.snapshots, meta_at(50, 0, author=9), 1) == (0, False)
    assert receive(found.snapshots, meta_at(50, 0, author=8, chain=6), 1) == (0, False)


def test_rot_in_a_stored_slice_is_not_handed_out() -> None:
    disk, found = opened()
    old = make(found.snapshots, meta_at(5, 0))
    meta = make(found.snapshots, meta_at(10, 0))
    disk.settle()
    offset = disk.durable_bytes(snapshot_path(meta, "snap")).index(b"threethree")
    disk.rot(snapshot_path(meta, "snap"), offset, Random(1))
    assert found.snapshots.read_slice(meta, 0) == (SLICES[0], False)
    assert found.snapshots.read_slice(meta, 2) is None
    assert found.snapshots.newest == old
    assert len(found.snapshots.rot) == 1
    with pytest.raises(Rotten):
        list(found.snapshots.load(meta))


def test_one_made_again_at_the_same_index_takes_the_place_of_the_rotten_one() -> None:
    disk, found = opened()
    meta = make(found.snapshots, meta_at(10, 0))
    disk.settle()
    disk.rot(snapshot_path(meta, "snap"), disk.durable_bytes(snapshot_path(meta, "snap")).index(b"threethree"), Random(1))
    assert found.snapshots.read_slice(meta, 2) is None
    assert make(found.snapshots, meta_at(10, 0)) == meta
    assert list(found.snapshots.load(meta)) == SLICES
    disk.settle()
    disk.power_loss(Random(1))
    assert reopen(disk).snapshot == meta


def test_rot_met_while_loading_names_file_and_slice() -> None:
    disk, found = opened()
    meta = make(found.snapshots, meta_at(10, 0))
    disk.settle()
    disk.rot(snapshot_path(meta, "snap"), disk.durable_bytes(snapshot_path(meta, "snap")).index(b"threethree"), Random(1))
    slices = found.snapshots.load(meta)
    assert [next(slices), next(slices)] == SLICES[:2]
    with pytest.raises(Rotten, match=r"snapshots/.*\.snap: slice 2"):
        next(slices)


def test_every_byte_of_a_snapshot_is_checked_or_padding() -> None:
    disk, found = opened()
    meta = make(found.snapshots, meta_at(10, 0), [b"12345", b"7"])
    disk.settle()
    path = snapshot_path(meta, "snap")
    content = bytearray(disk.durable_bytes(path))
    file = disk.open(path)
    unnoticed = 0
    for offset in range(len(content)):
        file.write(offset, bytes([content[offset] ^ 0x10]))
        store = SnapshotStore(disk, IDENTITY, lambda _: 0)
        metas, problems = store.find()
        if meta in metas:
            unnoticed += 1
            assert list(store.load(meta)) == [b"12345", b"7"]
        else:
            assert len(problems) == 1
        file.write(offset, bytes([content[offset]]))
    assert unnoticed <= 3 * (SLICE_HEADER_BYTES - 20) + 3 + 7 + 7


@pytest.mark.parametrize("skip", range(4))
def test_a_full_disk_while_making_leaves_the_older_one_whole(skip: int) -> None:
    disk, found = opened()
    old = make(found.snapshots, meta_at(5, 0))
    disk.settle()
    before = disk.list(SNAPSHOT_FOLDER)
    with pytest.raises(DiskFull):
        for number in range(3):
            if number == min(skip, 2):
                disk.fail_next_write(errno.ENOSPC)
                if skip == 3:
                    disk.write_errors.clear()
                    disk.capacity = 0
            found.snapshots.store_slice(StoreSlice(meta_at(10, 0), number, number == 2, b"x" * 100))
    assert disk.list(SNAPSHOT_FOLDER) == before
    assert found.snapshots.newest == old
    disk.capacity = None
    newer = make(found.snapshots, meta_at(10, 0))
    assert found.snapshots.newest == newer


def test_a_full_disk_while_receiving_leaves_nothing_of_it() -> None:
    disk, found = opened()
    meta = meta_at(50, 0, author=8)
    receive(found.snapshots, meta, 0)
    disk.fail_next_write(errno.ENOSPC)
    with pytest.raises(DiskFull):
        receive(found.snapshots, meta, 1)
    assert names(disk, ".part") == []
    for number in range(3):
        receive(found.snapshots, meta, number)
    assert found.snapshots.newest == meta


def test_never_more_than_the_bound_is_unsynced() -> None:
    disk, found = opened()
    big = bytes(SLICE_BYTES_HARD_MAX - 1000)
    unsynced = most = 0
    file_type = type(disk.open("identity"))
    write, datasync = file_type.write, file_type.datasync

    def counting_write(self: object, offset: int, data: bytes) -> None:
        nonlocal unsynced, most
        unsynced += len(data)
        most = max(most, unsynced)
        write(self, offset, data)  # type: ignore[arg-type]

    def counting_datasync(self: object) -> None:
        nonlocal unsynced
        unsynced = 0
        datasync(self)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_type, "write", counting_write)
        patch.setattr(file_type, "datasync", counting_datasync)
        make(found.snapshots, meta_at(10, 0), [big, big])
    assert 1_000_000 < most <= SNAPSHOT_UNSYNCED_BYTES_MAX


def test_a_snapshot_without_its_header_is_set_aside() -> None:
    disk, found = opened()
    meta = make(found.snapshots, meta_at(10, 0))
    disk.settle()
    disk.rot(snapshot_path(meta, "snap"), 20, Random(1))
    store = SnapshotStore(disk, IDENTITY, lambda _: 0)
    metas, problems = store.find()
    assert [one.index for one in metas] == [0]
    assert "does not match its checksum" in problems[0]
    for number in range(4):
        disk.crash(Random(number))
        found = reopen(disk)
        assert found.snapshot is not None
        stored = make(found.snapshots, meta_at(11 + number, 0))
        disk.settle()
        disk.rot(snapshot_path(stored, "snap"), 20, Random(number))
    assert len(names(disk, ".rotten")) <= 2
