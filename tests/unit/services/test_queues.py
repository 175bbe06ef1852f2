"""Queues: order, leases, retries with back-off, dead letters, deduplication, takers in line; bounded, and clean when empty."""

from typing import TypeVar

import pytest

from coordnode.errors import BadRequest, Busy, CoordError, Full, Missing, NotHeld, StateFull, TooLarge
from coordnode.ids import SessionId, Token
from coordnode.services.commands import (
    DEAD,
    DELAYED,
    EQUAL,
    LEASE_ENDED,
    NACKED,
    NOTICES,
    QUEUES,
    READY,
    SESSION_ENDED,
    TAKEN,
    TASK_DIED,
    TOKEN,
    AckTask,
    CloseSession,
    Compare,
    ConfigureQueue,
    DeleteQueue,
    Done,
    Event,
    Expire,
    ExtendTask,
    Failure,
    GetQueue,
    GetTask,
    ListQueues,
    ListTasks,
    NackTask,
    Notice,
    Operation,
    PurgeTasks,
    Put,
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
    TaskInfo,
    TaskLost,
    TaskPage,
    TaskPut,
    TaskReturned,
    TasksGiven,
    TasksTaken,
    TaskView,
    Transaction,
    TransactionDone,
    Wake,
    decode_notice,
    decode_result,
)

from .driven import Driven, alone, in_session, opening

R = TypeVar("R", bound=Result)


class Scene(Driven):
    """A driven machine with words for queues. Each session counts its own sequences."""

    def __init__(self, sessions: int = 0, **settings: int) -> None:
        super().__init__(**settings)
        self._sequences = dict.fromkeys(range(1, sessions + 1), 0)
        for number in self._sequences:
            self.apply(opening(number))

    def told(self, kind: type[R], operation: Operation, session: int = 0) -> R:
        if session:
            self._sequences[session] += 1
            result = self.one(in_session(session, self._sequences[session], operation))
        else:
            result = self.one(alone(operation))
        assert isinstance(result, kind), result
        return result

    def refused(self, kind: type[CoordError], operation: Operation, session: int = 0) -> str:
        before = self.machine.dump()
        applied, cluster_ms = self.machine.scalars.applied, self.machine.scalars.cluster_ms
        failure = self.told(Failure, operation, session)
        assert failure.code == kind.code, failure
        if not session:  # else its reply is kept
            self.machine.scalars.applied, self.machine.scalars.cluster_ms = applied, cluster_ms
            assert self.machine.dump() == before, "a refusal changed something"
            self.machine.scalars.applied += 1
        return failure.sentence

    def put(self, payload: str = "", queue: bytes = b"q", **other: object) -> int:
        return self.told(TaskPut, PutTask(queue, payload.encode(), **other)).task  # type: ignore[arg-type]

    def take(self, count: int = 1, session: int = 0, queue: bytes = b"q", **other: bool) -> list[TakenTask]:
        return self.told(TasksTaken, TakeTasks(queue, count, **other), session).tasks

    def payloads(self, count: int = 100) -> list[bytes | None]:
        return [task.payload for task in self.take(count)]

    def wait(self, session: int, count: int = 1, queue: bytes = b"q") -> int:
        taken = self.told(TasksTaken, TakeTasks(queue, count, True), session)
        assert not taken.tasks
        return taken.ticket

    def wake(self, at_ms: int) -> None:
        self.cluster_ms = at_ms
        self.told(Done, Wake())

    def read(self, operation: ReadOperation) -> Result:
        return decode_result(self.machine.read(operation))

    def info(self, queue: bytes = b"q") -> QueueInfo:
        view = self.read(GetQueue(queue))
        assert isinstance(view, QueueView), view
        return view.queue

    def counts(self) -> tuple[int, int, int, int]:
        info = self.info()
        return info.ready, info.delayed, info.taken, info.dead

    def task(self, number: int, queue: bytes = b"q") -> TaskInfo:
        view = self.read(GetTask(queue, number))
        assert isinstance(view, TaskView), view
        return view.task

    def events(self, after: int = 0) -> list[Event]:
        machine = self.machine
        return [event for change in machine.changes(after, machine.revision) for event in change.events]  # type: ignore[arg-type]

    def notices(self, session: int, after: int = 0) -> list[Notice]:
        told = [event for event in self.events(after) if event.space == NOTICES and int.from_bytes(event.key, "big") == session]
        assert all(event.kind == QUEUES for event in told)
        return [decode_notice(event.value) for event in told]

    def given(self, session: int, after: int = 0) -> list[TasksGiven]:
        return [notice for notice in self.notices(session, after) if isinstance(notice, TasksGiven)]


