"""Queues to await: `cluster.queue(name)`, `session.queue(name)` and `cluster.queues` of aio."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.lease import SessionState
from coordnode.client.notices import Notices
from coordnode.client.queue_words import (
    Hold,
    Name,
    Wait,
    ack_request,
    configure_request,
    delete_request,
    extend_request,
    moments_ms,
    nack_request,
    note_of,
    page_request,
    purge_request,
    put_request,
    redrive_request,
    show_request,
    stop_request,
    take_request,
    task_request,
    tasks_request,
)
from coordnode.client.requests import Request, as_bytes
from coordnode.client.tasks import Tasks
from coordnode.errors import BadRequest, CoordError, Missing, NotHeld, SessionExpired
from coordnode.ids import NO_SESSION, SessionId
from coordnode.services.commands import QueueInfo, QueueSettings, TakenTask, TaskInfo, TaskPut, TasksTaken, TaskView

T = TypeVar("T")

WAIT_MS = 60_000  # between two looks at whether the line still has a worker
SLEEP_MS_MAX = 1_000  # the loop's time stands still while the machine sleeps; leases do not


class AsyncQueues:
    """What queues.Queues is, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms

    async def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> AsyncIterator[QueueInfo]:
        after, more = b"", True
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        while more:
            page = await self._tasks.call(page_request(as_bytes(prefix), after, stale), timeout_ms)
            for queue in page.queues:
                yield queue
            more = page.more
            after = page.queues[-1].name if page.queues else b""


