"""What every queue must have done, kept in the order of the log beside the code that does it: plain lists, walked from end to end. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from coordnode.errors import PromiseBroken

READY, DELAYED, TAKEN, DEAD = 1, 2, 3, 4
NACKED, LEASE_ENDED, SESSION_ENDED, GIVEN_BACK = 1, 2, 3, 4
NOT_HELD, MISSING, FULL = 31, 33, 35
PASSED_OVER = (20, 53)  # the session was over, or the command too old: nothing was carried out

UNKNOWN_TOKEN = -1  # given by a notice that is not told yet

Counts = tuple[int, int, int, int, int, int]  # ready, delayed, taken, dead, waiting, bytes


class Given(NamedTuple):
    """One task in an answer or a notice."""

    task: int
    token: int
    payload: bytes | None
    attempts: int
    priority: int


class Asked(NamedTuple):
    """Of a take."""

    most: int
    wait: bool
    detached: bool
    lease_ms: int


class Rules(NamedTuple):
    """A queue's settings."""

    lease_ms: int
    retries_max: int
    backoff_ms: int
    backoff_ms_max: int
    dead_max: int
    tasks_max: int
    bytes_max: int
    dedupe_ms: int


class _Task:
    def __init__(self, number: int, payload: bytes, priority: int, key: bytes, put_ms: int) -> None:
        self.number = number
        self.payload = payload
        self.priority = priority
        self.key = key
        self.put_ms = put_ms
        self.attempts = 0
        self.state = READY
        self.due_ms = 0
        self.wait_ms = 0  # how long its lease or delay was, when it began
        self.token = 0
        self.session = 0
        self.ticket = 0


class _Waiter(NamedTuple):
    session: int
    holder: int
    most: int
    lease_ms: int


class _Queue:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.tasks: dict[int, _Task] = {}  # in the order of their puts
        self.waiters: dict[int, _Waiter] = {}  # by ticket, in order
        self.keys: dict[bytes, tuple[int, int]] = {}  # (task, until when)
        self.told: list[tuple[int, Counts]] = []  # (index, as it was from there on)

    def state(self, state: int) -> list[_Task]:
        found = [task for task in self.tasks.values() if task.state == state]
        return sorted(found, key=lambda task: (-task.priority, task.number)) if state == READY else found

    def live(self) -> int:
        return len(self.tasks) - len(self.state(DEAD))

    def size(self) -> int:
        return sum(len(task.payload) for task in self.tasks.values())

    def counts(self) -> Counts:
        ready, delayed, taken, dead = (len(self.state(state)) for state in (READY, DELAYED, TAKEN, DEAD))
        return ready, delayed, taken, dead, len(self.waiters), self.size()


