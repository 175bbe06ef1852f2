"""What points.c is told, and what it tells: a small file that both sides map."""

import ctypes
import mmap
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("points.c")

OPEN, CREATE, READ, WRITE, TRUNCATE, SYNC, SYNC_FOLDER, RENAME, UNLINK, MKDIR, LIST, STAT = (1 << number for number in range(12))
KINDS = {
    OPEN: "open",
    CREATE: "create",
    READ: "read",
    WRITE: "write",
    TRUNCATE: "truncate",
    SYNC: "sync",
    SYNC_FOLDER: "sync of a folder",
    RENAME: "rename",
    UNLINK: "unlink",
    MKDIR: "mkdir",
    LIST: "list",
    STAT: "stat",
}
CHANGES = CREATE | WRITE | TRUNCATE | SYNC | SYNC_FOLDER | RENAME | UNLINK | MKDIR
LOOKS = OPEN | READ | LIST | STAT
COUNT, KILL, TEAR, FAIL = range(4)


class _Layout(ctypes.Structure):
    _fields_ = [
        ("count", ctypes.c_uint64),
        ("point", ctypes.c_uint64),
        ("kinds", ctypes.c_uint32),
        ("act", ctypes.c_uint32),
        ("error", ctypes.c_uint32),
        ("lasting", ctypes.c_uint32),
        ("hits", ctypes.c_uint32),
        ("hit_kind", ctypes.c_uint32),
        ("wall_ms", ctypes.c_int64),
        ("calls", ctypes.c_uint64 * len(KINDS)),
        ("hit_path", ctypes.c_char * 256),
    ]


class Control:
    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self._told: Any = _Layout.from_buffer(self._memory)

    def aim(self, point: int, *, kinds: int = CHANGES, act: int = KILL, error: int = 0, lasting: bool = False) -> None:
        """The count begins anew; a point of 0 only counts."""
        told = self._told
        told.point = 0
        told.count = told.hits = told.hit_kind = 0
        told.hit_path = b""
        told.kinds, told.act, told.error, told.lasting = kinds, act, error, int(lasting)
        told.point = point

    def rest(self) -> None:
        """From now on all is let through, and not counted."""
        self._told.point = self._told.kinds = 0

    def turn_wall(self, ms: int) -> None:
        self._told.wall_ms = ms

    def is_lasting(self) -> bool:
        """What fails will go on to fail."""
        return bool(self._told.point and self._told.lasting)

    def is_resting(self) -> bool:
        return not self._told.point

    def is_failing(self) -> bool:
        """It does."""
        return self.is_lasting() and self.hits > 0

    def calls(self) -> dict[int, int]:
        """By kind."""
        return dict(zip(KINDS, self._told.calls, strict=True))

    @property
    def hits(self) -> int:
        return int(self._told.hits)

    def hit(self) -> str:
        """The first call that was hit, as `write wal/000001.seg`."""
        path = self._told.hit_path.decode().lstrip("/")
        return f"{KINDS[self._told.hit_kind]} {path or 'the folder'}" if self._told.hits else ""

    def close(self) -> None:
        self._told = None
        self._memory.close()
