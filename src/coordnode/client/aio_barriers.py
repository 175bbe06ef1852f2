"""Barriers to await: `session.barrier(name, count)` and `cluster.barriers` of aio."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from coordnode.client.barriers import (
    Name,
    enter_request,
    is_so,
    leave_request,
    lost_session,
    not_opened,
    not_over,
    page_request,
    scope_of,
    tells,
    view_request,
)
from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.lease import SessionState
from coordnode.client.requests import as_bytes
from coordnode.client.tasks import Tasks
from coordnode.errors import CoordError, HistoryGone
from coordnode.ids import NO_SESSION, Revision, SessionId, Token
from coordnode.services.commands import BARRIER_OPENED, BARRIER_OVER, BarrierChanged, BarrierInfo, BarrierView


class AsyncBarriers:
    """What barriers.Barriers does, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms

    async def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> AsyncIterator[BarrierInfo]:
        after, more = b"", True
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        while more:
            page = await self._tasks.call(page_request(as_bytes(prefix), after, stale), timeout_ms)
            for each in page.barriers:
                yield each
            more = page.more
            after = page.barriers[-1].name if page.barriers else b""

    async def view(self, name: Name, *, stale: bool = False, timeout: Seconds | None = None) -> BarrierView:
        """Who is inside; of very many, those of the first page."""
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        return await self._tasks.call(view_request(as_bytes(name), stale), timeout_ms)

    async def wait_opened(self, name: Name, number: int, revision: int, *, timeout: Seconds | None = None) -> bool:
        """Whether that round opened in time, or is even over, for whoever entered in a session that somebody else keeps.

        `number` is the round's, `revision` that of the answer that told of it.
        """
        barrier = BarrierInfo(as_bytes(name), Token(number), 0, 1, Revision(0))
        waiting = AsyncBarrier(self._tasks, self._timeout_ms, name, 0, 0, NO_SESSION, None)
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        return await waiting._wait(BARRIER_OPENED, BarrierChanged(Revision(revision), barrier, True), until_ms)


class AsyncBarrier:
    """What barriers.Barrier does, to await."""

    def __init__(
        self, tasks: Tasks, timeout_ms: int, name: Name, count: int, session: int, session_id: SessionId, patience_ms: int | None
    ) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._session = session
        self._session_id = session_id
        self._patience_ms = patience_ms  # None: waits for as long as it takes
        self.name = as_bytes(name)
        self.count = count

    async def enter(self, timeout: Seconds | None = None) -> BarrierInfo:
        """Returns once as many sessions are inside. In vain: it is left again, and TimedOut is raised."""
        until_ms = self._until_ms(timeout)
        entered = await self._tasks.call(enter_request(self.name, self.count), self._timeout_ms, self._session)
        try:
            if await self._wait(BARRIER_OPENED, entered, until_ms):
                return entered.barrier
        except BaseException:
            await self._give_up()
            raise
        stays = await self._tasks.call(leave_request(self.name, only_waiting=True), self._timeout_ms, self._session)
        if not stays.is_inside:
            raise not_opened(stays.barrier)
        return stays.barrier  # it opened in the last moment

    async def leave(self, timeout: Seconds | None = None) -> None:
        """Returns once all others have left, too."""
        until_ms = self._until_ms(timeout)
        left = await self._tasks.call(leave_request(self.name), self._timeout_ms, self._session)
        if not await self._wait(BARRIER_OVER, left, until_ms):
            raise not_over(left.barrier)

    def _until_ms(self, timeout: Seconds | None) -> int | None:
        patience_ms = self._patience_ms if timeout is None else in_ms(timeout, "timeout")
        return None if patience_ms is None else now_ms() + patience_ms

    async def _wait(self, kind: int, changed: BarrierChanged, until_ms: int | None) -> bool:
        """Whether it came to that in time."""
        barrier = changed.barrier
        if not barrier.inside or (kind == BARRIER_OPENED) is (barrier.opened > 0):
            return True  # what is left without having been open is over for nobody
        inbox = self._tasks.watch(scope_of(self.name), changed.revision + 1)
        try:
            while True:
                while (change := self._tasks.take_change(inbox)) is not None:
                    if tells(change, kind, barrier):
                        return True
                if self._is_lost():
                    raise lost_session(self._session_id)
                if not await self._tasks.wait_until(lambda: inbox.has_something() or self._is_lost(), until_ms):
                    return False
        except HistoryGone:
            view = await self._tasks.call(view_request(self.name), self._timeout_ms)
            if is_so(kind, barrier, view.barrier):
                return True
            return await self._wait(kind, BarrierChanged(view.revision, barrier, changed.is_inside), until_ms)
        finally:
            self._tasks.end_watch(inbox)

    async def _give_up(self) -> None:
        try:
            await self._tasks.call(leave_request(self.name, only_waiting=True), self._timeout_ms, self._session)
        except CoordError:
            return  # the session's end leaves it

    def _is_lost(self) -> bool:
        return self._session != 0 and self._tasks.session_state(self._session)[0] is SessionState.LOST

    async def __aenter__(self) -> Self:
        await self.enter()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """With an error on its way out it leaves, and waits for nobody."""
        if kind is None:
            await self.leave()
            return
        try:
            await self._tasks.call(leave_request(self.name), self._timeout_ms, self._session)
        except CoordError:
            return
