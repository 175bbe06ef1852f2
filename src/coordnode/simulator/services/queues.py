"""Queues: puts of all kinds into two of them, takers with and without sessions, slow ones, failing ones, and those that wait in line."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from coordnode.checking import shown
from coordnode.checking.queue_ledger import Asked, Counts, Given, QueueLedger, Rules
from coordnode.client.actions import Finished
from coordnode.ids import Token
from coordnode.services.commands import (
    NOTICES,
    QUEUES,
    AckTask,
    ClientOperation,
    Command,
    ConfigureQueue,
    DeleteQueue,
    Done,
    ExtendTask,
    Failure,
    GetQueue,
    GetTask,
    ListQueues,
    ListTasks,
    NackTask,
    PurgeTasks,
    PutTask,
    QueueInfo,
    QueuePage,
    QueueSettings,
    QueueView,
    ReadOperation,
    RedriveTasks,
    Result,
    StopTaking,
    TakenTask,
    TakeTasks,
    TaskExtended,
    TaskInfo,
    TaskPage,
    TaskPut,
    TaskReturned,
    TasksGiven,
    TasksTaken,
    TaskView,
    Wake,
    decode_notice,
)
from coordnode.simulator import marks
from coordnode.simulator.client import SimClient
from coordnode.simulator.reference import EventRow
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Words, other, other_read

NAMES = (b"mail", b"jobs")
KEYS = 12
DELAYS_MS = (0, 0, 0, 50, 700)
LEASES_MS = (0, 0, 200, 2_500)
REMEMBERED_MAX = 40
LEASE_MS_MAX = 1_000  # of queues that are configured: they must come to rest once the faults stop


def rules_of(settings: QueueSettings) -> Rules:
    return Rules(
        settings.lease_ms,
        settings.retries_max,
        settings.backoff_ms,
        settings.backoff_ms_max,
        settings.dead_max,
        settings.tasks_max,
        settings.bytes_max,
        settings.dedupe_ms,
    )


USUAL = rules_of(QueueSettings())


def _counts(info: QueueInfo) -> Counts:
    return info.ready, info.delayed, info.taken, info.dead, info.waiting, info.size


def _task(info: TaskInfo) -> tuple[object, ...]:
    return info.task, info.state, info.priority, info.attempts, info.size, int(info.token), int(info.session), info.key


def given_of(tasks: Sequence[TakenTask]) -> list[Given]:
    return [Given(task.task, int(task.token), task.payload, task.attempts, task.priority) for task in tasks]


class SimQueues(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {
        ConfigureQueue: other("configure"),
        PutTask: other("put-task"),
        TakeTasks: other("take"),
        StopTaking: other("stop-taking"),
        ExtendTask: other("extend"),
        AckTask: other("ack"),
        NackTask: other("nack"),
        RedriveTasks: other("redrive"),
        PurgeTasks: other("purge"),
        DeleteQueue: other("delete-queue"),
        GetQueue: other_read("queue"),
        ListQueues: other_read("queues"),
        ListTasks: other_read("tasks"),
        GetTask: other_read("task"),
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._chance = stage.chance
        self._ledger = QueueLedger()
        self._known: list[tuple[bytes, Token]] = []  # tokens that were given lately, stale ones among them
        self._tickets: list[tuple[bytes, int]] = []
        self._reads: dict[tuple[int, int], ReadOperation] = {}  # by client and call

    def steps(self) -> Mapping[Step, int]:
        return {
            self._put: 7,
            self._take: 5,
            self._wait: 3,
            self._finish: 7,
            self._stop: 1,
            self._configure: 1,
            self._tidy: 1,
            self._read: 2,
        }

    # --- what clients ask --------------------------------------------------------------------------------------------

    def _pick(self, count: int) -> int:
        return int(self._chance.random() * count)

    def _name(self) -> bytes:
        return NAMES[self._pick(len(NAMES))]

    def _put(self, client: SimClient) -> None:
        key = b"key-%d" % self._pick(KEYS) if self._chance.random() < 0.3 else b""
        delay_ms = DELAYS_MS[self._pick(len(DELAYS_MS))]
        operation = PutTask(self._name(), self.stage.new_value(client)[:40], self._pick(4) - 1, delay_ms, key)
        self.stage.write(client, operation)

    def _take(self, client: SimClient) -> None:
        lease_ms = LEASES_MS[self._pick(len(LEASES_MS))]
        self.stage.write(client, TakeTasks(self._name(), 1 + self._pick(3), False, self._chance.random() < 0.3, lease_ms))

    def _wait(self, client: SimClient) -> None:
        session = self.stage.usable_session(client)
        if session:
            operation = TakeTasks(self._name(), 1 + self._pick(2), True, self._chance.random() < 0.2, LEASES_MS[self._pick(len(LEASES_MS))])
            self.stage.call(client, operation, session=session)

    def _finish(self, client: SimClient) -> None:
        """Mostly with a token that was given lately; whoever names it may do this."""
        if not self._known:
            return
        name, token = self._known[-1 - self._pick(min(8, len(self._known)))]
        draw = self._chance.random()
        operation: ClientOperation
        if draw < 0.5:
            operation = AckTask(name, token)
        elif draw < 0.75:
            operation = NackTask(name, token, -1 if draw < 0.7 else 30, "no", self._chance.random() < 0.8)
        else:
            operation = ExtendTask(name, token, LEASES_MS[self._pick(len(LEASES_MS))])
        self.stage.write(client, operation)

    def _stop(self, client: SimClient) -> None:
        if self._tickets:
            name, ticket = self._tickets[-1 - self._pick(min(8, len(self._tickets)))]
            self.stage.write(client, StopTaking(name, ticket))

    def _configure(self, client: SimClient) -> None:
        settings = QueueSettings(
            lease_ms=(300, LEASE_MS_MAX)[self._pick(2)],
            retries_max=self._pick(3),
            backoff_ms=(0, 100, 400)[self._pick(3)],
            backoff_ms_max=600,
            dead_max=(3, 1_000)[self._pick(2)],
            tasks_max=(12, 1_000)[self._pick(2)],
            bytes_max=100_000,
            dedupe_ms=(0, 800, 5_000)[self._pick(3)],
        )
        self.stage.write(client, ConfigureQueue(self._name(), settings))

    def _tidy(self, client: SimClient) -> None:
        name = self._name()
        redrive = RedriveTasks(name, 0, 1 + self._pick(3))
        choices: tuple[ClientOperation, ...] = (redrive, redrive, PurgeTasks(name, self._pick(2) == 0, 2), DeleteQueue(name))
        self.stage.write(client, choices[self._pick(len(choices))])

    def _read(self, client: SimClient) -> None:
        name = self._name()
        if self._chance.random() < 0.7:
            operation: ReadOperation = GetQueue(name)
        elif self._pick(2):
            operation = ListTasks(name, 1 + self._pick(4))
        else:
            numbers = self._ledger.numbers(name)
            operation = GetTask(name, numbers[self._pick(len(numbers))]) if numbers and self._pick(2) else ListQueues()
        self._reads[client.number, self.stage.call(client, operation, stale=self._chance.random() < 0.3)] = operation

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        operation = self._reads.pop((client.number, finished.call), None)
        result = finished.result
        if isinstance(operation, GetQueue) and isinstance(result, QueueView):
            self._ledger.shown(operation.queue, finished.index, _counts(result.queue))
        if operation is None or not self.stage.recording.is_newest(finished.index):
            return
        if isinstance(operation, ListQueues) and isinstance(result, QueuePage):
            listed = (tuple([(each.name, _counts(each), rules_of(each.settings)) for each in result.queues]), result.more)
            shown.must_be("the list of queues", listed, shown.queues(self._ledger))
        elif isinstance(operation, ListTasks) and isinstance(result, TaskPage):
            tasks = (tuple([_task(each) for each in result.tasks]), result.more)
            what = f"tasks of {operation.queue!r} in state {operation.state}"
            shown.must_be(what, tasks, shown.tasks(self._ledger, operation.queue, operation.state))
            self._check_times(operation.queue, result.tasks)
        elif isinstance(operation, GetTask) and isinstance(result, TaskView):
            seen = (_task(result.task), result.payload)
            shown.must_be(f"task {operation.task} of {operation.queue!r}", seen, shown.task(self._ledger, operation.queue, operation.task))
            self._check_times(operation.queue, [result.task])

    def _check_times(self, name: bytes, tasks: Sequence[TaskInfo]) -> None:
        times = [pair for one in tasks for pair in shown.task_times(self._ledger, name, one.task, one.age_ms, one.due_ms)]
        shown.times_must_agree(f"how old tasks of {name!r} are", times, *self.stage.recording.read_between_ms())

    def tokens(self) -> list[tuple[bytes, int]]:
        return self._ledger.tokens()

    def why_not_quiet(self, client: SimClient) -> str:
        return self._ledger.unsettled(max(LEASES_MS))

    # --- what must have happened -------------------------------------------------------------------------------------

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        ledger = self._ledger
        ledger.begin(place[0], cluster_ms)
        operation = command.operation
        session = int(command.session)
        if isinstance(operation, Wake):
            ledger.woken(1_000)
        elif type(operation) not in self.WORDS:
            return
        elif isinstance(result, Failure):
            token = getattr(operation, "token", 0)
            ledger.refused(operation.queue, result.code, int(token), bool(getattr(operation, "key", b"")))  # type: ignore[union-attr]
        else:
            self._on_answer(session, operation, result)

    def _on_answer(self, session: int, operation: object, result: Result) -> None:
        ledger = self._ledger
        match operation, result:
            case PutTask(), TaskPut():
                about = (operation.payload, operation.priority, operation.delay_ms, operation.key)
                ledger.put(operation.queue, USUAL, *about, result.task, result.is_new)
                if not result.is_new:
                    self.stage.marks.reach(marks.TASK_PUT_AGAIN)
            case TakeTasks(), TasksTaken():
                asked = Asked(operation.count, operation.wait, operation.detached, operation.lease_ms)
                ledger.taken(operation.queue, USUAL, session, asked, given_of(result.tasks), result.ticket)
                self._remember(operation.queue, result.tasks)
                if result.ticket:
                    self._tickets = [*self._tickets[-REMEMBERED_MAX:], (operation.queue, result.ticket)]
            case StopTaking(), TasksTaken():
                ledger.stopped(operation.queue, operation.ticket, given_of(result.tasks))
            case ExtendTask(), TaskExtended():
                ledger.extended(operation.queue, int(operation.token), result.lease_ms, operation.lease_ms)
            case AckTask(), Done():
                ledger.acknowledged(operation.queue, int(operation.token), session)
                self.stage.marks.reach(marks.TASK_DONE)
            case NackTask(), TaskReturned():
                asked_back = (operation.delay_ms, operation.begun)
                ledger.returned(operation.queue, int(operation.token), session, asked_back, result.state, result.delay_ms)
            case ConfigureQueue(), Done():
                ledger.configured(operation.queue, rules_of(operation.settings), result.changed)
            case RedriveTasks(), Done():
                ledger.redriven(operation.queue, operation.task, operation.limit, result.changed)
                if result.changed:
                    self.stage.marks.reach(marks.TASK_REDRIVEN)
            case PurgeTasks(), Done():
                ledger.purged(operation.queue, operation.dead, operation.limit, result.changed, result.more)
            case DeleteQueue(), Done():
                ledger.deleted(operation.queue, result.changed, result.more)

    def on_session_end(self, session: int, cluster_ms: int) -> bool:
        return self._ledger.ended(session)

    def on_changes(self, changes: Sequence[tuple[int, Sequence[EventRow]]]) -> None:
        for _, rows in changes:
            for row in rows:
                if row[5] != NOTICES or row[0] != QUEUES:
                    continue
                notice = decode_notice(row[2])
                session = int.from_bytes(row[1], "big")
                if isinstance(notice, TasksGiven):
                    self._ledger.told(session, notice.ticket, given_of(notice.tasks))
                    self._remember(notice.queue, notice.tasks)
                    self.stage.marks.reach(marks.TASK_GIVEN_IN_LINE)
                else:
                    self._ledger.told_lost(session, notice.task, int(notice.token))  # type: ignore[union-attr]
                    self.stage.marks.reach(marks.TASK_LOST)

    def _remember(self, name: bytes, tasks: Sequence[TakenTask]) -> None:
        self._known = [*self._known[-REMEMBERED_MAX:], *[(name, task.token) for task in tasks]]
