"""Prepared segments: the next one and a reserve. They are the head-room that a full disk leaves the log."""

from coordnode.errors import DiskFull
from coordnode.storage.disk import PIECE_BYTES, Disk, DiskFile
from coordnode.storage.segment import RECORDS_FROM, WAL_FOLDER

SPARE_SUFFIX = ".spare"


class Spares:
    def __init__(self, disk: Disk, segment_bytes: int, spares_max: int) -> None:
        assert segment_bytes >= 2 * RECORDS_FROM
        self._disk = disk
        self.segment_bytes = segment_bytes
        self._spares_max = spares_max  # released segments beyond this are removed
        self._ready: list[str] = []
        self._growing: DiskFile | None = None
        self._growing_path = ""
        self._grown = 0
        self._number = 0
        self._find()

    def _find(self) -> None:
        """What an earlier run left. Its content does not matter, only that it has its size."""
        for name in self._disk.list(WAL_FOLDER):
            path = f"{WAL_FOLDER}/{name}"
            if name.endswith(SPARE_SUFFIX):
                self._number = max(self._number, int(name.removesuffix(SPARE_SUFFIX)))
                if self._disk.size(path) == self.segment_bytes and len(self._ready) < self._spares_max:
                    self._ready.append(path)
                else:
                    self._disk.unlink(path)

    def count(self) -> int:
        return len(self._ready)

    def bytes_used(self) -> int:
        return len(self._ready) * self.segment_bytes + self._grown

    def prepare_some(self) -> bool:
        """One piece of one more spare; True once that spare is whole. Raises DiskFull, with nothing left of it."""
        try:
            if self._growing is None:
                self._growing_path = self._next_path()
                self._growing = self._disk.create(self._growing_path)
                self._grown = 0
            piece = min(PIECE_BYTES, self.segment_bytes - self._grown)
            self._growing.write(self._grown, bytes(piece))
            self._growing.datasync()
            self._grown += piece
        except DiskFull:
            self._abandon()
            raise
        if self._grown < self.segment_bytes:
            return False
        self._growing.close()
        self._growing = None
        self._grown = 0
        self._ready.append(self._growing_path)
        return True

    def take(self, size: int) -> str:
        """The path of a spare of at least `size` bytes; it is the caller's now. Raises DiskFull."""
        if size <= self.segment_bytes:
            while not self._ready:
                self.prepare_some()
            return self._ready.pop(0)
        return self._make_oversized(size)

    def put_back(self, path: str) -> None:
        """Taken and not used after all."""
        if self._disk.size(path) == self.segment_bytes:
            self._ready.insert(0, path)
        else:
            self._disk.unlink(path)

    def recycle(self, path: str) -> None:
        """A released segment becomes a spare, or goes. The caller syncs the folder before any spare is taken."""
        if self._disk.size(path) == self.segment_bytes and len(self._ready) < self._spares_max:
            spare = self._next_path()
            self._disk.rename(path, spare)
            self._ready.append(spare)
        else:
            self._disk.discard(path)

    def close(self) -> None:
        if self._growing is not None:
            self._growing.close()
            self._growing = None

    def _make_oversized(self, size: int) -> str:
        """One record is larger than a segment: it gets one of its own size."""
        path = self._next_path()
        try:
            file = self._disk.create(path)
            try:
                for start in range(0, size, PIECE_BYTES):
                    file.write(start, bytes(min(PIECE_BYTES, size - start)))
                    file.datasync()
            finally:
                file.close()
        except DiskFull:
            if self._disk.exists(path):
                self._disk.unlink(path)
            raise
        return path

    def _abandon(self) -> None:
        self.close()
        self._grown = 0
        if self._disk.exists(self._growing_path):
            self._disk.unlink(self._growing_path)

    def _next_path(self) -> str:
        self._number += 1
        return f"{WAL_FOLDER}/{self._number:012d}{SPARE_SUFFIX}"
