"""Groups to await: `cluster.group(name)` and `cluster.groups` of aio."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.groups import (
    Labels,
    Name,
    find_request,
    first_search,
    join_request,
    leave_request,
    next_search,
    page_request,
    scope_of,
    update_request,
    view_request,
)
from coordnode.client.inboxes import Inbox
from coordnode.client.requests import as_bytes
from coordnode.client.tasks import Tasks
from coordnode.client.views import Assembly, View
from coordnode.errors import CoordError, HistoryGone
from coordnode.services.commands import FoundMember, GroupChanged, GroupInfo


class AsyncGroups:
    """What groups.Groups does, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms

    async def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> AsyncIterator[GroupInfo]:
        after, more = b"", True
        while more:
            page = await self._tasks.call(page_request(as_bytes(prefix), after, stale), self._limit(timeout))
            for group in page.groups:
                yield group
            more = page.more
            after = page.groups[-1].name if page.groups else b""

    async def find(
        self, prefix: Name = b"", *requires: str, stale: bool = False, timeout: Seconds | None = None
    ) -> AsyncIterator[FoundMember]:
        ask, more = first_search(prefix, requires), True
        while more:
            page = await self._tasks.call(find_request(ask, stale), self._limit(timeout))
            for found in page.members:
                yield found
            more = page.more
            ask = next_search(ask, page)

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class AsyncGroup:
    """What groups.Group does, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int, name: Name, session: int = 0) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._session = session
        self.name = as_bytes(name)

    async def view(self, *, stale: bool = False, min_view: int = 0, timeout: Seconds | None = None) -> View:
        view = Assembly(self.name).on_read(await self._tasks.call(view_request(self.name, stale, min_view), self._limit(timeout)))
        assert view is not None
        return view

    def watch(self) -> "AsyncGroupWatch":
        return AsyncGroupWatch(self._tasks, self._timeout_ms, self.name)

    async def join(
        self, name: Name = b"", *, data: Name = b"", labels: Labels | None = None, weight: int = 1, timeout: Seconds | None = None
    ) -> "AsyncMembership":
        request = join_request(self.name, name, data, labels or {}, weight)
        joined = await self._tasks.call(request, self._limit(timeout), self._session)
        return AsyncMembership(self._tasks, self._timeout_ms, self.name, self._session, joined)

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class AsyncMembership:
    """What groups.Membership is, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int, group: bytes, session: int, joined: GroupChanged) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._session = session
        self._is_over = False
        self.group = group
        self.name = joined.member
        self.view = joined.view

    async def update(
        self, *, data: Name | None = None, labels: Labels | None = None, weight: int | None = None, timeout: Seconds | None = None
    ) -> None:
        request = update_request(self.group, self.name, data, labels, weight)
        self.view = (await self._tasks.call(request, self._limit(timeout), self._session)).view

    async def leave(self, *, timeout: Seconds | None = None) -> None:
        if not self._is_over:
            self._is_over = True
            self.view = (await self._tasks.call(leave_request(self.group, self.name), self._limit(timeout), self._session)).view

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await self.leave()
        except CoordError:
            if kind is None:
                raise

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class AsyncGroupWatch:
    """What groups.GroupWatch is, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int, group: bytes) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._group = group
        self._assembly = Assembly(group)
        self._inbox: Inbox | None = None

    async def take(self, timeout: Seconds | None = None) -> View | None:
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        while True:
            view = await self._read(until_ms) if self._inbox is None else self._changed(self._inbox)
            if view is not None:
                return view
            inbox = self._inbox
            if inbox is not None and not await self._tasks.wait_until(inbox.has_something, until_ms):
                return None

    async def _read(self, until_ms: int | None) -> View | None:
        limit_ms = self._timeout_ms if until_ms is None else max(1, until_ms - now_ms())
        read = await self._tasks.call(view_request(self._group, stale=False), limit_ms)
        self._inbox = self._tasks.watch(scope_of(self._group), read.revision + 1)
        return self._assembly.on_read(read)

    def _changed(self, inbox: Inbox) -> View | None:
        try:
            while (change := self._tasks.take_change(inbox)) is not None:
                view = self._assembly.on_change(change)
                if view is not None:
                    return view
        except HistoryGone:
            self._end()
        return None

    async def __aiter__(self) -> AsyncIterator[View]:
        while True:
            view = await self.take()
            assert view is not None
            yield view

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
