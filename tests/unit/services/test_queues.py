"""Queues: order, leases, retries with back-off, dead letters, deduplication, takers in line."""

from coordnode.errors import Full, Missing, NotHeld
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
    Done,
    Expire,
    ExtendTask,
    Failure,
    GetTask,
    NackTask,
    Put,
    PutTask,
    QueueSettings,
    RedriveTasks,
    Result,
    StopTaking,
    TaskLost,
    TaskPut,
    TaskReturned,
    TasksTaken,
    TaskView,
    Transaction,
    TransactionDone,
)

from .queue_scene import Scene


def test_higher_priorities_first_and_in_one_priority_the_first_put() -> None:
    scene = Scene()
    for payload, priority in (("c", 0), ("a", 5), ("e", -128), ("d", 0), ("b", 5), ("top", 127)):
        scene.put(payload, priority=priority)
    assert scene.payloads() == [b"top", b"a", b"b", b"c", b"d", b"e"]


def test_how_old_a_task_is_and_when_it_is_due_go_on_without_entries() -> None:
    scene = Scene()
    scene.cluster_ms = 1_000
    number = scene.put("a", delay_ms=5_000)

    def times(now_ms: int) -> tuple[int, int]:
        view = scene.read(GetTask(b"q", number), now_ms)
        assert isinstance(view, TaskView)
        return view.task.age_ms, view.task.due_ms

    assert [times(now_ms) for now_ms in (0, 1_500, 4_000, 9_000)] == [(0, 5_000), (500, 4_500), (3_000, 2_000), (8_000, 0)]


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
