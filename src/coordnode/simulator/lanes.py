"""A member's two storage threads in virtual time: the log's queue with group commit, and the snapshot lane beside it.

Each call to storage is carried out at the moment it begins and completes when its cost in time has passed; what lies between
is in flight, and a crash may cut it anywhere. A small write that costs little completes within the turn, as it does in a real member.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from coordnode.errors import DiskFull, Rotten, Superseded
from coordnode.ids import Index
from coordnode.raft.blobs import BlobWrite
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.ready import ChunkWanted, Write
from coordnode.replica.effects import RecordsWanted, StoreChunk, StoreSlice
from coordnode.replica.events import ChunkRead, ChunkStored, Events, SliceStored, SnapshotFailed, SnapshotLoaded, SnapshotStored
from coordnode.replica.known import Known
from coordnode.simulator import marks
from coordnode.simulator.claims import Claims
from coordnode.simulator.disk import SYNC_NS_MIN, SYNC_NS_SPREAD, SimDisk
from coordnode.simulator.marks import Marks
from coordnode.simulator.world import MILLISECOND
from coordnode.storage.recovery import Recovered
from coordnode.storage.wal import LOOK_TICKS

FULL_RETRY_NS = 50 * MILLISECOND
SLICES_PER_TURN = 2
QUICK_NS_MAX = SYNC_NS_MIN + SYNC_NS_SPREAD // 2  # half of what a disk writes at the best speed


class Host(Protocol):
    """The member these lanes belong to."""

    inbox: Events
    claims: Claims

    def after(self, delay_ns: int, work: Callable[..., None], *arguments: object) -> None:
        """As the world's, but only while this life of the member lasts, and not while it is paused."""
        ...

    def soon(self) -> None:
        """A turn is wanted."""
        ...

    def wrote(self, write: Write) -> None: ...

    def on_written(self, writes: Sequence[Write], *, in_turn: bool) -> None:
        """`in_turn`: before the turn that wanted them was over."""
        ...

    def on_snapshotting(self, meta: SnapshotMeta) -> None:
        """It stores a slice of a snapshot of its own."""
        ...

    def on_receiving(self, *, is_last: bool) -> None: ...

    def on_sending(self, work: ChunkWanted, count: int) -> None:
        """Of a snapshot with so many slices and pieces; 0: it is gone."""
        ...


