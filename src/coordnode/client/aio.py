"""The client for asyncio: the same names as `sync`, to await. One event loop each; sessions are renewed by that loop.

    async with await connect("127.0.0.1:7001") as cluster:
        await cluster.kv.put("greeting", "hello")
        async with await cluster.session(ttl=10) as session:
            await session.kv.put("workers/1", "here", bound=True)
        async for change in cluster.kv.watch("workers/"):
            ...

A loop that computes for long without awaiting cannot renew anything: `session.state` still says the truth when it is asked.
"""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

from coordnode.client import requests
from coordnode.client.addresses import parse_addresses
from coordnode.client.aio_barriers import AsyncBarrier, AsyncBarriers
from coordnode.client.aio_counters import AsyncCounters
from coordnode.client.aio_elections import AsyncElection, AsyncElections
from coordnode.client.aio_groups import AsyncGroup, AsyncGroups
from coordnode.client.aio_held import LostCallback
from coordnode.client.aio_journals import AsyncJournal, AsyncJournals
from coordnode.client.aio_locks import AsyncLock, AsyncLocks
from coordnode.client.aio_membership import AsyncMembers
from coordnode.client.aio_queues import AsyncQueue, AsyncQueues
from coordnode.client.aio_shards import AsyncAssignment, AsyncAssignments
from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.identity import token_here, who
from coordnode.client.inboxes import Inbox, Scope
from coordnode.client.lease import SessionState
from coordnode.client.locks import acquire_operation
from coordnode.client.requests import Request, as_bytes
from coordnode.client.tasks import Tasks
from coordnode.client.tls import Credentials, folder_here
from coordnode.errors import SessionExpired, TimedOut
from coordnode.ids import Revision, SessionId
from coordnode.ranges import prefix_end
from coordnode.services.commands import Change, Compare, Delete, Get, Item, Put, TransactionDone

T = TypeVar("T")
TIMEOUT_SECONDS = 10.0


async def connect(
    endpoints: str | Sequence[str],
    *,
    identity: str = "",
    timeout: Seconds = TIMEOUT_SECONDS,
    tls: str | None = None,
    token: str | None = None,
    reads_anywhere: bool = False,
) -> "Cluster":
    """Names the members ("host:port,host:port" or a list; one is enough to find the others). Connects when first needed.

    `tls`: a folder with ca.pem, certificate.pem and key.pem; None: what COORD_TLS names; "": in the clear.
    `token`: what proves which user this is; None: what is in the file that COORD_AUTH_TOKEN_FILE names; "": none.
    `reads_anywhere`: for many readers. What is read is as new as ever, but any member answers it, having asked the leader what is
    committed: all members share the work, and each read takes a little longer.
    """
    context = Credentials(folder_here() if tls is None else tls).context
    shown = token_here() if token is None else token
    tasks = Tasks(parse_addresses(endpoints), identity or who(), tls=context, token=shown, reads_anywhere=reads_anywhere)
    return Cluster(tasks, in_ms(timeout, "timeout"))


