"""Waiting at a barrier until enough others are there."""

from contextlib import suppress

from coordnode.client.sync import connect
from coordnode.errors import CoordError, TimedOut

TTL_SECONDS = 10.0


def enter(endpoints: list[str], name: bytes, count: int, wait_seconds: float | None) -> bool:
    """In a session of its own, which ends when this returns. Whether it opened in time."""
    with connect(endpoints) as cluster:
        session = cluster.session(TTL_SECONDS)
        try:
            session.barrier(name, count).enter(wait_seconds)
        except TimedOut:
            return False
        finally:
            with suppress(CoordError):  # its TTL ends it
                session.close()
        return True


def wait_opened(endpoints: list[str], name: bytes, number: int, revision: int, wait_seconds: float | None) -> bool:
    """Of a round that was entered in a session that somebody else keeps."""
    with connect(endpoints) as cluster:
        return cluster.barriers.wait_opened(name, number, revision, timeout=wait_seconds)
