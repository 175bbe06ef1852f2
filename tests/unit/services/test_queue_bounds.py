"""Queues: bounded, clean when empty, read in pages; what is refused and changes nothing."""

import pytest

from coordnode.errors import BadRequest, Busy, CoordError, Full, Missing, NotHeld, StateFull, TooLarge
from coordnode.ids import SessionId, Token
from coordnode.services.commands import (
    READY,
    AckTask,
    CloseSession,
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
    Operation,
    PurgeTasks,
    PutTask,
    QueuePage,
    QueueSettings,
    RaiseLevel,
    ReadOperation,
    RedriveTasks,
    StopTaking,
    TakeTasks,
    TaskPage,
    TaskPut,
    TaskReturned,
    TasksTaken,
    TaskView,
)

from .driven import alone
from .queue_scene import Scene


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


def full_of_keys(count: int, **settings: int) -> Scene:
    """No task is left, and so many keys are remembered, as many as may be, until 1000."""
    scene = Scene(**settings)
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(tasks_max=count, dedupe_ms=1_000)))
    for number in range(count):
        scene.put(key=b"%d" % number)
    for task in scene.take(count):
        scene.told(Done, AckTask(b"q", task.token))
    assert f"remembers {count} deduplication keys" in scene.refused(Full, PutTask(b"q", b"", key=b"another"))
    return scene


def test_keys_that_have_expired_stand_in_nobodys_way() -> None:
    scene = full_of_keys(4)
    scene.cluster_ms = 1_001
    for number in range(9):
        scene.put(key=b"new %d" % number)
        scene.told(Done, AckTask(b"q", scene.take()[0].token))
        scene.cluster_ms += 400
    assert scene.machine.containers[55].count == scene.machine.containers[56].count <= 4  # type: ignore[attr-defined]


def test_of_a_queue_whose_bound_was_lowered_expired_keys_are_forgotten_in_slices() -> None:
    scene = full_of_keys(8, wake_items_max=3)
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(tasks_max=2, dedupe_ms=1_000)))
    scene.cluster_ms = 1_001
    put = PutTask(b"q", b"", key=b"another")
    for left in (5, 2):
        scene.told(Failure, put)
        assert scene.machine.containers[55].count == left  # type: ignore[attr-defined]
    scene.told(TaskPut, put)
    assert scene.machine.containers[55].count == 1  # type: ignore[attr-defined]


def test_a_queue_that_remembers_no_keys_any_more_takes_tasks_with_keys() -> None:
    scene = full_of_keys(2)
    scene.told(Done, ConfigureQueue(b"q", QueueSettings(tasks_max=2, dedupe_ms=0)))
    assert scene.put(key=b"another") < scene.put(key=b"another")
    assert "has 2 tasks" in scene.refused(Full, PutTask(b"q", b"", key=b"another"))


def test_below_the_level_members_refuse_as_those_do_that_do_not_know_it() -> None:
    scene = full_of_keys(2, level=4)
    scene.cluster_ms = 1_001
    assert "remembers 2 deduplication keys" in scene.refused(Full, PutTask(b"q", b"", key=b"another"))
    scene.told(Done, RaiseLevel(5))
    scene.put(key=b"another")


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
