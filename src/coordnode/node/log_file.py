"""Where events go when they go to a file: at most two files of a bounded size, the older one as FILE.1."""

import os
from contextlib import suppress


class LogFile:
    """Of one process. What it says on standard output and error goes along, if that was the same file."""

    def __init__(self, path: str, bytes_max: int, *, mode: int = 0o640) -> None:
        """`mode`: a log is read by those whom its group lets; what lies among a member's data is not. Raises OSError."""
        self._path = path
        self._bytes_max = bytes_max
        self._mode = mode
        self._descriptor = _opened(path, mode)
        self._bytes = os.fstat(self._descriptor).st_size

    def write(self, line: bytes) -> None:
        if self._bytes and self._bytes + len(line) > self._bytes_max:
            self._put_aside()
        self._bytes += os.write(self._descriptor, line)

    def _put_aside(self) -> None:
        """When it cannot be done, the file grows: what happened is worth more than the bound."""
        with suppress(OSError):
            os.replace(self._path, self._path + ".1")
            descriptor = _opened(self._path, self._mode)
            for stream in (1, 2):
                if _is_same(stream, self._descriptor):
                    os.dup2(descriptor, stream)
            os.close(self._descriptor)
            self._descriptor = descriptor
            self._bytes = 0


def _opened(path: str, mode: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)


def _is_same(one: int, other: int) -> bool:
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False
