"""The storage threads: one commit for all that waits, a full disk is tried again, a failed one is told, nothing is lost at the end."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coordnode.errors import DiskFailed, DiskFull
from coordnode.ids import Index, MemberId, Term, WriteId
from coordnode.node.lanes import QUICK_NS_MAX, SLICES_PER_TURN, Committed, Lanes
from coordnode.raft.blobs import Blob, BlobWrite
from coordnode.raft.entry import Config, SnapshotMeta
from coordnode.raft.messages import HeartbeatReply
from coordnode.raft.ready import ChunkWanted, Write
from coordnode.replica.effects import RecordsWanted, StoreChunk, StoreSlice
from coordnode.replica.events import (
    BlobsWritten,
    ChunkRead,
    ChunkStored,
    RecordsFound,
    SliceStored,
    SnapshotFailed,
    SnapshotLoaded,
    SnapshotStored,
)
from coordnode.replica.known import NOTHING, Known
from coordnode.services.commands.records import encode_head
from coordnode.simulator.disk import SimDisk
from coordnode.storage.journals import JOURNAL_FOLDER, JournalFiles
from coordnode.storage.snapshots import SnapshotStore
from coordnode.storage.wal import LOOK_TICKS, Wal
from tests.unit.storage.lives import entry, meta_at, new_disk, reopen

WAIT_S = 20.0
META = SnapshotMeta(Index(5), Term(1), MemberId(1), 0, Config(), Index(0))
MESSAGE = HeartbeatReply(MemberId(2), MemberId(1), 1, Term(1), 0, True, 1)


class FakeWal:
    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.calls: list[str] = []
        self.gate = threading.Semaphore(0)  # each commit waits for it
        self.begun = 0  # commits that came to it
        self.full = 0  # so many commits fail
        self.error: Exception | None = None
        self.small = True
        self.wants_spare = False
        self.space_ok = True
        self.failed = ""

    def is_small(self, write: Write) -> bool:
        return self.small

    def commit(self, writes: Sequence[Write]) -> None:
        self.begun += 1
        assert self.gate.acquire(timeout=WAIT_S)
        if self.error is not None:
            raise self.error
        if self.full:
            self.full -= 1
            self.space_ok = False
            raise DiskFull("full")
        self.space_ok = True
        self.groups.append([write.write_id for write in writes])

    def idle(self, known: Known) -> None:
        self.calls.append("idle")

    def poll_space(self) -> None:
        self.calls.append("poll")
        self.wants_spare = False

    def release_before(self, index: Index) -> None:
        self.calls.append(f"release {index}")

    def close(self) -> None:
        self.calls.append("close")


class FakeSnapshots:
    def __init__(self) -> None:
        self.disk = SimDisk(Random(1))
        self.disk.make_folder(JOURNAL_FOLDER)
        self.journals = JournalFiles(self.disk)
        self.refused = 0  # so often the disk was full
        self.error: Exception | None = None
        self.slices = [b"%d" % number for number in range(SLICES_PER_TURN + 1)]

    def _maybe_fail(self) -> None:
        if self.error is not None:
            raise self.error

    def store_slice(self, work: StoreSlice) -> SnapshotMeta | None:
        self._maybe_fail()
        return work.meta if work.last else None

    def store_chunk(self, work: StoreChunk) -> tuple[int, bool]:
        self._maybe_fail()
        return work.number + 1, work.last

    def read_slice(self, meta: SnapshotMeta, number: int) -> tuple[bytes, bool] | None:
        self._maybe_fail()
        return (self.slices[number], False) if number < len(self.slices) else None

    def load(self, meta: SnapshotMeta) -> Iterator[bytes]:
        return iter(self.slices)

    def store_blobs(self, writes: Sequence[BlobWrite]) -> None:
        try:
            self.journals.store(writes)
        except DiskFull:
            self.refused += 1
            raise

    def read_records(self, wanted: RecordsWanted) -> RecordsFound:
        return RecordsFound(wanted.number, self.journals.read(wanted.blob, wanted.offset, wanted.limit, wanted.bytes_max))

    def close(self) -> None:
        pass


class Owner:
    """What the loop's thread would do; the test takes one thing after the other."""

    def __init__(self) -> None:
        self.posted: SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]] = SimpleQueue()
        self.committed: list[list[int]] = []
        self.in_turn: list[int] = []  # of these, the writes that no thread was woken for
        self.reported: Callable[[Committed], None] = lambda committed: None
        self.space: list[bool] = []
        self.stored: list[object] = []
        self.failures: list[BaseException] = []

    def post(self, what: Callable[..., None], *arguments: Any) -> None:
        self.posted.put((what, arguments))

    def step(self) -> None:
        what, arguments = self.posted.get(timeout=WAIT_S)
        what(*arguments)

    def on_committed(self, committed: Committed) -> None:
        assert committed.submitted_ns <= committed.began_ns <= committed.ended_ns
        self.committed.append([write.write_id for write in committed.writes])
        if committed.in_turn:
            self.in_turn.extend(self.committed[-1])
        self.reported(committed)

    def on_space(self, space_ok: bool) -> None:
        self.space.append(space_ok)

    def on_stored(self, event: object) -> None:
        self.stored.append(event)

    def on_lane_failed(self, error: BaseException) -> None:
        self.failures.append(error)