class QueueLedger:
    """Each method is told what one command was answered; `begin` before each command, `notices` where sessions were told something."""

    def __init__(self) -> None:
        self.queues: dict[bytes, _Queue] = {}
        self._now_ms = 0
        self._index = 0
        self._newest_token = 0
        self._expected: dict[int, tuple[_Queue, int, list[_Task]]] = {}  # by ticket: who must be told in this command, and of what
        self._lost: list[tuple[int, int, int]] = []  # (session, task, token) likewise
        self._touched: dict[bytes, None] = {}

    def begin(self, index: int, now_ms: int) -> None:
        if self._expected or self._lost:
            sentence = "takers in line were served, or tasks were lost, and their sessions were not told"
            raise PromiseBroken("queue-told-once", sentence, (list(self._expected), self._lost))
        for name in self._touched:
            queue = self.queues.get(name)
            if queue is not None:
                queue.told.append((self._index, queue.counts()))
        self._touched = {}
        self._index, self._now_ms = index, now_ms

    # --- what was answered -------------------------------------------------------------------------------------------------

    def configured(self, name: bytes, rules: Rules, changed: int) -> None:
        queue = self.queues.get(name)
        if changed != (queue is None or queue.rules != rules):
            raise PromiseBroken("queue-kept", f"configuring {name!r} is said to have changed {changed}", (name, rules))
        self._queue(name, rules).rules = rules

    def deleted(self, name: bytes, changed: int, more: bool) -> None:
        queue = self.queues.get(name)
        if queue is not None and (queue.tasks or queue.waiters):
            raise PromiseBroken("queue-kept", f"{name!r} was deleted with {len(queue.tasks)} tasks in it", queue.counts())
        if not more:
            self.queues.pop(name, None)

    def put(self, name: bytes, usual: Rules, payload: bytes, priority: int, delay_ms: int, key: bytes, number: int, is_new: bool) -> None:
        queue = self._queue(name, usual)
        known = queue.keys.get(key) if key and queue.rules.dedupe_ms else None
        if known is not None and known[1] > self._now_ms:
            if is_new or number != known[0]:
                sentence = f"key {key!r} of {name!r} was put as task {known[0]} and is remembered until {known[1]} ms, now made {number}"
                raise PromiseBroken("queue-put-once", sentence, (key, known, self._now_ms))
            return
        if not is_new or number in queue.tasks:
            raise PromiseBroken("queue-put-once", f"a put into {name!r} was answered with {number}, which is another's", (key, known))
        if any(number <= other for other in queue.tasks):
            raise PromiseBroken("queue-order", f"task {number} of {name!r} is put after one with a higher number", list(queue.tasks))
        if queue.live() >= queue.rules.tasks_max or queue.size() + len(payload) > queue.rules.bytes_max:
            raise PromiseBroken("queue-bounded", f"{name!r} takes in more than it may", (queue.rules, queue.counts()))
        task = queue.tasks[number] = _Task(number, payload, priority, key, self._now_ms)
        if delay_ms:
            task.state = DELAYED
            self._wait(task, delay_ms)
        if key and queue.rules.dedupe_ms:
            queue.keys[key] = (number, self._now_ms + queue.rules.dedupe_ms)
        self._serve(name)

    def taken(self, name: bytes, usual: Rules, session: int, asked: Asked, given: Sequence[Given], ticket: int) -> None:
        count, wait, detached, lease_ms = asked
        queue = self._queue(name, usual)
        holder = 0 if detached else session
        self._must_be_next(name, queue, queue.state(READY)[:count], given)
        for one in given:
            self._give(queue, queue.tasks[one.task], holder, lease_ms or queue.rules.lease_ms, 0)
            self._learn(queue.tasks[one.task], one)
        if bool(ticket) != (wait and not given):
            raise PromiseBroken("queue-told-once", f"a taker of {name!r} got {len(given)} tasks and ticket {ticket}", (asked, given))
        if ticket:
            queue.waiters[ticket] = _Waiter(session, holder, count, lease_ms)

    def stopped(self, name: bytes, ticket: int, given: Sequence[Given]) -> None:
        queue = self._queue(name)
        held = [task for task in queue.tasks.values() if task.state == TAKEN and task.ticket == ticket]
        queue.waiters.pop(ticket, None)
        told = sorted([(one.task, one.token) for one in given])
        if told != sorted([(task.number, task.token) for task in held]):
            raise PromiseBroken("queue-told-once", f"ticket {ticket} of {name!r} holds other tasks than its taker was told", (told, held))

    def extended(self, name: bytes, token: int, lease_ms: int, asked_ms: int) -> None:
        queue, task = self._held(name, token)
        if lease_ms != (asked_ms or queue.rules.lease_ms):
            raise PromiseBroken("queue-kept", f"a lease of {name!r} was extended by {lease_ms} ms", (asked_ms, queue.rules))
        self._wait(task, lease_ms)

    def acknowledged(self, name: bytes, token: int, session: int) -> None:
        queue, task = self._held(name, token)
        self._taken_away(task, session)
        del queue.tasks[task.number]

    def returned(self, name: bytes, token: int, session: int, asked: tuple[int, bool], state: int, delay_ms: int) -> None:
        """`asked`: delay_ms, begun."""
        queue, task = self._held(name, token)
        self._taken_away(task, session)
        if asked[1]:
            self._fail(queue, task, asked[0])
        else:
            task.attempts -= 1
            self._idle(task, max(0, asked[0]))
        if (state, delay_ms) != (task.state, task.due_ms - self._now_ms if task.due_ms else 0):
            sentence = f"task {task.number} of {name!r} was returned after {task.attempts} attempts: state {state} for {delay_ms} ms"
            raise PromiseBroken("queue-retries", sentence, (task.state, task.due_ms, self._now_ms, queue.rules))
        self._serve(name)

    def redriven(self, name: bytes, number: int, limit: int, changed: int) -> None:
        queue = self._queue(name)
        dead = [task for task in queue.state(DEAD) if not number or task.number == number][:limit]
        dead = dead[: max(0, queue.rules.tasks_max - queue.live())]
        if changed != len(dead):
            raise PromiseBroken("queue-dead-letters", f"{changed} of {name!r} are redriven, {len(dead)} were dead", (number, limit))
        for task in dead:
            task.state, task.attempts = READY, 0
        self._serve(name)

    def purged(self, name: bytes, dead: bool, limit: int, changed: int, more: bool) -> None:
        queue = self._queue(name)
        found = queue.state(DEAD) if dead else [*queue.state(READY), *queue.state(DELAYED)]
        if (changed, more) != (len(found[:limit]), len(found) > limit):
            raise PromiseBroken("queue-kept", f"{changed} of {name!r} are purged, there were {len(found)}", (dead, limit, more))
        for task in found[:limit]:
            del queue.tasks[task.number]

    def refused(self, name: bytes, code: int, token: int, has_key: bool) -> None:
        """`token` 0: the operation named none."""
        queue = self.queues.get(name)
        if code in PASSED_OVER:
            return
        held = queue is not None and token and any(task.token == token for task in queue.state(TAKEN))
        if code == NOT_HELD and held:
            raise PromiseBroken("queue-one-holder", f"token {token} of {name!r} is refused, and it holds a task", (name, token))
        if code == MISSING and queue is not None and not token:
            raise PromiseBroken("queue-kept", f"{name!r} is said to be missing", queue.counts())
        if code != FULL or queue is None or has_key:
            return
        rules = queue.rules
        if queue.live() < rules.tasks_max // 2 and queue.size() < rules.bytes_max // 2:
            raise PromiseBroken("queue-bounded", f"{name!r} is said to be full", (rules, queue.counts()))

    # --- what time and sessions bring ----------------------------------------------------------------------------------------

    def woken(self, items_max: int) -> None:
        due = [
            (task.due_ms, task.number, name)
            for name, queue in self.queues.items()
            for task in queue.tasks.values()
            if task.due_ms and task.due_ms <= self._now_ms
        ]
        names: dict[bytes, None] = {}
        for _, number, name in sorted(due)[:items_max]:
            queue = self.queues[name]
            task = queue.tasks[number]
            names[name] = None
            if task.state == TAKEN:
                self._taken_away(task, 0)
                self._fail(queue, task, -1)
            else:
                self._idle(task, 0)
        for name in names:
            self._serve(name)

    def ended(self, session: int) -> bool:
        """Whether watches must be told."""
        names: dict[bytes, None] = {}
        died = 0
        for name, queue in self.queues.items():
            for ticket in [ticket for ticket, waiter in queue.waiters.items() if waiter.session == session]:
                del queue.waiters[ticket]
                self._touched[name] = None
            for task in [task for task in queue.state(TAKEN) if task.session == session]:
                names[name] = None
                self._fail(queue, task, -1)
                died += task.state == DEAD
        before = len(self._expected)
        for name in names:
            self._serve(name)
        return died > 0 or len(self._expected) > before

    def told(self, session: int, ticket: int, given: Sequence[Given]) -> None:
        """A notice: the line was served."""
        if ticket not in self._expected:
            raise PromiseBroken("queue-told-once", f"session {session} is told of tasks that nobody owes ticket {ticket}", list(given))
        queue, wanted, tasks = self._expected.pop(ticket)
        if wanted != session:
            raise PromiseBroken("queue-told-once", f"session {session} is told what session {wanted} waited for", list(given))
        self._must_be(queue, tasks, given)
        for task, one in zip(tasks, given, strict=True):
            self._learn(task, one)

    def told_lost(self, session: int, number: int, token: int) -> None:
        if (session, number, token) not in self._lost:
            raise PromiseBroken("queue-told-once", f"session {session} is told that it lost task {number}, and it did not", self._lost)
        self._lost.remove((session, number, token))

    # --- what is read ---------------------------------------------------------------------------------------------------------

    def shown(self, name: bytes, index: int, counts: Counts) -> None:
        """As it was once all of the entry at `index` was applied."""
        queue = self.queues.get(name)
        if queue is None or name in self._touched:
            return
        at = bisect_right(queue.told, index, key=lambda told: told[0]) - 1
        if at >= 0 and queue.told[at][1] != counts:
            raise PromiseBroken("queue-kept", f"{name!r} shows {counts} at {index}", queue.told[at])

    def unsettled(self, wait_ms_max: int) -> str:
        """What time has not brought back yet, in words; empty: nothing is taken or delayed. Tasks with a longer lease or delay are left
        out, whatever the rules of their queue are now."""
        for name, queue in self.queues.items():
            for task in queue.tasks.values():
                if task.due_ms and task.wait_ms <= wait_ms_max:
                    return f"task {task.number} of queue {name!r} waits since {self._now_ms} ms for {task.due_ms} ms"
        return ""

    def numbers(self, name: bytes) -> list[int]:
        queue = self.queues.get(name)
        return list(queue.tasks) if queue is not None else []

    def tokens(self) -> list[tuple[bytes, int]]:
        return [(name, task.token) for name, queue in self.queues.items() for task in queue.tasks.values() if task.state == TAKEN]

    def _wait(self, task: _Task, wait_ms: int) -> None:
        task.wait_ms = wait_ms
        task.due_ms = self._now_ms + wait_ms if wait_ms else 0

    # --- in common -------------------------------------------------------------------------------------------------------------

    def _queue(self, name: bytes, rules: Rules | None = None) -> _Queue:
        self._touched[name] = None
        queue = self.queues.get(name)
        if queue is None:
            if rules is None:
                raise PromiseBroken("queue-kept", f"there is no queue {name!r}, and it was answered for", name)
            queue = self.queues[name] = _Queue(rules)
        return queue

    def _held(self, name: bytes, token: int) -> tuple[_Queue, _Task]:
        queue = self._queue(name)
        for task in queue.state(TAKEN):
            if task.token == token:
                return queue, task
        raise PromiseBroken("queue-one-holder", f"token {token} holds nothing in {name!r}, and it was accepted", (name, token))

    def _must_be_next(self, name: bytes, queue: _Queue, tasks: Sequence[_Task], given: Sequence[Given]) -> None:
        if len(given) < len(tasks):
            raise PromiseBroken("queue-none-lost", f"{name!r} gives {len(given)} tasks, {len(tasks)} are ready for it", queue.counts())
        self._must_be(queue, tasks, given)

    def _must_be(self, queue: _Queue, tasks: Sequence[_Task], given: Sequence[Given]) -> None:
        for one in given:
            task = queue.tasks.get(one.task)
            if task is None:
                raise PromiseBroken("queue-one-holder", f"task {one.task} is given, and it is done, or never was put", one)
            if task.state == DELAYED:
                raise PromiseBroken("queue-never-early", f"task {one.task} is given at {self._now_ms} ms, before {task.due_ms} ms", one)
            if task.state == TAKEN and task not in tasks:
                raise PromiseBroken("queue-one-holder", f"task {one.task} is given under {one.token} while {task.token} holds it", one)
            if task.state == DEAD:
                raise PromiseBroken("queue-dead-letters", f"task {one.task} is given, and it is dead", one)
        if [one.task for one in given] != [task.number for task in tasks]:
            wanted = [task.number for task in tasks]
            raise PromiseBroken("queue-order", f"tasks {[one.task for one in given]} are given, {wanted} are next", given)

    def _learn(self, task: _Task, one: Given) -> None:
        """The answer told what only it knows: the token."""
        if one.token <= self._newest_token:
            sentence = f"token {one.token} of task {one.task} is not above {self._newest_token}"
            raise PromiseBroken("queue-one-holder", sentence, (one.token, self._newest_token))
        self._newest_token = one.token
        if task.token == UNKNOWN_TOKEN:
            task.token = one.token
            if task.attempts != one.attempts or task.priority != one.priority:
                sentence = f"task {one.task} is given with {one.attempts} attempts, {task.attempts} were made"
                raise PromiseBroken("queue-retries", sentence, (task.attempts, task.priority, one))
        if one.payload is not None and one.payload != task.payload:
            raise PromiseBroken("queue-kept", f"task {one.task} is given with another payload than it was put with", one)

    def _give(self, queue: _Queue, task: _Task, holder: int, lease_ms: int, ticket: int) -> None:
        task.state, task.token, task.session, task.ticket = TAKEN, UNKNOWN_TOKEN, holder, ticket
        task.attempts += 1
        self._wait(task, lease_ms)

    def _serve(self, name: bytes) -> None:
        queue = self._queue(name)
        while queue.waiters and (ready := queue.state(READY)):
            ticket, waiter = next(iter(queue.waiters.items()))
            del queue.waiters[ticket]
            for task in ready[: waiter.most]:
                self._give(queue, task, waiter.holder, waiter.lease_ms or queue.rules.lease_ms, ticket)
            self._expected[ticket] = (queue, waiter.session, ready[: waiter.most])

    def _fail(self, queue: _Queue, task: _Task, delay_ms: int) -> None:
        rules = queue.rules
        if task.attempts > rules.retries_max and len(queue.state(DEAD)) < rules.dead_max:
            self._idle(task, 0)
            task.state = DEAD
            return
        backoff_ms = rules.backoff_ms
        for _ in range(min(task.attempts - 1, 40)):
            backoff_ms *= 2
        self._idle(task, min(rules.backoff_ms_max, backoff_ms) if delay_ms < 0 else delay_ms)

    def _idle(self, task: _Task, delay_ms: int) -> None:
        task.state = DELAYED if delay_ms else READY
        self._wait(task, delay_ms)
        task.token = task.session = task.ticket = 0

    def _taken_away(self, task: _Task, by: int) -> None:
        if task.session and task.session != by:
            self._lost.append((task.session, task.number, task.token))
