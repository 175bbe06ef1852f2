"""Locks, blocking: `with cluster.lock("nightly") as lock`; and what its twin in aio_locks asks for, too."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from coordnode.client.durations import Seconds, in_ms
from coordnode.client.held import Held, LostCallback
from coordnode.client.pump import Pump
from coordnode.client.requests import Request, as_bytes, expect
from coordnode.errors import BadRequest
from coordnode.ids import Token
from coordnode.services.commands import (
    EXCLUSIVE,
    SEMAPHORE,
    SHARED,
    Acquire,
    BreakLock,
    Done,
    ListLocks,
    LockInfo,
    LockPage,
    LockView,
    ReadLock,
)

Name = str | bytes


def acquire_operation(name: Name, shared: bool, permits: int, limit: int, reentrant: bool, delay: Seconds | None, note: str) -> Acquire:
    if shared and limit:
        raise BadRequest("a lock is shared, or has permits, not both")
    kind = SEMAPHORE if limit else SHARED if shared else EXCLUSIVE
    delay_ms = in_ms(delay, "lock-delay") if delay else 0
    return Acquire(as_bytes(name), kind, permits, limit, True, reentrant, delay_ms, note)


def view_request(name: Name, stale: bool) -> Request[LockView]:
    return Request(ReadLock(as_bytes(name)), lambda result: expect(result, LockView), stale)


def page_request(prefix: Name, after: bytes, stale: bool) -> Request[LockPage]:
    return Request(ListLocks(as_bytes(prefix), after), lambda result: expect(result, LockPage), stale)


def break_request(name: Name, token: int, reason: str, by: str, request_id: str) -> Request[Done]:
    operation = BreakLock(as_bytes(name), Token(token), reason, by)
    return Request(operation, lambda result: expect(result, Done), request_id=request_id)


class Locks:
    """To look at, and to break: `cluster.locks`."""

    def __init__(self, pump: Pump, timeout_ms: int) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms

    def view(self, name: Name, *, stale: bool = False, timeout: Seconds | None = None) -> LockView:
        """Who holds it and who waits, as far as one page goes."""
        return self._pump.call(view_request(name, stale), self._limit(timeout))

    def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> Iterator[LockInfo]:
        """Those that somebody holds or awaits, in the order of names, page by page."""
        after, more = b"", True
        while more:
            page = self._pump.call(page_request(prefix, after, stale), self._limit(timeout))
            yield from page.locks
            more = page.more
            after = page.locks[-1].name if page.locks else b""

    def break_lock(self, name: Name, *, reason: str, by: str = "", token: int = 0, timeout: Seconds | None = None) -> int:
        """Takes it away from who holds it (`token` 0: from everybody), who is told at once. How many grants ended."""
        ended, more = 0, True
        while more:
            done = self._pump.call(break_request(name, token, reason, by or self._pump.link.core.identity, ""), self._limit(timeout))
            ended += done.changed
            more = done.more
        return ended

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class Lock(Held):
    """One acquisition at a time, with a session of its own: made by `cluster.lock`.

    `with` acquires it and gives it back. If it was lost within the block (the lease ran out, an operator broke it), NotHeld is
    raised at its end at the latest, or noted on the exception that is on its way out; `check` raises it at once, `on_lost`
    is called in a thread of its own.
    """

    def __init__(
        self, pump: Pump, timeout_ms: int, operation: Acquire, ttl_ms: int, wait_ms: int | None, on_lost: LostCallback | None
    ) -> None:
        super().__init__(pump, timeout_ms, ttl_ms, on_lost)
        self._operation = operation
        self._wait_ms = wait_ms
        self.name = operation.name

    def acquire(self, timeout: Seconds | None = None) -> Self:
        """Raises Busy when it was not to be had in this time (None: as the lock was made), Deadlock when it never would be."""
        self._begin(self._operation, self._wait_ms if timeout is None else in_ms(timeout, "timeout"))
        return self

    def try_acquire(self) -> Self:
        """Now or not at all: raises Busy, which says who holds it."""
        self._begin(at_once(self._operation), None)
        return self

    def release(self) -> None:
        """Raises NotHeld if it was lost before."""
        self._end()

    def __enter__(self) -> Self:
        return self.try_acquire() if self._wait_ms == 0 else self.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit(kind, error, trace)


def at_once(operation: Acquire) -> Acquire:
    return Acquire(
        operation.name, operation.kind, operation.permits, operation.limit, False, operation.reentrant, operation.delay_ms, operation.note
    )
