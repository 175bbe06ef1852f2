"""The tables of queues and how a task moves between its states: every count, time, token, claim and charge moves with it. Pure.

by place    queue, state, rank, number → task     what is next in each state is the first from there on
by time     moment, task → queue                  delays and leases of all queues together
"""

from collections.abc import Iterator
from struct import Struct

import msgspec

from coordnode.ids import NO_SESSION, SessionId, Token
from coordnode.services.commands import (
    DEAD,
    DELAYED,
    NEVER_FAILED,
    QUEUE_CHANGED,
    QUEUES,
    READY,
    TAKEN,
    TASK_DIED,
    QueueInfo,
    QueueSettings,
    TakenTask,
    TaskInfo,
    TaskLost,
    TasksGiven,
    encode,
)
from coordnode.services.context import Containers, Context
from coordnode.services.tables import Table

QUEUES_ID = 50
TASKS_ID = 51
PAYLOADS_ID = 52
PLACES_ID = 53
TIMES_ID = 54
KEYS_ID = 55
KEY_TIMES_ID = 56
WAITERS_ID = 57
HELD_ID = 58
SERVED_ID = 59

QUEUE_CHARGE_BYTES = 600  # what they take in memory beside their names and payloads
TASK_CHARGE_BYTES = 900
KEY_CHARGE_BYTES = 400
WAITER_CHARGE_BYTES = 300
EXPIRED_KEYS_PER_PUT = 2  # each put makes at most one: what has expired is forgotten faster than it comes

PRIORITY_MAX = 127

_pack = Struct(">Q").pack
_pack_place = Struct(">BBQ").pack
_pack_time = Struct(">QQ").pack  # also (ticket, token)


