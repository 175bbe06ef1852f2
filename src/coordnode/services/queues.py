"""Queues of tasks: put, taken under a lease, acknowledged or returned; retried with back-off, dead after too many failures. Pure.

At least once: whoever took a task and does not acknowledge it in time loses it to the next. Its token is refused from then on, here
and in every transaction that asks for it, so that what two takers of one task write can be made to count once.
"""

from collections.abc import Mapping
from itertools import chain, islice
from typing import ClassVar

from coordnode.errors import BadRequest, Busy, CoordError, Full, Missing, NotHeld, StateFull
from coordnode.ids import NO_SESSION, SessionId
from coordnode.services import queue_checks
from coordnode.services.commands import (
    DEAD,
    DELAYED,
    GIVEN_BACK,
    LEASE_ENDED,
    NACKED,
    QUEUE_DELETED,
    QUEUES,
    READY,
    SESSION_ENDED,
    TAKEN,
    AckTask,
    ConfigureQueue,
    DeleteQueue,
    Done,
    ExtendTask,
    GetQueue,
    GetTask,
    ListQueues,
    ListTasks,
    NackTask,
    PurgeTasks,
    PutTask,
    QueuePage,
    QueueSettings,
    QueueView,
    RedriveTasks,
    Result,
    StopTaking,
    TakeTasks,
    TaskExtended,
    TaskInfo,
    TaskPage,
    TaskPut,
    TaskReturned,
    TasksTaken,
    TaskView,
)
from coordnode.services.context import Check, Context, Service, failure
from coordnode.services.levels import MENDED
from coordnode.services.names import page_of
from coordnode.services.queue_tasks import (
    EXPIRED_KEYS_PER_PUT,
    Queue,
    Task,
    Tasks,
    Waiter,
    key_charge,
    queue_charge,
    task_charge,
)
from coordnode.services.rights import MANAGE, PREFIX, QUEUE, READ, USE, Rights, needs

LEVEL = 3


