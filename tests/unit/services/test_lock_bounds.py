"""Locks: what is refused and leaves no trace, and what readers and watchers see."""

import pytest

from coordnode import errors
from coordnode.ids import SessionId, Token
from coordnode.services.commands import (
    EXCLUSIVE,
    LOCK_BROKEN,
    LOCK_CANCELLED,
    LOCK_GRANTED,
    LOCK_LOST,
    LOCK_QUEUED,
    LOCK_RELEASED,
    RELEASED,
    SEMAPHORE,
    SHARED,
    Acquire,
    BreakLock,
    CloseSession,
    Failure,
    HeldLock,
    HeldLocks,
    ListLocks,
    LockBusy,
    LockGiven,
    LockGranted,
    LockPage,
    LockView,
    OpenSession,
    Operation,
    ReadHeldLocks,
    ReadLock,
    ReadOperation,
    Release,
)
from coordnode.services.context import Wait

from .lock_scene import Scene, refused

# --- bounds and bad input ------------------------------------------------------------------------------------------


def test_who_waits_longest_is_told_whatever_else_is_held() -> None:
    scene = Scene(4)
    machine = scene.machine
    assert machine.longest_wait(0) is None
    for number in range(100):
        scene.take(1, b"free%d" % number)
    for name, holder, waiter, at_ms in ((b"z", 1, 2, 1_000), (b"a", 1, 3, 3_000), (b"z", 1, 4, 5_000)):
        scene.driven.cluster_ms = at_ms
        if waiter != 4:
            scene.take(holder, name)
        scene.queue(waiter, name)
    assert machine.longest_wait(9_000) == Wait(b"z", 8_000, 3)
    scene.do(0, CloseSession(SessionId(2)))
    assert machine.longest_wait(9_000) == Wait(b"a", 6_000, 2)


def test_lines_holders_and_what_one_session_has_are_bounded() -> None:
    scene = Scene(4, lock_waiters_max=1, lock_holders_max=2, session_locks_max=3)
    scene.take(1)
    scene.queue(2)
    refused(scene.acquire(3), errors.Full, "1 wait for lock a")
    scene.take(1, b"b", SHARED)
    scene.take(2, b"b", SHARED)
    refused(scene.acquire(3, b"b", SHARED), errors.Full, "has 2 holders")
    scene.take(1, b"c")
    refused(scene.acquire(1, b"d"), errors.Full, "session 1 holds or awaits 3 locks")


def delay_passed(level: int = 5, **settings: int) -> Scene:
    """Lock a was lost, and its lock-delay has run out; nobody was woken by it yet. Session 2 holds lock b."""
    scene = Scene(2, level=level, session_locks_max=1, **settings)
    scene.take(1, delay_ms=1_000)
    scene.take(2, b"b")
    scene.expire(1)
    scene.at(1_000)
    return scene


def test_bounds_hold_also_where_a_delay_has_run_out_and_nobody_woke_the_lock_yet() -> None:
    for how in ({}, {"kind": SEMAPHORE, "limit": 3}):
        scene = delay_passed()
        before = scene.state()
        refused(scene.acquire(2, wait=False, **how), errors.Full, "session 2 holds or awaits 1 locks")  # type: ignore[arg-type]
        assert scene.state() == before
        scene.release(2, scene.view(b"b").holders[0].token, b"b")
        scene.take(2, wait=False)
    scene = delay_passed(state_bytes_max=5_000)
    scene.release(2, scene.view(b"b").holders[0].token, b"b")
    scene.driven.machine.scalars.state_bytes += 5_000 - scene.machine.state_bytes
    refused(scene.acquire(2, wait=False), errors.StateFull, "release or delete something first")


def test_who_does_not_wait_is_told_that_the_lock_is_held_whatever_else_it_has() -> None:
    scene = delay_passed()
    scene.wake()
    scene.take(scene.open())
    assert isinstance(scene.acquire(2, wait=False), LockBusy)