def test_higher_priorities_first_and_in_one_priority_the_first_put() -> None:
    scene = Scene()
    for payload, priority in (("c", 0), ("a", 5), ("e", -128), ("d", 0), ("b", 5), ("top", 127)):
        scene.put(payload, priority=priority)
    assert scene.payloads() == [b"top", b"a", b"b", b"c", b"d", b"e"]


def test_a_returned_task_keeps_its_place() -> None:
    scene = Scene()
    for payload in ("a", "b"):
        scene.put(payload)
    (task,) = scene.take()
    assert scene.told(TaskReturned, NackTask(b"q", task.token, 0)) == TaskReturned(1, READY, 0)
    assert scene.payloads() == [b"a", b"b"]


def test_each_take_has_a_higher_token_and_only_the_newest_counts() -> None:
    scene = Scene()
    number = scene.put("work")
    (first,) = scene.take()
    scene.wake(30_000)
    assert scene.task(number).failure == LEASE_ENDED
    scene.wake(31_000)
    (second,) = scene.take()
    assert (second.task, second.attempts) == (number, 2)
    assert second.token > first.token
    for stale in (AckTask(b"q", first.token), NackTask(b"q", first.token), ExtendTask(b"q", first.token)):
        assert f"token {first.token} holds no task" in scene.refused(NotHeld, stale)
    scene.told(Done, AckTask(b"q", second.token))
    scene.refused(NotHeld, AckTask(b"q", second.token))
    assert isinstance(scene.read(GetTask(b"q", number)), Failure)


def test_effects_count_once_where_a_transaction_asks_for_the_token() -> None:
    scene = Scene()
    scene.put("work")
    (slow,) = scene.take()
    scene.wake(30_000)
    scene.wake(31_000)
    (quick,) = scene.take()

    def effect(token: Token) -> bool:
        guarded = Transaction([Compare(b"q", TOKEN, EQUAL, token)], [Put(b"result", b"%d" % token)])
        return scene.told(TransactionDone, guarded).succeeded

    assert not effect(slow.token)
    assert effect(quick.token)
    scene.told(Done, AckTask(b"q", quick.token))
    assert not effect(quick.token)


def test_a_put_may_ask_for_a_token() -> None:
    scene = Scene()
    scene.put("work")
    (task,) = scene.take()
    scene.put("part", queue=b"parts", holding=task.token)
    scene.told(Done, AckTask(b"q", task.token))
    scene.refused(NotHeld, PutTask(b"parts", b"late", holding=task.token))
    assert scene.info(b"parts").ready == 1


def test_a_lease_is_extended_from_now_on() -> None:
    scene = Scene()
    scene.put("work")
    (task,) = scene.take()
    scene.cluster_ms = 29_000
    scene.told(Result, ExtendTask(b"q", task.token, 5_000))  # type: ignore[type-abstract,arg-type]
    assert scene.machine.due() == 34_000
    scene.wake(33_999)
    assert scene.counts() == (0, 0, 1, 0)
    scene.wake(34_000)
    assert scene.counts() == (0, 1, 0, 0)


