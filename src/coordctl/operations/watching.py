"""Following the changes of keys for as long as somebody reads them."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

from coordctl.local.clusters import COORDNODE, Chosen, spoken
from coordnode.client.sync import connect
from coordnode.ranges import prefix_end

READY_MS_MAX = 10_000
PUT = 0


class Event(NamedTuple):
    kind: str  # put or delete
    key: bytes
    value: bytes
    version: int
    session: int


class Change(NamedTuple):
    revision: int
    events: list[Event]


class Watched:
    """Of whichever engine."""

    def __init__(self, chosen: Chosen, prefix: bytes, key: bytes | None, from_revision: int, timeout_ms: int | None) -> None:
        if chosen.engine == COORDNODE:
            self._watch: _Members | Any = _Members(chosen, prefix, key, from_revision, timeout_ms)
        else:
            start, end = (prefix, prefix_end(prefix)) if key is None else (key, key + b"\0")
            self._watch = spoken(chosen.engine, "following").Following(chosen.endpoints, start, end, from_revision, timeout_ms)
        self.begins_at: int = self._watch.begins_at

    def changes(self) -> Iterator[Change]:
        """Until the time is over; raises HistoryGone where changes are missing."""
        for revision, events in self._watch.changes():
            yield Change(revision, [Event(*event[:5]) for event in events])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._watch.close()


class _Members:
    """Of coordnode."""

    def __init__(self, chosen: Chosen, prefix: bytes, key: bytes | None, from_revision: int, timeout_ms: int | None) -> None:
        self._until = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        self._cluster = connect([endpoint.address for endpoint in chosen.endpoints])
        self._watch = self._cluster.kv.watch(prefix, key=key, from_revision=from_revision)
        ready_ms = READY_MS_MAX if timeout_ms is None else min(timeout_ms, READY_MS_MAX)
        try:
            self.begins_at = from_revision or self._watch.wait_ready(ready_ms / 1000) + 1
        except BaseException:
            self._cluster.close()
            raise

    def changes(self) -> Iterator[tuple[int, list[Event]]]:
        while True:
            left = None if self._until is None else self._until - time.monotonic()
            if left is not None and left <= 0:
                return
            change = self._watch.take(left)
            if change is None:
                return
            yield change.revision, [_event(event) for event in change.events]

    def close(self) -> None:
        self._cluster.close()


def _event(event: Any) -> Event:
    return Event("put" if event.kind == PUT else "delete", event.key, event.value, event.version, event.session)
