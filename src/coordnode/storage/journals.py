"""The files of journals: blobs that apply fills and reads ask for, and the pieces of them that members send each other.

Nothing here is proven durable before `sync`, and nothing needs to be: a snapshot calls it before it is put in place, and the log
keeps whatever came after that snapshot. So a start finds all bytes that its snapshot lists, and is given the others again.

What is written where is decided by apply, and equal on every member: writing it twice, or receiving it from another member while
the own state still grows towards it, leaves the same bytes.
"""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from zlib import crc32

from coordnode.errors import DiskFailed, DiskFull, RecordError, Rotten, UnknownFormat
from coordnode.limits import RECORDS_READ_BYTES_MAX, SNAPSHOT_UNSYNCED_BYTES_MAX
from coordnode.raft.blobs import Blob, BlobWrite, begun_at
from coordnode.services.commands.records import FRAME_HEAD_BYTES, check_frame, decode_head
from coordnode.storage.disk import Disk, DiskFile

JOURNAL_FOLDER = "journals"
UNSYNCED_MAX = 64  # files written and not synced: so many journals are appended to in turn at no sync
OPEN_MAX = UNSYNCED_MAX + 1  # files kept open: for whatever else is read there is always one to close
INDEX_BYTES = 65_536  # the place of a frame is remembered about so often
READ_AHEAD_BYTES = 65_536
VERIFY_BYTES = 1_048_576  # read at a time
_NAME = re.compile(r"(\d{20})\.blob")


def blob_path(blob: int) -> str:
    return f"{JOURNAL_FOLDER}/{blob:020d}.blob"


def problem_at_first_sight(disk: Disk, blob: Blob) -> str:
    """Empty: none."""
    path = blob_path(blob.id)
    if not disk.exists(path):
        return f"the file {path} is missing"
    size = disk.size(path)
    return f"the file {path} has {size} bytes, {blob.size} were durable" if size < blob.size else ""


def matches(disk: Disk, blob: Blob) -> bool:
    """Its bytes, on the device and not as the kernel remembers them, are what was written."""
    try:
        file = disk.open(blob_path(blob.id), past_cache=True)
    except FileNotFoundError:
        return False
    checksum = 0
    try:
        for start in range(0, blob.size, VERIFY_BYTES):
            checksum = crc32(file.read(start, min(VERIFY_BYTES, blob.size - start)), checksum)
    except DiskFailed:
        return False
    finally:
        file.close()
    return checksum == blob.checksum


class _Places:
    """Where some of a blob's frames begin, as far as anybody looked."""

    __slots__ = ("offsets", "positions")

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.positions: list[int] = []

    def note(self, offset: int, position: int) -> None:
        if not self.positions or position >= self.positions[-1] + INDEX_BYTES:
            self.offsets.append(offset)
            self.positions.append(position)

    def before(self, offset: int) -> int:
        """The place of a frame that holds this offset or an earlier one; 0 where the blob begins."""
        at = bisect_right(self.offsets, offset) - 1
        return self.positions[at] if at >= 0 else 0


