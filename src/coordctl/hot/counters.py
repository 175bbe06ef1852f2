"""The questions behind `coordctl counter`."""

from __future__ import annotations

from coordctl.hot import frames
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from coordctl.hot.cluster import Cluster

ADD, DELETE = 95, 96  # tags of operations
GET, LIST = 97, 98  # tags of reads
VALUE, PAGE = 95, 96  # tags of results


def add(asking: Cluster, name: bytes, delta: int, request_id: str) -> int:
    """The sum."""
    result = asking.ask(frames.WRITE, [0, 0, 0, request_id, [ADD, name, delta]], is_safe_twice=True)
    frames.expect(result, VALUE)
    return int(result[2])


def delete(asking: Cluster, name: bytes, request_id: str) -> bool:
    """Whether it was there."""
    result = asking.ask(frames.WRITE, [0, 0, 0, request_id, [DELETE, name]], is_safe_twice=True)
    frames.expect(result, frames.DONE)
    return len(result) <= 2 or result[2] > 0


def get(asking: Cluster, name: bytes, *, stale: bool) -> int:
    result = asking.ask(frames.READ, [GET, name], stale, 0, is_safe_twice=True)
    frames.expect(result, VALUE)
    return int(result[2])


def page(asking: Cluster, prefix: bytes, after: bytes, *, stale: bool) -> tuple[list[tuple[bytes, int]], bool]:
    result = asking.ask(frames.READ, [LIST, prefix, after, 0], stale, 0, is_safe_twice=True)
    frames.expect(result, PAGE)
    return [(name, int(value)) for name, value in result[2]], result[3]