def test_below_the_level_such_a_lock_is_granted_as_by_members_that_do_not_know_it() -> None:
    assert isinstance(delay_passed(level=4).acquire(2, wait=False), LockGranted)


def test_a_full_state_refuses_locks_and_releases_none_the_less() -> None:
    scene = Scene(2, state_bytes_max=5_000)
    tokens = []
    while isinstance(granted := scene.acquire(1, b"lock %d" % len(tokens)), LockGranted):
        tokens.append(granted.token)
    refused(granted, errors.StateFull, "release or delete something first")
    assert len(tokens) > 1
    for number, token in enumerate(tokens):
        assert scene.release(1, token, b"lock %d" % number).what == RELEASED


BAD: list[tuple[Operation, type[errors.CoordError], str]] = [
    (Acquire(b""), errors.BadRequest, "the lock has no name"),
    (Acquire(b"a\0b"), errors.BadRequest, "control character"),
    (Acquire(b"a" * 256), errors.TooLarge, "256 bytes, at most 255"),
    (Acquire(b"a", 3), errors.BadRequest, "there is no kind 3 of lock"),
    (Acquire(b"a", -1), errors.BadRequest, "there is no kind -1 of lock"),
    (Acquire(b"a", EXCLUSIVE, 2), errors.BadRequest, "make sense for a semaphore only"),
    (Acquire(b"a", SHARED, 1, 1), errors.BadRequest, "make sense for a semaphore only"),
    (Acquire(b"a", SEMAPHORE, 1, 0), errors.BadRequest, "a semaphore of 0 permits cannot be"),
    (Acquire(b"a", SEMAPHORE, 1, 2**60), errors.BadRequest, "cannot be; give it 1 to"),
    (Acquire(b"a", SEMAPHORE, 0, 5), errors.BadRequest, "ask for 1 to 5"),
    (Acquire(b"a", SEMAPHORE, 6, 5), errors.BadRequest, "6 permits cannot be had from a semaphore of 5"),
    (Acquire(b"a", SEMAPHORE, -1, 5), errors.BadRequest, "ask for 1 to 5"),
    (Acquire(b"a", delay_ms=-1), errors.BadRequest, "a lock-delay of -1 ms"),
    (Acquire(b"a", delay_ms=2**60), errors.BadRequest, "a lock-delay of"),
    (Acquire(b"a", note="n" * 257), errors.TooLarge, "note has 257 bytes"),
    (Acquire(b"a", note="two\nlines"), errors.BadRequest, "write one line"),
    (Release(b"a", Token(0)), errors.BadRequest, "the token or ticket to release is 0"),
    (Release(b"a", Token(-5)), errors.BadRequest, "is -5"),
    (Release(b"a", Token(2**53)), errors.BadRequest, "give one that an answer named"),
    (Release(b"unknown", Token(5)), errors.NotHeld, "5 is no grant of lock unknown"),
    (BreakLock(b"unknown"), errors.Missing, "there is nothing to break"),
    (BreakLock(b"a", Token(-1)), errors.BadRequest, "the token to break is -1"),
    (BreakLock(b"a", reason="r" * 257), errors.TooLarge, "reason has 257 bytes"),
    (BreakLock(b"a", by="b\x1b"), errors.BadRequest, "control character"),
    (OpenSession(b"n", -5), errors.BadRequest, "the session's TTL is -5 ms"),
    (OpenSession(b"n", 5_000, parent=SessionId(-1)), errors.BadRequest, "there is no session -1"),
    (OpenSession(b"n", 5_000, parent=SessionId(99)), errors.BadRequest, "session 99 cannot wait for this one"),
    (OpenSession(b"n", 5_000, first=Acquire(b"")), errors.BadRequest, "the lock has no name"),
]


@pytest.mark.parametrize(("operation", "kind", "sentence"), BAD)
def test_what_makes_no_sense_is_said_and_changes_nothing(operation: Operation, kind: type[errors.CoordError], sentence: str) -> None:
    scene = Scene(2)
    scene.take(2)
    before = scene.state()
    refused(scene.do(0 if isinstance(operation, OpenSession) else 1, operation), kind, sentence)
    assert scene.state() == before