class Cluster:
    def __init__(self, tasks: Tasks, timeout_ms: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self.kv = Kv(tasks, timeout_ms, 0)
        self.counters = AsyncCounters(tasks, timeout_ms)
        self.groups = AsyncGroups(tasks, timeout_ms)
        self.assignments = AsyncAssignments(tasks, timeout_ms)
        self.barriers = AsyncBarriers(tasks, timeout_ms)
        self.queues = AsyncQueues(tasks, timeout_ms)
        self.journals = AsyncJournals(tasks, timeout_ms)
        self.locks = AsyncLocks(tasks, timeout_ms)
        self.elections = AsyncElections(tasks, timeout_ms)
        self.members = AsyncMembers(tasks, timeout_ms)

    @property
    def revision(self) -> Revision:
        """The newest revision that an answer spoke of: give it to somebody else as `min_revision`."""
        return self._tasks.revision

    async def session(self, ttl: Seconds = 10.0, *, owner: str = "", timeout: Seconds | None = None) -> "Session":
        """Opened now, and kept alive until it is closed."""
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        number, opened = await self._tasks.open_session(in_ms(ttl, "session's ttl"), owner, timeout_ms)
        return Session(self._tasks, number, opened.session, self._timeout_ms)

    def lock(
        self,
        name: str | bytes,
        *,
        ttl: Seconds = 10.0,
        wait: Seconds | bool = True,
        shared: bool = False,
        permits: int = 1,
        limit: int = 0,
        reentrant: bool = False,
        delay: Seconds | None = None,
        note: str = "",
        on_lost: LostCallback | None = None,
    ) -> AsyncLock:
        """To be acquired, best by `async with`. `wait`: for as long as it takes, for some time, or False: now or not at all.

        `shared`: beside others that share. `limit`: how many permits there are in all, of which this takes `permits`. `reentrant`: if
        this task holds it already, it is counted. `delay`: nobody gets it for so long after this holder was lost uncleanly.
        """
        operation = acquire_operation(name, shared, permits, limit, reentrant, delay, note)
        wait_ms = None if wait is True else 0 if wait is False else in_ms(wait, "time to wait")
        return AsyncLock(self._tasks, self._timeout_ms, operation, in_ms(ttl, "lock's ttl"), wait_ms, on_lost)

    def election(self, name: str | bytes, *, ttl: Seconds = 10.0) -> AsyncElection:
        """To stand for it, or to observe it. `ttl`: so long after the last renewal a leader that fell silent leads no more."""
        return AsyncElection(self._tasks, self._timeout_ms, name, in_ms(ttl, "leader's ttl"))

    def group(self, name: str | bytes) -> AsyncGroup:
        """To look at; to join it, go through a session."""
        return AsyncGroup(self._tasks, self._timeout_ms, name)

    def assignment(self, name: str | bytes) -> AsyncAssignment:
        """To make it, and to look at; to own shards of it, go through a session."""
        return AsyncAssignment(self._tasks, self._timeout_ms, name)

    def queue(self, name: str | bytes) -> AsyncQueue:
        """To put, and to work; to wait for tasks, or to have them go back when a session ends, go through a session."""
        return AsyncQueue(self._tasks, self._timeout_ms, name)

    def journal(self, name: str | bytes) -> AsyncJournal:
        """To append to, to read and to follow; through a session, its appends happen exactly once however often they are sent."""
        return AsyncJournal(self._tasks, self._timeout_ms, name)

    async def barrier(self, *, timeout: Seconds | None = None) -> None:
        """Returns once the cluster confirmed that it leads and serves."""
        await self._tasks.call(requests.barrier(), self._timeout_ms if timeout is None else in_ms(timeout, "timeout"))

    async def close(self) -> None:
        await self._tasks.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


class Kv:
    def __init__(self, tasks: Tasks, timeout_ms: int, session: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._session = session

    async def get(self, key: str | bytes, *, stale: bool = False, min_revision: int = 0, timeout: Seconds | None = None) -> Item | None:
        """Linearizable, unless `stale`: then at once from the member's own state."""
        return await self._call(requests.get(key, stale, min_revision), timeout)

    async def put(
        self, key: str | bytes, value: str | bytes, *, bound: bool = False, request_id: str = "", timeout: Seconds | None = None
    ) -> Revision:
        """`bound`: the key goes when the session ends; only through `session.kv`."""
        return await self._call(requests.put(key, value, bound, request_id), timeout)

    async def delete(self, key: str | bytes, *, request_id: str = "", timeout: Seconds | None = None) -> bool:
        """Whether it was there."""
        return await self._call(requests.delete(key, request_id), timeout)

    async def compare_and_set(
        self,
        key: str | bytes,
        value: str | bytes,
        *,
        absent: bool = False,
        prev_revision: int | None = None,
        prev_value: str | bytes | None = None,
        bound: bool = False,
        request_id: str = "",
        timeout: Seconds | None = None,
    ) -> Revision | None:
        """The new revision; None: the key was not as said, and nothing was changed."""
        compare = requests.condition(key, is_absent=absent, prev_revision=prev_revision, prev_value=prev_value)
        return await self._call(requests.compare_and_set(compare, value, bound, request_id), timeout)

    async def transaction(
        self,
        compares: Sequence[Compare],
        then: Sequence[Put | Delete | Get],
        otherwise: Sequence[Put | Delete | Get] = (),
        *,
        request_id: str = "",
        timeout: Seconds | None = None,
    ) -> TransactionDone:
        return await self._call(requests.transaction(compares, then, otherwise, request_id), timeout)

    async def range(
        self,
        prefix: str | bytes = b"",
        *,
        start: str | bytes | None = None,
        end: str | bytes | None = None,
        keys_only: bool = False,
        stale: bool = False,
        min_revision: int = 0,
        timeout: Seconds | None = None,
    ) -> AsyncIterator[Item]:
        """In the order of keys, page by page: each page is one moment, the whole is not. `timeout` bounds each page."""
        at = as_bytes(prefix) if start is None else as_bytes(start)
        until = prefix_end(as_bytes(prefix)) if end is None else as_bytes(end)
        more = True
        while more:
            page = await self._call(requests.page(at, until, 0, keys_only, stale, min_revision), timeout)
            for item in page.items:
                yield item
            more = page.more
            if more:
                at = page.items[-1].key + b"\0"

    def watch(self, prefix: str | bytes = b"", *, key: str | bytes | None = None, from_revision: int = 0) -> "Watch":
        """Changes below a prefix, or of one key, from a revision on (0: from now on): in order, each once, none left out."""
        start = as_bytes(prefix) if key is None else as_bytes(key)
        end = prefix_end(start) if key is None else start + b"\0"
        return Watch(self._tasks, self._tasks.watch(Scope(start, end), from_revision))

    async def _call(self, request: Request[T], timeout: Seconds | None) -> T:
        return await self._tasks.call(request, self._timeout_ms if timeout is None else in_ms(timeout, "timeout"), self._session)


class Session:
    """Ask `state`, or `check`, right before relying on it: after a long pause of this process it is over, whatever came before."""

    def __init__(self, tasks: Tasks, number: int, session_id: SessionId, timeout_ms: int) -> None:
        self._tasks = tasks
        self._number = number
        self._timeout_ms = timeout_ms
        self._is_closed = False
        self.id = session_id
        self.kv = Kv(tasks, timeout_ms, number)
        self.counters = AsyncCounters(tasks, timeout_ms, number)

    def group(self, name: str | bytes) -> AsyncGroup:
        """To join: this session's member goes when the session ends."""
        return AsyncGroup(self._tasks, self._timeout_ms, name, self._number)

    def assignment(self, name: str | bytes) -> AsyncAssignment:
        """To own shards of it, which takes a member of its group in this session, too."""
        return AsyncAssignment(self._tasks, self._timeout_ms, name, self._number, self.id)

    def barrier(self, name: str | bytes, count: int, *, timeout: Seconds | None = None) -> AsyncBarrier:
        """Nobody goes on before `count` sessions are inside. `timeout`: so long one waits for others; None: for as long as it takes."""
        patience_ms = None if timeout is None else in_ms(timeout, "timeout")
        return AsyncBarrier(self._tasks, self._timeout_ms, name, count, self._number, self.id, patience_ms)

    def queue(self, name: str | bytes) -> AsyncQueue:
        """What is taken through it goes back when the session ends."""
        return AsyncQueue(self._tasks, self._timeout_ms, name, self._number, self.id)

    def journal(self, name: str | bytes) -> AsyncJournal:
        """What is appended through it is appended exactly once, however often it is sent."""
        return AsyncJournal(self._tasks, self._timeout_ms, name, self._number)

    @property
    def state(self) -> SessionState:
        return self._tasks.session_state(self._number)[0]

    @property
    def remaining_ms(self) -> int:
        """For so long the cluster surely keeps it, if no renewal succeeds any more."""
        return max(0, self._tasks.session_state(self._number)[1] - now_ms())

    def check(self) -> None:
        """Raises SessionExpired if it is, or may be, over."""
        state, _, reason = self._tasks.session_state(self._number)
        if state not in (SessionState.HELD, SessionState.UNSURE):
            raise SessionExpired(f"session {self.id} is lost: {reason or 'not renewed in time'}")

    async def wait_lost(self, timeout: Seconds | None = None) -> bool:
        """Whether it was lost (or closed) within that time; None: waits until it is."""
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        return await self._tasks.wait_until(lambda: self._tasks.session_state(self._number)[0] is SessionState.LOST, until_ms)

    async def close(self, *, timeout: Seconds | None = None) -> None:
        """Ends it in the cluster: what was bound to it goes now."""
        if not self._is_closed:
            self._is_closed = True
            await self._tasks.close_session(self._number, self._timeout_ms if timeout is None else in_ms(timeout, "timeout"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """A session that was lost within the block is an error there, unless another is on its way out already."""
        if self._is_closed:
            return
        if kind is None:
            self.check()
        try:
            await self.close()
        except SessionExpired:
            if kind is None:
                raise


class Watch:
    """Iterate over it for Change after Change, for ever; or take one with a time limit."""

    def __init__(self, tasks: Tasks, inbox: Inbox) -> None:
        self._tasks = tasks
        self._inbox = inbox

    async def wait_ready(self, timeout: Seconds = TIMEOUT_SECONDS) -> Revision:
        """Once it is in force: the revision up to which everything that matches has been received."""
        inbox = self._inbox
        await self._tasks.wait_until(lambda: inbox.up_to is not None or inbox.error is not None, now_ms() + in_ms(timeout, "timeout"))
        if inbox.up_to is None:
            raise inbox.error or TimedOut("no member has taken the watch yet; try again")
        return inbox.up_to

    async def take(self, timeout: Seconds | None = None) -> Change | None:
        """The next change; None: there was none in this time. Raises HistoryGone for a gap."""
        inbox = self._inbox
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        change = self._tasks.take_change(inbox)
        while change is None and await self._tasks.wait_until(inbox.has_something, until_ms):
            change = self._tasks.take_change(inbox)
        return change

    async def __aiter__(self) -> AsyncIterator[Change]:
        while True:
            change = await self.take()
            assert change is not None
            yield change

    async def close(self) -> None:
        self._tasks.end_watch(self._inbox)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