class Stage:
    def __init__(self) -> None:
        self.wal = FakeWal()
        self.snapshots = FakeSnapshots()
        self.owner = Owner()
        self.lanes = Lanes(cast(Wal, self.wal), cast(SnapshotStore, self.snapshots), self.owner.post, self.owner)
        self.lanes.start()

    def submit(self, *numbers: int) -> None:
        for number in numbers:
            self.lanes.submit(Write(WriteId(number)))

    def measure(self, took_ns: int) -> None:
        """As if many writes had taken so long; from here on the loop's thread is told what is durable, as it is in a member."""
        for _ in range(200):
            self.lanes.log.on_reported(Committed([], 0, 0, took_ns))
        self.owner.reported = self.lanes.log.on_reported

    def rest(self) -> None:
        while self.lanes.log._handed != self.lanes.log._carried_out:
            pass


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """No commit takes any time but what a test says: how long one of its own takes is up to the machine."""
    monkeypatch.setattr("coordnode.node.lanes.time", SimpleNamespace(monotonic_ns=lambda: 0, monotonic=lambda: 0.0))
    stage = Stage()
    yield stage
    for _ in range(100):
        stage.wal.gate.release()
    assert stage.lanes.stop(WAIT_S, NOTHING)


def test_all_that_waits_becomes_durable_together(stage: Stage) -> None:
    stage.submit(1)
    stage.wal.gate.release()
    stage.owner.step()
    stage.submit(2)
    while stage.wal.begun < 2:  # taken by the thread, which now waits in its commit
        pass
    stage.submit(3, 4, 5)
    for _ in range(2):
        stage.wal.gate.release()
    stage.owner.step()
    stage.owner.step()
    assert stage.owner.committed == [[1], [2], [3, 4, 5]]
    assert stage.wal.groups == [[1], [2], [3, 4, 5]]


def test_a_full_disk_is_tried_again_with_what_came_meanwhile(stage: Stage) -> None:
    stage.wal.full = 2
    stage.submit(1)
    stage.wal.gate.release()
    stage.owner.step()
    assert stage.owner.space == [False]
    stage.submit(2)
    for _ in range(2):
        stage.wal.gate.release()
    stage.owner.step()
    stage.owner.step()
    assert stage.owner.committed == [[1, 2]]
    assert stage.owner.space == [False, True]


def test_a_full_disk_is_left_what_a_snapshot_made_needless() -> None:
    disk = new_disk()
    found = reopen(disk)
    disk.capacity = 150_000
    write = Write(WriteId(1), entries=[entry(1, 0, 1000)])
    with suppress(DiskFull):
        while True:
            found.wal.commit([write])
            write = Write(WriteId(write.write_id + 1), entries=[entry(write.write_id + 1, 0, 1000)])
    index = write.write_id
    owner = Owner()
    lanes = Lanes(found.wal, found.snapshots, owner.post, owner)
    lanes.start()
    lanes.submit(write)
    owner.step()
    assert owner.space == [False]
    found.snapshots.store_slice(StoreSlice(meta_at(index - 1, 0), 0, True, b"s"))
    lanes.release_before(Index(index - 1))
    owner.step()
    assert owner.committed == [[index]]
    assert lanes.stop(WAIT_S, NOTHING)


def test_a_member_that_stops_while_the_disk_is_full_claims_nothing(stage: Stage) -> None:
    stage.wal.full = 1_000_000
    stage.submit(1)
    stage.wal.gate.release()
    stage.owner.step()
    for _ in range(100):
        stage.wal.gate.release()
    assert stage.lanes.stop(WAIT_S, NOTHING)
    assert stage.owner.committed == []
    assert stage.wal.groups == []
    assert stage.wal.calls == ["idle", "close"]


