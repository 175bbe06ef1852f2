"""Locks: who has it is decided once, in order; what ends it, and who is told."""

import pytest

from coordnode import errors
from coordnode.ids import SessionId, Token
from coordnode.services.commands import (
    CANCELLED,
    EQUAL,
    EXCLUSIVE,
    LOCK_DELAY_OVER,
    LOCK_GRANTED,
    LOCK_LOST,
    RELEASED,
    SEMAPHORE,
    SHARED,
    STILL_HELD,
    TOKEN,
    Acquire,
    Compare,
    Done,
    LockBusy,
    LockGiven,
    LockGranted,
    LockQueued,
    LockTaken,
    OpenSession,
    Put,
    Release,
    SessionOpened,
    Transaction,
    TransactionDone,
)

from .driven import CREATED_UNIX_S, alone, opening
from .lock_scene import Scene, refused

# --- granting ------------------------------------------------------------------------------------------------------


def test_one_holds_it_the_others_stand_in_line_and_each_is_told_once() -> None:
    scene = Scene(4)
    tokens = [scene.take(1)]
    assert tokens == [CREATED_UNIX_S << 20]
    tickets = [scene.queue(session) for session in (2, 3, 4)]
    assert (scene.holders(), scene.waiters()) == ([1], [2, 3, 4])
    for session, ticket in zip((2, 3, 4), tickets, strict=True):
        released = scene.release(session - 1, tokens[-1])
        assert (released.what, released.token) == (RELEASED, tokens[-1])
        assert scene.holders() == [session]
        (notice,) = scene.notices(session)
        assert isinstance(notice, LockGiven)
        assert (notice.name, notice.ticket) == (b"a", ticket)
        tokens.append(notice.token)
    assert sorted(set(tokens + tickets)) == sorted(tokens + tickets)
    assert tokens == sorted(tokens)
    scene.release(4, tokens[-1])
    assert scene.view().lock is None
    assert not scene.notices(1)


def test_a_hand_over_tells_one_session_however_many_wait() -> None:
    told = []
    for waiters in (10, 1000):
        scene = Scene(1)
        token = scene.take(1)
        scene.driven.apply(*[opening(number, first=Acquire(b"a")) for number in range(waiters)])
        assert len(scene.waiters()) == waiters
        before = scene.machine.revision
        scene.release(1, token)
        changes = scene.machine.changes(before, scene.machine.revision)
        told.append([(event.space, event.kind) for change in changes for event in change.events])
    assert told[0] == told[1]
    assert len(told[0]) == 3  # released, granted, and one notice


def test_who_will_not_wait_is_told_who_holds_it() -> None:
    scene = Scene(3)
    scene.at(1_000)
    scene.take(1, note="nightly run")
    scene.queue(2)
    scene.at(4_500)
    scene.wake()
    before = scene.state()
    busy = scene.acquire(3, wait=False)
    assert isinstance(busy, LockBusy)
    lock = busy.lock
    assert (lock.kind, lock.holders, lock.waiters) == (EXCLUSIVE, 1, 1)
    assert lock.first is not None
    assert (lock.first.session, lock.first.owner, lock.first.note, lock.first.held_ms) == (1, "s1", "nightly run", 3_500)
    assert scene.state() == before


def test_nobody_overtakes_not_even_a_reader() -> None:
    scene = Scene(5)
    token = scene.take(1, kind=SHARED)
    scene.take(2, kind=SHARED)
    scene.queue(3)
    scene.queue(4, kind=SHARED)
    busy = scene.acquire(5, kind=SHARED, wait=False)
    assert isinstance(busy, LockBusy)
    scene.release(1, token)
    assert (scene.holders(), scene.waiters()) == ([2], [3, 4])
    scene.close(2)
    assert (scene.holders(), scene.waiters()) == ([3], [4])
    scene.close(3)
    assert (scene.holders(), scene.waiters()) == ([4], [])