def test_back_off_doubles_up_to_its_bound_and_then_the_task_is_dead() -> None:
    scene = Scene()
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(retries_max=3, backoff_ms=100, backoff_ms_max=350)))
    number = scene.put("poison", priority=9)
    waits = []
    for attempt in range(1, 4):
        (task,) = scene.take()
        assert task.attempts == attempt
        back = scene.told(TaskReturned, NackTask(b"q", task.token, note=f"attempt {attempt}"))
        assert back.state == DELAYED
        waits.append(back.delay_ms)
        assert not scene.take(), "never early"
        scene.wake(scene.cluster_ms + back.delay_ms - 1)
        assert not scene.take(), "never early"
        scene.wake(scene.cluster_ms + 1)
    assert waits == [100, 200, 350]
    (task,) = scene.take()
    assert scene.told(TaskReturned, NackTask(b"q", task.token, note="the last")).state == DEAD
    info = scene.task(number)
    assert (info.state, info.attempts, info.failure, info.note) == (DEAD, 4, NACKED, "the last")
    assert [event.kind for event in scene.events() if event.space == QUEUES][-1] == TASK_DIED
    assert scene.machine.due() is None


def test_a_poisoned_task_never_blocks_others() -> None:
    scene = Scene()
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(retries_max=1, dead_max=0, backoff_ms=100, backoff_ms_max=100)))
    scene.put("poison", priority=9)
    for number in range(5):
        scene.put(f"good {number}")
    done = []
    for _ in range(20):
        for task in scene.take():
            if task.payload == b"poison":
                scene.told(TaskReturned, NackTask(b"q", task.token))
            else:
                done.append(task.payload)
                scene.told(Done, AckTask(b"q", task.token))
        scene.wake(scene.cluster_ms + 60)
    assert done == [b"good %d" % number for number in range(5)]
    assert scene.info().ready + scene.info().delayed == 1, "where no more may be dead, it goes on at the longest back-off: none is dropped"


def test_dead_ones_are_redriven_in_slices_or_by_name_in_their_old_place() -> None:
    scene = Scene()
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(retries_max=0, tasks_max=4)))
    numbers = [scene.put(f"{number}") for number in range(4)]
    for task in scene.take(4):
        assert scene.told(TaskReturned, NackTask(b"q", task.token)).state == DEAD
    assert not scene.take()
    assert scene.told(Done, RedriveTasks(b"q", numbers[2])) == Done(scene.machine.revision, 1, True)
    scene.refused(Missing, RedriveTasks(b"q", numbers[2]))
    assert scene.told(Done, RedriveTasks(b"q", limit=2)) == Done(scene.machine.revision, 2, True)
    assert [task.attempts for task in scene.take(3)] == [1, 1, 1]
    scene.put("another")
    assert "as many as it may" in scene.refused(Full, RedriveTasks(b"q"))
    assert scene.counts() == (1, 0, 3, 1)


def test_a_queue_that_holds_more_than_it_may_since_redrives_nothing() -> None:
    scene = Scene()
    for _ in range(3):
        scene.put()
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(tasks_max=1)))
    assert scene.told(Done, RedriveTasks(b"q")) == Done(scene.machine.revision, 0, False)


def test_what_a_session_had_taken_returns_when_it_ends_counted_and_backed_off() -> None:
    scene = Scene(sessions=1)
    number = scene.put("work")
    outliving = scene.put("detached")
    scene.take(session=1)
    scene.take(session=1, detached=True)
    scene.told(Done, CloseSession(SessionId(1)))
    info = scene.task(number)
    assert (info.state, info.attempts, info.failure, info.due_ms) == (DELAYED, 1, SESSION_ENDED, 1_000)
    assert scene.task(outliving).state == TAKEN
    assert not scene.notices(1), "who is gone is told nothing"


def test_of_what_a_session_had_taken_the_oldest_dies_first() -> None:
    scene = Scene(sessions=1)
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(retries_max=0, dead_max=1)))
    old, young = scene.put("old"), scene.put("young")
    scene.take(2, session=1)
    scene.told(Done, CloseSession(SessionId(1)))
    assert (scene.task(old).state, scene.task(young).state) == (DEAD, DELAYED)


def test_who_waits_is_told_once_and_in_order() -> None:
    scene = Scene(sessions=40)
    tickets = [scene.wait(session) for session in range(1, 41)]
    before = scene.machine.revision
    scene.put("one")
    assert scene.machine.revision == before + 1
    (told,) = scene.events(before)
    (given,) = scene.given(1)
    assert (told.space, given.ticket) == (NOTICES, tickets[0])
    assert [(task.payload, task.attempts) for task in given.tasks] == [(b"one", 1)]
    scene.put("two")
    assert [int.from_bytes(event.key, "big") for event in scene.events(before + 1)] == [2]
    assert scene.info().waiting == 38
    scene.told(Done, AckTask(b"q", given.tasks[0].token), 1)
    assert len(scene.notices(1)) == 1


