"""Following who leads an election, for as long as somebody reads it."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from coordctl.local.clusters import COORDNODE, Chosen, spoken
from coordnode.client.sync import connect


class Leading(NamedTuple):
    token: int
    session: int
    owner: str
    candidate: str
    value: bytes


class Seen(NamedTuple):
    revision: int
    leader: Leading | None  # None: nobody leads now
    reason: str  # why nobody does, where that was seen to happen


class Observation:
    """Of whichever engine."""

    def __init__(self, chosen: Chosen, name: bytes, timeout_ms: int | None) -> None:
        if chosen.engine == COORDNODE:
            self._observing: _Members | _Foreign = _Members(chosen, name, timeout_ms)
        else:
            self._observing = _Foreign(chosen, name, timeout_ms)

    def __iter__(self) -> Iterator[Seen]:
        """What is, then every change; until the time is over."""
        return self._observing.seen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._observing.close()


class _Members:
    """Of coordnode."""

    def __init__(self, chosen: Chosen, name: bytes, timeout_ms: int | None) -> None:
        self._until = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        self._cluster = connect([endpoint.address for endpoint in chosen.endpoints])
        self._observer = self._cluster.election(name).observe()

    def seen(self) -> Iterator[Seen]:
        while True:
            left = None if self._until is None else self._until - time.monotonic()
            observed = None if left is not None and left <= 0 else self._observer.take(left)
            if observed is None:
                return
            told = observed.leader
            leader = None if told is None else Leading(told.token, told.session, told.owner, told.candidate, told.value)
            yield Seen(observed.revision, leader, observed.reason)

    def close(self) -> None:
        self._cluster.close()


class _Foreign:
    """Of another engine, which does not keep why nobody leads."""

    def __init__(self, chosen: Chosen, name: bytes, timeout_ms: int | None) -> None:
        self._observing = spoken(chosen.engine, "following").Observing(chosen.endpoints, name, timeout_ms)

    def seen(self) -> Iterator[Seen]:
        for revision, one in self._observing.leaders():
            yield Seen(revision, one and Leading(one.number, one.session, one.owner, one.candidate, one.value), "")

    def close(self) -> None:
        self._observing.close()
