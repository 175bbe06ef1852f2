"""The files of journals: written where they are told to, read back checked, received in pieces, gone when nobody lists them.

A life with them is cut at every disk operation: what a snapshot lists is whole, and what replay brings again is the same.
"""

import copy
import os
from collections.abc import Callable, Sequence
from random import Random
from zlib import crc32

import pytest

from coordnode.errors import DiskFull, Rotten
from coordnode.ids import Index, MemberId, WriteId
from coordnode.limits import BLOB_PIECE_BYTES, SNAPSHOT_UNSYNCED_BYTES_MAX
from coordnode.raft.blobs import Blob, BlobWrite, blob_id, encode_lists
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.ready import Write
from coordnode.replica.effects import RecordsWanted, StoreChunk, StoreSlice
from coordnode.services.commands.records import encode_head, pack_sizes, records_in
from coordnode.simulator.disk import PowerLost, SimDisk
from coordnode.storage.journals import INDEX_BYTES, JOURNAL_FOLDER, OPEN_MAX, UNSYNCED_MAX, JournalFiles, blob_path
from coordnode.storage.reader import REMEDY_JOURNAL, Reader
from coordnode.storage.recovery import Recovered
from coordnode.storage.snapshots import SnapshotStore
from tests.unit.storage.lives import entry, meta_at, new_disk, reopen

OUTCOMES = int(os.environ.get("CRASH_OUTCOMES", "1"))
ROWS = b"\x90 rows of the state"


class Filled:
    """What a blob holds, as apply would have it written."""

    def __init__(self, blob: int) -> None:
        self.blob = blob
        self.content = bytearray()
        self.next = 0

    def write(self, records: Sequence[bytes]) -> BlobWrite:
        sizes, data = pack_sizes(records), b"".join(records)
        parts = (encode_head(self.next, len(records), sizes, data), sizes, data)
        write = BlobWrite(self.blob, len(self.content), parts)
        self.content += b"".join(parts)
        self.next += len(records)
        return write

    def named(self) -> Blob:
        return Blob(self.blob, len(self.content), crc32(self.content))


def records(start: int, count: int, size: int = 50) -> list[bytes]:
    return [b"%0*d" % (size, number) for number in range(start, start + count)]


def filled(batches: int, per_batch: int = 10, size: int = 50) -> tuple[SimDisk, JournalFiles, Filled]:
    disk = new_disk()
    files = JournalFiles(disk)
    blob = Filled(blob_id(Index(3), 1))
    for _ in range(batches):
        files.store([blob.write(records(blob.next, per_batch, size))])
    disk.settle()
    return disk, files, blob


def read(files: JournalFiles, blob: Blob, offset: int, limit: int = 0, bytes_max: int = 0) -> list[bytes]:
    return records_in(files.read(blob, offset, limit, bytes_max), offset, limit)


def test_records_are_read_from_any_offset_also_by_who_finds_the_file_there() -> None:
    disk, files, blob = filled(900)
    assert len(blob.content) > 5 * INDEX_BYTES
    for found in (files, JournalFiles(disk)):
        for offset in [*range(0, 9_000, 371), 8_999, 4_999, 5_000]:
            assert read(found, blob.named(), offset, 25) == records(offset, min(25, 9_000 - offset))
    assert len(read(files, blob.named(), 0, 0, 2_000)) == 40, "whole batches, up to the one that reaches the bound"


def test_what_is_behind_the_end_that_the_state_knows_is_not_read() -> None:
    _, files, blob = filled(5)
    known = blob.named()
    files.store([blob.write(records(50, 10))])
    assert read(files, known, 20) == records(20, 30)


def test_every_byte_is_checked_when_it_is_read() -> None:
    disk, files, blob = filled(4, 3, 20)
    files.sync()
    disk.settle()
    for place in range(len(blob.content)):
        damaged = copy.deepcopy(disk)
        damaged.rot(blob_path(blob.blob), place, Random(place))
        with pytest.raises(Rotten, match=r"rot in journals/"):
            read(JournalFiles(damaged), blob.named(), 0)
        assert not JournalFiles(damaged).is_whole(blob.named())
    assert JournalFiles(disk).is_whole(blob.named())
    disk.unlink(blob_path(blob.blob))
    with pytest.raises(Rotten, match="missing"):
        read(JournalFiles(disk), blob.named(), 0)