def test_a_ripe_task_and_a_returned_one_are_given_to_who_waits() -> None:
    scene = Scene(sessions=3)
    scene.put("later", delay_ms=500)
    scene.wait(1)
    scene.wait(2)
    scene.wake(499)
    assert not scene.notices(1)
    scene.wake(500)
    (given,) = scene.given(1)
    task = given.tasks[0]
    scene.told(TaskReturned, NackTask(b"q", task.token, 0), 1)
    assert scene.given(2)[0].tasks[0].attempts == 2
    scene.wait(1)
    scene.told(Done, CloseSession(SessionId(2)))
    scene.wake(3_000)
    assert scene.given(1)[1].tasks[0].attempts == 3


def test_ending_sessions_leave_the_line_before_their_tasks_return() -> None:
    scene = Scene(sessions=2)
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(backoff_ms=0)))
    number = scene.put("work")
    scene.take(session=1)
    scene.wait(1)
    scene.wait(2)
    scene.told(Done, Expire(scene.term, [SessionId(1)]))  # type: ignore[arg-type]
    assert not scene.notices(1)
    assert scene.given(2)[0].tasks[0].task == number


def test_leaving_the_line_tells_what_was_given_meanwhile() -> None:
    scene = Scene(sessions=2)
    first, second = scene.wait(1), scene.wait(1, count=2)
    scene.refused(NotHeld, StopTaking(b"q", second), 2)
    assert scene.told(TasksTaken, StopTaking(b"q", second), 1).tasks == []
    scene.put("work")
    assert [task.payload for task in scene.told(TasksTaken, StopTaking(b"q", first), 1).tasks] == [b"work"]
    scene.put("more")
    assert scene.counts() == (1, 0, 1, 0), "who left the line is given nothing"


def test_who_loses_a_task_by_time_or_another_hand_is_told() -> None:
    scene = Scene(sessions=1)
    numbers = [scene.put("a"), scene.put("b")]
    first, second = scene.take(2, session=1)
    scene.told(Done, AckTask(b"q", first.token))
    scene.wake(30_000)
    lost = [notice for notice in scene.notices(1) if isinstance(notice, TaskLost)]
    assert [(each.task, each.token) for each in lost] == [(numbers[0], first.token), (numbers[1], second.token)]


def test_giving_back_what_was_not_begun_does_not_count() -> None:
    scene = Scene()
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(retries_max=0)))
    scene.put("work")
    for _ in range(5):
        (task,) = scene.take()
        assert task.attempts == 1
        assert scene.told(TaskReturned, NackTask(b"q", task.token, begun=False)).state == READY


def test_a_key_is_put_once_while_it_is_remembered() -> None:
    scene = Scene()
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(dedupe_ms=1_000)))
    number = scene.put("work", key=b"invoice 7")
    assert scene.told(TaskPut, PutTask(b"q", b"again", key=b"invoice 7")) == TaskPut(scene.machine.revision, number, False)
    scene.told(Done, AckTask(b"q", scene.take()[0].token))
    scene.cluster_ms = 999
    assert scene.put("done already", key=b"invoice 7") == number
    scene.cluster_ms = 1_000
    assert scene.put("next month", key=b"invoice 7") > number
    assert scene.payloads() == [b"next month"]


def test_what_has_expired_is_forgotten_as_keys_come() -> None:
    scene = Scene()
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(dedupe_ms=100)))
    for number in range(50):
        scene.cluster_ms = number * 10
        scene.put(key=b"%d" % number)
    keys = scene.machine.containers[55]
    assert len(list(keys.items())) <= 11


def test_queues_are_bounded_and_say_so() -> None:
    scene = Scene()
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(tasks_max=2, bytes_max=10)))
    scene.put("12345", key=b"a")
    assert "would hold 11 bytes" in scene.refused(Full, PutTask(b"q", b"123456"))
    scene.put("6")
    assert "has 2 tasks" in scene.refused(Full, PutTask(b"q", b""))
    for task in scene.take(2):
        scene.told(Done, AckTask(b"q", task.token))
    scene.put("1", key=b"b")
    assert "remembers 2 deduplication keys" in scene.refused(Full, PutTask(b"q", b"", key=b"c"))