class Queues(Service):
    LEVELS: ClassVar[Mapping[type, int]] = dict.fromkeys(queue_checks.CHECKS, LEVEL)
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        ConfigureQueue: needs(QUEUE, MANAGE, "queue"),
        PutTask: needs(QUEUE, USE, "queue"),
        TakeTasks: needs(QUEUE, USE, "queue"),
        StopTaking: needs(QUEUE, USE, "queue"),
        ExtendTask: needs(QUEUE, USE, "queue"),
        AckTask: needs(QUEUE, USE, "queue"),
        NackTask: needs(QUEUE, USE, "queue"),
        RedriveTasks: needs(QUEUE, MANAGE, "queue"),
        PurgeTasks: needs(QUEUE, MANAGE, "queue"),
        DeleteQueue: needs(QUEUE, MANAGE, "queue"),
        GetQueue: needs(QUEUE, READ, "queue"),
        ListQueues: needs(QUEUE, READ, "prefix", PREFIX),
        ListTasks: needs(QUEUE, READ, "queue"),
        GetTask: needs(QUEUE, READ, "queue"),
    }
    CHECKS: ClassVar[Mapping[type, Check]] = queue_checks.CHECKS
    ADDS_DATA: ClassVar[tuple[type, ...]] = (ConfigureQueue, PutTask)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._tasks = Tasks(context)
        self.containers = self._tasks.containers
        self.routes = {
            ConfigureQueue: self.configure,
            PutTask: self.put,
            TakeTasks: self.take,
            StopTaking: self.stop,
            ExtendTask: self.extend,
            AckTask: self.ack,
            NackTask: self.nack,
            RedriveTasks: self.redrive,
            PurgeTasks: self.purge,
            DeleteQueue: self.delete,
        }
        self.reads = {GetQueue: self.show, ListQueues: self.page, ListTasks: self.task_page, GetTask: self.show_task}

    # --- queues --------------------------------------------------------------------------------------------------------

    def configure(self, operation: ConfigureQueue) -> Result:
        """`changed` 0: it was so already."""
        tasks = self._tasks
        queue = tasks.open(operation.queue)
        if queue is None:
            if not self.context.has_room(queue_charge(operation.queue)):
                return failure(self._state_full("another queue"))
            tasks.save(tasks.make(operation.queue, operation.settings))
        elif queue.settings == operation.settings:
            return Done(self.context.publish(), 0)
        else:
            queue.settings = operation.settings
            tasks.tell_settings(queue)
            tasks.save(queue)
        return Done(self.context.publish())

    def delete(self, operation: DeleteQueue) -> Result:
        """`changed` 0: there was none, or, with `more`, its remembered keys take another slice."""
        tasks, context = self._tasks, self.context
        queue = tasks.open(operation.queue)
        if queue is None:
            return Done(context.publish(), 0)
        if sum(queue.counts) or queue.waiting:
            return failure(
                Busy(f"{_named(queue)} has {sum(queue.counts)} tasks and {queue.waiting} takers in line; stop those, purge it, then delete")
            )
        tasks.forget_keys(queue, context.settings.wake_items_max, context.cluster_ms + queue_checks.TIME_MS_MAX)
        if queue.keys:
            tasks.save(queue)
            return Done(context.publish(), 0, True)
        tasks.queues.delete(queue.name)
        context.scalars.state_bytes -= queue_charge(queue.name)
        context.emit((QUEUE_DELETED, queue.name, b"", 0, NO_SESSION, QUEUES))
        return Done(context.publish())

    # --- tasks ---------------------------------------------------------------------------------------------------------

    def put(self, operation: PutTask) -> Result:
        context, tasks = self.context, self._tasks
        if operation.holding and context.holdings.live(operation.holding) is None:
            return failure(NotHeld(f"token {operation.holding} is not held any more; nothing was put"))
        queue = tasks.open(operation.queue)
        key = operation.key if queue is None or queue.settings.dedupe_ms else b""
        if queue is not None:
            if key and (number := tasks.find_key(queue, key)) is not None:
                return TaskPut(context.publish(), number, False)
            is_mended = context.scalars.level >= MENDED
            if is_mended:
                self._forget_expired(queue)
            if (full := _is_full(queue, len(operation.payload), key if is_mended else operation.key)) is not None:
                return failure(full)
        now_ms = context.cluster_ms
        state = DELAYED if operation.delay_ms else READY
        size = len(operation.payload)
        due_ms = now_ms + operation.delay_ms if operation.delay_ms else 0
        task = Task(state, operation.priority, 0, size, now_ms, operation.key, due_ms)
        charge = task_charge(operation.queue, task) + (key_charge(operation.queue, key) if key else 0)
        if not context.has_room(charge + (queue_charge(operation.queue) if queue is None else 0)):
            return failure(self._state_full(f"a task of {size} bytes"))
        if queue is None:
            queue = tasks.make(operation.queue, QueueSettings())
        number = tasks.add(queue, task, operation.payload)
        if context.scalars.level < MENDED:
            tasks.forget_keys(queue, EXPIRED_KEYS_PER_PUT, now_ms)
        if key:
            tasks.keep_key(queue, key, number)
        tasks.save(queue)
        return TaskPut(context.publish(), number)

    def take(self, operation: TakeTasks) -> Result:
        context, tasks = self.context, self._tasks
        session = context.session
        if operation.wait and not session:
            return failure(BadRequest("only a session can wait for tasks, it is told once there are some: open one, or do not wait"))
        queue = tasks.open(operation.queue)
        if queue is None:
            if not operation.wait:
                return failure(_missing(operation.queue))
            if not context.has_room(queue_charge(operation.queue)):
                return failure(self._state_full("another queue"))
        holder = NO_SESSION if operation.detached else session
        room = tasks.room(session if operation.wait else holder)
        if room < 1:
            held_max = context.settings.session_tasks_max
            return failure(Full(f"session {session} holds {held_max} tasks and places in line, no more are allowed; acknowledge some"))
        if operation.wait and queue is not None and queue.waiting >= context.settings.queue_waiters_max:
            return failure(Full(f"{queue.waiting} takers wait before {_named(queue)} already; try again later"))
        if queue is None:
            queue = tasks.make(operation.queue, QueueSettings())
        lease_ms = operation.lease_ms or queue.settings.lease_ms
        count = min(operation.count, queue.counts[READY], room)
        taken = [tasks.take_next(queue, holder, lease_ms) for _ in range(count)]
        ticket = 0
        if operation.wait and not taken:
            ticket = tasks.stand_in_line(queue, Waiter(session, holder, operation.count, operation.lease_ms))
        tasks.save(queue)
        return TasksTaken(context.publish(), tasks.with_payloads(taken), lease_ms, ticket)

    def stop(self, operation: StopTaking) -> Result:
        """Also for who does not know whether it was served: what it was given and still holds is answered again."""
        context, tasks = self.context, self._tasks
        queue = tasks.open(operation.queue)
        if queue is None:
            return failure(_missing(operation.queue))
        waiter = tasks.waiter(queue, operation.ticket)
        if waiter is None:
            return TasksTaken(context.publish(), tasks.given_to(queue, operation.ticket), queue.settings.lease_ms)
        if waiter.session != context.session:
            return failure(NotHeld(f"place {operation.ticket} before {_named(queue)} is another session's; only that one can leave it"))
        tasks.leave_line(queue, operation.ticket, waiter)
        tasks.save(queue)
        return TasksTaken(context.publish(), [], queue.settings.lease_ms)

    def extend(self, operation: ExtendTask) -> Result:
        tasks = self._tasks
        found = self._held(operation)
        if isinstance(found, CoordError):
            return failure(found)
        queue, number, task = found
        lease_ms = operation.lease_ms or queue.settings.lease_ms
        tasks.prolong(queue, number, task, self.context.cluster_ms + lease_ms)
        return TaskExtended(self.context.publish(), lease_ms)

    def ack(self, operation: AckTask) -> Result:
        found = self._held(operation)
        if isinstance(found, CoordError):
            return failure(found)
        queue, number, task = found
        self._tell_other(queue, number, task)
        self._tasks.drop(queue, number, task)
        self._tasks.save(queue)
        return Done(self.context.publish())

    def nack(self, operation: NackTask) -> Result:
        found = self._held(operation)
        if isinstance(found, CoordError):
            return failure(found)
        queue, number, task = found
        self._tell_other(queue, number, task)
        if operation.begun:
            back = self._tasks.put_back(queue, number, task, NACKED, operation.note, operation.delay_ms)
        else:
            back = self._tasks.give_back(queue, number, task, GIVEN_BACK, operation.note, operation.delay_ms)
        self._tasks.save(queue)
        delay_ms = back.due_ms - self.context.cluster_ms if back.due_ms else 0
        return TaskReturned(self.context.publish(), back.state, delay_ms)

    def redrive(self, operation: RedriveTasks) -> Result:
        """`changed` counts those that are ready again."""
        context, tasks = self.context, self._tasks
        queue = tasks.open(operation.queue)
        if queue is None:
            return failure(_missing(operation.queue))
        if operation.task:
            task = tasks.get(queue, operation.task)
            if task is None or task.state != DEAD:
                return failure(Missing(f"{_named(queue)} has no dead task {operation.task}; see which there are with: queue dead"))
            numbers = [operation.task]
        else:
            numbers = [number for _, number in islice(tasks.in_state(queue, DEAD), operation.limit)]
        room = max(0, queue.settings.tasks_max - queue.live())
        if numbers and not room:
            return failure(Full(f"{_named(queue)} has {queue.live()} tasks, as many as it may; redrive once some are done"))
        for number in numbers[:room]:
            task = tasks.get(queue, number)
            assert task is not None
            tasks.revive(queue, number, task)
        more = queue.counts[DEAD] > 0
        tasks.save(queue)
        return Done(context.publish(), min(len(numbers), room), more)

    def purge(self, operation: PurgeTasks) -> Result:
        tasks = self._tasks
        queue = tasks.open(operation.queue)
        if queue is None:
            return failure(_missing(operation.queue))
        states = (DEAD,) if operation.dead else (READY, DELAYED)
        listed = chain.from_iterable([tasks.in_state(queue, state) for state in states])
        numbers = [number for _, number in islice(listed, operation.limit)]
        for number in numbers:
            task = tasks.get(queue, number)
            assert task is not None
            tasks.drop(queue, number, task)
        more = sum([queue.counts[state] for state in states]) > 0
        tasks.save(queue)
        return Done(self.context.publish(), len(numbers), more)

    # --- what is read --------------------------------------------------------------------------------------------------

    def show(self, operation: GetQueue, items_max: int, bytes_max: int) -> Result:
        tasks = self._tasks
        queue = tasks.open(operation.queue)
        if queue is None:
            return failure(_missing(operation.queue))
        oldest_ms = 0
        for _, number in tasks.in_state(queue, READY):
            task = tasks.get(queue, number)
            assert task is not None
            oldest_ms = self.context.shown_ms - task.put_ms
            break
        return QueueView(self.context.scalars.revision, queue.info(), oldest_ms)

    def page(self, operation: ListQueues, items_max: int, bytes_max: int) -> Result:
        rows, more = page_of(self._tasks.queues, operation.prefix, operation.after, operation.limit, items_max)
        return QueuePage(self.context.scalars.revision, [Queue(name, stored).info() for name, stored in rows], more)

    def task_page(self, operation: ListTasks, items_max: int, bytes_max: int) -> Result:
        tasks = self._tasks
        queue = tasks.open(operation.queue)
        if queue is None:
            return failure(_missing(operation.queue))
        count = min(operation.limit or items_max, items_max)
        found: list[TaskInfo] = []
        at = b""
        for place, number in tasks.in_state(queue, operation.state, operation.after):
            if len(found) == count:
                return TaskPage(self.context.scalars.revision, found, True, at)
            task = tasks.get(queue, number)
            assert task is not None
            found.append(tasks.info(number, task))
            at = place
        return TaskPage(self.context.scalars.revision, found, False, at)

    def show_task(self, operation: GetTask, items_max: int, bytes_max: int) -> Result:
        tasks = self._tasks
        queue = tasks.open(operation.queue)
        if queue is None:
            return failure(_missing(operation.queue))
        task = tasks.get(queue, operation.task)
        if task is None:
            return failure(Missing(f"{_named(queue)} has no task {operation.task}: it is done, was purged, or never was"))
        payload = tasks.payload(operation.task)
        return TaskView(self.context.scalars.revision, tasks.info(operation.task, task), payload)

    # --- what the machine asks -----------------------------------------------------------------------------------------

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        """Its places in line first: nothing is given to who is gone. Then what it took goes back, the attempt counted."""
        tasks = self._tasks
        queues: dict[bytes, Queue] = {}
        claims = self.context.holdings.claims(session, QUEUES)
        for claim in sorted(claims, key=lambda claim: claim[:1] != b"w"):  # tasks in the order of their puts: it decides who dies
            name, number = claim[9:], int.from_bytes(claim[1:9], "big")
            queue = queues.get(name) or tasks.open(name)
            assert queue is not None
            queues[name] = queue
            if claim[:1] == b"w":
                waiter = tasks.waiter(queue, number)
                assert waiter is not None
                tasks.leave_line(queue, number, waiter)
            else:
                task = tasks.get(queue, number)
                assert task is not None
                tasks.put_back(queue, number, task, SESSION_ENDED, "")
        for queue in queues.values():
            tasks.save(queue)

    def due(self) -> int | None:
        found = self._tasks.times.first()
        return int.from_bytes(found[0][:8], "big") if found is not None else None

    def on_wake(self) -> None:
        tasks, context = self._tasks, self.context
        queues: dict[bytes, Queue] = {}
        for _ in range(context.settings.wake_items_max):
            found = tasks.times.first()
            if found is None or int.from_bytes(found[0][:8], "big") > context.cluster_ms:
                break
            name, number = found[1], int.from_bytes(found[0][8:], "big")
            queue = queues.get(name) or tasks.open(name)
            assert queue is not None
            queues[name] = queue
            task = tasks.get(queue, number)
            assert task is not None
            if task.state == TAKEN:
                tasks.tell_lost(queue, number, task)
                tasks.put_back(queue, number, task, LEASE_ENDED, "")
            else:
                tasks.ripen(queue, number, task)
        for queue in queues.values():
            tasks.save(queue)

    # --- in common -----------------------------------------------------------------------------------------------------

    def _held(self, operation: AckTask | NackTask | ExtendTask) -> tuple[Queue, int, Task] | CoordError:
        queue = self._tasks.open(operation.queue)
        if queue is None:
            return _missing(operation.queue)
        found = self._tasks.by_token(queue, operation.token)
        if found is None:
            return NotHeld(
                f"token {operation.token} holds no task of {_named(queue)}, or not any more: its lease ended, or it was acknowledged or "
                "returned; somebody else may have the task now, so let go of it"
            )
        return queue, *found

    def _forget_expired(self, queue: Queue) -> None:
        """Before a put is refused for what is remembered. That is time's doing: it stays done where the put is refused nevertheless."""
        keys, settings = queue.keys, self.context.settings
        excess = keys - queue.settings.tasks_max + 1
        self._tasks.forget_keys(queue, min(max(EXPIRED_KEYS_PER_PUT, excess), settings.wake_items_max), self.context.cluster_ms)
        if queue.keys < keys:
            self._tasks.save(queue)

    def _tell_other(self, queue: Queue, number: int, task: Task) -> None:
        if task.session != self.context.session:
            self._tasks.tell_lost(queue, number, task)

    def _state_full(self, what: str) -> StateFull:
        return StateFull(f"{what} would pass {self.context.settings.state_bytes_max} bytes in all; delete something first")


def _is_full(queue: Queue, size: int, key: bytes) -> Full | None:
    """For a task of that size, under a key that is to be remembered."""
    settings = queue.settings
    if queue.live() >= settings.tasks_max:
        return Full(f"{_named(queue)} has {queue.live()} tasks, as many as it may; put again once some are done")
    if (grown := queue.bytes + size) > settings.bytes_max:
        return Full(f"{_named(queue)} would hold {grown} bytes, at most {settings.bytes_max}; put again once some tasks are done")
    if key and queue.keys >= settings.tasks_max:
        return Full(f"{_named(queue)} remembers {queue.keys} deduplication keys, as many as it may; put again later, or without one")
    return None


def _named(queue: Queue) -> str:
    return f"queue {queue.name.decode(errors='replace')}"


def _missing(name: bytes) -> Missing:
    return Missing(f"there is no queue {name.decode(errors='replace')}; the first put makes it")
