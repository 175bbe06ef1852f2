"""What storage needs of a disk, and the real one. Only `RealDisk`, and `freeing` for it, call the operating system.

Promises that storage builds on: data is durable after `datasync` of its file; a name is durable after `sync_folder` of its
folder; names change in order; a sector of 512 bytes is written whole or not at all.
"""

import errno
import fcntl
import mmap
import os
from contextlib import suppress
from typing import NoReturn, Protocol

from coordnode.errors import CoordError, DiskFailed, DiskFull, FolderRefused
from coordnode.storage.freeing import FREED_BYTES_MAX, Freeing, sync_directory

SECTOR_BYTES = 512
UNCOUNTED_FILES = 1 << 40
BLOCK_BYTES = 4096  # what is written at different times lies in different blocks where one must survive the other
HOLDER_BYTES = 32  # of the lock: a process id
PIECE_BYTES = 1024 * 1024  # zeros are written, and synced, in pieces: a longer backlog would stall the log's datasync


class DiskFile(Protocol):
    """An open file. Reads past the end return what there is."""

    path: str

    def read(self, offset: int, size: int) -> bytes: ...

    def write(self, offset: int, data: bytes) -> None:
        """All of it, or an error; beyond the end, the file grows. Raises DiskFull, DiskFailed."""

    def datasync(self) -> None:
        """What was written to this file is durable, its size too. Raises DiskFull, DiskFailed."""

    def size(self) -> int: ...

    def close(self) -> None: ...


class Disk(Protocol):
    """One member's folder. Paths are relative to it, with `/`; `""` is the folder itself. A missing file: FileNotFoundError."""

    def list(self, folder: str) -> list[str]:
        """Names in it, sorted; none when there is no such folder."""

    def exists(self, path: str) -> bool: ...

    def size(self, path: str) -> int: ...

    def make_folder(self, path: str) -> None:
        """Nothing happens when it exists."""

    def open(self, path: str, *, past_cache: bool = False) -> DiskFile:
        """An existing file. `past_cache`: for reading, from the device itself and not from what the kernel remembers."""

    def create(self, path: str) -> DiskFile:
        """A new, empty file; one of that name is replaced."""

    def rename(self, source: str, target: str) -> None:
        """Within one folder; replaces the target."""

    def unlink(self, path: str) -> None: ...

    def discard(self, path: str) -> None:
        """As `unlink`, for a large file: its room comes back bit by bit. Whoever still has it open finds it shortened."""

    def sync_folder(self, folder: str) -> None:
        """Names created, renamed and removed in it so far are durable."""

    def free_bytes(self) -> int: ...

    def free_files(self) -> int:
        """So many more can be made; UNCOUNTED_FILES where the file system makes them as they are needed."""

    def fingerprint(self, path: str) -> int:
        """A number that this very file keeps for life, renamed or not, and that a copy of it does not have."""

    def lock(self, path: str) -> None:
        """Ours until `unlock` or the end of the process. Raises FolderRefused when another has it."""

    def unlock(self) -> None: ...


def write_zeros(file: DiskFile, offset: int, size: int) -> None:
    """So that later writes need no new blocks: they cannot meet a full disk, and their datasync has no sizes to record."""
    for start in range(offset, offset + size, PIECE_BYTES):
        file.write(start, bytes(min(PIECE_BYTES, offset + size - start)))
        file.datasync()


def read_all(disk: Disk, path: str) -> bytes:
    """A whole file, from the device. What cannot be read comes back as zeros: every reader checks checksums."""
    file = disk.open(path, past_cache=True)
    try:
        size = file.size()
        parts = []
        for start in range(0, size, PIECE_BYTES):
            wanted = min(PIECE_BYTES, size - start)
            try:
                parts.append(file.read(start, wanted))
            except DiskFailed:
                blocks = range(start, start + wanted, BLOCK_BYTES)
                parts.extend(_read_block(file, block, min(BLOCK_BYTES, size - block)) for block in blocks)
        return b"".join(parts)
    finally:
        file.close()


