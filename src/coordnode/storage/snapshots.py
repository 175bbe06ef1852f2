"""Snapshots on disk: made slice by slice beside, put in place as a whole; received ones survive a restart half-way.

Two whole ones are kept: the older serves a peer that is still reading it, and is what remains when the newer one rots. A snapshot is
in place only with all blobs that its last slices list; what none of those kept lists goes. On the way to another member the pieces
of these blobs follow its slices, and are counted on from them; who has a blob already asks for the next that it has not.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from coordnode.errors import CoordError, DiskFailed, DiskFull, RecordError, Rotten, Superseded
from coordnode.ids import Index
from coordnode.limits import SNAPSHOT_UNSYNCED_BYTES_MAX
from coordnode.raft.blobs import Blob, BlobWrite, Pieces, decode_list, is_list
from coordnode.raft.entry import SnapshotMeta
from coordnode.replica.effects import RecordsWanted, StoreChunk, StoreSlice
from coordnode.replica.events import RecordsFound
from coordnode.storage.block import Identity
from coordnode.storage.disk import Disk, DiskFile
from coordnode.storage.journals import JournalFiles
from coordnode.storage.snapshot_file import (
    Contents,
    Slice,
    add_to_checksum,
    encode_footer,
    encode_header,
    encode_slice,
    read_contents,
    read_lists,
    read_slice,
    without_last,
)

SNAPSHOT_FOLDER = "snapshots"
KEPT = 2
PARTS_MAX = 2  # received at the same time: one from the old leader, one from the new
ROTTEN_KEPT = 2
Result = TypeVar("Result")
_NAME = re.compile(r"(\d{20})-(\d{20})-(\d{16})\.(snap|part|tmp)")


def snapshot_path(meta: SnapshotMeta, suffix: str) -> str:
    return f"{SNAPSHOT_FOLDER}/{meta.index:020d}-{meta.term:020d}-{meta.author:016d}.{suffix}"


class _Growing:
    """A file that takes slices until its footer. Every slice is durable before the next."""

    def __init__(self, file: DiskFile, path: str, contents: Contents) -> None:
        self.file = file
        self.path = path
        self.meta = contents.meta
        self.slices = contents.slices
        self.checksum = contents.checksum
        self.end = contents.end
        self.blobs, self.lists_due = read_lists(file, self.slices)
        self.wanted: Wanted | None = None  # with all slices here: what is missing of the blobs

    def append(self, data: bytes) -> None:
        encoded = encode_slice(len(self.slices), data)
        for start in range(0, len(encoded), SNAPSHOT_UNSYNCED_BYTES_MAX):
            self.file.write(self.end + start, encoded[start : start + SNAPSHOT_UNSYNCED_BYTES_MAX])
            self.file.datasync()
        part = Slice(len(self.slices), self.end, len(data), int.from_bytes(encoded[12:16], "little"))
        self.slices.append(part)
        self.checksum = add_to_checksum(self.checksum, part)
        self.end += len(encoded)
        if is_list(data):
            blobs, self.lists_due = decode_list(data)
            self.blobs += blobs

    def complete(self, disk: Disk) -> None:
        self.file.write(self.end, encode_footer(len(self.slices), self.checksum))
        self.file.datasync()
        disk.rename(self.path, snapshot_path(self.meta, "snap"))
        disk.sync_folder(SNAPSHOT_FOLDER)
        self.file.close()


class Wanted:
    """Which pieces of blobs a received snapshot still lacks."""

    def __init__(self, blobs: Sequence[Blob], journals: JournalFiles) -> None:
        self.pieces = Pieces(blobs)
        self._journals = journals
        self._missing = deque(number for number, blob in enumerate(blobs) if not journals.is_whole(blob))
        self.next = self._first()  # the piece that is wanted next; as many as there are: none

    def _first(self) -> int:
        return self.pieces.first_of(self._missing[0]) if self._missing else self.pieces.count

    def is_over(self) -> bool:
        return not self._missing

    def take(self, piece: int, data: bytes) -> None:
        """The wanted one. A blob that is not what was listed once all of it is here is wanted anew."""
        number, position, size = self.pieces.place_of(piece)
        blob = self.pieces.blobs[number]
        if len(data) != size:
            return
        self._journals.write_piece(blob, position, data)
        if position + size < blob.size:
            self.next += 1
            return
        if self._journals.is_whole(blob):
            self._missing.popleft()
        self.next = self._first()


class Whole:
    """A complete snapshot whose slices were all verified when it was found or made."""

    def __init__(self, meta: SnapshotMeta, slices: list[Slice], blobs: Sequence[Blob]) -> None:
        self.meta = meta
        self.slices = slices
        self.pieces = Pieces(blobs)
        self.path = snapshot_path(meta, "snap")

    def count(self) -> int:
        """Of slices and pieces."""
        return len(self.slices) + self.pieces.count


class SnapshotStore:
    """One lane: calls come one at a time, from one thread, which need not be the log's."""

    def __init__(self, disk: Disk, identity: Identity, chain_at: Callable[[Index], int]) -> None:
        """`chain_at`: the log's chain, put into the meta of what this member makes."""
        self._disk = disk
        self._identity = identity
        self._chain_at = chain_at
        self.journals = JournalFiles(disk)
        self.pieces_received = 0  # of blobs, since the start
        self._whole: list[Whole] = []  # newest first
        self._making: _Growing | None = None
        self._parts: list[_Growing] = []  # the one that grew last is last
        self._reading: tuple[str, DiskFile] | None = None
        self._failed = ""
        self.rot: list[str] = []  # what was found damaged since the start, one sentence each

    @property
    def newest(self) -> SnapshotMeta | None:
        return self._whole[0].meta if self._whole else None

    @property
    def bytes_used(self) -> int:
        whole = sum(part.slices[-1].offset + part.slices[-1].size for part in self._whole if part.slices)
        growing = sum(part.end for part in self._parts)
        return whole + growing + (self._making.end if self._making is not None else 0)

    # --- making our own --------------------------------------------------------------------------------------------

    def store_slice(self, work: StoreSlice) -> SnapshotMeta | None:
        """Durable when it returns. With the last slice: the meta of the snapshot that is now in place, its chain filled in.
        DiskFull: nothing of it remains, the older ones are whole."""
        return self._guarded(lambda: self._store_slice(work))

    def _store_slice(self, work: StoreSlice) -> SnapshotMeta | None:
        if work.number == 0:
            self._abandon_making()
            meta = msgspec.structs.replace(work.meta, chain=self._chain_at(work.meta.index))
            path = snapshot_path(meta, "tmp")
            try:
                self._making = self._grow(meta, path)
            except DiskFull:
                self._discard_if_there(path)
                raise
        making = self._making
        assert making is not None, "slice 0 begins a snapshot"
        assert work.number == len(making.slices), f"slice {work.number} after {len(making.slices)}"
        try:
            making.append(work.data)
            if not work.last:
                return None
            self.journals.sync()
            making.complete(self._disk)
        except DiskFull:
            self._abandon_making()
            raise
        self._making = None
        self._add(Whole(making.meta, making.slices, making.blobs))
        return making.meta

    def abandon(self) -> None:
        """The snapshot under way will not be finished."""
        self._guarded(self._abandon_making)

    def _abandon_making(self) -> None:
        if self._making is not None:
            self._making.file.close()
            self._discard_if_there(self._making.path)
            self._making = None

    # --- receiving -------------------------------------------------------------------------------------------------

    def store_chunk(self, work: StoreChunk) -> tuple[int, bool]:
        """The number of the slice wanted next, everything before it being durable; and whether the snapshot is in place.
        DiskFull: nothing of it remains, the older ones are whole."""
        return self._guarded(lambda: self._store_chunk(work))

    def _store_chunk(self, work: StoreChunk) -> tuple[int, bool]:
        for whole in self._whole:
            if whole.meta == work.meta:
                return whole.count(), True
        part = self._part(work.meta, begin=work.number == 0)
        if part is None:
            return 0, False
        try:
            wanted = self._take(part, work)
            if wanted is not None:
                return wanted, False
            part.complete(self._disk)
        except DiskFull:
            self._drop_part(part)
            raise
        self._parts.remove(part)
        whole = Whole(part.meta, part.slices, part.blobs)
        self._add(whole)
        return whole.count(), True

    def _take(self, part: _Growing, work: StoreChunk) -> int | None:
        """What is wanted next; None: all of it is here."""
        if part.lists_due:
            if work.number != len(part.slices):
                return len(part.slices)
            part.append(work.data)
            if work.last and not part.blobs:
                return None
            if part.lists_due:
                return len(part.slices)
        slices = len(part.slices)
        if part.wanted is None:
            part.wanted = Wanted(part.blobs, self.journals)
        if not part.wanted.is_over() and work.number == slices + part.wanted.next:
            part.wanted.take(work.number - slices, work.data)
            self.pieces_received += 1
        return None if part.wanted.is_over() else slices + part.wanted.next

    def _part(self, meta: SnapshotMeta, *, begin: bool) -> _Growing | None:
        """The partial snapshot of that meta: the one that grows, or what a restart left of it, or a new one."""
        for part in self._parts:
            if part.meta == meta:
                self._parts.remove(part)
                self._parts.append(part)
                return part
        path = snapshot_path(meta, "part")
        found = self._resume(meta, path)
        if found is None and begin:
            try:
                found = self._grow(meta, path)
            except DiskFull:
                self._discard_if_there(path)
                raise
        if found is not None:
            self._parts.append(found)
            while len(self._parts) > PARTS_MAX:
                self._drop_part(self._parts[0])
        return found

    def _resume(self, meta: SnapshotMeta, path: str) -> _Growing | None:
        if not self._disk.exists(path):
            return None
        # Past the cache: after a failed sync the kernel may show slices that never reached the device.
        file = self._disk.open(path, past_cache=True)
        try:
            contents = read_contents(file, self._identity)
            _, more_due = read_lists(file, contents.slices)
        except RecordError:
            return None
        finally:
            file.close()
        if contents.meta != meta:
            return None
        if more_due and contents.slices:
            # It may have been the last, after which there is none to ask for: only whoever sends it again can say so.
            contents = without_last(contents)
        return _Growing(self._disk.open(path), path, contents)

    def _drop_part(self, part: _Growing) -> None:
        self._parts.remove(part)
        part.file.close()
        self._discard_if_there(part.path)

    # --- what journals write and read --------------------------------------------------------------------------------

    def store_blobs(self, writes: Sequence[BlobWrite]) -> None:
        """DiskFull: the rest is written as soon as there is room."""
        self._guarded(lambda: self.journals.store(writes))

    def read_records(self, wanted: RecordsWanted) -> RecordsFound:
        try:
            frames = self._guarded(lambda: self.journals.read(wanted.blob, wanted.offset, wanted.limit, wanted.bytes_max))
        except (DiskFull, Rotten) as error:
            return RecordsFound(wanted.number, b"", error.sentence, isinstance(error, Rotten))
        return RecordsFound(wanted.number, frames)

    # --- reading ---------------------------------------------------------------------------------------------------

    def count(self, meta: SnapshotMeta) -> int:
        """Of its slices and pieces; 0: it is gone, or rotten."""
        return next((whole.count() for whole in self._whole if whole.meta == meta), 0)

    def read_slice(self, meta: SnapshotMeta, number: int) -> tuple[bytes, bool] | None:
        """A slice or piece, and whether it is the last. None: that snapshot is gone or rotten. Rotten: a blob is, and no other
        snapshot of this member could help."""
        return self._guarded(lambda: self._read_slice(meta, number))

    def _read_slice(self, meta: SnapshotMeta, number: int) -> tuple[bytes, bool] | None:
        for whole in self._whole:
            if whole.meta == meta and number < whole.count():
                last = number == whole.count() - 1
                if number >= len(whole.slices):
                    blob, position, size = whole.pieces.place_of(number - len(whole.slices))
                    return self.journals.read_piece(whole.pieces.blobs[blob], position, size), last
                try:
                    return read_slice(self._open(whole.path), whole.slices[number]), last
                except (RecordError, FileNotFoundError) as error:
                    self._found_rot(whole, error)
                    return None
        return None

    def load(self, meta: SnapshotMeta) -> Iterator[bytes]:
        """All slices, in order. Raises Rotten where one is not what was written, Superseded when it is gone."""
        for whole in self._whole:
            if whole.meta == meta:
                for number, part in enumerate(whole.slices):
                    try:
                        data = read_slice(self._open(whole.path), part)
                    except (RecordError, FileNotFoundError) as error:
                        if whole not in self._whole:
                            raise self._gone(meta) from None
                        self._found_rot(whole, error)
                        raise Rotten(
                            f"rot in {whole.path}: slice {number}: {error}; start the member again: it falls back to what is whole"
                        ) from error
                    yield data
                return
        raise self._gone(meta)

    def _gone(self, meta: SnapshotMeta) -> CoordError:
        path = snapshot_path(meta, "snap")
        if any(whole.meta.index > meta.index for whole in self._whole):
            return Superseded(f"the snapshot {path} is gone: a newer one took its place")
        return Rotten(f"the snapshot {path} is not whole any more; start the member again: it falls back to what is")

    def _open(self, path: str) -> DiskFile:
        if self._reading is None or self._reading[0] != path:
            self._close_reading()
            self._reading = (path, self._disk.open(path))
        return self._reading[1]

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading[1].close()
            self._reading = None

    def _stop_reading(self, path: str) -> None:
        """Another file takes its name, or it goes."""
        if self._reading is not None and self._reading[0] == path:
            self._close_reading()

    def _found_rot(self, whole: Whole, error: Exception) -> None:
        """It is not offered any more; the next start looks at it again and sets it aside."""
        self.rot.append(f"rot in {whole.path}: {error}; another snapshot will be made")
        self._whole.remove(whole)

    # --- the folder ------------------------------------------------------------------------------------------------

    def find(self) -> tuple[list[SnapshotMeta], list[str]]:
        """Verifies all there are. The whole ones, newest first, and a sentence for each damaged one. Changes nothing on disk."""
        problems = []
        for name in self._disk.list(SNAPSHOT_FOLDER):
            if name.endswith(".snap"):
                path = f"{SNAPSHOT_FOLDER}/{name}"
                try:
                    self._whole.append(self._verify(path))
                except RecordError as error:
                    problems.append(f"rot in {path}: {error.sentence}")
        self._whole.sort(key=lambda whole: (whole.meta.index, whole.meta.term), reverse=True)
        return [whole.meta for whole in self._whole], problems

    def _verify(self, path: str) -> Whole:
        file = self._disk.open(path, past_cache=True)
        try:
            contents = read_contents(file, self._identity)
            blobs, _ = read_lists(file, contents.slices)
        finally:
            file.close()
        if not contents.complete:
            raise RecordError(contents.problem)
        problem = next((problem for blob in blobs if (problem := self.journals.check(blob))), "")
        if problem:
            raise RecordError(problem)
        whole = Whole(contents.meta, contents.slices, blobs)
        if whole.path != path:
            raise RecordError(f"holds the snapshot {whole.path}")
        return whole

    def tidy(self, newest: SnapshotMeta | None) -> None:
        """After a start: damaged ones are set aside, unfinished ones of our own removed; `newest` is the one that is used."""
        disk = self._disk
        whole = {part.path for part in self._whole}
        for name in disk.list(SNAPSHOT_FOLDER):
            path = f"{SNAPSHOT_FOLDER}/{name}"
            if name.endswith(".tmp"):
                disk.unlink(path)
            elif name.endswith(".snap") and path not in whole:
                disk.rename(path, path + ".rotten")
            elif name.endswith(".part") and _NAME.fullmatch(name) is None:
                disk.unlink(path)
        if newest is None:
            # None connects with the log: what they hold is older than what this member once knew.
            for part in self._whole:
                disk.rename(part.path, part.path + ".rotten")
            self._whole.clear()
        rotten = [name for name in disk.list(SNAPSHOT_FOLDER) if name.endswith(".rotten")]
        for name in rotten[:-ROTTEN_KEPT]:
            disk.unlink(f"{SNAPSHOT_FOLDER}/{name}")
        parts = [name for name in disk.list(SNAPSHOT_FOLDER) if name.endswith(".part")]
        for name in parts[:-PARTS_MAX]:
            disk.unlink(f"{SNAPSHOT_FOLDER}/{name}")
        disk.sync_folder(SNAPSHOT_FOLDER)
        self._forget_blobs()

    def _forget_blobs(self) -> None:
        """With no snapshot at all every blob stays: one that is received may list it."""
        if not self._whole:
            return
        gone = self.journals.unlisted([whole.pieces.blobs for whole in self._whole], self._whole[0].meta.index)
        if gone:
            # No snapshot that lists them may come back with a power loss.
            self._disk.sync_folder(SNAPSHOT_FOLDER)
            self.journals.remove(gone)

    def close(self) -> None:
        self._failed = self._failed or "the snapshots are closed"
        self._close_reading()
        self.journals.close()
        for part in self._parts:
            part.file.close()
        if self._making is not None:
            self._making.file.close()

    def _grow(self, meta: SnapshotMeta, path: str) -> _Growing:
        header = encode_header(self._identity, meta)
        file = self._disk.create(path)
        file.write(0, header)
        file.datasync()
        self._disk.sync_folder(SNAPSHOT_FOLDER)
        return _Growing(file, path, Contents(self._identity, meta, [], 0, len(header), False, ""))

    def _add(self, whole: Whole) -> None:
        self._stop_reading(whole.path)
        self._whole = [other for other in self._whole if other.path != whole.path]
        self._whole.append(whole)
        self._whole.sort(key=lambda other: (other.meta.index, other.meta.term), reverse=True)
        for old in self._whole[KEPT:]:
            self._stop_reading(old.path)
            self._discard_if_there(old.path)
        del self._whole[KEPT:]
        for part in [part for part in self._parts if part.meta.index <= whole.meta.index]:
            self._drop_part(part)
        for name in self._disk.list(SNAPSHOT_FOLDER):
            match = _NAME.fullmatch(name)
            if match and match[4] == "part" and int(match[1]) <= whole.meta.index:
                self._disk.discard(f"{SNAPSHOT_FOLDER}/{name}")
        self._forget_blobs()

    def _discard_if_there(self, path: str) -> None:
        if self._disk.exists(path):
            self._disk.discard(path)

    def _guarded(self, work: Callable[[], Result]) -> Result:
        if self._failed:
            raise DiskFailed(self._failed)
        try:
            return work()
        except (DiskFull, Rotten, Superseded):
            raise
        except CoordError as error:
            self._failed = error.sentence
            raise
