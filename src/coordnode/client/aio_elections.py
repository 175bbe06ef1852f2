"""Elections to await: `cluster.election(name)` of aio."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from coordnode.client.aio_held import AsyncHeld, LostCallback
from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.elections import (
    Name,
    Observed,
    depose_request,
    observed_in,
    observed_of,
    page_request,
    proclaim_request,
    resign_request,
    scope_of,
    view_request,
)
from coordnode.client.inboxes import Inbox
from coordnode.client.requests import as_bytes
from coordnode.client.tasks import Tasks
from coordnode.errors import HistoryGone
from coordnode.ids import Revision
from coordnode.services.commands import Campaign, ElectionInfo, ElectionView


class AsyncElections:
    """What elections.Elections does, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms

    async def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> AsyncIterator[ElectionInfo]:
        after, more = b"", True
        while more:
            limit_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
            page = await self._tasks.call(page_request(prefix, after, stale), limit_ms)
            for election in page.elections:
                yield election
            more = page.more
            after = page.elections[-1].name if page.elections else b""


class AsyncElection:
    """What elections.Election is, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int, name: Name, ttl_ms: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._ttl_ms = ttl_ms
        self.name = as_bytes(name)

    async def view(self, *, stale: bool = False, timeout: Seconds | None = None) -> ElectionView:
        return await self._tasks.call(view_request(self.name, stale), self._limit(timeout))

    def campaign(
        self, value: Name = b"", *, candidate: str = "", wait: Seconds | bool = True, on_lost: LostCallback | None = None
    ) -> "AsyncLeadership":
        wait_ms = None if wait is True else 0 if wait is False else in_ms(wait, "time to wait")
        operation = Campaign(self.name, as_bytes(value), candidate, wait_ms != 0)
        return AsyncLeadership(self._tasks, self._timeout_ms, operation, self._ttl_ms, wait_ms, on_lost)

    def observe(self) -> "AsyncObserver":
        return AsyncObserver(self._tasks, self._timeout_ms, self.name)

    async def depose(self, *, reason: str, by: str = "", token: int = 0, to: str = "", timeout: Seconds | None = None) -> None:
        request = depose_request(self.name, token, to, reason, by or self._tasks.link.core.identity)
        await self._tasks.call(request, self._limit(timeout))

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class AsyncLeadership(AsyncHeld):
    """What elections.Leadership is, to await. Losing it is as losing an AsyncLock."""

    def __init__(
        self, tasks: Tasks, timeout_ms: int, operation: Campaign, ttl_ms: int, wait_ms: int | None, on_lost: LostCallback | None
    ) -> None:
        super().__init__(tasks, timeout_ms, ttl_ms, on_lost)
        self._operation = operation
        self._wait_ms = wait_ms
        self.name = operation.name

    async def win(self, timeout: Seconds | None = None) -> Self:
        wait_ms = self._wait_ms if timeout is None else in_ms(timeout, "timeout")
        await self._begin(self._operation, wait_ms or None)
        return self

    async def proclaim(self, value: Name, *, timeout: Seconds | None = None) -> Revision:
        limit_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        return await self._tasks.call(proclaim_request(self.name, self.token, value), limit_ms, self._number)

    async def resign(self, *, to: str = "") -> None:
        if to:
            await self._hand_over(resign_request(self.name, self.token, to))
        else:
            await self._end()

    async def __aenter__(self) -> Self:
        await self.win()
        self._enter()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._exit(kind, error, trace)


class AsyncObserver:
    """What elections.Observer is, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int, name: bytes) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._name = name
        self._inbox: Inbox | None = None

    async def take(self, timeout: Seconds | None = None) -> Observed | None:
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        while True:
            inbox = self._inbox
            if inbox is None:
                return await self._read(until_ms)
            try:
                change = self._tasks.take_change(inbox)
            except HistoryGone:
                self._end()
                continue
            if change is not None:
                return observed_in(change)
            if not await self._tasks.wait_until(inbox.has_something, until_ms):
                return None

    async def _read(self, until_ms: int | None) -> Observed:
        limit_ms = self._timeout_ms if until_ms is None else max(1, until_ms - now_ms())
        read = await self._tasks.call(view_request(self._name, stale=False), limit_ms)
        self._inbox = self._tasks.watch(scope_of(self._name), read.revision + 1)
        return observed_of(read)

    async def __aiter__(self) -> AsyncIterator[Observed]:
        while True:
            observed = await self.take()
            assert observed is not None
            yield observed

    async def close(self) -> None:
        self._end()

    def _end(self) -> None:
        if self._inbox is not None:
            self._tasks.end_watch(self._inbox)
            self._inbox = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