class AsyncQueue:
    """What queues.Queue is, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int, name: Name, session: int = 0, session_id: SessionId = NO_SESSION) -> None:
        self._loop = tasks
        self._timeout_ms = timeout_ms
        self._session = session
        self._session_id = session_id
        self.name = as_bytes(name)

    async def configure(self, settings: QueueSettings, *, timeout: Seconds | None = None) -> bool:
        return await self._call(configure_request(self.name, settings), timeout)

    async def put(
        self,
        payload: Name,
        *,
        priority: int = 0,
        delay: Seconds | None = None,
        key: Name = b"",
        holding: int = 0,
        request_id: str = "",
        timeout: Seconds | None = None,
    ) -> TaskPut:
        request = put_request(self.name, payload, priority, moments_ms(delay, "delay"), key, holding, request_id)
        return await self._call(request, timeout)

    async def take(
        self,
        count: int = 1,
        *,
        wait: Seconds | None = None,
        lease: Seconds | None = None,
        detached: bool = False,
        request_id: str = "",
        timeout: Seconds | None = None,
    ) -> "list[AsyncTask]":
        lease_ms = moments_ms(lease, "lease")
        request = take_request(self.name, count, bool(wait), detached, lease_ms, request_id)
        return await self._take(request, lease_ms, moments_ms(wait, "wait"), timeout)

    def worker(self, *, concurrency: int = 1, lease: Seconds | None = None, ttl: Seconds = 10.0) -> "AsyncWorker":
        """Iterate over it: task after task, for ever, each extended until it is finished; `async with` it to be sure that it ends.

        With a concurrency of 1 a task is acknowledged when its turn of the loop ends. With more, as many are given out before one is
        finished: start something for each and let it say `async with task:`. `queue.work(handler, concurrency=8)` does just that.
        """
        return AsyncWorker(self, concurrency, moments_ms(lease, "lease"), in_ms(ttl, "session's ttl"))

    async def work(
        self,
        handler: "Callable[[AsyncTask], Awaitable[object]]",
        *,
        concurrency: int = 1,
        lease: Seconds | None = None,
        ttl: Seconds = 10.0,
    ) -> None:
        """For ever: `handler(task)`, acknowledged when it returns, put back when it raises; cancelled when its lease is lost.
        What a handler raises stays with its task, as a note; what ends `work` is being cancelled, or a cluster that refuses it."""
        async with self.worker(concurrency=max(1, concurrency), lease=lease, ttl=ttl) as worker, asyncio.TaskGroup() as group:

            async def handle(task: "AsyncTask") -> None:
                try:
                    async with task:
                        await handler(task)
                except Exception:  # its own: noted where it belongs, in the queue
                    return

            async for task in worker.each():
                group.create_task(handle(task))

    async def info(self, *, stale: bool = False, timeout: Seconds | None = None) -> QueueInfo:
        return (await self._call(show_request(self.name, stale), timeout)).queue

    async def tasks(self, state: str = "ready", *, stale: bool = False, timeout: Seconds | None = None) -> AsyncIterator[TaskInfo]:
        after, more = b"", True
        while more:
            page = await self._call(tasks_request(self.name, state, after, stale), timeout)
            for task in page.tasks:
                yield task
            after, more = page.next, page.more

    async def get(self, task: int, *, timeout: Seconds | None = None) -> TaskView | None:
        try:
            return await self._call(task_request(self.name, task), timeout)
        except Missing:
            return None

    async def redrive(self, task: int = 0, *, timeout: Seconds | None = None) -> int:
        total, more = 0, True
        while more:
            done = await self._call(redrive_request(self.name, task), timeout)
            total += done.changed
            more = done.more and not task and done.changed > 0
        return total

    async def purge(self, *, dead: bool = False, timeout: Seconds | None = None) -> int:
        total, more = 0, True
        while more:
            done = await self._call(purge_request(self.name, dead), timeout)
            total += done.changed
            more = done.more
        return total

    async def delete(self, *, timeout: Seconds | None = None) -> bool:
        while (done := await self._call(delete_request(self.name), timeout)).more:
            pass
        return done.changed > 0

    # --- for workers -----------------------------------------------------------------------------------------------------

    async def next_task(self, lease_ms: int) -> "AsyncTask | None":
        tasks = await self._take(take_request(self.name, 1, True, False, lease_ms, ""), lease_ms, WAIT_MS, None)
        return tasks[0] if tasks else None

    async def in_session(self, ttl_ms: int) -> "AsyncQueue":
        if self._session:
            return self
        number, opened = await self._loop.open_session(ttl_ms, "", self._timeout_ms)
        return AsyncQueue(self._loop, self._timeout_ms, self.name, number, opened.session)

    async def end_session_of(self, other: "AsyncQueue") -> None:
        if not self._session and other._session:
            await self._loop.close_session(other._session, self._timeout_ms)

    # --- in common -------------------------------------------------------------------------------------------------------

    async def _take(self, request: Request[TasksTaken], lease_ms: int, wait_ms: int, timeout: Seconds | None) -> "list[AsyncTask]":
        if not wait_ms or not self._session:
            sent_ms = now_ms()
            taken = await self._call(request, timeout)
            return await self._made(taken.tasks, taken.lease_ms, sent_ms)
        wait = Wait()
        notices = self._loop.notices(self._session, self._session_id)
        self._loop.listen(notices, wait.on_notice, self._loop.revision + 1)
        try:
            sent_ms = now_ms()
            taken = await self._call(request, timeout)
            if not taken.ticket:
                return await self._made(taken.tasks, taken.lease_ms, sent_ms)
            given = await self._wait(wait, taken.ticket, notices, now_ms() + wait_ms)
        finally:
            notices.detach(wait.on_notice)
        return [task for one in given for task in await self._confirmed(one, lease_ms)]

    async def _wait(self, wait: Wait, ticket: int, notices: Notices, until_ms: int) -> list[TakenTask]:
        loop, gaps = self._loop, notices.gaps
        wait.ticket = ticket

        def is_over() -> bool:
            lost = loop.session_state(self._session)[0] is SessionState.LOST
            return wait.given() is not None or lost or notices.gaps != gaps

        try:
            await loop.wait_until(is_over, until_ms)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_up(ticket))  # nobody wants them any more
            raise
        given = wait.given()
        return given if given is not None else (await self._call(stop_request(self.name, ticket), None)).tasks

    async def _give_up(self, ticket: int) -> None:
        try:
            for one in (await self._call(stop_request(self.name, ticket), None)).tasks:
                await self._call(nack_request(self.name, one.token, 0, "", False), None)
        except CoordError:
            pass  # the lease, or the session, ends it

    async def _confirmed(self, taken: TakenTask, lease_ms: int) -> "list[AsyncTask]":
        """What a notice brought: when its lease began nobody knows here, so it begins anew. Nothing if it is gone already."""
        sent_ms = now_ms()
        try:
            extended = await self._call(extend_request(self.name, taken.token, lease_ms), None)
        except NotHeld:
            return []
        return await self._made([taken], extended.lease_ms, sent_ms)

    async def _made(self, taken: list[TakenTask], lease_ms: int, sent_ms: int) -> "list[AsyncTask]":
        tasks = []
        for one in taken:
            payload = one.payload
            if payload is None:
                view = await self.get(one.task)
                if view is None or view.task.token != one.token:
                    continue  # lost already
                payload = view.payload
            tasks.append(AsyncTask(self, one, payload, lease_ms, sent_ms))
        return tasks

    async def _call(self, request: Request[T], timeout: Seconds | None) -> T:
        return await self._loop.call(request, self._timeout_ms if timeout is None else in_ms(timeout, "timeout"), self._session)


class AsyncTask:
    """One that was taken. As an `async with` block: extended within, acknowledged at its end, returned on an error; when it is lost the
    block is cancelled, and ends with NotHeld."""

    def __init__(self, queue: AsyncQueue, taken: TakenTask, payload: bytes, lease_ms: int, sent_ms: int) -> None:
        self._queue = queue
        self._extending: asyncio.Task[None] | None = None
        self._within: asyncio.Task[object] | None = None  # runs the block
        self._cancelled_it = False
        self._on_finished: Callable[[], None] = lambda: None  # a worker counts
        self.id = taken.task
        self.token = taken.token
        self.payload = payload
        self.attempts = taken.attempts  # this one included
        self.priority = taken.priority
        self.hold = Hold(f"task {taken.task} of queue {queue.name.decode(errors='replace')}", taken.token, lease_ms, sent_ms)

    @property
    def queue(self) -> bytes:
        return self._queue.name

    @property
    def is_held(self) -> bool:
        return self.hold.is_held(now_ms())

    @property
    def remaining_ms(self) -> int:
        """For so long it is surely yours, if no extension succeeds any more."""
        return max(0, self.hold.until_ms - now_ms()) if self.is_held else 0

    def check(self) -> None:
        """Raises NotHeld if it is, or may be, somebody else's."""
        self.hold.check(now_ms())

    async def extend(self, lease: Seconds | None = None, *, timeout: Seconds | None = None) -> None:
        await self._extend(moments_ms(lease, "lease"), timeout)

    async def ack(self, *, timeout: Seconds | None = None) -> None:
        """It is done. NotHeld: somebody else had it, or has it now; what you did was done twice, or will be."""
        await self._finish(ack_request(self.queue, self.token), timeout)

    async def nack(self, *, delay: Seconds | None = None, note: str = "", timeout: Seconds | None = None) -> None:
        """It failed: tried again after the queue's back-off (or `delay`), or dead after too many attempts."""
        delay_ms = -1 if delay is None else moments_ms(delay, "delay")
        await self._finish(nack_request(self.queue, self.token, delay_ms, note, True), timeout)

    async def give_back(self, *, timeout: Seconds | None = None) -> None:
        """Not begun: somebody else may have it at once, and the attempt does not count."""
        await self._finish(nack_request(self.queue, self.token, 0, "", False), timeout)

    async def __aenter__(self) -> Self:
        self._within = asyncio.current_task()
        self.keep()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        within, self._within = self._within, None
        if self._cancelled_it and within is not None and within.uncancel() == 0 and kind is asyncio.CancelledError:
            self._stop_extending()
            self.check()  # raises: it is lost
        if self.hold.is_finished:
            return
        if kind is None:
            await self.ack()
        else:
            await self.put_back(error)

    async def put_back(self, error: BaseException | None) -> None:
        """On the way out of something that failed: what goes wrong here is not what is told."""
        if self.hold.is_finished:
            return
        try:
            await asyncio.shield(self.nack(note=note_of(error)))
        except CoordError:
            self._stop_extending()  # its lease ends it

    def keep(self, on_finished: Callable[[], None] | None = None) -> None:
        """Extends it until it is finished or lost."""
        if on_finished is not None:
            self._on_finished = on_finished
        if self._extending is None:
            self._extending = asyncio.get_running_loop().create_task(self._extend_while_held())

    async def _extend_while_held(self) -> None:
        while (at_ms := self.hold.extend_at_ms()) is not None:
            left_ms = at_ms - now_ms()
            if left_ms > 0:
                await asyncio.sleep(min(left_ms, SLEEP_MS_MAX) / 1000)
                continue
            try:
                await self._extend(self.hold.lease_ms, max(0.05, self.hold.lease_ms / 3000))
            except (NotHeld, SessionExpired):
                break
            except CoordError:
                self.hold.on_failed(now_ms())
            if not self.hold.is_finished and not self.is_held:
                break
        if not self.hold.is_finished:
            if self._within is not None:
                self._cancelled_it = True
                self._within.cancel()
            self._on_finished()

    async def _extend(self, lease_ms: int, timeout: Seconds | None) -> None:
        if self.hold.is_finished:
            self.hold.check(now_ms())
        sent_ms = now_ms()
        try:
            extended = await self._queue._call(extend_request(self.queue, self.token, lease_ms), timeout)
        except (NotHeld, SessionExpired) as error:
            self.hold.on_lost(error)
            raise
        self.hold.on_extended(extended.lease_ms, sent_ms)

    async def _finish(self, request: Request[T], timeout: Seconds | None) -> None:
        if self.hold.is_finished:
            raise BadRequest(f"task {self.id} was acknowledged or returned already")
        try:
            await self._queue._call(request, timeout)
        except NotHeld as error:
            self.hold.on_lost(error)
            self._stop_extending()
            self._on_finished()
            raise
        self.hold.is_finished = True
        self._stop_extending()
        self._on_finished()

    def _stop_extending(self) -> None:
        if self._extending is not None:
            self._extending.cancel()
            self._extending = None


