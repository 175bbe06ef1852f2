"""Queues, blocking: `cluster.queue(name)`, `session.queue(name)` and `cluster.queues`; the twin to await is in aio_queues.

    queue = cluster.queue("mail")
    queue.put("to: ann", key="invoice 7")
    for task in queue.worker():
        send(task.payload)

At least once: a worker that is too slow, or cut off, loses its task to another one. `task.token` makes an effect count once all the
same: ask for it in the transaction that writes the effect (`holding(task)`).
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.lease import SessionState
from coordnode.client.notices import Notices
from coordnode.client.pump import Pump
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
from coordnode.client.workers import Worker
from coordnode.errors import BadRequest, CoordError, Missing, NotHeld, SessionExpired
from coordnode.ids import NO_SESSION, SessionId
from coordnode.services.commands import QueueInfo, QueueSettings, TakenTask, TaskInfo, TaskPut, TasksTaken, TaskView

T = TypeVar("T")


class Queues:
    """All of them."""

    def __init__(self, pump: Pump, timeout_ms: int) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms

    def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> Iterator[QueueInfo]:
        """In the order of names, page by page."""
        after, more = b"", True
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        while more:
            page = self._pump.call(page_request(as_bytes(prefix), after, stale), timeout_ms)
            yield from page.queues
            more = page.more
            after = page.queues[-1].name if page.queues else b""


class Queue:
    """One of them, by its name. The first put makes it; `configure` may have made it before."""

    def __init__(self, pump: Pump, timeout_ms: int, name: Name, session: int = 0, session_id: SessionId = NO_SESSION) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._session = session
        self._session_id = session_id
        self.name = as_bytes(name)

    def configure(self, settings: QueueSettings, *, timeout: Seconds | None = None) -> bool:
        """Whether that changed anything. What is in it stays."""
        return self._call(configure_request(self.name, settings), timeout)

    def put(
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
        """Higher priorities are taken first. `key`: made once while the queue remembers it. `holding`: only while this token is live."""
        request = put_request(self.name, payload, priority, moments_ms(delay, "delay"), key, holding, request_id)
        return self._call(request, timeout)

    def take(
        self,
        count: int = 1,
        *,
        wait: Seconds | None = None,
        lease: Seconds | None = None,
        detached: bool = False,
        request_id: str = "",
        timeout: Seconds | None = None,
    ) -> "list[Task]":
        """At most `count`; none: there is none, and none came within `wait`. Only through `session.queue` can one wait.

        They are yours until their leases end: extend, acknowledge or return each. `worker` does that for you. When the session ends
        they go back, unless `detached`.
        """
        lease_ms = moments_ms(lease, "lease")
        request = take_request(self.name, count, bool(wait), detached, lease_ms, request_id)
        return self._take(request, lease_ms, moments_ms(wait, "wait"), timeout)

    def worker(self, *, lease: Seconds | None = None, ttl: Seconds = 10.0) -> Worker:
        """Iterate over it: task after task, for ever. Each is extended while the body of the loop runs, acknowledged when it comes to its
        end, returned when it does not. `ttl` is that of a session of its own, if this queue is not a session's already."""
        return Worker(self, moments_ms(lease, "lease"), in_ms(ttl, "session's ttl"))

    def info(self, *, stale: bool = False, timeout: Seconds | None = None) -> QueueInfo:
        return self._call(show_request(self.name, stale), timeout).queue

    def tasks(self, state: str = "ready", *, stale: bool = False, timeout: Seconds | None = None) -> Iterator[TaskInfo]:
        """ready ones in the order of taking; delayed, taken and dead ones in the order of their puts. Without payloads."""
        after, more = b"", True
        while more:
            page = self._call(tasks_request(self.name, state, after, stale), timeout)
            yield from page.tasks
            after, more = page.next, page.more

    def get(self, task: int, *, timeout: Seconds | None = None) -> TaskView | None:
        """With its payload; None: it is done, or never was."""
        try:
            return self._call(task_request(self.name, task), timeout)
        except Missing:
            return None

    def redrive(self, task: int = 0, *, timeout: Seconds | None = None) -> int:
        """Dead ones become ready again: all, or this one. How many."""
        total, more = 0, True
        while more:
            done = self._call(redrive_request(self.name, task), timeout)
            total += done.changed
            more = done.more and not task and done.changed > 0
        return total

    def purge(self, *, dead: bool = False, timeout: Seconds | None = None) -> int:
        """Drops what is ready or delayed, or what is dead. How many."""
        total, more = 0, True
        while more:
            done = self._call(purge_request(self.name, dead), timeout)
            total += done.changed
            more = done.more
        return total

    def delete(self, *, timeout: Seconds | None = None) -> bool:
        """Whether it was there. Only an empty one can be deleted."""
        while (done := self._call(delete_request(self.name), timeout)).more:
            pass
        return done.changed > 0

    # --- for workers -----------------------------------------------------------------------------------------------------

    def next_task(self, lease_ms: int, wait_ms: int, is_stopped: Callable[[], bool]) -> "Task | None":
        tasks = self._take(take_request(self.name, 1, True, False, lease_ms, ""), lease_ms, wait_ms, None, is_stopped)
        return tasks[0] if tasks else None

    def take_unless(self, is_stopped: Callable[[], bool], count: int, lease_ms: int, wait_ms: int) -> "list[Task]":
        """Detached, for whoever may be told to wait no longer: what came until then is theirs all the same."""
        return self._take(take_request(self.name, count, True, True, lease_ms, ""), lease_ms, wait_ms, None, is_stopped)

    def in_session(self, ttl_ms: int) -> "Queue":
        """The same one, in a session of its own."""
        if self._session:
            return self
        number, opened = self._pump.open_session(ttl_ms, "", self._timeout_ms)
        return Queue(self._pump, self._timeout_ms, self.name, number, opened.session)

    def end_session_of(self, other: "Queue") -> None:
        if not self._session and other._session:
            self._pump.close_session(other._session, self._timeout_ms)

    # --- in common -------------------------------------------------------------------------------------------------------

    def _take(
        self,
        request: Request[TasksTaken],
        lease_ms: int,
        wait_ms: int,
        timeout: Seconds | None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> "list[Task]":
        if not wait_ms or not self._session:
            sent_ms = now_ms()
            taken = self._call(request, timeout)
            return self._tasks(taken.tasks, taken.lease_ms, sent_ms)
        wait = Wait()
        notices = self._pump.notices(self._session, self._session_id)
        self._pump.listen(notices, wait.on_notice, self._pump.revision + 1)
        try:
            sent_ms = now_ms()
            taken = self._call(request, timeout)
            if not taken.ticket:
                return self._tasks(taken.tasks, taken.lease_ms, sent_ms)
            given = self._wait(wait, taken.ticket, notices, now_ms() + wait_ms, is_stopped)
        finally:
            self._pump.forget(notices, wait.on_notice)
        return [task for one in given for task in self._confirmed(one, lease_ms)]

    def _wait(self, wait: Wait, ticket: int, notices: Notices, until_ms: int, is_stopped: Callable[[], bool]) -> list[TakenTask]:
        pump, gaps = self._pump, notices.gaps
        wait.ticket = ticket

        def is_over() -> bool:
            lost = pump.session_state(self._session)[0] is SessionState.LOST
            return wait.given() is not None or lost or notices.gaps != gaps or is_stopped()

        try:
            pump.wait_until(is_over, until_ms)
        except BaseException:  # a KeyboardInterrupt above all: nobody wants them any more
            self._give_up(ticket)
            raise
        given = wait.given()
        return given if given is not None else self._call(stop_request(self.name, ticket), None).tasks

    def _give_up(self, ticket: int) -> None:
        try:
            for one in self._call(stop_request(self.name, ticket), None).tasks:
                self._call(nack_request(self.name, one.token, 0, "", False), None)
        except CoordError:
            pass  # the lease, or the session, ends it

    def _confirmed(self, taken: TakenTask, lease_ms: int) -> "Iterator[Task]":
        """What a notice brought: when its lease began nobody knows here, so it begins anew. Nothing if it is gone already."""
        sent_ms = now_ms()
        try:
            extended = self._call(extend_request(self.name, taken.token, lease_ms), None)
        except NotHeld:
            return
        yield from self._tasks([taken], extended.lease_ms, sent_ms)

    def _tasks(self, taken: list[TakenTask], lease_ms: int, sent_ms: int) -> "list[Task]":
        tasks = []
        for one in taken:
            payload = one.payload
            if payload is None:
                view = self.get(one.task)
                if view is None or view.task.token != one.token:
                    continue  # lost already
                payload = view.payload
            tasks.append(Task(self, one, payload, lease_ms, sent_ms))
        return tasks

    def _call(self, request: Request[T], timeout: Seconds | None) -> T:
        return self._pump.call(request, self._timeout_ms if timeout is None else in_ms(timeout, "timeout"), self._session)


class Task:
    """One that was taken. As a `with` block: acknowledged at its end, returned on an error; losing it within is an error there."""

    def __init__(self, queue: Queue, taken: TakenTask, payload: bytes, lease_ms: int, sent_ms: int) -> None:
        self._queue = queue
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

    def extend(self, lease: Seconds | None = None, *, timeout: Seconds | None = None) -> None:
        self._extend(moments_ms(lease, "lease"), timeout)

    def ack(self, *, timeout: Seconds | None = None) -> None:
        """It is done. NotHeld: somebody else had it, or has it now; what you did was done twice, or will be."""
        self._finish(ack_request(self.queue, self.token), timeout)

    def nack(self, *, delay: Seconds | None = None, note: str = "", timeout: Seconds | None = None) -> None:
        """It failed: tried again after the queue's back-off (or `delay`), or dead after too many attempts."""
        delay_ms = -1 if delay is None else moments_ms(delay, "delay")
        self._finish(nack_request(self.queue, self.token, delay_ms, note, True), timeout)

    def give_back(self, *, timeout: Seconds | None = None) -> None:
        """Not begun: somebody else may have it at once, and the attempt does not count."""
        self._finish(nack_request(self.queue, self.token, 0, "", False), timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.hold.is_finished:
            return
        if kind is None:
            self.ack()
            return
        with suppress(CoordError):  # the error of the block is the one to be told
            self.nack(note=note_of(error))

    def _extend(self, lease_ms: int, timeout: Seconds | None) -> None:
        if self.hold.is_finished:
            self.hold.check(now_ms())
        sent_ms = now_ms()
        try:
            extended = self._queue._call(extend_request(self.queue, self.token, lease_ms), timeout)
        except (NotHeld, SessionExpired) as error:
            self.hold.on_lost(error)
            raise
        self.hold.on_extended(extended.lease_ms, sent_ms)

    def _finish(self, request: Request[T], timeout: Seconds | None) -> None:
        if self.hold.is_finished:
            raise BadRequest(f"task {self.id} was acknowledged or returned already")
        try:
            self._queue._call(request, timeout)
        except NotHeld as error:
            self.hold.on_lost(error)
            raise
        self.hold.is_finished = True