def test_when_a_waiting_writer_leaves_the_readers_behind_it_go_on() -> None:
    scene = Scene(4)
    scene.take(1, kind=SHARED)
    ticket = scene.queue(2)
    scene.queue(3, kind=SHARED)
    scene.queue(4, kind=SHARED)
    assert scene.release(2, ticket).what == CANCELLED
    assert (scene.holders(), scene.waiters()) == ([1, 3, 4], [])


def test_a_semaphore_gives_out_no_more_than_it_has() -> None:
    scene = Scene(5)
    first = scene.take_permits(1, 2, 5)
    scene.take_permits(2, 2, 5)
    scene.queue(3, kind=SEMAPHORE, permits=2, limit=5)
    scene.queue(4, kind=SEMAPHORE, permits=1, limit=5)  # would fit, but somebody waits before it
    view = scene.view()
    assert view.lock is not None
    assert (view.lock.kind, view.lock.limit, view.lock.permits) == (SEMAPHORE, 5, 4)
    assert [holder.permits for holder in view.holders] == [2, 2]
    scene.release(1, first)
    assert scene.holders() == [2, 3, 4]
    assert scene.view().lock.permits == 5  # type: ignore[union-attr]


def test_a_lock_is_one_kind_of_thing_while_it_exists() -> None:
    scene = Scene(2)
    token = scene.take_permits(1, 1, 5)
    refused(scene.acquire(2), errors.Conflict, "a is a semaphore of 5 permits")
    refused(scene.acquire(2, kind=SEMAPHORE, limit=6), errors.Conflict, "a is a semaphore of 5 permits")
    scene.release(1, token)
    token = scene.take(2)
    refused(scene.acquire(1, kind=SEMAPHORE, limit=6), errors.Conflict, "exclusive or shared, no semaphore")
    assert isinstance(scene.acquire(1, kind=SHARED), LockQueued)


def test_opening_a_session_may_bring_the_lock_along() -> None:
    scene = Scene(1)
    opened = scene.driven.one(alone(OpenSession(b"x", 9_000, "me", Acquire(b"a"))))
    assert isinstance(opened, SessionOpened)
    assert isinstance(opened.first, LockGranted)
    again = scene.driven.one(alone(OpenSession(b"x", 9_000, "me", Acquire(b"a"))))
    assert again == opened
    queued = scene.driven.one(alone(OpenSession(b"y", 9_000, "you", Acquire(b"a"))))
    assert isinstance(queued, SessionOpened)
    assert isinstance(queued.first, LockQueued)
    assert queued.first.lock.first is not None
    assert queued.first.lock.first.owner == "me"
    assert scene.view().waiters[0].owner == "you"


def test_a_token_guards_a_transaction_only_while_it_is_held() -> None:
    scene = Scene(2)

    def guarded(token: Token) -> bool:
        done = scene.do(2, Transaction([Compare(b"a", TOKEN, EQUAL, token)], [Put(b"result", b"1")]))
        assert isinstance(done, TransactionDone)
        return done.succeeded

    token = scene.take(1)
    assert guarded(token)
    ticket = scene.queue(2)
    assert not guarded(ticket)
    scene.release(1, token)
    assert not guarded(token)
    (given,) = scene.notices(2)
    assert isinstance(given, LockGiven)
    assert guarded(given.token)
    scene.break_lock()
    assert not guarded(given.token)


# --- releasing -----------------------------------------------------------------------------------------------------


def test_a_release_names_the_acquisition_so_a_late_one_harms_nobody() -> None:
    scene = Scene(2)
    token = scene.take(1)
    scene.queue(2)
    retried = scene.command(1, Release(b"a", token))
    first = scene.driven.one(retried)
    assert scene.driven.one(retried) == first
    before = scene.state()
    refused(scene.do(1, Release(b"a", token)), errors.NotHeld, f"{token} is no grant of lock a that lasts")
    assert scene.state() == before
    assert scene.holders() == [2]


