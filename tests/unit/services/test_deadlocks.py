"""A wait for a lock that would never end is refused; any other is not."""

from coordnode import errors
from coordnode.services.commands import (
    SEMAPHORE,
    SHARED,
    Failure,
    LockBusy,
    LockGranted,
    LockQueued,
)

from .lock_scene import Scene, refused


def test_two_that_wait_for_each_other() -> None:
    scene = Scene(2)
    scene.take(1)
    scene.take(2, b"b")
    scene.queue(1, b"b")
    before = scene.state()
    refused(
        scene.acquire(2),
        errors.Deadlock,
        "a is held by session 1 (s1), which waits for b, b is held by session 2 (s2), which waits for a; release one of them first",
    )
    assert scene.state() == before
    assert isinstance(scene.acquire(2, wait=False), LockBusy)


def test_a_circle_of_many_and_one_that_is_none() -> None:
    scene = Scene(12)
    for session in range(1, 11):
        scene.take(session, b"%02d" % session)
    for session in range(1, 10):
        scene.queue(session, b"%02d" % (session + 1))
    scene.take(11, b"x")
    assert isinstance(scene.acquire(11, b"01"), LockQueued)
    refused(scene.acquire(10, b"01"), errors.Deadlock)
    assert isinstance(scene.acquire(10, b"x"), Failure)  # 11 waits for 01, whose holder waits, in the end, for 10


def test_one_that_waits_for_itself() -> None:
    scene = Scene(1)
    scene.take(1)
    refused(scene.acquire(1), errors.Deadlock, "a is held by session 1")
    child = scene.open(parent=1)
    refused(scene.acquire(child), errors.Deadlock, "session 1 (s1), which waits for session 2, and that for a")


def test_what_a_nested_session_holds_and_awaits_is_of_one_piece() -> None:
    scene = Scene(2)
    scene.take(1)
    below_one = scene.open(parent=1)
    scene.take(2, b"b")
    below_two = scene.open(parent=2)
    scene.queue(below_one, b"b")
    refused(scene.acquire(below_two), errors.Deadlock, "for session 3, and that for b")


def test_a_sibling_that_runs_is_no_circle() -> None:
    scene = Scene(2)
    runs, waits = scene.open(parent=1), scene.open(parent=1)
    scene.take(runs, b"a")
    scene.take(2, b"b")
    scene.queue(waits, b"b")
    assert isinstance(scene.acquire(2, b"a"), LockQueued)


def test_readers_and_the_line_ahead_are_seen() -> None:
    scene = Scene(3)
    scene.take(1, kind=SHARED)
    scene.queue(2)
    scene.take(3, b"b")
    scene.queue(1, b"b")
    # 3 would read beside 1, but the writer ahead waits for 1, and 1 waits for 3.
    refused(scene.acquire(3, kind=SHARED), errors.Deadlock)


def test_a_semaphore_is_a_circle_only_when_nobody_outside_can_free_enough() -> None:
    scene = Scene(4)
    scene.take_permits(1, 1, 3, b"s")
    scene.take_permits(2, 1, 3, b"s")
    scene.take_permits(3, 1, 3, b"s")
    scene.take(4, b"b")
    scene.queue(1, b"b")
    scene.queue(4, b"s", SEMAPHORE, permits=2, limit=3)  # 2 and 3 run and will give back two
    scene.expire(4)
    four = scene.open()
    scene.queue(2, b"b")
    scene.close(1)
    assert scene.holders(b"b") == [2]
    scene.take(four, b"c")
    scene.queue(2, b"c")
    refused(scene.acquire(four, b"s", SEMAPHORE, permits=3, limit=3), errors.Deadlock, "s is held by session 2")
    assert isinstance(scene.acquire(four, b"s", SEMAPHORE, permits=2, limit=3), LockQueued | LockGranted)


def test_a_delay_ends_by_itself() -> None:
    scene = Scene(2)
    scene.take(1)
    scene.take(2, b"b", delay_ms=9_000)
    scene.expire(2)
    assert isinstance(scene.acquire(1, b"b"), LockQueued)


def test_beyond_the_bound_there_is_no_verdict() -> None:
    scene = Scene(12, deadlock_steps_max=8)
    for session in range(1, 11):
        scene.take(session, b"%02d" % session)
    for session in range(1, 10):
        scene.queue(session, b"%02d" % (session + 1))
    assert isinstance(scene.acquire(10, b"01"), LockQueued)
