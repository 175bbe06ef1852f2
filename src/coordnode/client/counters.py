"""Counters, blocking: `cluster.counters`; and the requests that its twin in aio_counters makes, too."""

from collections.abc import Iterator

from coordnode.client.durations import Seconds, in_ms
from coordnode.client.pump import Pump
from coordnode.client.requests import Request, as_bytes, expect
from coordnode.services.commands import (
    AddCounter,
    CounterInfo,
    CounterPage,
    CounterValue,
    DeleteCounter,
    Done,
    GetCounter,
    ListCounters,
)

Name = str | bytes


def add_request(name: Name, delta: int, request_id: str) -> Request[int]:
    return Request(AddCounter(as_bytes(name), delta), lambda result: expect(result, CounterValue).value, request_id=request_id)


def delete_request(name: Name, request_id: str) -> Request[bool]:
    return Request(DeleteCounter(as_bytes(name)), lambda result: expect(result, Done).changed > 0, request_id=request_id)


def get_request(name: Name, stale: bool) -> Request[int]:
    return Request(GetCounter(as_bytes(name)), lambda result: expect(result, CounterValue).value, stale)


def page_request(prefix: bytes, after: bytes, stale: bool) -> Request[CounterPage]:
    return Request(ListCounters(prefix, after), lambda result: expect(result, CounterPage), stale)


class Counters:
    """Numbers that many add to. With a session's, or with a request id, each addition happens exactly once however often it is sent."""

    def __init__(self, pump: Pump, timeout_ms: int, session: int = 0) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._session = session

    def add(self, name: Name, delta: int = 1, *, request_id: str = "", timeout: Seconds | None = None) -> int:
        """The sum. A counter that does not exist begins at 0."""
        return self._pump.call(add_request(name, delta, request_id), self._limit(timeout), self._session)

    def get(self, name: Name, *, stale: bool = False, timeout: Seconds | None = None) -> int:
        """0: it is, or it does not exist."""
        return self._pump.call(get_request(name, stale), self._limit(timeout), self._session)

    def delete(self, name: Name, *, request_id: str = "", timeout: Seconds | None = None) -> bool:
        """Whether it was there."""
        return self._pump.call(delete_request(name, request_id), self._limit(timeout), self._session)

    def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> Iterator[CounterInfo]:
        """In the order of names, page by page."""
        after, more = b"", True
        while more:
            page = self._pump.call(page_request(as_bytes(prefix), after, stale), self._limit(timeout), self._session)
            yield from page.counters
            more = page.more
            after = page.counters[-1].name if page.counters else b""

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
