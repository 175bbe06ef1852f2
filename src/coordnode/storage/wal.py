"""The log on disk: batches of writes become durable together, in order; what is proven synced is marked.

Everything goes through three steps that a full disk may interrupt and a later call takes up again, exactly where it stopped:
accept the writes, encode what fits the segment, write and sync it. State moves on only with what is synced.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

from coordnode.errors import CoordError, DiskFailed, DiskFull, Superseded
from coordnode.ids import Index
from coordnode.limits import FREE_FILES_MIN
from coordnode.raft.entry import Entry, HardState, SnapshotMeta
from coordnode.raft.ready import Write
from coordnode.replica.known import NOTHING, Known
from coordnode.storage.block import Identity
from coordnode.storage.disk import BLOCK_BYTES, Disk, DiskFile
from coordnode.storage.hard_state import HardStateFiles
from coordnode.storage.mark import Mark, MarkFile
from coordnode.storage.record import (
    BATCH_RECORD_BYTES,
    ENTRY,
    PADDING,
    RESET,
    TRUNCATE,
    Record,
    encode_batch,
    encode_meta,
    encode_record,
    link_chain,
    record_size,
    segment_seed,
)
from coordnode.storage.segment import RECORDS_FROM, WAL_FOLDER, Header, encode_header, segment_path
from coordnode.storage.spares import Spares

SPARES_WANTED = 2  # the next segment and a reserve
LOOK_TICKS = 16  # the free space is looked at so often, whether there is much to write or nothing: others fill the disk, too
SMALL_BYTES_MAX = 256 * 1024  # a disk that syncs quickly takes a millisecond for so many


class Settings(NamedTuple):
    segment_bytes: int = 16 * 1024 * 1024
    spares_max: int = 4  # released segments kept for use again; more are removed
    free_bytes_min: int = 256 * 1024 * 1024  # below this, data-adding commands are refused before the disk is full


class Chains:
    """The chain at every index the log still reaches back to. Other threads may ask for settled indexes."""

    __slots__ = ("_state",)

    def __init__(self, base: int, chains: list[int]) -> None:
        self._state = (base, chains)  # chains[i] is the chain at index base + i; replaced as one, so that a reader never sees a mixture

    def last_index(self) -> int:
        base, chains = self._state
        return base + len(chains) - 1

    def last(self) -> int:
        return self._state[1][-1]

    def at(self, index: int) -> int:
        base, chains = self._state
        if not base <= index < base + len(chains):
            raise Superseded(f"the log has left index {index} behind: it reaches from {base} to {base + len(chains) - 1}")
        return chains[index - base]

    def append(self, chain: int) -> None:
        self._state[1].append(chain)

    def truncate_from(self, index: int) -> None:
        base, chains = self._state
        assert base < index <= base + len(chains), f"cannot truncate from {index}: the log is {base + 1}..{base + len(chains) - 1}"
        del chains[index - base :]

    def reset(self, index: int, chain: int) -> None:
        self._state = (index, [chain])

    def forget_before(self, index: int) -> None:
        base, chains = self._state
        if base < index:
            self._state = (index, chains[index - base :])


class LogFile(NamedTuple):
    """A segment that is part of the folder, the oldest first."""

    number: int
    path: str
    size: int
    next_index: int | None  # None: superseded; it goes when its predecessors may go


Step = Entry | SnapshotMeta | int  # append; reset; truncate from this index


class Wal:
    def __init__(
        self,
        disk: Disk,
        settings: Settings,
        identity: Identity,
        boot: int,
        hard_state: HardStateFiles,
        mark: MarkFile,
        chains: Chains,
        files: list[LogFile],
        batch: int,
        known: Known,
    ) -> None:
        """Not usable before `begin`."""
        self._disk = disk
        self._settings = settings
        self._identity = identity
        self._boot = boot
        self._hard_state = hard_state
        self._mark = mark
        self._chains = chains
        self._files = files
        self._batch = batch  # the last one that is encoded
        self._commit = 0
        self._known = known
        self._spares = Spares(disk, settings.segment_bytes, settings.spares_max)
        self._space_ok = True
        self._failed = ""

        self._file: DiskFile | None = None  # the segment that is written; everything below `_offset` is synced
        self._number = 0
        self._seed = 0
        self._size = 0
        self._offset = 0
        self._marked_offset = 0
        self._names_due = False  # a name was changed and its folder not synced yet

        self._hard_state_due: HardState | None = None
        self._steps: list[Step] = []  # accepted; from `_next` on not encoded yet
        self._next = 0
        self._block = b""  # encoded for `_offset`, not synced yet
        self._interrupted = False  # by a full disk: the retry brings the same writes again
        self._accepted = -1  # the last write that was accepted

    # --- what the caller asks --------------------------------------------------------------------------------------

    def commit(self, writes: Sequence[Write]) -> None:
        """Durable, in order, when this returns. DiskFull: call again with the same writes (more may follow them);
        DiskFailed: never again."""
        self._check_usable()
        self._accept(writes)
        self._guarded(self._carry_out)

    def idle(self, known: Known = NOTHING) -> None:
        """Nothing came for a tick: the mark says what is synced, and how far the state had come. Does nothing when it says so."""
        self._check_usable()
        self._known = max(self._known, known)
        if self._marked_offset < self._offset and not self._interrupted:
            self._guarded(self._write_mark)

    def release_before(self, index: Index) -> None:
        """Segments that only hold entries below `index` become spares or go."""
        self._check_usable()
        self._guarded(lambda: self._release_before(index))

    def poll_space(self) -> None:
        """Looks at the free space and prepares a piece of the next spare where one is wanted: a few milliseconds at most.
        To be called once per tick, and after a commit where `wants_spare` says so."""
        self._check_usable()
        self._guarded(self._poll_space)

    def is_small(self, write: Write) -> bool:
        """Entries alone, not too many, that fit into what is left of the segment: one write and one sync make them durable."""
        if write.hard_state is not None or write.reset_to is not None or write.truncate_from or self._names_due or self._interrupted:
            return False
        room = min(self._size - self._offset, SMALL_BYTES_MAX)
        return BATCH_RECORD_BYTES + sum([record_size(len(entry.data)) for entry in write.entries]) <= room

    @property
    def wants_spare(self) -> bool:
        return self._spares.count() < self._spares_needed()

    @property
    def space_ok(self) -> bool:
        """False: only what frees space should be written. Head-room for that remains."""
        return self._space_ok

    @property
    def bytes_used(self) -> int:
        return sum(file.size for file in self._files) + self._spares.bytes_used()

    @property
    def failed(self) -> str:
        return self._failed

    def last_index(self) -> Index:
        return Index(self._chains.last_index())

    def chain_at(self, index: Index) -> int:
        """The chain hash of the log up to and with `index`, for any index from the last snapshot on."""
        return self._chains.at(index)

    def close(self) -> None:
        """Lets go of the files. What was committed is durable without this."""
        self._failed = self._failed or "the log is closed"
        if self._file is not None:
            self._file.close()
            self._file = None
        self._spares.close()
        self._hard_state.close()
        self._mark.close()

    # --- commit ----------------------------------------------------------------------------------------------------

    def _accept(self, writes: Sequence[Write]) -> None:
        steps = self._steps
        for write in writes:
            if self._interrupted and write.write_id <= self._accepted:
                continue
            if write.hard_state is not None:
                assert write.hard_state.boot == self._boot, "the boot is storage's to count"
                self._hard_state_due = write.hard_state
            if write.reset_to is not None:
                steps.append(write.reset_to)
            if write.truncate_from:
                steps.append(int(write.truncate_from))
            if write.entries:
                steps.extend(write.entries)
            if write.commit > self._commit:
                self._commit = write.commit
            self._accepted = write.write_id

    def _carry_out(self) -> None:
        try:
            if self._names_due:
                self._sync_names()
            if self._hard_state_due is not None:
                self._hard_state.write(self._hard_state_due)
                self._hard_state_due = None
            while self._block or self._next < len(self._steps):
                if not self._block and not self._encode_block():
                    self._roll()
                    continue
                self._write_block()
        except DiskFull:
            self._space_ok = False
            self._interrupted = True
            raise
        self._interrupted = False
        self._steps.clear()
        self._next = 0

    def _write_block(self) -> None:
        file = self._file
        assert file is not None
        file.write(self._offset, self._block)
        file.datasync()
        self._offset += len(self._block)
        self._block = b""

    def _encode_block(self) -> bool:
        """One batch of the steps that fit into what is left of the segment; False when not even the first one does."""
        steps = self._steps
        chains = self._chains
        seed = self._seed
        sequence = self._batch + 1
        room = self._size - self._offset - BATCH_RECORD_BYTES
        last_index = before_index = chains.last_index()
        chain = before_chain = chains.last()
        parts = [b""]
        used = 0
        position = self._next
        while position < len(steps):
            step = steps[position]
            data = step.data if type(step) is Entry else encode_meta(step) if type(step) is SnapshotMeta else b""
            size = record_size(len(data))
            if used + size > room:
                break
            data_crc = crc32(data)
            if type(step) is Entry:
                term, index, kind = step.term, step.index, step.kind
                assert index == last_index + 1, f"entry {index} does not follow {last_index}"
                last_index = index
                chain = link_chain(chain, term, index, kind, data_crc)
                chains.append(chain)
                parts.append(encode_record(seed, ENTRY, kind, term, index, chain, sequence, data, data_crc))
                parts.append(data)
                padding = -len(data) & 7
                if padding:
                    parts.append(PADDING[padding])
            elif type(step) is SnapshotMeta:
                last_index, chain = step.index, step.chain
                chains.reset(last_index, chain)
                parts.append(encode_record(seed, RESET, 0, step.term, last_index, chain, sequence, data, data_crc))
                parts.append(data)
                parts.append(PADDING[-len(data) & 7])
            else:
                assert isinstance(step, int)
                chains.truncate_from(step)
                last_index, chain = step - 1, chains.last()
                parts.append(encode_record(seed, TRUNCATE, 0, 0, step, chain, sequence, data, data_crc))
            used += size
            position += 1
        if not used:
            return False
        parts[0] = encode_batch(seed, sequence, before_index, before_chain, self._offset, used)
        self._block = b"".join(parts)
        self._batch = sequence
        self._next = position
        return True

    # --- segments --------------------------------------------------------------------------------------------------

    def begin(self, number: int, previous: tuple[int, int], next_index: int, chain: int, records: Sequence[Record]) -> None:
        """The first segment of this boot. What was not proven synced before is written anew, in one batch, and so made durable.
        `next_index` and `chain` say where the log stands before `records`; the chains given to the constructor include them."""
        seed = segment_seed(number, self._boot)
        block = b""
        if records:
            parts = []
            for record in records:
                data = record.data
                fields = (record.kind, record.entry_kind, record.term, record.index, record.chain)
                parts += [encode_record(seed, *fields, self._batch + 1, data, crc32(data)), data, PADDING[-len(data) & 7]]
            body = b"".join(parts)
            block = encode_batch(seed, self._batch + 1, next_index - 1, chain, RECORDS_FROM, len(body)) + body
        header = Header(number, self._boot, *previous, next_index, chain, self._batch, RECORDS_FROM + len(block))
        self._guarded(lambda: self._open_segment(header, block))
        if records:
            self._batch += 1
        self._guarded(self._write_mark)

    def _roll(self) -> None:
        """The next segment. Everything before it is synced: its header says so."""
        step = self._steps[self._next]
        data = step.data if type(step) is Entry else encode_meta(step) if type(step) is SnapshotMeta else b""
        chains = self._chains
        place = (self._number + 1, self._boot, self._number, self._offset)
        header = Header(*place, chains.last_index() + 1, chains.last(), self._batch, RECORDS_FROM)
        self._open_segment(header, b"", room=BATCH_RECORD_BYTES + record_size(len(data)))

    def _open_segment(self, header: Header, block: bytes, *, room: int = 0) -> None:
        disk = self._disk
        size = max(self._settings.segment_bytes, -(-(RECORDS_FROM + len(block) + room) // BLOCK_BYTES) * BLOCK_BYTES)
        spare = self._spares.take(size)
        path = segment_path(header.number)
        file = disk.open(spare)
        try:
            file.write(0, encode_header(self._identity, header))
            if block:
                file.write(RECORDS_FROM, block)
            file.datasync()
            disk.rename(spare, path)
        except DiskFull:
            file.close()
            self._spares.put_back(spare)
            raise
        if self._file is not None:
            self._file.close()
        self._file = file
        self._number = header.number
        self._seed = header.seed()
        self._size = size
        self._offset = RECORDS_FROM + len(block)
        self._marked_offset = 0
        self._files.append(LogFile(header.number, path, size, header.next_index))
        self._sync_names()

    def _sync_names(self) -> None:
        self._names_due = True
        self._disk.sync_folder(WAL_FOLDER)
        self._names_due = False

    def _release_before(self, index: int) -> None:
        files = self._files
        released = 0
        while released < len(files) - 1:
            if next(file.next_index for file in files[released + 1 :] if file.next_index is not None) > index:
                break
            self._spares.recycle(files[released].path)
            released += 1
        if released:
            del files[:released]
            self._sync_names()
            first = next(file.next_index for file in files if file.next_index is not None)
            self._chains.forget_before(min(first - 1, index - 1, self._chains.last_index()))

    def drop_superseded(self, numbers: Sequence[int]) -> None:
        """Segments whose whole content was written anew into the one that `begin` made."""
        self._guarded(lambda: self._drop(numbers))

    def _drop(self, numbers: Sequence[int]) -> None:
        for file in [file for file in self._files if file.number in numbers]:
            self._spares.recycle(file.path)
            self._files.remove(file)
        self._sync_names()

    # --- mark and space --------------------------------------------------------------------------------------------

    def _write_mark(self) -> None:
        offset = self._offset
        last_index = self._chains.last_index()
        self._mark.write(Mark(self._number, offset, last_index, min(self._commit, last_index), *self._known))
        self._marked_offset = offset

    def _spares_needed(self) -> int:
        half_full = self._offset * 2 >= self._size
        return SPARES_WANTED if half_full else SPARES_WANTED - 1

    def set_free_bytes_min(self, count: int) -> None:
        self._settings = self._settings._replace(free_bytes_min=count)

    def _poll_space(self) -> None:
        free = self._disk.free_bytes()
        enough = free >= self._settings.free_bytes_min and self._disk.free_files() >= FREE_FILES_MIN
        if self.wants_spare and free < self._settings.segment_bytes:
            enough = False  # trying would only fill what little is left
        elif self.wants_spare:
            try:
                self._spares.prepare_some()
            except DiskFull:
                enough = False
        self._space_ok = enough and not self._interrupted

    # --- failing ---------------------------------------------------------------------------------------------------

    def _check_usable(self) -> None:
        if self._failed:
            raise DiskFailed(self._failed)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except DiskFull:
            raise
        except CoordError as error:
            self._failed = error.sentence
            raise