def test_a_lock_without_a_session_is_refused() -> None:
    scene = Scene(0)
    refused(scene.acquire(0), errors.BadRequest, "open one first")


BAD_READS: list[ReadOperation] = [
    ReadLock(b""),
    ReadLock(b"a", Token(-1)),
    ReadLock(b"a", limit=-1),
    ListLocks(limit=-1),
    ListLocks(b"\n"),
    ReadHeldLocks(SessionId(0)),
    ReadHeldLocks(SessionId(1), b"x" * 300),
    ReadHeldLocks(SessionId(1), b"x", Token(2**60)),
]


@pytest.mark.parametrize("operation", BAD_READS)
def test_reads_that_make_no_sense(operation: ReadOperation) -> None:
    assert isinstance(Scene(1).read(operation), Failure)


# --- reads and events ----------------------------------------------------------------------------------------------


def test_pages() -> None:
    scene = Scene(8)
    tokens = [scene.take(session, kind=SHARED) for session in (1, 2, 3)]
    tickets = [scene.queue(session) for session in (4, 5, 6)]
    view = scene.read(ReadLock(b"a", tokens[0], tickets[1], 1))
    assert isinstance(view, LockView)
    assert ([holder.token for holder in view.holders], view.more_holders) == ([tokens[1]], True)
    assert ([waiter.ticket for waiter in view.waiters], view.more_waiters) == ([tickets[2]], False)
    scene.take(7, b"b/1")
    scene.take(7, b"b/2")
    page = scene.read(ListLocks(b"b/"), 1)
    assert isinstance(page, LockPage)
    assert ([lock.name for lock in page.locks], page.more) == ([b"b/1"], True)
    rest = scene.read(ListLocks(b"b/", b"b/1"))
    assert isinstance(rest, LockPage)
    assert ([lock.name for lock in rest.locks], rest.more) == ([b"b/2"], False)
    held = scene.read(ReadHeldLocks(SessionId(7)), 1)
    assert isinstance(held, HeldLocks)
    assert ([lock.name for lock in held.locks], held.more) == ([b"b/1"], True)
    held = scene.read(ReadHeldLocks(SessionId(7), held.locks[0].name, held.locks[0].token))
    assert isinstance(held, HeldLocks)
    assert ([lock.name for lock in held.locks], held.more) == ([b"b/2"], False)


def test_who_missed_its_notice_finds_by_its_ticket_what_became_of_it() -> None:
    scene = Scene(2)
    token, ticket = scene.take(1), scene.queue(2)
    waiting = scene.read(ReadHeldLocks(SessionId(2)))
    assert isinstance(waiting, HeldLocks)
    assert waiting.locks == [HeldLock(b"a", Token(0), ticket, 0)]
    scene.release(1, token)
    (given,) = scene.notices(2)
    assert isinstance(given, LockGiven)
    holding = scene.read(ReadHeldLocks(SessionId(2)))
    assert isinstance(holding, HeldLocks)
    assert holding.locks == [HeldLock(b"a", given.token, ticket, 1)]


def test_everything_that_happens_to_a_lock_can_be_watched() -> None:
    scene = Scene(4)
    token = scene.take(1)
    ticket = scene.queue(2)
    scene.release(2, ticket)
    scene.queue(3)
    scene.release(1, token)
    scene.expire(3)
    scene.take(4)
    scene.break_lock()
    assert [event.kind for event in scene.events()] == [
        LOCK_GRANTED,
        LOCK_QUEUED,
        LOCK_CANCELLED,
        LOCK_QUEUED,
        LOCK_RELEASED,
        LOCK_GRANTED,
        LOCK_LOST,
        LOCK_GRANTED,
        LOCK_BROKEN,
    ]
    assert {event.key for event in scene.events()} == {b"a"}