class StoredQueue(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    settings: QueueSettings
    ready: int
    delayed: int
    taken: int
    dead: int
    waiting: int
    keys: int  # deduplication keys that are remembered
    bytes: int


class Task(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    state: int
    priority: int
    attempts: int
    size: int
    put_ms: int  # cluster_ms
    key: bytes
    due_ms: int = 0  # cluster_ms of the end of a delay or lease; 0: neither
    token: Token = Token(0)
    session: SessionId = NO_SESSION  # whose end returns it
    ticket: int = 0  # of the place in line that was served with it
    failure: int = NEVER_FAILED
    note: str = ""


class Waiter(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    session: SessionId  # who stands in line
    holder: SessionId  # whose end will return what is taken; 0: nobody's
    count: int
    lease_ms: int  # 0: as the queue says


class StoredKey(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    task: int
    until_ms: int


class Queue:
    """One queue while a command works on it; `Tasks.save` stores it."""

    __slots__ = ("bytes", "counts", "keys", "name", "place", "settings", "waiting")

    def __init__(self, name: bytes, stored: StoredQueue) -> None:
        self.name = name
        self.place = name + b"\0"  # begins every key of its own
        self.settings = stored.settings
        self.counts = [0, stored.ready, stored.delayed, stored.taken, stored.dead]  # by state
        self.waiting = stored.waiting
        self.keys = stored.keys
        self.bytes = stored.bytes

    def live(self) -> int:
        return self.counts[READY] + self.counts[DELAYED] + self.counts[TAKEN]

    def info(self) -> QueueInfo:
        _, ready, delayed, taken, dead = self.counts
        return QueueInfo(self.name, self.settings, ready, delayed, taken, dead, self.waiting, self.bytes)


class Tasks:
    def __init__(self, context: Context) -> None:
        self._context = context
        self.queues: Table[StoredQueue] = Table(QUEUES_ID, StoredQueue)
        self.tasks: Table[Task] = Table(TASKS_ID, Task)  # queue, task
        self.payloads: Table[bytes] = Table(PAYLOADS_ID, bytes)  # task
        self.places: Table[int] = Table(PLACES_ID, int)
        self.times: Table[bytes] = Table(TIMES_ID, bytes)
        self.keys: Table[StoredKey] = Table(KEYS_ID, StoredKey)  # queue, deduplication key
        self.key_times: Table[int] = Table(KEY_TIMES_ID, int)  # queue, moment, deduplication key → 1
        self.waiters: Table[Waiter] = Table(WAITERS_ID, Waiter)  # queue, ticket
        self.held: Table[int] = Table(HELD_ID, int)  # session → its tasks and places in line; no row for none
        self.served: Table[int] = Table(SERVED_ID, int)  # queue, ticket, token → task: what a place in line was given and still holds
        self.containers: Containers = (
            self.queues,
            self.tasks,
            self.payloads,
            self.places,
            self.times,
            self.keys,
            self.key_times,
            self.waiters,
            self.held,
            self.served,
        )

    # --- queues --------------------------------------------------------------------------------------------------------

    def open(self, name: bytes) -> Queue | None:
        stored = self.queues.get(name)
        return Queue(name, stored) if stored is not None else None

    def make(self, name: bytes, settings: QueueSettings) -> Queue:
        queue = Queue(name, StoredQueue(settings, 0, 0, 0, 0, 0, 0, 0))
        self._context.scalars.state_bytes += queue_charge(name)
        self.tell_settings(queue)
        return queue

    def tell_settings(self, queue: Queue) -> None:
        self._context.emit((QUEUE_CHANGED, queue.name, encode(queue.settings), 0, NO_SESSION, QUEUES))

    def save(self, queue: Queue) -> None:
        """Serves the line first: nobody waits while something is ready."""
        while queue.waiting and queue.counts[READY]:
            self._serve_first(queue)
        _, ready, delayed, taken, dead = queue.counts
        self.queues.set(queue.name, StoredQueue(queue.settings, ready, delayed, taken, dead, queue.waiting, queue.keys, queue.bytes))

    # --- tasks ---------------------------------------------------------------------------------------------------------

    def get(self, queue: Queue, number: int) -> Task | None:
        return self.tasks.get(queue.place + _pack(number))

    def add(self, queue: Queue, task: Task, payload: bytes) -> int:
        number = int(self._context.holdings.next_number())
        self.payloads.set(_pack(number), payload)
        queue.bytes += task.size
        self._context.scalars.state_bytes += task_charge(queue.name, task)
        self._enter(queue, number, task)
        return number

    def change(self, queue: Queue, number: int, old: Task, new: Task) -> None:
        self._leave(queue, number, old)
        self._context.scalars.state_bytes += len(new.note) - len(old.note)
        self._enter(queue, number, new)

    def drop(self, queue: Queue, number: int, task: Task) -> None:
        self._leave(queue, number, task)
        self.tasks.delete(queue.place + _pack(number))
        self.payloads.delete(_pack(number))
        queue.bytes -= task.size
        self._context.scalars.state_bytes -= task_charge(queue.name, task)

    def take_next(self, queue: Queue, holder: SessionId, lease_ms: int, ticket: int = 0) -> TakenTask:
        """There must be a ready one."""
        found = self.places.first_from(queue.place + _pack_place(READY, 0, 0))
        assert found is not None
        number = found[1]
        task = self.get(queue, number)
        assert task is not None
        assert task.state == READY
        context = self._context
        token = context.holdings.grant(QUEUES, queue.name, holder)
        taken = msgspec.structs.replace(
            task,
            state=TAKEN,
            attempts=task.attempts + 1,
            due_ms=context.cluster_ms + lease_ms,
            token=token,
            session=holder,
            ticket=ticket,
        )
        self.change(queue, number, task, taken)
        return TakenTask(number, token, None, taken.attempts, task.priority)

    def with_payloads(self, taken: list[TakenTask]) -> list[TakenTask]:
        """Those that fit into one answer; the others are read."""
        left = self._context.settings.task_inline_bytes_max
        found: list[TakenTask] = []
        for one in taken:
            payload = self.payload(one.task)
            if len(payload) <= left:
                left -= len(payload)
                one = TakenTask(one.task, one.token, payload, one.attempts, one.priority)
            found.append(one)
        return found

    def put_back(self, queue: Queue, number: int, task: Task, failure: int, note: str, delay_ms: int = -1) -> Task:
        """What has failed: dead, or to be tried again after a back-off (or the delay)."""
        settings = queue.settings
        if task.attempts > settings.retries_max and queue.counts[DEAD] < settings.dead_max:
            back = _idle(task, DEAD, task.attempts, failure, note)
            self._context.emit((TASK_DIED, queue.name, encode(self.info(number, back)), 0, NO_SESSION, QUEUES))
        else:
            back = self._delayed(task, task.attempts, failure, note, backoff_ms(settings, task.attempts) if delay_ms < 0 else delay_ms)
        self.change(queue, number, task, back)
        return back

    def give_back(self, queue: Queue, number: int, task: Task, failure: int, note: str, delay_ms: int) -> Task:
        """What was not begun: the attempt does not count."""
        back = self._delayed(task, task.attempts - 1, failure, note, max(0, delay_ms))
        self.change(queue, number, task, back)
        return back

    def revive(self, queue: Queue, number: int, task: Task) -> None:
        self.change(queue, number, task, _idle(task, READY, 0, task.failure, task.note))

    def ripen(self, queue: Queue, number: int, task: Task) -> None:
        """Its delay is over."""
        self.change(queue, number, task, _idle(task, READY, task.attempts, task.failure, task.note))

    def prolong(self, queue: Queue, number: int, task: Task, due_ms: int) -> None:
        """Its token stays, and so does all else."""
        self.times.delete(_pack_time(task.due_ms, number))
        self.times.set(_pack_time(due_ms, number), queue.name)
        self.tasks.set(queue.place + _pack(number), msgspec.structs.replace(task, due_ms=due_ms))

    def payload(self, number: int) -> bytes:
        payload = self.payloads.get(_pack(number))
        assert payload is not None
        return payload

    def by_token(self, queue: Queue, token: Token) -> tuple[int, Task] | None:
        """The task that is taken under it."""
        number = self.places.get(queue.place + _pack_place(TAKEN, 0, token))
        if number is None:
            return None
        task = self.get(queue, number)
        assert task is not None
        return number, task

    def in_state(self, queue: Queue, state: int, after: bytes = b"") -> Iterator[tuple[bytes, int]]:
        """(where it stands in that state, its number), in order; nothing may change meanwhile."""
        start = queue.place + (after + b"\0" if after else bytes((state,)))
        skipped = len(queue.place)
        for key, number in self.places.scan(max(start, queue.place + bytes((state,))), queue.place + bytes((state + 1,))):
            yield key[skipped:], number

    def info(self, number: int, task: Task) -> TaskInfo:
        now_ms = self._context.shown_ms
        return TaskInfo(
            number,
            task.state,
            task.priority,
            task.attempts,
            task.size,
            now_ms - task.put_ms,
            max(0, task.due_ms - now_ms) if task.due_ms else 0,
            task.token,
            task.session,
            task.failure,
            task.note,
            task.key,
        )

    def tell_lost(self, queue: Queue, number: int, task: Task) -> None:
        """Its taker did not do it itself."""
        if task.session:
            self._context.notify(task.session, QUEUES, encode(TaskLost(queue.name, number, task.token)))

    def _delayed(self, task: Task, attempts: int, failure: int, note: str, delay_ms: int) -> Task:
        if not delay_ms:
            return _idle(task, READY, attempts, failure, note)
        return _idle(task, DELAYED, attempts, failure, note, self._context.cluster_ms + delay_ms)

    def _leave(self, queue: Queue, number: int, task: Task) -> None:
        self.places.delete(queue.place + _place(number, task))
        queue.counts[task.state] -= 1
        if task.due_ms:
            self.times.delete(_pack_time(task.due_ms, number))
        if task.state == TAKEN:
            self._context.holdings.revoke(task.token)
            if task.ticket:
                self.served.delete(queue.place + _pack_time(task.ticket, task.token))
            if task.session:
                self.unclaim(task.session, b"t" + _pack(number) + queue.name)

    def _enter(self, queue: Queue, number: int, task: Task) -> None:
        self.tasks.set(queue.place + _pack(number), task)
        self.places.set(queue.place + _place(number, task), number)
        queue.counts[task.state] += 1
        if task.due_ms:
            self.times.set(_pack_time(task.due_ms, number), queue.name)
        if task.state == TAKEN:
            if task.ticket:
                self.served.set(queue.place + _pack_time(task.ticket, task.token), number)
            if task.session:
                self.claim(task.session, b"t" + _pack(number) + queue.name)

    # --- the line of takers --------------------------------------------------------------------------------------------

    def stand_in_line(self, queue: Queue, waiter: Waiter) -> int:
        ticket = int(self._context.holdings.next_number())
        self.waiters.set(queue.place + _pack(ticket), waiter)
        self.claim(waiter.session, b"w" + _pack(ticket) + queue.name)
        self._context.scalars.state_bytes += len(queue.name) + WAITER_CHARGE_BYTES
        queue.waiting += 1
        return ticket

    def leave_line(self, queue: Queue, ticket: int, waiter: Waiter) -> None:
        self.waiters.delete(queue.place + _pack(ticket))
        self.unclaim(waiter.session, b"w" + _pack(ticket) + queue.name)
        self._context.scalars.state_bytes -= len(queue.name) + WAITER_CHARGE_BYTES
        queue.waiting -= 1

    def waiter(self, queue: Queue, ticket: int) -> Waiter | None:
        return self.waiters.get(queue.place + _pack(ticket))

    def given_to(self, queue: Queue, ticket: int) -> list[TakenTask]:
        """What the place in line was served with, as far as it is still held."""
        given: list[TakenTask] = []
        for _, number in self.served.scan(queue.place + _pack(ticket), queue.place + _pack(ticket + 1)):
            task = self.get(queue, number)
            assert task is not None
            given.append(TakenTask(number, task.token, None, task.attempts, task.priority))
        return self.with_payloads(given)

    def _serve_first(self, queue: Queue) -> None:
        found = self.waiters.first_from(queue.place)
        assert found is not None
        key, waiter = found
        ticket = int.from_bytes(key[len(queue.place) :], "big")
        self.leave_line(queue, ticket, waiter)
        lease_ms = waiter.lease_ms or queue.settings.lease_ms
        count = min(waiter.count, queue.counts[READY], self.room(waiter.holder))
        taken = [self.take_next(queue, waiter.holder, lease_ms, ticket) for _ in range(count)]
        given = TasksGiven(queue.name, ticket, self.with_payloads(taken), lease_ms)
        self._context.notify(waiter.session, QUEUES, encode(given))

    # --- what a session holds ------------------------------------------------------------------------------------------

    def room(self, session: SessionId) -> int:
        """How many tasks or places more it may have."""
        held_max = self._context.settings.session_tasks_max
        return held_max - (self.held.get(_pack(session)) or 0) if session else held_max

    def claim(self, session: SessionId, what: bytes) -> None:
        self._context.holdings.claim(session, QUEUES, what)
        self.held.set(_pack(session), (self.held.get(_pack(session)) or 0) + 1)

    def unclaim(self, session: SessionId, what: bytes) -> None:
        self._context.holdings.unclaim(session, QUEUES, what)
        count = (self.held.get(_pack(session)) or 0) - 1
        assert count >= 0
        if count:
            self.held.set(_pack(session), count)
        else:
            self.held.delete(_pack(session))

    # --- deduplication keys --------------------------------------------------------------------------------------------

    def find_key(self, queue: Queue, key: bytes) -> int | None:
        """The task that was put under it, while that is remembered."""
        found = self.keys.get(queue.place + key)
        return found.task if found is not None and found.until_ms > self._context.cluster_ms else None

    def keep_key(self, queue: Queue, key: bytes, number: int) -> None:
        old = self.keys.get(queue.place + key)
        if old is not None:
            self._forget_key(queue, key, old.until_ms)
        until_ms = self._context.cluster_ms + queue.settings.dedupe_ms
        self.keys.set(queue.place + key, StoredKey(number, until_ms))
        self.key_times.set(queue.place + _pack(until_ms) + key, 1)
        self._context.scalars.state_bytes += key_charge(queue.name, key)
        queue.keys += 1

    def forget_keys(self, queue: Queue, count: int, up_to_ms: int) -> None:
        """The oldest ones, of those remembered until then at most."""
        for _ in range(min(count, queue.keys)):
            found = self.key_times.first_from(queue.place)
            assert found is not None
            until_ms = int.from_bytes(found[0][len(queue.place) : len(queue.place) + 8], "big")
            if until_ms > up_to_ms:
                return
            self._forget_key(queue, found[0][len(queue.place) + 8 :], until_ms)

    def _forget_key(self, queue: Queue, key: bytes, until_ms: int) -> None:
        self.keys.delete(queue.place + key)
        self.key_times.delete(queue.place + _pack(until_ms) + key)
        self._context.scalars.state_bytes -= key_charge(queue.name, key)
        queue.keys -= 1


def _place(number: int, task: Task) -> bytes:
    if task.state == TAKEN:
        return _pack_place(TAKEN, 0, task.token)
    return _pack_place(task.state, PRIORITY_MAX - task.priority if task.state == READY else 0, number)


def _idle(task: Task, state: int, attempts: int, failure: int, note: str, due_ms: int = 0) -> Task:
    """Nobody's."""
    return Task(state, task.priority, attempts, task.size, task.put_ms, task.key, due_ms, failure=failure, note=note)


def backoff_ms(settings: QueueSettings, attempts: int) -> int:
    return min(settings.backoff_ms_max, settings.backoff_ms << min(attempts - 1, 40))


def queue_charge(name: bytes) -> int:
    return len(name) + QUEUE_CHARGE_BYTES


def task_charge(name: bytes, task: Task) -> int:
    return task.size + 3 * len(name) + len(task.key) + len(task.note) + TASK_CHARGE_BYTES


def key_charge(name: bytes, key: bytes) -> int:
    return 2 * (len(name) + len(key)) + KEY_CHARGE_BYTES