@pytest.mark.parametrize("seed", range(8))
def test_what_a_sync_had_no_room_for_is_written_again(seed: int) -> None:
    """The kernel forgets that it is not on the device: the next sync says that all is well."""
    disk, files, blob = filled(1)
    disk.rng = Random(seed)
    others = [Filled(blob_id(Index(4), number)) for number in range(OPEN_MAX + 2)]
    for other in others:
        files.store([other.write(records(0, 3))])
    disk.fail_next_sync(full=True)
    with pytest.raises(DiskFull):
        files.sync()
    assert files.is_behind()
    if seed % 2:
        files.store([])
        assert not files.is_behind()
    later = blob.write(records(10, 10))
    files.store([later])
    assert read(files, blob.named(), 0) == records(0, 20)
    files.sync()
    disk.settle()
    disk.power_loss(Random(seed))
    found = JournalFiles(disk)
    assert all(found.is_whole(one.named()) for one in (blob, *others))


def test_a_snapshot_whose_journals_a_sync_had_no_room_for_is_not_in_place() -> None:
    disk = new_disk()
    found = reopen(disk)
    blob = Filled(blob_id(Index(1), 0))
    found.wal.commit([Write(WriteId(1), entries=[entry(1, 0)])])
    found.snapshots.store_blobs([blob.write(records(0, 100))])
    found.snapshots.store_slice(StoreSlice(meta_at(1, 0), 0, False, ROWS))
    disk.settle()
    listed = StoreSlice(meta_at(1, 0), 1, True, next(encode_lists([blob.named()])))
    original = found.snapshots.journals.sync

    def finds_no_room() -> None:
        disk.fail_next_sync(full=True)
        original()

    found.snapshots.journals.sync = finds_no_room  # type: ignore[method-assign]
    with pytest.raises(DiskFull):
        found.snapshots.store_slice(listed)
    found.snapshots.journals.sync = original  # type: ignore[method-assign]
    found.snapshots.store_slice(StoreSlice(meta_at(1, 0), 0, False, ROWS))
    assert found.snapshots.store_slice(listed) is not None
    disk.settle()
    disk.power_loss(Random(1))
    again = reopen(disk)
    assert again.snapshot is not None
    assert again.snapshot.index == 1
    assert again.snapshots.journals.is_whole(blob.named())


def test_a_full_disk_keeps_what_it_could_not_write_and_writes_it_later() -> None:
    disk, files, blob = filled(1)
    before = blob.named()
    disk.capacity = disk._used
    later = [blob.write(records(10 * step, 10)) for step in range(1, 4)]
    with pytest.raises(DiskFull):
        files.store(later[:2])
    assert files.is_behind()
    with pytest.raises(DiskFull):
        files.store(later[2:])
    with pytest.raises(DiskFull):
        files.sync()
    disk.capacity = None
    assert read(files, blob.named(), 0) == records(0, 40)
    assert not files.is_behind()
    assert read(files, before, 0) == records(0, 10)


def test_never_more_than_the_bound_is_unsynced() -> None:
    disk, files, blob = filled(0)
    unsynced = 0
    for _ in range(40):
        before = len(disk.synced)
        files.store([blob.write([bytes(400_000)])])
        unsynced = 400_000 if len(disk.synced) > before else unsynced + 400_000
        assert unsynced <= SNAPSHOT_UNSYNCED_BYTES_MAX
    assert disk.synced


def test_as_many_journals_as_are_kept_open_are_written_in_turn_without_a_sync() -> None:
    disk = new_disk()
    files = JournalFiles(disk)
    blobs = [Filled(blob_id(Index(5), number)) for number in range(OPEN_MAX - 1)]
    for _ in range(20):
        for blob in blobs:
            files.store([blob.write([bytes(100)])])
    assert not disk.synced
    one_more = Filled(blob_id(Index(6), 0))
    files.store([one_more.write([bytes(100)])])
    assert len(disk.synced) == len(blobs)


