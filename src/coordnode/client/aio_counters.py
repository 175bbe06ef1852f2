"""Counters to await: `cluster.counters` of aio."""

from collections.abc import AsyncIterator

from coordnode.client.counters import Name, add_request, delete_request, get_request, page_request
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.requests import as_bytes
from coordnode.client.tasks import Tasks
from coordnode.services.commands import CounterInfo


class AsyncCounters:
    """What counters.Counters does, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int, session: int = 0) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._session = session

    async def add(self, name: Name, delta: int = 1, *, request_id: str = "", timeout: Seconds | None = None) -> int:
        return await self._tasks.call(add_request(name, delta, request_id), self._limit(timeout), self._session)

    async def get(self, name: Name, *, stale: bool = False, timeout: Seconds | None = None) -> int:
        return await self._tasks.call(get_request(name, stale), self._limit(timeout), self._session)

    async def delete(self, name: Name, *, request_id: str = "", timeout: Seconds | None = None) -> bool:
        return await self._tasks.call(delete_request(name, request_id), self._limit(timeout), self._session)

    async def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> AsyncIterator[CounterInfo]:
        after, more = b"", True
        while more:
            page = await self._tasks.call(page_request(as_bytes(prefix), after, stale), self._limit(timeout), self._session)
            for counter in page.counters:
                yield counter
            more = page.more
            after = page.counters[-1].name if page.counters else b""

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