def test_who_waits_leaves_by_its_ticket_also_when_it_was_granted_meanwhile() -> None:
    scene = Scene(3)
    token = scene.take(1)
    ticket, later = scene.queue(2), scene.queue(3)
    scene.release(1, token)
    (given,) = scene.notices(2)
    assert isinstance(given, LockGiven)
    released = scene.release(2, ticket)
    assert (released.what, released.token) == (RELEASED, given.token)
    assert scene.holders() == [3]
    refused(scene.do(2, Release(b"a", ticket)), errors.NotHeld)
    assert scene.release(3, later).what == RELEASED
    assert scene.view().lock is None


def test_nobody_else_releases_it() -> None:
    scene = Scene(2)
    token, ticket = scene.take(1), scene.queue(2)
    before = scene.state()
    refused(scene.do(2, Release(b"a", token)), errors.NotHeld, "to session 1, not to session 2")
    refused(scene.do(1, Release(b"a", ticket)), errors.NotHeld, "session 2 waits", "not session 1")
    refused(scene.do(0, Release(b"a", token)), errors.NotHeld)
    assert scene.state() == before


def test_what_is_kept_goes_with_the_last_one() -> None:
    scene = Scene(0)
    before = scene.machine.state_bytes
    for _ in range(6):
        scene.open()
    token = scene.take(1, note="x" * 50)
    scene.take_permits(1, 2, 3, b"b")
    scene.queue(2)
    scene.queue(3)
    scene.queue(4, b"b", SEMAPHORE, permits=2, limit=3)
    child = scene.open(parent=1)
    scene.take(child, reentrant=True)
    scene.release(1, token)
    scene.break_lock()
    for session in range(1, scene.opened + 1):
        scene.close(session)
    kept = scene.machine.scalars.request_ids_bytes  # of the openings that are over
    assert scene.machine.state_bytes - kept == before
    assert not [number for number in (10, 11, *range(20, 30)) if (found := scene.machine.containers.get(number)) and list(found.items())]


# --- the end of sessions -------------------------------------------------------------------------------------------


def test_a_session_that_ends_is_granted_nothing_by_its_own_end() -> None:
    scene = Scene(3)
    scene.take(1, kind=SHARED)
    scene.queue(2)
    scene.acquire(1, kind=SHARED)  # the same session stands in line behind its own lock; nobody waits for it but the writer
    scene.queue(3)
    scene.close(1)
    assert (scene.holders(), scene.waiters()) == ([2], [3])
    assert scene.notices(1) == []
    assert scene.machine._context.holdings.claims(SessionId(1), 2) == []


def test_a_clean_end_passes_it_on_at_once_an_unclean_one_after_the_delay() -> None:
    scene = Scene(5)
    scene.take(1, delay_ms=2_000)
    scene.queue(2, delay_ms=2_000)
    scene.queue(3)
    scene.close(1)
    assert scene.holders() == [2]
    scene.at(10_000)
    scene.expire(2)
    assert (scene.holders(), scene.waiters()) == ([0], [3])
    (lost,) = scene.view().holders
    assert (lost.owner, lost.delay_ms) == ("", 2_000)
    assert scene.machine.due() == 12_000
    scene.at(11_999)
    scene.wake()
    assert scene.holders() == [0]
    scene.at(12_000)
    scene.wake()
    assert (scene.holders(), scene.waiters()) == ([3], [])
    assert scene.machine.due() is None
    (given,) = scene.notices(3)
    assert isinstance(given, LockGiven)


def test_a_lost_token_is_stale_at_once_whatever_the_delay() -> None:
    scene = Scene(2)
    token = scene.take(1, delay_ms=2_000)
    scene.expire(1)
    done = scene.do(2, Transaction([Compare(b"a", TOKEN, EQUAL, token)], [Put(b"result", b"1")]))
    assert isinstance(done, TransactionDone)
    assert not done.succeeded
    refused(scene.do(2, Release(b"a", token)), errors.NotHeld)


