"""The two storage threads: the log's, which makes everything that waits durable at once, and the snapshots', which is paced.

Threads only call storage; what came of it is posted to the loop. One thread at a time touches the log, another the snapshots, so
neither room needs a lock. While the disk is quick, the one that touches the log is the loop's own: nobody has to be woken for a write.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol

from coordnode.errors import DiskFull, Rotten, Superseded
from coordnode.ids import Index
from coordnode.raft.blobs import BlobWrite
from coordnode.raft.entry import SnapshotMeta
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
from coordnode.replica.known import Known
from coordnode.storage.snapshots import SnapshotStore
from coordnode.storage.wal import LOOK_TICKS, Wal

FULL_RETRY_S = 0.05
QUICK_NS_MAX = 2_500_000  # what is expected to be durable so soon may hold a turn up
SLOWER_SHARE, QUICKER_SHARE = 8, 32  # a single sync of 20 ms ends that at once; a few dozens of quick ones bring it back
SLICES_PER_TURN = 2
# After a slice the disk is left to the log for as long as the slice took, and the loop, which encodes the next one, to whoever asks.
PACE_S_MIN, PACE_S_MAX = 0.01, 0.02


class Committed(NamedTuple):
    """A group of writes that became durable together."""

    writes: list[Write]
    submitted_ns: int  # the oldest of them
    began_ns: int
    ended_ns: int
    in_turn: bool = False  # written by the loop's thread, within the turn that wanted it: no member can have acknowledged its entries yet


Stored = SliceStored | SnapshotStored | SnapshotFailed | ChunkRead | ChunkStored | SnapshotLoaded | RecordsFound | BlobsWritten


class Owner(Protocol):
    """Whose lanes these are. All of this is called in the loop's thread."""

    def on_committed(self, committed: Committed) -> None: ...

    def on_space(self, space_ok: bool) -> None: ...

    def on_stored(self, event: Stored) -> None: ...

    def on_lane_failed(self, error: BaseException) -> None: ...


Work = Callable[[], None]
Post = Callable[..., object]  # carry this out in the loop's thread, with these arguments


