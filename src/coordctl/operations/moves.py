"""Following the moves of an assignment's shards for as long as somebody reads them."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from coordnode.client.sync import connect

READY_SECONDS_MAX = 10.0


class Move(NamedTuple):
    revision: int
    kind: str  # assigned, revoking, freed, configured, deleted
    shard: int
    member: bytes
    session: int
    token: int


class Moves:
    def __init__(self, endpoints: list[str], name: bytes, timeout_ms: int | None) -> None:
        self._until = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        self._cluster = connect(endpoints)
        try:
            self._watch = self._cluster.assignment(name).watch()
            self.begins_at = self._watch.wait_ready(READY_SECONDS_MAX if timeout_ms is None else timeout_ms / 1000) + 1
        except BaseException:
            self._cluster.close()
            raise

    def __iter__(self) -> Iterator[Move]:
        """Until the time is over; raises HistoryGone where moves are missing."""
        while True:
            left = None if self._until is None else self._until - time.monotonic()
            if left is not None and left <= 0:
                return
            for move in self._watch.take(left):
                yield Move(move.revision, move.kind, move.shard, move.member, move.session, move.token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._cluster.close()
