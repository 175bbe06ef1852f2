"""Assignments to await: `cluster.assignment(name)` and `cluster.assignments` of aio."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.inboxes import Inbox
from coordnode.client.lease import SessionState
from coordnode.client.notices import Notices
from coordnode.client.ownership import Move, OwnedChange, Ownership, moves_of
from coordnode.client.requests import as_bytes
from coordnode.client.shards import (
    REVOKE_SECONDS,
    Name,
    configure_request,
    create_request,
    delete_request,
    lost_session,
    no_session,
    page_request,
    release_request,
    scope_of,
    view_request,
)
from coordnode.client.tasks import Tasks
from coordnode.errors import Missing, NotHeld, TimedOut
from coordnode.ids import NO_SESSION, SessionId, Token
from coordnode.services.commands import AssignmentInfo, AssignmentView


class AsyncAssignments:
    """What shards.Assignments does, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms

    async def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> AsyncIterator[AssignmentInfo]:
        """In the order of names, page by page."""
        after, more = b"", True
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        while more:
            page = await self._tasks.call(page_request(as_bytes(prefix), after, stale), timeout_ms)
            for each in page.assignments:
                yield each
            more = page.more
            after = page.assignments[-1].name if page.assignments else b""


class AsyncAssignment:
    """What shards.Assignment does, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int, name: Name, session: int = 0, session_id: SessionId = NO_SESSION) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._session = session
        self._session_id = session_id
        self.name = as_bytes(name)

    async def create(
        self, group: Name, shards: int, *, revoke: Seconds = REVOKE_SECONDS, request_id: str = "", timeout: Seconds | None = None
    ) -> bool:
        """Whether it was made now; False: it is there already, the same. `revoke`: so long an owner may take to release a shard."""
        return await self._tasks.call(create_request(self.name, group, shards, revoke, request_id), self._limit(timeout), self._session)

    async def configure(
        self, *, shards: int | None = None, revoke: Seconds | None = None, request_id: str = "", timeout: Seconds | None = None
    ) -> bool:
        """Whether that changed anything."""
        return await self._tasks.call(configure_request(self.name, shards, revoke, request_id), self._limit(timeout), self._session)

    async def delete(self, *, request_id: str = "", timeout: Seconds | None = None) -> bool:
        """At once: every owner loses its shards. Whether it was there."""
        return await self._tasks.call(delete_request(self.name, request_id), self._limit(timeout), self._session)

    async def view(self, *, stale: bool = False, timeout: Seconds | None = None) -> AssignmentView:
        """Who owns what, and what is being moved."""
        return await self._tasks.call(view_request(self.name, stale), self._limit(timeout))

    def watch(self, from_revision: int = 0) -> "AsyncMovesWatch":
        """Every move of a shard, from a revision on (0: from now on)."""
        return AsyncMovesWatch(self._tasks, self._tasks.watch(scope_of(self.name), from_revision))

    def owned(self) -> "AsyncOwnedShards":
        """What this session owns, from now on; only through `session.assignment`."""
        if not self._session:
            raise no_session(self.name)
        return AsyncOwnedShards(self._tasks, self._timeout_ms, self.name, self._session, self._session_id)

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class AsyncMovesWatch:
    """What shards.MovesWatch is, to await."""

    def __init__(self, tasks: Tasks, inbox: Inbox) -> None:
        self._tasks = tasks
        self._inbox = inbox

    async def wait_ready(self, timeout: Seconds = 10.0) -> int:
        inbox = self._inbox
        await self._tasks.wait_until(lambda: inbox.up_to is not None or inbox.error is not None, now_ms() + in_ms(timeout, "timeout"))
        if inbox.up_to is None:
            raise inbox.error or TimedOut("no member has taken the watch yet; try again")
        return inbox.up_to

    async def take(self, timeout: Seconds | None = None) -> list[Move]:
        """Empty: there was none in this time."""
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        change = self._tasks.take_change(self._inbox)
        while change is None and await self._tasks.wait_until(self._inbox.has_something, until_ms):
            change = self._tasks.take_change(self._inbox)
        return [] if change is None else moves_of(change)

    async def __aiter__(self) -> AsyncIterator[Move]:
        while True:
            for move in await self.take():
                yield move

    def close(self) -> None:
        self._tasks.end_watch(self._inbox)


class AsyncOwnedShards:
    """What shards.OwnedShards is, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int, name: bytes, session: int, session_id: SessionId) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._session = session
        self._session_id = session_id
        self._ownership = Ownership(name, session_id)
        self._notices: Notices | None = None
        self._gaps = -1  # of the notices, that were made good by reading

    def shards(self) -> dict[int, Token]:
        """Shard -> token, as far as changes were taken; those that are to be released, too."""
        return self._ownership.owned()

    async def take(self, timeout: Seconds | None = None) -> OwnedChange | None:
        """The next change; None: there was none in this time."""
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        while True:
            is_lost = self._is_lost()
            if is_lost:
                self._ownership.lose_all()
            elif self._has_gap():
                await self._read()
            change = self._ownership.take()
            if change is not None:
                return change
            if is_lost:
                raise lost_session(self._session_id, self._tasks.session_state(self._session)[2])
            if not await self._tasks.wait_until(lambda: self._ownership.has_something() or self._has_gap() or self._is_lost(), until_ms):
                return None

    async def release(self, change: OwnedChange, *, timeout: Seconds | None = None) -> bool:
        """The work on it has stopped. False: it was lost before."""
        self._ownership.released(change.shard, change.token)
        request = release_request(self._ownership.name, change.shard, change.token)
        try:
            return await self._tasks.call(request, self._timeout_ms if timeout is None else in_ms(timeout, "timeout"), self._session)
        except (NotHeld, Missing):
            return False

    async def __aiter__(self) -> AsyncIterator[OwnedChange]:
        while True:
            change = await self.take()
            assert change is not None
            yield change

    def close(self) -> None:
        """Hears of nothing any more. What is owned stays so until it is revoked, or the session or the membership ends."""
        if self._notices is not None:
            self._notices.detach(self._ownership.on_notice)
            self._notices = None

    def _is_lost(self) -> bool:
        return self._tasks.session_state(self._session)[0] is SessionState.LOST

    def _has_gap(self) -> bool:
        return self._notices is None or self._notices.gaps != self._gaps

    async def _read(self) -> None:
        """Listens before it reads: what is told from there on is heard, and what was told before is in the read."""
        if self._notices is None:
            self._notices = self._tasks.notices(self._session, self._session_id)
            self._tasks.listen(self._notices, self._ownership.on_notice, self._tasks.revision + 1)
        gaps = self._notices.gaps
        try:
            view = await self._tasks.call(view_request(self._ownership.name, stale=False), self._timeout_ms)
            self._ownership.on_read(view)
        except Missing:
            self._ownership.on_read(None)
        self._gaps = gaps

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