def test_while_as_many_as_may_be_are_not_synced_another_is_read() -> None:
    disk, files, other = filled(1)
    files.sync()
    before = len(disk.synced)
    blobs = [Filled(blob_id(Index(5), number)) for number in range(UNSYNCED_MAX)]
    for blob in blobs:
        files.store([blob.write(records(0, 10))])
    for blob in (other, *blobs, other):
        assert read(files, blob.named(), 0) == records(0, 10)
    assert len(disk.synced) == before


def test_many_files_are_written_and_few_kept_open() -> None:
    disk = new_disk()
    files = JournalFiles(disk)
    blobs = [Filled(blob_id(Index(5), number)) for number in range(150)]
    for _ in range(2):
        files.store([blob.write([b"x" * blob.blob.bit_length()]) for blob in blobs])
    files.sync()
    disk.settle()
    disk.power_loss(Random(1))
    found = JournalFiles(disk)
    assert all(found.is_whole(blob.named()) for blob in blobs)


# --- snapshots -----------------------------------------------------------------------------------------------------------


def commit_all(found: Recovered, disk: SimDisk, count: int) -> None:
    found.wal.commit([Write(WriteId(1), entries=[entry(index, 0) for index in range(1, count + 1)])])
    disk.settle()


def make(store: SnapshotStore, index: int, blobs: Sequence[Blob]) -> SnapshotMeta:
    slices = [ROWS, *encode_lists(blobs)]
    stored = None
    for number, data in enumerate(slices):
        stored = store.store_slice(StoreSlice(meta_at(index, 0), number, number == len(slices) - 1, data))
    assert stored is not None
    return stored


class Transfer:
    """A leader's snapshot on its way, as raft asks for it."""

    def __init__(self, source: SnapshotStore, meta: SnapshotMeta) -> None:
        self.source = source
        self.meta = meta
        self.wanted = 0
        self.sent: list[int] = []

    def step(self, target: SnapshotStore) -> bool:
        """Whether it is in place."""
        found = self.source.read_slice(self.meta, self.wanted)
        assert found is not None
        self.sent.append(self.wanted)
        self.wanted, complete = target.store_chunk(StoreChunk(MemberId(8), self.meta, self.wanted, found[1], found[0]))
        return complete


def leader(sizes: Sequence[int]) -> tuple[SimDisk, SnapshotStore, SnapshotMeta, list[Filled]]:
    disk = new_disk(2)
    found = reopen(disk)
    commit_all(found, disk, 20)
    blobs = [Filled(blob_id(Index(4), number)) for number in range(len(sizes))]
    for blob, size in zip(blobs, sizes, strict=True):
        found.snapshots.store_blobs([blob.write([Random(size).randbytes(size)])])
    meta = make(found.snapshots, 10, [blob.named() for blob in blobs])
    disk.settle()
    return disk, found.snapshots, meta, blobs


SIZES = (100, 2 * BLOB_PIECE_BYTES + 5, BLOB_PIECE_BYTES - 28)


def test_a_member_without_them_gets_the_bytes_behind_the_rows() -> None:
    _, source, meta, blobs = leader(SIZES)
    disk = new_disk()
    store = reopen(disk).snapshots
    transfer = Transfer(source, meta)
    while not transfer.step(store):
        assert store.newest != meta
        disk.settle()
    assert transfer.sent == list(range(7)), "rows, their list, then 1, 3 and 1 pieces"
    disk.settle()
    disk.power_loss(Random(3))
    again = reopen(disk)
    assert again.snapshot == meta
    assert all(again.snapshots.journals.is_whole(blob.named()) for blob in blobs)
    assert next(iter(again.snapshots.load(meta))) == ROWS