class _Lane:
    def __init__(self, name: str, post: Post, owner: Owner) -> None:
        self._post = post
        self._owner = owner
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name=name, daemon=True)

    def _guarded(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self._tell(self._owner.on_lane_failed, error)

    def _run(self) -> None:
        raise NotImplementedError

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        try:
            self._post(what, *arguments)
        except RuntimeError:  # the loop is closed: nobody is left to hear it
            self._stopping.set()

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> bool:
        if self._thread.ident is None:  # never started
            return True
        self._thread.join(seconds)
        return not self._thread.is_alive()


class LogLane(_Lane):
    def __init__(self, wal: Wal, post: Post, owner: Owner) -> None:
        super().__init__("log", post, owner)
        self._wal = wal
        self._queue: SimpleQueue[tuple[Write, int] | Work | None] = SimpleQueue()
        self._space_ok = True
        self.pending = 0  # writes that are submitted and not reported yet; the loop's thread counts
        self._idle_ticks = 0
        self._unlooked_ticks = 0  # since the free space was last to be looked at
        self._is_looking = False
        self._handed = 0  # to the thread, by the loop's
        self._carried_out = 0  # of these, by the thread: while both are equal it does not touch the log
        self._taken = 0  # of these, from the queue
        self._expected_ns = 2 * QUICK_NS_MAX  # what the next commit will take; nobody knows yet
        self._put_off: Write | None = None  # until the turn has answered

    def submit(self, write: Write) -> None:
        """Written at once when messages wait for it, else behind the turn's answers: by the loop's thread while the disk is quick and
        the thread has nothing to do."""
        self.pending += 1
        self._idle_ticks = -1
        is_alone = self.pending == 1 and self._handed == self._carried_out
        if not is_alone or self._expected_ns > QUICK_NS_MAX or not self._wal.is_small(write):
            self._hand((write, time.monotonic_ns()))
        elif write.send_after:
            self._write(write)
        else:
            self._put_off = write

    def settle(self) -> None:
        write, self._put_off = self._put_off, None
        if write is not None:
            self._write(write)

    def _write(self, write: Write) -> None:
        began_ns = time.monotonic_ns()
        try:
            self._wal.commit([write])
        except DiskFull:
            self._hand((write, began_ns))  # the thread can wait for space
            return
        self._owner.on_committed(Committed([write], began_ns, began_ns, time.monotonic_ns(), True))
        if self._wal.wants_spare:
            self._look()

    def _hand(self, work: tuple[Write, int] | Work | None) -> None:
        self._handed += 1
        self._queue.put(work)

    def release_before(self, index: Index) -> None:
        self._hand(lambda: self._wal.release_before(index))

    def on_reported(self, committed: Committed) -> None:
        self.pending -= len(committed.writes)
        slower_ns = committed.ended_ns - committed.began_ns - self._expected_ns
        self._expected_ns += slower_ns // (SLOWER_SHARE if slower_ns > 0 else QUICKER_SHARE)

    def on_tick(self, known: Known) -> None:
        """Nothing wakes the thread of an idle member but a look at the free space now and then."""
        self._unlooked_ticks += 1
        self._idle_ticks = 0 if self.pending else self._idle_ticks + 1
        if self._idle_ticks == 1:
            self._hand(lambda: self._wal.idle(known))
        is_due = self._unlooked_ticks >= LOOK_TICKS or self._idle_ticks == 1
        if is_due or (not self.pending and (self._wal.wants_spare or not self._wal.space_ok)):
            self._look()

    def _look(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            self._unlooked_ticks = 0
            self._hand(self._look_at_space)

    def stop(self) -> None:
        """What is queued is still carried out, unless the disk is full."""
        self._stopping.set()
        self._hand(None)

    def _run(self) -> None:
        queue = self._queue
        stopping = False
        while not stopping:
            writes: list[Write] = []
            chores: list[Work] = []
            work = queue.get()
            submitted_ns = 0
            while True:
                self._taken += 1
                if work is None:
                    stopping = True
                elif isinstance(work, tuple):
                    writes.append(work[0])
                    submitted_ns = submitted_ns or work[1]
                else:
                    chores.append(work)
                if queue.empty():
                    break
                work = queue.get()
            if writes and not self._commit(writes, submitted_ns, chores):
                return
            self._do(chores)
            self._carried_out = self._taken

    def _commit(self, writes: list[Write], submitted_ns: int, chores: list[Work]) -> bool:
        """False: stopped while the disk was full."""
        began_ns = time.monotonic_ns()
        while True:
            try:
                self._wal.commit(writes)
                break
            except DiskFull:
                self._tell_space()
                if self._stopping.wait(FULL_RETRY_S):
                    return False
                self._take_more(writes, chores)
                self._do(chores)  # one may make the room that is missing
        self._tell(self._owner.on_committed, Committed(writes, submitted_ns, began_ns, time.monotonic_ns()))
        if self._wal.wants_spare and self._queue.empty():
            chores.append(self._look_at_space)
        elif not self._space_ok:
            self._tell_space()
        return True

    def _do(self, chores: list[Work]) -> None:
        for chore in chores:
            with suppress(DiskFull):  # tried again when it is due again; what matters is told next
                chore()
            self._tell_space()
        chores.clear()

    def _take_more(self, writes: list[Write], chores: list[Work]) -> None:
        """What came meanwhile joins the group, behind what it holds already."""
        try:
            while True:
                work = self._queue.get_nowait()
                self._taken += 1
                if isinstance(work, tuple):
                    writes.append(work[0])
                elif work is not None:
                    chores.append(work)
        except Empty:
            pass

    def _look_at_space(self) -> None:
        self._is_looking = False
        self._wal.poll_space()

    def _tell_space(self) -> None:
        space_ok = self._wal.space_ok
        if space_ok != self._space_ok:
            self._space_ok = space_ok
            self._tell(self._owner.on_space, space_ok)


class SnapshotLane(_Lane):
    def __init__(self, snapshots: SnapshotStore, post: Post, owner: Owner) -> None:
        super().__init__("snapshots", post, owner)
        self._snapshots = snapshots
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._told_written = 0
        self._loading: tuple[SnapshotMeta, Iterator[bytes]] | None = None

    def store_blobs(self, writes: Sequence[BlobWrite]) -> None:
        self._queue.put(lambda: self._store_blobs(writes))

    def on_tick(self) -> None:
        """What a full disk kept from being written is tried again."""
        if self._snapshots.journals.is_behind() and self._queue.empty():
            self.store_blobs(())

    def read_records(self, work: RecordsWanted) -> None:
        self._queue.put(lambda: self._tell(self._owner.on_stored, self._snapshots.read_records(work)))

    def store_slice(self, work: StoreSlice) -> None:
        self._queue.put(lambda: self._store_slice(work))

    def store_chunk(self, work: StoreChunk) -> None:
        self._queue.put(lambda: self._store_chunk(work))

    def read_chunk(self, work: ChunkWanted) -> None:
        self._queue.put(lambda: self._read_chunk(work))

    def load(self, meta: SnapshotMeta) -> None:
        self._queue.put(lambda: self._begin_load(meta))

    def load_more(self) -> None:
        """The slices that were told last are taken: the next ones may be read."""
        self._queue.put(self._load_some)

    def stop(self) -> None:
        self._stopping.set()
        self._queue.put(None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            work = self._queue.get()
            if work is not None:
                work()
            written = self._snapshots.journals.written_bytes
            if written != self._told_written:
                self._told_written = written
                self._tell(self._owner.on_stored, BlobsWritten(written))

    def _store_blobs(self, writes: Sequence[BlobWrite]) -> None:
        with suppress(DiskFull):  # kept, and tried again
            self._snapshots.store_blobs(writes)

    def _store_slice(self, work: StoreSlice) -> None:
        began = time.monotonic()
        try:
            stored = self._snapshots.store_slice(work)
        except (DiskFull, Superseded):
            self._tell(self._owner.on_stored, SnapshotFailed(work.meta))
            return
        self._stopping.wait(min(max(time.monotonic() - began, PACE_S_MIN), PACE_S_MAX))
        self._tell(self._owner.on_stored, SliceStored(work.number) if stored is None else SnapshotStored(stored))

    def _store_chunk(self, work: StoreChunk) -> None:
        try:
            next_number, complete = self._snapshots.store_chunk(work)
        except DiskFull:
            next_number, complete = 0, False
        self._tell(self._owner.on_stored, ChunkStored(work.source, work.meta, next_number, complete))

    def _read_chunk(self, work: ChunkWanted) -> None:
        rotten = ""
        found = None
        try:
            found = self._snapshots.read_slice(work.meta, work.number)
        except DiskFull:
            return  # bytes of a journal that wait to be written go first; raft asks again
        except Rotten as error:
            rotten = error.sentence
        if found is None:
            read = ChunkRead(work.target, work.meta, work.number, False, b"", False, rotten)
        else:
            read = ChunkRead(work.target, work.meta, work.number, found[1], found[0])
        self._tell(self._owner.on_stored, read)

    def _begin_load(self, meta: SnapshotMeta) -> None:
        self._loading = (meta, self._snapshots.load(meta))
        self._load_some()

    def _load_some(self) -> None:
        if self._loading is None:
            return
        meta, slices = self._loading
        loaded: list[bytes] = []
        try:
            for data in slices:
                loaded.append(data)
                if len(loaded) == SLICES_PER_TURN:
                    break
        except Superseded:
            self._loading = None  # the newer one was asked for meanwhile
            return
        last = len(loaded) < SLICES_PER_TURN
        if last:
            self._loading = None
        self._tell(self._owner.on_stored, SnapshotLoaded(meta, loaded, last))


class Lanes:
    """Implements driver.Storage."""

    def __init__(self, wal: Wal, snapshots: SnapshotStore, post: Post, owner: Owner) -> None:
        self.log = LogLane(wal, post, owner)
        self.snapshots = SnapshotLane(snapshots, post, owner)
        self._wal = wal
        self._store = snapshots
        self.submit = self.log.submit
        self.settle = self.log.settle
        self.release_before = self.log.release_before
        self.store_blobs = self.snapshots.store_blobs
        self.read_records = self.snapshots.read_records
        self.store_slice = self.snapshots.store_slice
        self.store_chunk = self.snapshots.store_chunk
        self.read_chunk = self.snapshots.read_chunk
        self.load_snapshot = self.snapshots.load

    def start(self) -> None:
        self.log.start()
        self.snapshots.start()

    def stop(self, seconds: float, known: Known) -> bool:
        """False: a thread hangs in the disk; the process may end all the same, the log is whole at every moment."""
        self.snapshots.stop()
        self.log.stop()
        deadline = time.monotonic() + seconds
        stopped = [lane.join(max(deadline - time.monotonic(), 0)) for lane in (self.snapshots, self.log)]
        if stopped[1]:
            if not self._wal.failed:
                with suppress(DiskFull):  # the mark is a help for the next start, not a promise
                    self._wal.idle(known)
            self._wal.close()
        if stopped[0]:
            self._store.close()
        return all(stopped)
