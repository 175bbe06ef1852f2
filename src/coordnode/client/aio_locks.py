"""Locks to await: `async with cluster.lock("nightly") as lock`."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from coordnode.client.aio_held import AsyncHeld, LostCallback
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.locks import Name, at_once, break_request, page_request, view_request
from coordnode.client.tasks import Tasks
from coordnode.services.commands import Acquire, LockInfo, LockView


class AsyncLocks:
    """What locks.Locks does, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms

    async def view(self, name: Name, *, stale: bool = False, timeout: Seconds | None = None) -> LockView:
        return await self._tasks.call(view_request(name, stale), self._limit(timeout))

    async def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> AsyncIterator[LockInfo]:
        after, more = b"", True
        while more:
            page = await self._tasks.call(page_request(prefix, after, stale), self._limit(timeout))
            for lock in page.locks:
                yield lock
            more = page.more
            after = page.locks[-1].name if page.locks else b""

    async def break_lock(self, name: Name, *, reason: str, by: str = "", token: int = 0, timeout: Seconds | None = None) -> int:
        ended, more = 0, True
        while more:
            request = break_request(name, token, reason, by or self._tasks.link.core.identity, "")
            done = await self._tasks.call(request, self._limit(timeout))
            ended += done.changed
            more = done.more
        return ended

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class AsyncLock(AsyncHeld):
    """What locks.Lock is, to await. When it is lost, the task of the `async with` is cancelled at its next await, and NotHeld comes
    out of the block; `shield` what must not be cut short. `on_lost` is called in the event loop."""

    def __init__(
        self, tasks: Tasks, timeout_ms: int, operation: Acquire, ttl_ms: int, wait_ms: int | None, on_lost: LostCallback | None
    ) -> None:
        super().__init__(tasks, timeout_ms, ttl_ms, on_lost)
        self._operation = operation
        self._wait_ms = wait_ms
        self.name = operation.name

    async def acquire(self, timeout: Seconds | None = None) -> Self:
        await self._begin(self._operation, self._wait_ms if timeout is None else in_ms(timeout, "timeout"))
        return self

    async def try_acquire(self) -> Self:
        await self._begin(at_once(self._operation), None)
        return self

    async def release(self) -> None:
        await self._end()

    async def __aenter__(self) -> Self:
        await (self.try_acquire() if self._wait_ms == 0 else self.acquire())
        self._enter()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._exit(kind, error, trace)