def test_a_failed_disk_is_told_and_nothing_after_it_is_written(stage: Stage) -> None:
    stage.wal.error = DiskFailed("fsync failed")
    stage.submit(1)
    stage.wal.gate.release()
    stage.owner.step()
    assert stage.owner.failures == [stage.wal.error]
    stage.submit(2)
    stage.wal.gate.release()
    assert stage.lanes.log.join(WAIT_S)
    assert stage.wal.groups == []


def test_an_idle_member_marks_once_and_looks_at_the_disk_now_and_then(stage: Stage) -> None:
    stage.submit(1)
    for _ in range(5):
        stage.lanes.log.on_tick(NOTHING)  # not idle: a write is under way
    stage.wal.gate.release()
    stage.owner.step()
    stage.lanes.log.on_reported(Committed([Write(WriteId(1))], 0, 0, 0))
    for _ in range(LOOK_TICKS + 1):
        stage.lanes.log.on_tick(NOTHING)
        stage.rest()
    stage.lanes.release_before(Index(7))
    stage.lanes.log.stop()
    assert stage.lanes.log.join(WAIT_S)
    assert stage.wal.calls == ["idle", "poll", "poll", "release 7"]


def test_a_member_that_never_rests_looks_at_the_disk_as_often(stage: Stage) -> None:
    stage.measure(0)
    for number in range(2 * LOOK_TICKS):
        stage.wal.gate.release()
        stage.submit(number)
        stage.lanes.settle()
        stage.lanes.log.on_tick(NOTHING)
        stage.rest()
    assert stage.wal.calls == ["poll", "poll"]


def test_while_the_disk_is_full_no_more_than_one_look_waits_for_it(stage: Stage) -> None:
    stage.submit(1)
    for _ in range(5 * LOOK_TICKS):
        stage.lanes.log.on_tick(NOTHING)
    stage.wal.gate.release()
    stage.owner.step()
    stage.rest()
    assert stage.wal.calls == ["poll"]


def test_a_wanted_spare_is_prepared_after_the_commit_and_not_before_the_next(stage: Stage) -> None:
    stage.wal.wants_spare = True
    stage.submit(1)
    stage.wal.gate.release()
    stage.owner.step()
    stage.lanes.log.stop()
    assert stage.lanes.log.join(WAIT_S)
    assert stage.wal.calls == ["poll"]


def test_what_is_queued_is_written_before_the_end(stage: Stage) -> None:
    stage.submit(1, 2, 3)
    for _ in range(3):
        stage.wal.gate.release()
    assert stage.lanes.stop(WAIT_S, NOTHING)
    assert [number for group in stage.wal.groups for number in group] == [1, 2, 3]
    assert stage.wal.calls[-2:] == ["idle", "close"]