class JournalFiles:
    """Belongs to the snapshots' lane: calls come one at a time."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._files: dict[int, DiskFile] = {}  # the one that was used last is last
        self._places: dict[int, _Places] = {}
        self._waiting: deque[BlobWrite] = deque()  # not written yet: the disk was full
        self.written_bytes = 0  # of what was to be stored, since the start
        self._unsynced: dict[int, list[tuple[int, bytes]]] = {}  # by blob, whose file is open: written and not synced, and where
        self._unsynced_bytes = 0
        self._is_forgotten = False  # a sync had no room for these: the kernel takes them for synced, and would say so the next time
        self._names_due = True  # files that an earlier life made, too

    def make_folder(self) -> None:
        """Of a member that an older build made, too."""
        if not self._disk.exists(JOURNAL_FOLDER):
            self._disk.make_folder(JOURNAL_FOLDER)
            self._disk.sync_folder("")

    # --- writing -----------------------------------------------------------------------------------------------------

    def store(self, writes: Sequence[BlobWrite]) -> None:
        """DiskFull: what is missing is kept here, and written first by whatever is called next."""
        self._waiting.extend(writes)
        self._write_waiting()

    def is_behind(self) -> bool:
        """Something could not be written yet."""
        return bool(self._waiting) or self._is_forgotten

    def _write_waiting(self) -> None:
        self._write_forgotten()
        waiting = self._waiting
        while waiting:
            first = waiting[0]
            parts, count, end = list(first.parts), 1, first.position + first.size()
            self._note(first)
            while count < len(waiting) and waiting[count].blob == first.blob and waiting[count].position == end:
                parts += waiting[count].parts
                end += waiting[count].size()
                self._note(waiting[count])
                count += 1
            self._write(first.blob, first.position, b"".join(parts))
            for _ in range(count):
                self.written_bytes += waiting.popleft().size()

    def _note(self, write: BlobWrite) -> None:
        places = self._places.setdefault(write.blob, _Places())
        places.note(decode_head(write.parts[0]).offset, write.position)

    def _write(self, blob: int, position: int, data: bytes) -> None:
        for start in range(0, len(data), SNAPSHOT_UNSYNCED_BYTES_MAX):
            part = data[start : start + SNAPSHOT_UNSYNCED_BYTES_MAX]
            is_one_more = blob not in self._unsynced and len(self._unsynced) >= UNSYNCED_MAX
            if is_one_more or self._unsynced_bytes + len(part) > SNAPSHOT_UNSYNCED_BYTES_MAX:
                self._sync_files()
            self._put_down(blob, position + start, part)
            self._unsynced.setdefault(blob, []).append((position + start, part))
            self._unsynced_bytes += len(part)

    def _put_down(self, blob: int, position: int, data: bytes) -> None:
        file = self._open(blob, create=True)
        assert file is not None
        file.write(position, data)

    def _write_forgotten(self) -> None:
        if self._is_forgotten:
            for blob, written in self._unsynced.items():
                for position, data in written:
                    self._put_down(blob, position, data)
            self._is_forgotten = False

    def sync(self) -> None:
        """All that was stored is durable when this returns. Raises DiskFull, DiskFailed."""
        self._write_waiting()
        self._sync_files()
        if self._names_due:
            self._disk.sync_folder(JOURNAL_FOLDER)
            self._names_due = False

    def _sync_files(self) -> None:
        self._write_forgotten()
        try:
            for blob in self._unsynced:
                self._files[blob].datasync()
        except DiskFull:
            self._is_forgotten = True
            raise
        self._unsynced.clear()
        self._unsynced_bytes = 0

    def _open(self, blob: int, *, create: bool = False) -> DiskFile | None:
        file = self._files.pop(blob, None)
        if file is None:
            path = blob_path(blob)
            if self._disk.exists(path):
                file = self._disk.open(path)
            elif create:
                file = self._disk.create(path)
                self._names_due = True
            else:
                return None
        self._files[blob] = file
        if len(self._files) > OPEN_MAX:
            oldest = next(other for other in self._files if other not in self._unsynced and other != blob)
            self._files.pop(oldest).close()
        return file

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, blob: Blob, offset: int, limit: int, bytes_max: int) -> bytes:
        """Whole frames, from the one that holds `offset` on, until they have `limit` records or `bytes_max` bytes (0: as much as one
        answer may hold). Rotten: they are not what was written. DiskFull: some of it could not be written yet."""
        self._write_waiting()
        bytes_max = min(bytes_max or RECORDS_READ_BYTES_MAX, RECORDS_READ_BYTES_MAX)
        file = self._open(blob.id)
        if file is None:
            raise Rotten(f"the file {blob_path(blob.id)} is missing")
        places = self._places.setdefault(blob.id, _Places())
        try:
            return self._read(file, blob, places, offset, limit, bytes_max)
        except (RecordError, UnknownFormat, DiskFailed) as error:
            raise Rotten(f"rot in {blob_path(blob.id)}: {error.sentence}") from error

    @staticmethod
    def _read(file: DiskFile, blob: Blob, places: _Places, offset: int, limit: int, bytes_max: int) -> bytes:
        position = places.before(offset)
        found: list[bytes] = []
        size = count = at = 0
        ahead = b""  # what was read from `position` on, and is not used up to `at`
        wanted = READ_AHEAD_BYTES
        while position < blob.size and size < bytes_max and (not limit or count < limit):
            if len(ahead) - at < FRAME_HEAD_BYTES:
                ahead, at = file.read(position, min(wanted, blob.size - position)), 0
            frame = decode_head(ahead, at)
            if position + frame.size > blob.size:
                raise RecordError(f"a frame at {position} reaches beyond what was written, to {position + frame.size}")
            is_wanted = frame.offset + frame.records > offset
            if is_wanted and len(ahead) - at < frame.size:
                wanted = max(wanted, bytes_max - size)
                ahead, at = file.read(position, min(max(wanted, frame.size), blob.size - position)), 0
            if is_wanted:
                if not frame.offset <= offset + count < frame.offset + frame.records:
                    raise RecordError(f"the frame at {position} holds records from {frame.offset} on, and {offset + count} is missing")
                check_frame(ahead, at, frame)
                found.append(ahead[at : at + frame.size])
                size += frame.size
                count += frame.offset + frame.records - max(offset, frame.offset)
            places.note(frame.offset, position)
            position += frame.size
            at += frame.size
            if at > len(ahead):
                ahead, at = b"", 0
        if not found:
            raise RecordError(f"no frame holds the record with offset {offset}")
        return b"".join(found)

    # --- what a snapshot stands on -----------------------------------------------------------------------------------

    def check(self, blob: Blob) -> str:
        """What is wrong with it at first sight; empty: nothing. Its bytes are looked at when they are read or sent."""
        return problem_at_first_sight(self._disk, blob)

    def is_whole(self, blob: Blob) -> bool:
        """Whether all its bytes are durable, and what was written: by this life or an earlier one, which may not have synced them. Past
        the cache: after a failed sync the kernel may show others."""
        self.sync()
        file = self._open(blob.id)
        if file is None or self.check(blob):
            return False
        file.datasync()
        return matches(self._disk, blob)

    def read_piece(self, blob: Blob, position: int, size: int) -> bytes:
        """Raises Rotten when it is not there, or, for the first piece, when the blob as a whole is not what was written."""
        if position == 0 and not self.is_whole(blob):
            raise Rotten(f"rot in {blob_path(blob.id)}: its {blob.size} bytes do not match their checksum")
        file = self._open(blob.id)
        data = file.read(position, size) if file is not None else b""
        if len(data) < size:
            raise Rotten(f"rot in {blob_path(blob.id)}: it ends before {position + size}")
        return data

    def put(self, write: BlobWrite) -> None:
        """Durable with the next `sync`; it need not begin where a frame does."""
        self._write(write.blob, write.position, b"".join(write.parts))

    def write_piece(self, blob: Blob, position: int, data: bytes) -> None:
        """Durable when it returns."""
        self._write(blob.id, position, data)
        self.sync()

    def unlisted(self, kept: Sequence[Sequence[Blob]], newest: int) -> list[int]:
        """What was begun up to the index of the newest snapshot and is listed by none of those that are kept: nobody reads it again."""
        listed = {blob.id for blobs in kept for blob in blobs}
        return [blob for blob in self._found() if begun_at(blob) <= newest and blob not in listed]

    def remove(self, blobs: Sequence[int]) -> None:
        for blob in blobs:
            file = self._files.pop(blob, None)
            if file is not None:
                file.close()
            self._places.pop(blob, None)
            self._unsynced.pop(blob, None)
            self._disk.discard(blob_path(blob))
        self._disk.sync_folder(JOURNAL_FOLDER)

    def _found(self) -> list[int]:
        matches = [_NAME.fullmatch(name) for name in self._disk.list(JOURNAL_FOLDER)]
        return [int(match[1]) for match in matches if match]

    def bytes_used(self) -> int:
        """May be asked from another thread."""
        used = 0
        for blob in self._found():
            with suppress(FileNotFoundError):  # it went meanwhile
                used += self._disk.size(blob_path(blob))
        return used

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