def test_what_it_has_already_is_not_sent_and_a_restart_goes_on_where_it_stopped() -> None:
    _, source, meta, blobs = leader(SIZES)
    disk = new_disk()
    store = reopen(disk).snapshots
    store.journals.write_piece(blobs[0].named(), 0, bytes(blobs[0].content))
    transfer = Transfer(source, meta)
    while transfer.wanted < 6:
        assert not transfer.step(store)
    assert transfer.sent == [0, 1, 3, 4, 5]
    disk.settle()
    disk.crash(Random(4))
    resumed = reopen(disk).snapshots
    assert transfer.step(resumed)


def test_damage_on_the_way_or_at_the_source_is_found() -> None:
    disk, source, meta, blobs = leader(SIZES)
    store = reopen(new_disk()).snapshots
    transfer = Transfer(source, meta)
    for _ in range(3):
        transfer.step(store)
    piece, _ = source.read_slice(meta, 3) or (b"", False)
    assert store.store_chunk(StoreChunk(MemberId(8), meta, 3, False, b"\0" + piece[1:])) == (4, False)
    transfer.wanted = 4
    for _ in range(2):
        transfer.step(store)
    assert transfer.wanted == 3, "the whole blob is not what was listed: it is wanted anew"
    disk.rot(blob_path(blobs[1].blob), 700, Random(5))
    with pytest.raises(Rotten, match="do not match their checksum"):
        transfer.step(store)


def test_blobs_that_no_snapshot_lists_go_and_those_begun_later_stay() -> None:
    disk = new_disk()
    found = reopen(disk)
    commit_all(found, disk, 60)
    blobs = [Filled(blob_id(Index(index), 0)) for index in (5, 15, 25, 35)]
    for blob in blobs:
        found.snapshots.store_blobs([blob.write(records(0, 3))])
    named = [blob.named() for blob in blobs]
    make(found.snapshots, 10, named[:1])
    make(found.snapshots, 20, named[1:2])
    assert len(disk.list(JOURNAL_FOLDER)) == 4, "the older of the two that are kept lists it"
    make(found.snapshots, 30, named[1:3])
    assert disk.list(JOURNAL_FOLDER) == [blob_path(blob.blob).rpartition("/")[2] for blob in blobs[1:]]


def test_a_snapshot_whose_bytes_are_missing_is_not_whole() -> None:
    disk = new_disk()
    found = reopen(disk)
    commit_all(found, disk, 20)
    blob = Filled(blob_id(Index(5), 0))
    found.snapshots.store_blobs([blob.write(records(0, 3))])
    make(found.snapshots, 10, [blob.named()])
    disk.settle()
    disk.unlink(blob_path(blob.blob))
    disk.settle()
    disk.crash(Random(1))
    again = reopen(disk)
    assert again.snapshot is None or again.snapshot.index < 10
    assert any("is missing" in line for line in again.report)


def test_whoever_looks_from_outside_finds_damage_and_changes_nothing() -> None:
    disk = new_disk()
    found = reopen(disk)
    commit_all(found, disk, 20)
    blob = Filled(blob_id(Index(5), 0))
    found.snapshots.store_blobs([blob.write(records(0, 3))])
    make(found.snapshots, 10, [blob.named()])
    found.snapshots.store_blobs([blob.write(records(3, 3))])
    disk.settle()
    before = disk.operations
    assert Reader(disk).verify().damages == []
    assert disk.operations == before
    path = blob_path(blob.blob)
    disk.rot(path, 40, Random(1))
    (damage,) = Reader(disk).verify().damages
    assert (damage.path, damage.remedy) == (path, REMEDY_JOURNAL)
    disk.unlink(path)
    (damage,) = Reader(disk).verify().damages
    assert "is missing" in damage.reason


