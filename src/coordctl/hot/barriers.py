"""The questions behind `coordctl barrier`, but for waiting."""

from __future__ import annotations

from coordctl.hot import frames
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from coordctl.hot.cluster import Cluster

ENTER, LEAVE = 90, 91  # tags of operations
SHOW, LIST = 92, 93  # tags of reads
CHANGED, VIEW, PAGE = 90, 91, 92  # tags of results


class Barrier(NamedTuple):
    name: bytes
    round: int
    size: int
    inside: int
    opened: int


def _barrier(fields: Any) -> Barrier:
    return Barrier(fields[0], *fields[1:5])


def enter(asking: Cluster, session: int, name: bytes, count: int) -> tuple[int, Barrier]:
    """(revision, the barrier as it is then)"""
    result = asking.ask(frames.WRITE, [session, 0, 0, "", [ENTER, name, count]], is_safe_twice=False)
    frames.expect(result, CHANGED)
    return int(result[1]), _barrier(result[2])


def leave(asking: Cluster, session: int, name: bytes, *, only_waiting: bool) -> tuple[Barrier, bool]:
    """(the barrier as it is then, whether the session stays inside, because it is open)"""
    result = asking.ask(frames.WRITE, [session, 0, 0, "", [LEAVE, name, only_waiting]], is_safe_twice=False)
    frames.expect(result, CHANGED)
    return _barrier(result[2]), bool(result[3])


def view(asking: Cluster, name: bytes, *, stale: bool) -> tuple[Barrier | None, list[tuple[int, str]]]:
    """(the barrier, the sessions inside with their owners); None: nobody is inside"""
    barrier: Barrier | None = None
    sessions: list[tuple[int, str]] = []
    after, more = 0, True
    while more:
        result = asking.ask(frames.READ, [SHOW, name, after, 0], stale, 0, is_safe_twice=True)
        frames.expect(result, VIEW)
        barrier = None if result[2] is None else _barrier(result[2])
        sessions += [(session, owner) for session, owner in result[3]]
        more = result[4]
        after = sessions[-1][0] if sessions else 0
    return barrier, sessions


def page(asking: Cluster, prefix: bytes, after: bytes, *, stale: bool) -> tuple[list[Barrier], bool]:
    result = asking.ask(frames.READ, [LIST, prefix, after, 0], stale, 0, is_safe_twice=True)
    frames.expect(result, PAGE)
    return [_barrier(fields) for fields in result[2]], result[3]