class Lanes:
    """Implements driver.Storage."""

    def __init__(self, host: Host, disk: SimDisk, recovered: Recovered, marks_: Marks, snapshot_pace_ns: int) -> None:
        self._host = host
        self._pace_ns = snapshot_pace_ns
        self._disk = disk
        self._wal = recovered.wal
        self._snapshots = recovered.snapshots
        self._marks = marks_
        self._queue: list[Write] = []
        self._refused = 0  # how many at the head of the queue met a full disk
        self._busy = False
        self._idle_ticks = 0
        self._unlooked_ticks = 0
        self._release_before = Index(0)
        self._space_ok = True
        self._was_full = False
        self._snapshot_work: deque[tuple[Callable[[], Callable[[], None]], int]] = deque()  # and how long the lane rests after it
        self._snapshot_busy = False

    # --- the log's lane --------------------------------------------------------------------------------------------

    def submit(self, write: Write) -> None:
        self._host.wrote(write)
        self._queue.append(write)
        if not self._busy and (write.send_after or not self._wal.is_small(write)):
            self._commit(may_be_quick=True)

    def settle(self) -> None:
        if self._queue and not self._busy:
            self._commit(may_be_quick=True)

    def release_before(self, index: Index) -> None:
        self._release_before = max(self._release_before, index)
        if not self._busy:
            self._release()

    def tick(self, known: Known) -> None:
        """Once per tick of the member: with nothing to write, the mark says so, and spare segments are prepared."""
        if self._snapshots.journals.is_behind() and not self._snapshot_busy:
            self.store_blobs(())
        self._unlooked_ticks += 1
        if self._busy or self._queue:
            self._idle_ticks = 0
            return
        self._idle_ticks += 1
        if self._idle_ticks == 1:
            with suppress(DiskFull):  # as in the real lane
                self._wal.idle(known)
        if self._wal.wants_spare or self._was_full or self._unlooked_ticks >= LOOK_TICKS or self._idle_ticks == 1:
            self._unlooked_ticks = 0
            self._wal.poll_space()
            self._tell_space()
        self._occupy()

    def _commit(self, *, may_be_quick: bool = False) -> None:
        batch = self._queue
        may_be_quick = may_be_quick and self._wal.is_small(batch[0])
        self._host.claims.under_way.extend(batch[self._refused :])
        self._busy = True
        self._idle_ticks = 0
        try:
            self._wal.commit(batch)
        except DiskFull:
            self._refused = len(batch)
            self._tell_space()
            self._host.after(self._disk.take_cost_ns() + FULL_RETRY_NS, self._commit_again)
            return
        self._queue = []
        self._refused = 0
        cost_ns = self._disk.take_cost_ns()
        if may_be_quick and cost_ns <= QUICK_NS_MAX:
            self._marks.reach(marks.WRITTEN_IN_TURN)
            self._committed(batch, in_turn=True)
        else:
            self._host.after(cost_ns, self._committed, batch)

    def _commit_again(self) -> None:
        if self._release_before:
            self._release_segments()  # as in the real lane: this may make the room that is missing
        self._commit()

    def _committed(self, batch: list[Write], *, in_turn: bool = False) -> None:
        self._disk.settle()
        self._busy = False
        self._host.claims.written(batch)
        self._host.on_written(batch, in_turn=in_turn)
        if self._wal.wants_spare:
            self._wal.poll_space()
        self._tell_space()
        self._free()

    def _free(self) -> None:
        """The lane is idle again."""
        self._busy = False
        if self._queue:
            self._commit()
        elif self._release_before:
            self._release()

    def _release(self) -> None:
        self._release_segments()
        self._occupy()

    def _release_segments(self) -> None:
        index, self._release_before = self._release_before, Index(0)
        try:
            self._wal.release_before(index)
        except DiskFull:
            self._tell_space()

    def _occupy(self) -> None:
        """Until what was just done would have taken its time."""
        cost_ns = self._disk.take_cost_ns()
        if cost_ns:
            self._busy = True
            self._host.after(cost_ns, self._finished)

    def _finished(self) -> None:
        self._disk.settle()
        self._free()

    def _tell_space(self) -> None:
        space_ok = self._wal.space_ok
        if space_ok != self._space_ok:
            self._space_ok = space_ok
            self._host.inbox.space_ok = space_ok
            self._host.soon()
            if space_ok and self._was_full:
                self._marks.reach(marks.FULL_DISK_RECOVERED)
            self._was_full = not space_ok

    # --- the snapshot lane -----------------------------------------------------------------------------------------

    def store_blobs(self, writes: Sequence[BlobWrite]) -> None:
        self._enqueue(lambda: self._store_blobs(writes), pace_ns=0)

    def read_records(self, work: RecordsWanted) -> None:
        self._enqueue(lambda: self._read_records(work), pace_ns=0)

    def store_slice(self, work: StoreSlice) -> None:
        self._enqueue(lambda: self._store_slice(work))

    def store_chunk(self, work: StoreChunk) -> None:
        self._enqueue(lambda: self._store_chunk(work))

    def read_chunk(self, work: ChunkWanted) -> None:
        self._enqueue(lambda: self._read_chunk(work))

    def load_snapshot(self, meta: SnapshotMeta) -> None:
        self._enqueue(lambda: self._load(meta, self._snapshots.load(meta)))

    def is_quiet(self) -> bool:
        """Nothing waits to be written beside the log."""
        return not self._snapshot_busy and not self._snapshots.journals.is_behind()

    def _enqueue(self, work: Callable[[], Callable[[], None]], *, pace_ns: int | None = None) -> None:
        self._snapshot_work.append((work, self._pace_ns if pace_ns is None else pace_ns))
        if not self._snapshot_busy:
            self._next_snapshot_work()

    def _next_snapshot_work(self) -> None:
        self._snapshot_busy = True
        work, pace_ns = self._snapshot_work.popleft()
        tell = work()
        self._host.after(self._disk.take_cost_ns() + pace_ns, self._snapshot_work_done, tell)

    def _snapshot_work_done(self, tell: Callable[[], None]) -> None:
        self._disk.settle()
        tell()
        self._host.soon()
        if self._snapshot_work:
            self._next_snapshot_work()
        else:
            self._snapshot_busy = False

    def _store_blobs(self, writes: Sequence[BlobWrite]) -> Callable[[], None]:
        with suppress(DiskFull):
            self._snapshots.store_blobs(writes)
        return lambda: None

    def _read_records(self, work: RecordsWanted) -> Callable[[], None]:
        found = self._snapshots.read_records(work)
        return lambda: self._host.inbox.records_found.append(found)

    def _store_slice(self, work: StoreSlice) -> Callable[[], None]:
        self._host.on_snapshotting(work.meta)
        try:
            stored = self._snapshots.store_slice(work)
        except (DiskFull, Superseded):
            return lambda: setattr(self._host.inbox, "snapshot_failed", SnapshotFailed(work.meta))
        if stored is not None:
            return lambda: setattr(self._host.inbox, "snapshot_stored", SnapshotStored(stored))
        return lambda: setattr(self._host.inbox, "slice_stored", SliceStored(work.number))

    def _store_chunk(self, work: StoreChunk) -> Callable[[], None]:
        self._host.on_receiving(is_last=work.last)
        received = self._snapshots.pieces_received
        try:
            next_number, complete = self._snapshots.store_chunk(work)
        except DiskFull:
            next_number, complete = 0, False
        if self._snapshots.pieces_received > received:
            self._marks.reach(marks.JOURNAL_RECEIVED)
        elif next_number > work.number + 1 and not complete:
            self._marks.reach(marks.SNAPSHOT_RESUMED)
        stored = ChunkStored(work.source, work.meta, next_number, complete)
        return lambda: self._host.inbox.chunks_stored.append(stored)

    def _read_chunk(self, work: ChunkWanted) -> Callable[[], None]:
        self._host.on_sending(work, self._snapshots.count(work.meta))
        rotten = ""
        found = None
        try:
            found = self._snapshots.read_slice(work.meta, work.number)
        except DiskFull:
            return lambda: None  # as in the real lane
        except Rotten as error:
            rotten = error.sentence
        if found is None:
            read = ChunkRead(work.target, work.meta, work.number, False, b"", False, rotten)
        else:
            read = ChunkRead(work.target, work.meta, work.number, found[1], found[0])
        return lambda: self._host.inbox.chunks_read.append(read)

    def _load(self, meta: SnapshotMeta, slices: Iterator[bytes]) -> Callable[[], None]:
        """A few slices per turn; the rest goes behind whatever waits in the lane."""
        loaded: list[bytes] = []
        last = False
        try:
            while len(loaded) < SLICES_PER_TURN and not last:
                data = next(slices, None)
                if data is None:
                    last = True
                else:
                    loaded.append(data)
        except Superseded:
            return lambda: None  # the newer one was asked for meanwhile
        if not last:
            self._snapshot_work.append((lambda: self._load(meta, slices), self._pace_ns))
        return lambda: self._tell_loaded(meta, loaded, last=last)

    def _tell_loaded(self, meta: SnapshotMeta, loaded: list[bytes], *, last: bool) -> None:
        waiting = self._host.inbox.snapshot_loaded
        before = waiting.slices if waiting is not None and waiting.meta == meta else []
        self._host.inbox.snapshot_loaded = SnapshotLoaded(meta, before + loaded, last)