def test_the_state_is_bounded_and_an_emptied_queue_leaves_nothing() -> None:
    scene = Scene(sessions=1, state_bytes_max=6_000)
    empty = scene.machine.state_bytes
    put = 0
    while isinstance(scene.one(alone(PutTask(b"q", b"x" * 100, key=b"%d" % put))), TaskPut):
        put += 1
    assert 1 < put < 8
    assert "would pass 6000 bytes in all" in scene.refused(StateFull, PutTask(b"q", b"x" * 100))
    scene.refused(StateFull, ConfigureQueue(b"r" * 255))
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(retries_max=0)))
    (task,) = scene.take()
    scene.told(TaskReturned, NackTask(b"q", task.token, note="no such street"))
    scene.refused(Busy, DeleteQueue(b"q"))
    assert scene.told(Done, PurgeTasks(b"q", limit=1)).more
    while scene.told(Done, PurgeTasks(b"q")).more:
        pass
    assert scene.counts() == (0, 0, 0, 1)
    scene.told(Done, PurgeTasks(b"q", dead=True))
    ticket = scene.wait(1)
    scene.refused(Busy, DeleteQueue(b"q"))
    scene.told(TasksTaken, StopTaking(b"q", ticket), 1)
    assert scene.told(Done, DeleteQueue(b"q")).changed
    assert scene.told(Done, DeleteQueue(b"q")).changed == 0
    scene.told(Done, CloseSession(SessionId(1)))
    for number, container in scene.machine.containers.items():
        assert not list(container.items()) or number in (4, 5, 9), f"container {number} keeps something"
    kept = scene.machine.scalars.request_ids_bytes
    assert scene.machine.state_bytes == kept < empty


def test_deleting_forgets_remembered_keys_in_slices() -> None:
    scene = Scene(wake_items_max=2)
    for number in range(3):
        scene.put(key=b"%d" % number)
    scene.told(Done, PurgeTasks(b"q"))
    assert scene.told(Done, DeleteQueue(b"q")) == Done(scene.machine.revision, 0, True)
    assert scene.told(Done, DeleteQueue(b"q")) == Done(scene.machine.revision, 1)


def test_one_wake_does_a_bounded_part_and_the_rest_stays_due() -> None:
    scene = Scene(wake_items_max=3)
    for _ in range(7):
        scene.put(delay_ms=100)
    ready = []
    for _ in range(4):
        scene.wake(100)
        ready.append(scene.counts()[0])
    assert ready == [3, 6, 7, 7]
    assert scene.machine.due() is None


def test_a_session_holds_a_bounded_number() -> None:
    scene = Scene(sessions=2, session_tasks_max=3, queue_waiters_max=2)
    for number in range(6):
        scene.put(f"{number}")
    assert len(scene.take(5, session=1)) == 3
    assert "holds 3 tasks" in scene.refused(Full, TakeTasks(b"q"), 1)
    assert len(scene.take(5)) == 3, "who has no session is bound by leases alone"
    scene.wait(2)
    scene.wait(2)
    assert "2 takers wait" in scene.refused(Full, TakeTasks(b"q", wait=True), 2)
    scene.wait(2, queue=b"other")
    assert "holds 3 tasks and places" in scene.refused(Full, TakeTasks(b"q", wait=True), 2)


def test_large_payloads_are_read_on_their_own() -> None:
    scene = Scene(task_inline_bytes_max=10)
    numbers = [scene.put("123456"), scene.put("7" * 20), scene.put("89")]
    assert [task.payload for task in scene.take(3)] == [b"123456", None, b"89"]
    view = scene.read(GetTask(b"q", numbers[1]))
    assert isinstance(view, TaskView)
    assert view.payload == b"7" * 20