class AsyncWorker:
    """See AsyncQueue.worker. A task of the loop's own turn that was lost raises NotHeld at the end of that turn."""

    def __init__(self, queue: AsyncQueue, concurrency: int, lease_ms: int, ttl_ms: int) -> None:
        if concurrency < 1:
            raise BadRequest(f"the concurrency is {concurrency}; give 1 or more")
        self._queue = queue
        self._concurrency = concurrency
        self._lease_ms = lease_ms
        self._ttl_ms = ttl_ms
        self._in_session: AsyncQueue | None = None
        self._out: dict[int, AsyncTask] = {}  # given out and not finished, by token
        self._room = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[AsyncTask]:
        try:
            async for task in self.each():
                yield task
                if self._concurrency == 1 and not task.hold.is_finished:
                    await task.ack()
        finally:
            await self.close()

    async def each(self) -> AsyncIterator[AsyncTask]:
        """As many at a time as the concurrency allows; none is finished here."""
        while True:
            while len(self._out) >= self._concurrency:
                self._room.clear()
                await self._room.wait()
            if self._in_session is None:
                self._in_session = await self._queue.in_session(self._ttl_ms)
            try:
                task = await self._in_session.next_task(self._lease_ms)
            except SessionExpired:
                if self._in_session is self._queue:
                    raise  # it is the caller's
                self._in_session = None
                continue
            if task is not None:
                self._out[task.token] = task
                task.keep(lambda token=task.token: self._on_finished(token))  # type: ignore[misc]  # mypy does not infer defaults
                yield task

    async def close(self) -> None:
        """What is not finished goes back; then its session, if it had one of its own, ends."""
        for task in list(self._out.values()):
            await task.put_back(None)
        in_session, self._in_session = self._in_session, None
        if in_session is not None:
            with suppress(CoordError):  # its lease ends it
                await self._queue.end_session_of(in_session)

    def _on_finished(self, token: int) -> None:
        self._out.pop(token, None)
        self._room.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