def test_who_asks_after_the_delay_gets_it_though_nobody_was_woken() -> None:
    scene = Scene(3)
    scene.take(1, delay_ms=2_000)
    scene.expire(1)
    scene.at(1_999)
    assert isinstance(scene.acquire(2, wait=False), LockBusy)
    scene.at(2_000)
    scene.take(2, wait=False)
    assert [event.kind for event in scene.events()] == [LOCK_GRANTED, LOCK_LOST, LOCK_DELAY_OVER, LOCK_GRANTED]


def test_a_delay_keeps_closed_only_what_was_held() -> None:
    scene = Scene(5)
    scene.take(1, b"rw", SHARED, delay_ms=2_000)
    scene.take(2, b"s", SEMAPHORE, permits=2, limit=3, delay_ms=1_000)
    scene.expire(1, 2)
    scene.take(3, b"rw", SHARED)
    scene.queue(4, b"rw")
    scene.take(3, b"s", SEMAPHORE, permits=1, limit=3)
    scene.queue(4, b"s", SEMAPHORE, permits=1, limit=3)
    scene.at(1_000)
    scene.wake()
    assert scene.holders(b"s") == [3, 4]
    scene.close(3)
    assert scene.holders(b"rw") == [0]
    scene.at(2_000)
    scene.wake()
    assert scene.holders(b"rw") == [4]


def test_many_readers_are_let_in_by_portions() -> None:
    scene = Scene(8, wake_items_max=3)
    token = scene.take(1)
    for session in range(2, 9):
        scene.queue(session, kind=SHARED)
    scene.release(1, token)
    assert scene.holders() == [2, 3, 4]
    assert isinstance(scene.acquire(1, kind=SHARED, wait=False), LockBusy)
    for count in (6, 7):
        due = scene.machine.due()
        assert due is not None
        scene.at(due)
        scene.wake()
        assert len(scene.holders()) == count
    assert scene.machine.due() is None


# --- breaking ------------------------------------------------------------------------------------------------------


def test_a_broken_lock_passes_on_and_its_holder_is_told_why() -> None:
    scene = Scene(3)
    token = scene.take(1)
    scene.queue(2)
    done = scene.break_lock(reason="host retired")
    assert isinstance(done, Done)
    assert (done.changed, done.more) == (1, False)
    assert scene.notices(1) == [LockTaken(b"a", token, "host retired", "ann")]
    assert scene.holders() == [2]
    refused(scene.do(1, Release(b"a", token)), errors.NotHeld)
    refused(scene.break_lock(token=token), errors.NotHeld)
    refused(scene.break_lock(b"other"), errors.Missing, "nobody holds lock other")


def test_breaking_one_of_several_or_all_of_them_in_portions() -> None:
    scene = Scene(6, wake_items_max=2)
    tokens = [scene.take(session, kind=SHARED) for session in (1, 2, 3, 4)]
    assert scene.break_lock(token=tokens[1]) == Done(scene.machine.revision, 1)
    assert scene.holders() == [1, 3, 4]
    assert scene.break_lock() == Done(scene.machine.revision, 2, True)
    assert scene.break_lock() == Done(scene.machine.revision, 1)
    assert scene.view().lock is None


def test_breaking_ends_a_delay() -> None:
    scene = Scene(2)
    scene.take(1, delay_ms=3_600_000)
    scene.expire(1)
    scene.queue(2)
    scene.break_lock()
    assert scene.holders() == [2]
    assert scene.machine.due() is None


# --- again ---------------------------------------------------------------------------------------------------------


def test_it_is_entered_again_only_when_asked_and_counted() -> None:
    scene = Scene(2)
    token = scene.take(1)
    assert isinstance(scene.acquire(1, wait=False), LockBusy)
    again = scene.acquire(1, reentrant=True)
    assert isinstance(again, LockGranted)
    assert (again.token, again.count) == (token, 2)
    released = scene.release(1, token)
    assert (released.what, released.count) == (STILL_HELD, 1)
    assert scene.release(1, token).what == RELEASED
    refused(scene.do(1, Release(b"a", token)), errors.NotHeld)