def test_reads_answer_with_what_is_wrong_in_words() -> None:
    disk = new_disk()
    found = reopen(disk)
    blob = Filled(blob_id(Index(5), 0))
    found.snapshots.store_blobs([blob.write(records(0, 3))])
    wanted = RecordsWanted(9, blob.named(), 1, 1, 0)
    assert records_in(found.snapshots.read_records(wanted).frames, 1, 1) == records(1, 1)
    disk.capacity = disk._used
    with pytest.raises(DiskFull):
        found.snapshots.store_blobs([blob.write(records(3, 3))])
    full = found.snapshots.read_records(wanted)
    assert (full.is_rotten, full.frames) == (False, b"")
    assert "no space left" in full.problem
    disk.capacity = None
    disk.settle()
    disk.unlink(blob_path(blob.blob))
    found.snapshots.journals.close()
    missing = found.snapshots.read_records(wanted)
    assert missing.is_rotten


# --- every point of a life -----------------------------------------------------------------------------------------------


class Life:
    """Appends to two blobs, snapshots, receives: `listed` by index is what a snapshot that may be in place stands on."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk
        self.rng = Random(7)
        self.listed: dict[int, list[tuple[Blob, bytes]]] = {0: []}

    def run(self) -> None:
        found = reopen(self.disk)
        commit_all(found, self.disk, 200)
        index = 0
        open_blobs = [Filled(blob_id(Index(1), 0)), Filled(blob_id(Index(1), 1))]
        for step in range(70):
            index += 1
            number = step % 2
            if self.rng.random() < 0.15:
                open_blobs[number] = Filled(blob_id(Index(index), number))
            blob = open_blobs[number]
            found.snapshots.store_blobs([blob.write(records(blob.next, 4, 1 + self.rng.randrange(300)))])
            if step % 9 == 8:
                held = [blob for blob in open_blobs if blob.content]
                self.listed[index] = [(blob.named(), bytes(blob.content)) for blob in held]
                make(found.snapshots, index, sorted([blob.named() for blob in held], key=lambda blob: blob.id))
            if step in (30, 60):
                self._receive(found, index + 2)
                index += 2
            self.disk.settle()

    def _receive(self, found: Recovered, index: int) -> None:
        _, _, _, blobs = leader((500, 3_000))
        meta = meta_at(index, 0, author=8, chain=found.wal.chain_at(Index(index)))
        named = [blob.named() for blob in blobs]
        self.listed[index] = [(blob.named(), bytes(blob.content)) for blob in blobs]
        for number, data in enumerate([ROWS, *encode_lists(named), *[bytes(blob.content) for blob in blobs]]):
            found.snapshots.store_chunk(StoreChunk(MemberId(8), meta, number, number == 3, data))


def test_every_point_of_a_life_with_journals(figure: Callable[[str], None]) -> None:
    disk = new_disk()
    first = disk.operations
    Life(disk).run()
    points = range(first + 1, disk.operations + 1)
    listed = 0
    for point in points:
        for outcome in range(OUTCOMES):
            disk = new_disk()
            life = Life(disk)
            disk.cut_at(point)
            with pytest.raises(PowerLost):
                life.run()
            rng = Random(point * OUTCOMES + outcome)
            if rng.random() < 0.25:
                disk.crash(rng)
            else:
                disk.power_loss(rng)
            listed += _check(disk, life, rng)
    assert listed > 500
    figure(f"a life with journals: cut at each of {len(points)} disk operations, {listed} blobs looked at")


def _check(disk: SimDisk, life: Life, rng: Random) -> int:
    found = reopen(disk)
    assert found.snapshot is not None
    assert not [line for line in found.report if not line.startswith("torn tail")], found.report
    looked = 0
    for whole in found.snapshots._whole:
        for blob, content in life.listed[whole.meta.index]:
            path = blob_path(blob.id)
            assert disk.durable_bytes(path)[: blob.size] == content, "what a snapshot lists is durable"
            assert found.snapshots.journals.is_whole(blob)
            looked += 1
    # The log brings again what came after: the same bytes to the same place.
    for blob, content in life.listed[found.snapshot.index]:
        more = Filled(blob.id)
        more.content += content
        found.snapshots.store_blobs([more.write(records(0, 2))])
    found.snapshots.journals.sync()
    disk.settle()
    disk.power_loss(rng)
    assert reopen(disk).snapshot == found.snapshot
    return looked