def _read_block(file: DiskFile, offset: int, size: int) -> bytes:
    try:
        return file.read(offset, size)
    except DiskFailed:
        return bytes(size)


def _fail(error: OSError, path: str, verb: str) -> NoReturn:
    raise named(error, path, verb) from error


def named(error: OSError, path: str, verb: str) -> CoordError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space left to {verb} {path}: free some, or give the folder a larger disk")
    remedy = REMEDIES.get(error.errno or 0, "look at the kernel log, the disk may be dying")
    return DiskFailed(f"cannot {verb} {path}: {error.strerror}; {remedy}")


REMEDIES = {
    errno.EMFILE: "raise the limit of open files for this process (LimitNOFILE= of its unit, ulimit -n)",
    errno.ENFILE: "the whole machine has too many open files: raise fs.file-max, or find who holds them",
    errno.EROFS: "the file system was made read-only: the kernel log says why; once it is writable, start the member again",
    errno.EACCES: "the folder must belong to the user that the member runs as",
    errno.ENOTDIR: "a file is where a folder should be: name another folder, or move the file away",
    errno.EPERM: "the folder must belong to the user that the member runs as",
}


class _RealFile:
    __slots__ = ("_descriptor", "_direct", "path")

    def __init__(self, path: str, descriptor: int, *, direct: bool) -> None:
        self.path = path
        self._descriptor = descriptor
        self._direct = direct

    def read(self, offset: int, size: int) -> bytes:
        """What cannot be read at first is tried once more: bytes that are taken for lost are given up for good."""
        try:
            try:
                return self._read(offset, size)
            except OSError:
                return self._read(offset, size)
        except OSError as error:
            _fail(error, self.path, "read")

    def _read(self, offset: int, size: int) -> bytes:
        if self._direct:
            return self._read_direct(offset, size)
        parts = []
        while size > 0:
            part = os.pread(self._descriptor, size, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_direct(self, offset: int, size: int) -> bytes:
        """Direct reads want memory, offset and length aligned to blocks."""
        start = offset - offset % BLOCK_BYTES
        length = -(-(offset + size - start) // BLOCK_BYTES) * BLOCK_BYTES
        if length == 0:
            return b""
        with mmap.mmap(-1, length) as memory:
            filled = 0
            while filled < length:
                with memoryview(memory) as view, view[filled:] as rest:
                    count = os.preadv(self._descriptor, [rest], start + filled)
                filled += count
                if count == 0 or count % BLOCK_BYTES:
                    break  # the end of the file
            return memory[offset - start : max(offset - start, min(filled, offset - start + size))]

    def write(self, offset: int, data: bytes) -> None:
        try:
            written = os.pwrite(self._descriptor, data, offset)
            while written < len(data):
                written += os.pwrite(self._descriptor, memoryview(data)[written:], offset + written)
        except OSError as error:
            _fail(error, self.path, "write")

    def datasync(self) -> None:
        try:
            _datasync(self._descriptor)
        except OSError as error:
            _fail(error, self.path, "sync")

    def size(self) -> int:
        try:
            return os.fstat(self._descriptor).st_size
        except OSError as error:
            _fail(error, self.path, "look at")

    def close(self) -> None:
        os.close(self._descriptor)


def _holder(descriptor: int) -> str:
    try:
        return os.pread(descriptor, HOLDER_BYTES, 0).decode("ascii", "replace").strip() or "unknown"
    except OSError:
        return "unknown"


_datasync = getattr(os, "fdatasync", os.fsync)


class RealDisk:
    """A folder of the machine. Made by `make_root`, so that a mistyped path is not silently a new member."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") or "/"
        self._lock = -1
        self._freeing = Freeing()

    def make_root(self) -> None:
        try:
            os.makedirs(self._root, mode=0o700, exist_ok=True)
            sync_directory(os.path.dirname(os.path.abspath(self._root)))
        except OSError as error:
            _fail(error, self._root, "make")

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def list(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._path(folder)))
        except FileNotFoundError:
            return []
        except OSError as error:
            _fail(error, self._path(folder), "list")

    def exists(self, path: str) -> bool:
        """What cannot be looked at is not taken for missing."""
        try:
            self._stat(path)
        except FileNotFoundError:
            return False
        return True

    def size(self, path: str) -> int:
        return self._stat(path).st_size

    def _stat(self, path: str) -> os.stat_result:
        full = self._path(path)
        try:
            return os.stat(full)
        except FileNotFoundError:
            raise
        except OSError as error:
            _fail(error, full, "look at")

    def make_folder(self, path: str) -> None:
        try:
            os.makedirs(self._path(path), mode=0o700, exist_ok=True)
        except OSError as error:
            _fail(error, self._path(path), "make")

    def open(self, path: str, *, past_cache: bool = False) -> DiskFile:
        full = self._path(path)
        try:
            if not past_cache:
                return _RealFile(full, os.open(full, os.O_RDWR | os.O_CLOEXEC), direct=False)
            return self._open_past_cache(full)
        except FileNotFoundError:
            raise
        except OSError as error:
            _fail(error, full, "open")

    def _open_past_cache(self, full: str) -> DiskFile:
        direct = getattr(os, "O_DIRECT", 0)
        if direct:
            try:
                return _RealFile(full, os.open(full, os.O_RDONLY | os.O_CLOEXEC | direct), direct=True)
            except OSError as error:
                if error.errno != errno.EINVAL:  # a file system in memory has no device to read from
                    raise
        descriptor = os.open(full, os.O_RDONLY | os.O_CLOEXEC)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return _RealFile(full, descriptor, direct=False)

    def create(self, path: str) -> DiskFile:
        full = self._path(path)
        try:
            return _RealFile(full, os.open(full, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), direct=False)
        except OSError as error:
            _fail(error, full, "create")

    def rename(self, source: str, target: str) -> None:
        try:
            os.rename(self._path(source), self._path(target))
        except FileNotFoundError:
            raise
        except OSError as error:
            _fail(error, self._path(source), "rename")

    def unlink(self, path: str) -> None:
        try:
            os.unlink(self._path(path))
        except FileNotFoundError:
            raise
        except OSError as error:
            _fail(error, self._path(path), "remove")

    def discard(self, path: str) -> None:
        full = self._path(path)
        try:
            descriptor = os.open(full, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            _fail(error, full, "remove")
        try:
            self.unlink(path)
            found = os.fstat(descriptor)
        except (FileNotFoundError, CoordError):
            os.close(descriptor)
            raise
        except OSError as error:
            os.close(descriptor)
            _fail(error, full, "look at")
        if found.st_nlink or found.st_size <= FREED_BYTES_MAX:  # another name of it is none of ours to shorten
            os.close(descriptor)
        else:
            self._freeing.add(descriptor, found.st_size, os.path.dirname(full))

    def sync_folder(self, folder: str) -> None:
        try:
            sync_directory(self._path(folder))
        except OSError as error:
            _fail(error, self._path(folder), "sync")

    def free_bytes(self) -> int:
        found = self._statvfs()
        return found.f_bavail * found.f_frsize

    def free_files(self) -> int:
        found = self._statvfs()
        return found.f_favail if found.f_files else UNCOUNTED_FILES

    def _statvfs(self) -> os.statvfs_result:
        try:
            return os.statvfs(self._root)
        except OSError as error:
            _fail(error, self._root, "look at")

    def fingerprint(self, path: str) -> int:
        # The device's number may change with a reboot; the inode's does not.
        return self._stat(path).st_ino

    def lock(self, path: str) -> None:
        full = self._path(path)
        assert self._lock < 0, "locked already"
        try:
            descriptor = os.open(full, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            _fail(error, full, "open")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise FolderRefused(f"{full} is held by process {holder}: a folder has one member at a time; stop that one first") from None
        except OSError as error:
            os.close(descriptor)
            _fail(error, full, "lock")
        with suppress(OSError):  # only told to others; in place, so that a full disk keeps nobody from starting
            os.pwrite(descriptor, b"%d".ljust(HOLDER_BYTES + 1, b"\n") % os.getpid(), 0)
        self._lock = descriptor

    def unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