def test_who_gave_its_own_back_is_not_told_that_it_lost_it() -> None:
    scene = Scene(1)
    token = scene.take(1)
    child = scene.open(parent=1)
    assert scene.take(child, reentrant=True) == token
    assert scene.release(1, token).what == STILL_HELD
    scene.break_lock(reason="host retired")
    assert scene.notices(1) == []
    assert scene.notices(child) == [LockTaken(b"a", token, "host retired", "ann")]


def test_a_session_below_enters_what_the_one_above_holds_a_sibling_does_not() -> None:
    scene = Scene(1)
    token = scene.take(1)
    child, sibling = scene.open(parent=1), scene.open(parent=1)
    assert scene.take(child, reentrant=True) == token
    grandchild = scene.open(parent=child)
    assert scene.take(grandchild, reentrant=True) == token
    other = scene.take(child, b"b")
    busy = scene.acquire(sibling, b"b", reentrant=True, wait=False)
    assert isinstance(busy, LockBusy)
    assert busy.lock.first is not None
    assert busy.lock.first.token == other
    assert scene.release(1, token).count == 2  # those below are inside still
    refused(scene.do(1, Release(b"a", token)), errors.NotHeld)
    scene.expire(grandchild)
    assert scene.holders() == [1]
    assert scene.release(child, token).what == RELEASED


def entered_by_one_below(level: int) -> Scene:
    """Session 1 gave back what it held itself; session 3, below it, is inside still, and session 2 waits."""
    scene = Scene(2, level=level)
    token = scene.take(1, delay_ms=60_000)
    child = scene.open(parent=1)
    assert scene.take(child, reentrant=True) == token
    assert scene.release(1, token).what == STILL_HELD
    scene.queue(2)
    return scene


@pytest.mark.parametrize(("level", "holders"), [(4, [2]), (5, [0])])
def test_the_last_one_inside_leaves_it_closed_for_the_delay_also_where_it_is_one_below(level: int, holders: list[int]) -> None:
    scene = entered_by_one_below(level)
    scene.at(1_000)
    scene.expire(3)
    assert scene.holders() == holders
    if holders == [0]:
        assert scene.machine.due() == 61_000
        scene.at(61_000)
        scene.wake()
    assert scene.holders() == [2]
    scene.close(1)
    assert scene.holders() == [2]


def test_it_is_free_at_once_when_the_last_one_inside_ends_cleanly() -> None:
    scene = entered_by_one_below(5)
    scene.close(3)
    assert scene.holders() == [2]


def test_one_above_that_is_inside_still_keeps_it_however_one_below_ends() -> None:
    scene = Scene(2)
    token = scene.take(1, delay_ms=60_000)
    child = scene.open(parent=1)
    scene.take(child, reentrant=True)
    scene.expire(child)
    assert scene.holders() == [1]
    assert scene.release(1, token).what == RELEASED


def test_those_below_lose_it_with_the_one_above() -> None:
    scene = Scene(2)
    token = scene.take(1)
    child = scene.open(parent=1)
    scene.take(child, reentrant=True)
    scene.queue(2)
    scene.break_lock()
    assert scene.notices(child) == [LockTaken(b"a", token, "why", "ann")]
    assert scene.holders() == [2]
    refused(scene.do(child, Release(b"a", token)), errors.NotHeld)


def test_shared_does_not_become_exclusive() -> None:
    scene = Scene(1)
    scene.take(1, kind=SHARED)
    refused(scene.acquire(1, reentrant=True), errors.Conflict, "cannot become exclusive")
    scene.take_permits(1, 1, 3, b"s")
    refused(scene.acquire(1, b"s", SEMAPHORE, permits=2, limit=3, reentrant=True), errors.Conflict, "cannot become 2")
