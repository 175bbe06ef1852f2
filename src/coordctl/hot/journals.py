"""The questions behind `coordctl journal`, but for reading, which runs for long."""

from __future__ import annotations

import struct

from coordctl.hot import frames
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from coordctl.hot.cluster import Cluster

CONFIGURE, APPEND, TRIM, DELETE = 100, 101, 102, 103  # tags of operations
GET, LIST = 104, 105  # tags of reads
APPENDED, VIEW, PAGE = 100, 101, 102  # tags of results


class Journal(NamedTuple):
    name: bytes
    bytes_max: int
    first: int
    next: int
    size: int


def _journal(fields: Any) -> Journal:
    return Journal(fields[0], *fields[1:5])


def append(asking: Cluster, name: bytes, records: Sequence[bytes], request_id: str) -> tuple[int, int]:
    """The first record's offset, and the one behind the last."""
    sizes = [len(record) for record in records]
    packed = b"" if len(set(sizes)) == 1 else struct.pack(f"<{len(sizes)}I", *sizes)
    batch = [APPEND, name, len(records), b"".join(records), packed]
    result = _write(asking, request_id, batch)
    frames.expect(result, APPENDED)
    return int(result[2]), int(result[3])


def configure(asking: Cluster, name: bytes, bytes_max: int, request_id: str) -> Journal:
    return _viewed(_write(asking, request_id, [CONFIGURE, name, bytes_max]))


def trim(asking: Cluster, name: bytes, before: int, request_id: str) -> Journal:
    return _viewed(_write(asking, request_id, [TRIM, name, before]))


def delete(asking: Cluster, name: bytes, request_id: str) -> bool:
    """Whether it was there."""
    result = _write(asking, request_id, [DELETE, name])
    frames.expect(result, frames.DONE)
    return len(result) <= 2 or result[2] > 0


def show(asking: Cluster, name: bytes, *, stale: bool) -> Journal:
    return _viewed(asking.ask(frames.READ, [GET, name], stale, 0, is_safe_twice=True))


def page(asking: Cluster, prefix: bytes, after: bytes, *, stale: bool) -> tuple[list[Journal], bool]:
    result = asking.ask(frames.READ, [LIST, prefix, after, 0], stale, 0, is_safe_twice=True)
    frames.expect(result, PAGE)
    return [_journal(fields) for fields in result[2]], result[3]


def _viewed(result: Any) -> Journal:
    frames.expect(result, VIEW)
    return _journal(result[2])


def _write(asking: Cluster, request_id: str, operation: Sequence[object]) -> Any:
    return asking.ask(frames.WRITE, [0, 0, 0, request_id, operation], is_safe_twice=True)