def test_purging_leaves_what_is_taken() -> None:
    scene = Scene()
    scene.put("taken")
    (task,) = scene.take()
    scene.put("ready")
    scene.put("later", delay_ms=1)
    assert scene.told(Done, PurgeTasks(b"q")).changed == 2
    assert scene.machine.due() == 30_000
    scene.told(Done, AckTask(b"q", task.token))
    assert scene.counts() == (0, 0, 0, 0)


def test_lists_are_paged_in_the_order_of_taking() -> None:
    scene = Scene()
    numbers = [scene.put(f"{priority}", priority=priority) for priority in (0, 1, 0, 2)]
    found: list[int] = []
    at, more = b"", True
    while more:
        page = scene.read(ListTasks(b"q", READY, at, 2))
        assert isinstance(page, TaskPage)
        found += [task.task for task in page.tasks]
        at, more = page.next, page.more
    assert found == [numbers[3], numbers[1], numbers[0], numbers[2]]
    scene.put(queue=b"r")
    queues = scene.read(ListQueues(b"", b"", 1))
    assert isinstance(queues, QueuePage)
    assert ([queue.name for queue in queues.queues], queues.more) == ([b"q"], True)


BAD: list[tuple[type[CoordError], Operation]] = [
    (BadRequest, PutTask(b"", b"")),
    (BadRequest, PutTask(b"a\0b", b"")),
    (TooLarge, PutTask(b"q" * 256, b"")),
    (TooLarge, PutTask(b"q", b"x" * 262_145)),
    (BadRequest, PutTask(b"q", b"", priority=128)),
    (BadRequest, PutTask(b"q", b"", delay_ms=-1)),
    (TooLarge, PutTask(b"q", b"", key=b"k" * 256)),
    (BadRequest, PutTask(b"q", b"", holding=Token(2**53))),
    (NotHeld, PutTask(b"q", b"", holding=Token(7))),
    (BadRequest, TakeTasks(b"q", 0)),
    (BadRequest, TakeTasks(b"q", 129)),
    (BadRequest, TakeTasks(b"q", lease_ms=99)),
    (BadRequest, TakeTasks(b"q", lease_ms=-1)),
    (BadRequest, TakeTasks(b"q", wait=True)),
    (Missing, TakeTasks(b"unknown")),
    (BadRequest, StopTaking(b"q", 0)),
    (Missing, StopTaking(b"unknown", 7)),
    (BadRequest, AckTask(b"q", Token(0))),
    (NotHeld, AckTask(b"q", Token(7))),
    (Missing, AckTask(b"unknown", Token(7))),
    (NotHeld, ExtendTask(b"q", Token(7))),
    (BadRequest, ExtendTask(b"q", Token(7), 1)),
    (NotHeld, NackTask(b"q", Token(7))),
    (BadRequest, NackTask(b"q", Token(7), -2)),
    (TooLarge, NackTask(b"q", Token(7), note="n" * 1_025)),
    (Missing, RedriveTasks(b"q", 7)),
    (Missing, RedriveTasks(b"unknown")),
    (BadRequest, RedriveTasks(b"q", limit=0)),
    (BadRequest, PurgeTasks(b"q", limit=1_025)),
    (Missing, PurgeTasks(b"unknown")),
    (BadRequest, ConfigureQueue(b"q", QueueSettings(lease_ms=1))),
    (BadRequest, ConfigureQueue(b"q", QueueSettings(retries_max=-1))),
    (BadRequest, ConfigureQueue(b"q", QueueSettings(tasks_max=0))),
    (Busy, DeleteQueue(b"q")),
]


@pytest.mark.parametrize(("kind", "operation"), BAD, ids=lambda part: repr(part)[:60])
def test_bad_input_is_refused_with_a_sentence_and_changes_nothing(kind: type[CoordError], operation: Operation) -> None:
    scene = Scene()
    scene.put("work")
    assert kind.definite
    assert len(scene.refused(kind, operation)) > 20


@pytest.mark.parametrize(
    "operation", [ListTasks(b"q", 5), ListTasks(b"q", 1, b"", -1), ListQueues(b"", b"", -1), GetQueue(b""), GetTask(b"q", 0)]
)
def test_bad_questions_are_refused(operation: ReadOperation) -> None:
    assert isinstance(Scene().read(operation), Failure)