def test_while_the_disk_is_quick_no_thread_is_woken_for_a_write(stage: Stage) -> None:
    stage.measure(QUICK_NS_MAX // 2)
    for _ in range(4):
        stage.wal.gate.release()
    stage.lanes.submit(Write(WriteId(1), send_after=[MESSAGE]))
    assert stage.owner.in_turn == [1], "its message may leave before anything else of the turn is done"
    stage.submit(2)
    assert stage.owner.in_turn == [1], "nobody waits for it: the turn's answers go first"
    stage.lanes.settle()
    stage.lanes.settle()
    assert stage.owner.in_turn == [1, 2]
    stage.wal.small = False
    stage.submit(3)
    stage.owner.step()
    assert stage.owner.committed == [[1], [2], [3]]
    assert stage.owner.in_turn == [1, 2]


def test_one_slow_write_hands_the_next_ones_to_the_thread_until_some_were_quick(stage: Stage) -> None:
    stage.measure(QUICK_NS_MAX // 2)
    log = stage.lanes.log
    log.on_reported(Committed([], 0, 0, 20_000_000))
    quick = 0
    while not stage.owner.in_turn:
        stage.wal.gate.release()
        stage.rest()
        log.submit(Write(WriteId(quick), send_after=[MESSAGE]))
        if not stage.owner.in_turn:
            stage.owner.step()
            quick += 1
    assert 2 < quick < 100


def test_the_log_has_one_writer_at_a_time_and_keeps_its_order(stage: Stage) -> None:
    stage.measure(0)
    stage.wal.small = False
    stage.submit(1)
    stage.wal.small = True
    stage.submit(2)  # the thread is in the first
    stage.lanes.settle()
    for _ in range(2):
        stage.wal.gate.release()
    while stage.lanes.log.pending:
        stage.owner.step()
    assert stage.owner.in_turn == []
    stage.rest()
    stage.wal.gate.release()
    stage.submit(3)
    stage.lanes.settle()
    assert [number for group in stage.wal.groups for number in group] == [1, 2, 3]
    assert stage.owner.in_turn == [3]


def test_a_disk_that_is_full_in_a_turn_is_tried_again_by_the_thread(stage: Stage) -> None:
    stage.measure(0)
    stage.wal.full = 2
    for _ in range(3):
        stage.wal.gate.release()
    stage.lanes.submit(Write(WriteId(1), send_after=[MESSAGE]))
    stage.submit(2)
    stage.lanes.settle()
    while stage.lanes.log.pending:
        stage.wal.gate.release()
        stage.owner.step()
    assert [number for group in stage.wal.groups for number in group] == [1, 2]
    assert stage.owner.in_turn == []


def test_a_wanted_spare_is_prepared_by_the_thread_though_the_write_was_not_its(stage: Stage) -> None:
    stage.measure(0)
    stage.wal.wants_spare = True
    stage.wal.gate.release()
    stage.lanes.submit(Write(WriteId(1), send_after=[MESSAGE]))
    stage.lanes.log.stop()
    assert stage.lanes.log.join(WAIT_S)
    assert stage.wal.calls == ["poll"]


def test_the_snapshots_lane_tells_what_became_of_each_slice(stage: Stage) -> None:
    lanes, owner = stage.lanes, stage.owner
    lanes.store_slice(StoreSlice(META, 0, False, b"a"))
    lanes.store_slice(StoreSlice(META, 1, True, b"b"))
    lanes.store_chunk(StoreChunk(MemberId(2), META, 0, True, b"a"))
    lanes.read_chunk(ChunkWanted(MemberId(2), META, 1))
    lanes.read_chunk(ChunkWanted(MemberId(2), META, 9))
    for _ in range(5):
        owner.step()
    assert owner.stored == [
        SliceStored(0),
        SnapshotStored(META),
        ChunkStored(MemberId(2), META, 1, True),
        ChunkRead(MemberId(2), META, 1, False, b"1"),
        ChunkRead(MemberId(2), META, 9, False, b"", False),
    ]
    stage.snapshots.error = DiskFull("full")
    lanes.read_chunk(ChunkWanted(MemberId(2), META, 1))  # raft asks again
    lanes.store_slice(StoreSlice(META, 0, False, b"a"))
    lanes.store_chunk(StoreChunk(MemberId(2), META, 0, True, b"a"))
    owner.step()
    owner.step()
    assert owner.failures == []
    assert owner.stored[-2:] == [SnapshotFailed(META), ChunkStored(MemberId(2), META, 0, False)]


def test_what_a_full_disk_keeps_from_being_written_is_tried_again_and_told_once_it_is(stage: Stage) -> None:
    lanes, owner, disk = stage.lanes, stage.owner, stage.snapshots.disk
    frame = encode_head(0, 2, b"", b"ab") + b"ab"
    lanes.store_blobs([BlobWrite(7, 0, (frame,))])
    lanes.read_records(RecordsWanted(1, Blob(7, len(frame), 0), 1, 0, 0))
    owner.step()
    owner.step()
    assert owner.stored == [BlobsWritten(len(frame)), RecordsFound(1, frame)]
    lanes.snapshots.on_tick()
    assert _is_quiet(owner)
    disk.capacity = disk._used
    more = encode_head(2, 1, b"", b"c") + b"c"
    lanes.store_blobs([BlobWrite(7, len(frame), (more,))])
    while not stage.snapshots.refused:
        pass
    assert _is_quiet(owner), "nothing is written: nothing is told"
    disk.capacity = None
    lanes.snapshots.on_tick()
    owner.step()
    assert owner.stored[-1] == BlobsWritten(len(frame) + len(more))


def test_a_snapshot_is_read_back_only_as_fast_as_it_is_taken(stage: Stage) -> None:
    stage.lanes.load_snapshot(META)
    stage.owner.step()
    assert stage.owner.stored == [SnapshotLoaded(META, stage.snapshots.slices[:SLICES_PER_TURN], False)]
    assert _is_quiet(stage.owner)
    stage.lanes.snapshots.load_more()
    stage.owner.step()
    assert stage.owner.stored[-1] == SnapshotLoaded(META, stage.snapshots.slices[SLICES_PER_TURN:], True)


def _is_quiet(owner: Owner) -> bool:
    try:
        owner.posted.get_nowait()
    except Empty:
        return True
    return False
