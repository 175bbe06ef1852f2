"""The questions behind `coordctl session`."""

from __future__ import annotations

from coordctl.hot import frames
from coordnode.errors import SessionExpired, Unreachable
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from coordctl.hot.cluster import Cluster

READ_TAG = 12  # of reads
CLOSE_TAG = 11  # of operations


class Session(NamedTuple):
    session: int
    ttl_ms: int
    owner: str
    open_ms: int
    keys: int


def page(asking: Cluster, after: int, limit: int, *, stale: bool) -> tuple[list[Session], bool]:
    """(sessions in the order of their ids, whether there are more)"""
    result = asking.ask(frames.READ, [READ_TAG, after, limit], stale, 0, is_safe_twice=True)
    frames.expect(result, frames.SESSIONS)
    return [Session(*fields[:5]) for fields in result[2]], result[3]


def get(asking: Cluster, session: int, *, stale: bool) -> Session:
    found, _ = page(asking, session - 1, 1, stale=stale)
    if not found or found[0].session != session:
        raise SessionExpired(f"there is no session {session}: it expired, was closed or never was")
    return found[0]


def renew(asking: Cluster, session: int) -> int:
    """The lease it has again, whole."""
    alive, expired = asking.ask(frames.KEEP_ALIVE, [session], is_safe_twice=True)
    for one, ttl_ms in alive:
        if one == session:
            return int(ttl_ms)
    if session in expired:
        raise SessionExpired(f"session {session} is over")
    raise Unreachable("the leader could not confirm it now: try again")


def close(asking: Cluster, session: int) -> int:
    """The revision."""
    result = asking.ask(frames.WRITE, [0, 0, 0, frames.new_request_id(), [CLOSE_TAG, session]], is_safe_twice=True)
    frames.expect(result, frames.DONE)
    return int(result[1])
