"""The checks of locks and elections turn red, each by its name, when what it guards is broken; and stay green when it is not."""

from collections.abc import Callable

import pytest

from coordnode.checking.elections import LEADS, PROCLAIMED, VACANT, ElectionTruth
from coordnode.checking.locks import GuardedResources, LockTruth
from coordnode.errors import PromiseBroken

X = b"x"


def asked(kind: int = 0, *, wait: bool = True, limit: int = 0, permits: int = 1, delay_ms: int = 0, name: bytes = X) -> tuple[object, ...]:
    return (name, kind, permits, limit, wait, False, delay_ms)


def truth(sessions: int = 5) -> LockTruth:
    found = LockTruth()
    for session in range(1, sessions + 1):
        found.opened(session, 0)
    return found


def acquire(locks: LockTruth, session: int, *answer: object, **how: object) -> None:
    locks.acquired(session, asked(**how), 0, answer)  # type: ignore[arg-type]


def held_and_awaited(**how: object) -> LockTruth:
    locks = truth()
    acquire(locks, 1, "granted", 10, 1, **how)
    acquire(locks, 2, "queued", 11, 0)
    acquire(locks, 3, "queued", 12, 1, kind=1)
    locks.told([(X, 10, 1)], [], [])
    return locks


def test_a_hand_over_by_the_rules_is_green() -> None:
    locks = held_and_awaited()
    locks.released(1, X, 10, ("released", 0, 10, 0))
    locks.told([(X, 13, 2)], [(2, X, 11, 13)], [])
    assert locks.claims(2) == [(X, 13), (X, 11)]
    locks.was_broken(X, 13, 1)
    locks.told([(X, 14, 3)], [(3, X, 12, 14)], [(2, X, 13)])
    locks.session_ended(3, True, 0)
    assert not locks.locks


def test_who_gave_its_own_back_is_not_inside_though_those_below_it_are() -> None:
    locks = truth(1)
    locks.opened(2, 1)
    acquire(locks, 1, "granted", 10, 1)
    locks.told([(X, 10, 1)], [], [])
    locks.acquired(2, (X, 0, 1, 0, True, True, 0), 0, ("granted", 10, 2))
    locks.released(1, X, 10, ("released", 2, 10, 1))
    assert (locks.is_inside(1, X), locks.is_inside(2, X)) == (False, True)


def grants_the_second() -> None:
    locks = held_and_awaited()
    acquire(locks, 4, "granted", 20, 1)


def passes_over_the_first_in_line() -> None:
    locks = held_and_awaited()
    locks.released(1, X, 10, ("released", 0, 10, 0))
    locks.told([(X, 13, 3)], [(3, X, 12, 13)], [])


def lets_a_reader_overtake() -> None:
    locks = truth()
    acquire(locks, 1, "granted", 10, 1, kind=1)
    locks.told([(X, 10, 1)], [], [])
    acquire(locks, 2, "queued", 11, 0)
    acquire(locks, 3, "granted", 12, 1, kind=1)


def goes_back_with_its_tokens() -> None:
    locks = held_and_awaited()
    locks.released(1, X, 10, ("released", 0, 10, 0))
    locks.told([(X, 9, 2)], [(2, X, 11, 9)], [])


def grants_to_who_is_gone() -> None:
    locks = held_and_awaited()
    locks.session_ended(2, True, 0)
    locks.told([], [], [])
    locks.released(1, X, 10, ("released", 0, 10, 0))
    locks.told([(X, 13, 2)], [], [])


def forgets_the_delay() -> None:
    locks = held_and_awaited(delay_ms=500)
    locks.session_ended(1, False, 0)
    locks.told([(X, 13, 2)], [(2, X, 11, 13)], [])


def forgets_the_delay_when_one_below_was_inside_last() -> None:
    locks = truth(2)
    locks.opened(3, 1)
    acquire(locks, 1, "granted", 10, 1, delay_ms=500)
    acquire(locks, 2, "queued", 11, 0)
    locks.told([(X, 10, 1)], [], [])
    locks.acquired(3, (X, 0, 1, 0, True, True, 0), 0, ("granted", 10, 2))
    locks.released(1, X, 10, ("released", 2, 10, 1))
    locks.session_ended(3, False, 0)
    locks.told([(X, 13, 2)], [(2, X, 11, 13)], [])


def forgets_the_next() -> None:
    locks = held_and_awaited()
    locks.released(1, X, 10, ("released", 0, 10, 0))
    locks.told([], [], [])


def tells_nobody() -> None:
    locks = held_and_awaited()
    locks.released(1, X, 10, ("released", 0, 10, 0))
    locks.told([(X, 13, 2)], [], [])


def does_not_tell_the_broken() -> None:
    locks = held_and_awaited()
    locks.was_broken(X, 0, 1)
    locks.told([(X, 13, 2)], [(2, X, 11, 13)], [])


def lets_a_stranger_release() -> None:
    held_and_awaited().released(2, X, 10, ("released", 0, 10, 0))


def waits_for_itself() -> None:
    locks = held_and_awaited()
    acquire(locks, 1, "queued", 20, 2)


def refuses_a_wait_that_ends() -> None:
    acquire(held_and_awaited(), 4, "deadlock")


def gives_a_ticket_twice() -> None:
    acquire(held_and_awaited(), 4, "queued", 12, 2)


def shows_nobody_a_grant() -> None:
    locks = truth()
    acquire(locks, 1, "granted", 10, 1)
    locks.told([], [], [])


def gives_too_many_permits() -> None:
    locks = truth()
    acquire(locks, 1, "granted", 10, 1, kind=2, limit=3, permits=2)
    acquire(locks, 2, "granted", 11, 1, kind=2, limit=3, permits=2)


BROKEN: list[tuple[Callable[[], None], str]] = [
    (grants_the_second, "lock-exclusion"),
    (gives_too_many_permits, "lock-exclusion"),
    (passes_over_the_first_in_line, "lock-fifo"),
    (lets_a_reader_overtake, "lock-fifo"),
    (goes_back_with_its_tokens, "lock-tokens"),
    (gives_a_ticket_twice, "lock-tokens"),
    (shows_nobody_a_grant, "lock-told"),
    (grants_to_who_is_gone, "lock-sessions"),
    (forgets_the_delay, "lock-delay"),
    (forgets_the_delay_when_one_below_was_inside_last, "lock-delay"),
    (forgets_the_next, "lock-told"),
    (tells_nobody, "lock-told"),
    (does_not_tell_the_broken, "lock-told"),
    (lets_a_stranger_release, "lock-answer"),
    (waits_for_itself, "lock-deadlock"),
    (refuses_a_wait_that_ends, "lock-deadlock"),
]


def raised_by(work: Callable[[], None]) -> str:
    with pytest.raises(PromiseBroken) as caught:
        work()
    return caught.value.check_name


@pytest.mark.parametrize(("work", "check"), BROKEN)
def test_what_breaks_a_promise_is_named(work: Callable[[], None], check: str) -> None:
    assert raised_by(work) == check


def test_who_believes_beside_another_is_refused_by_what_the_lock_guards() -> None:
    resources = GuardedResources()
    resources.granted(1, X, 10)
    resources.believes(1)
    resources.granted(2, X, 11)
    resources.believes(1)  # the next one has not written yet
    resources.believes(2)
    assert raised_by(lambda: resources.believes(1)) == "lock-resource"
    resources.given_back(1, X)
    resources.believes(1)
    resources.granted(3, X, 12)
    resources.believes(3)
    resources.closed(2)
    resources.believes(2)


# --- elections -----------------------------------------------------------------------------------------------------


def led() -> ElectionTruth:
    elections = ElectionTruth()
    elections.campaigned(1, X, b"one", "a", True, ("elected", 10))
    elections.campaigned(2, X, b"two", "b", True, ("queued", 11, 0))
    elections.campaigned(3, X, b"three", "c", True, ("queued", 12, 1))
    elections.told([(LEADS, X, 10, 1, "a", b"one")], [], [])
    return elections


def test_elections_by_the_rules_are_green() -> None:
    elections = led()
    elections.proclaimed(1, X, 10, b"one!", True)
    elections.told([(PROCLAIMED, X, 10, 1, "a", b"one!")], [], [])
    elections.resigned(1, X, 10, "c", ("resigned", 10))
    elections.told([(LEADS, X, 13, 3, "c", b"three")], [(3, X, 12, 13)], [])
    elections.deposed(X, 13, "", True)
    elections.told([(LEADS, X, 14, 2, "b", b"two")], [(2, X, 11, 14)], [(3, X, 13)])
    assert elections.session_ended(2)
    elections.told([(VACANT, X, 0, 0, "", b"")], [], [])


def elects_another() -> None:
    elections = led()
    elections.resigned(1, X, 10, "c", ("resigned", 10))
    elections.told([(LEADS, X, 13, 2, "b", b"two")], [(2, X, 11, 13)], [])


def elects_two() -> None:
    led().campaigned(4, X, b"", "", True, ("elected", 20))


def says_nothing_of_a_vacancy() -> None:
    elections = ElectionTruth()
    elections.campaigned(1, X, b"one", "a", True, ("elected", 10))
    elections.told([(LEADS, X, 10, 1, "a", b"one")], [], [])
    elections.session_ended(1)
    elections.told([], [], [])


def shows_another_value() -> None:
    elections = led()
    elections.proclaimed(1, X, 10, b"new", True)
    elections.told([(PROCLAIMED, X, 10, 1, "a", b"old")], [], [])


def does_not_tell_the_winner() -> None:
    elections = led()
    elections.session_ended(1)
    elections.told([(LEADS, X, 13, 2, "b", b"two")], [], [])


def does_not_tell_the_deposed() -> None:
    elections = led()
    elections.deposed(X, 0, "", True)
    elections.told([(LEADS, X, 13, 2, "b", b"two")], [(2, X, 11, 13)], [])


def takes_a_number_twice() -> None:
    led().campaigned(4, X, b"", "", True, ("queued", 12, 2))


BROKEN_ELECTIONS: list[tuple[Callable[[], None], str]] = [
    (elects_another, "election-order"),
    (elects_two, "election-answer"),
    (says_nothing_of_a_vacancy, "election-observed"),
    (shows_another_value, "election-observed"),
    (does_not_tell_the_winner, "election-told"),
    (does_not_tell_the_deposed, "election-told"),
    (takes_a_number_twice, "election-tokens"),
]


@pytest.mark.parametrize(("work", "check"), BROKEN_ELECTIONS)
def test_what_breaks_a_promise_of_elections_is_named(work: Callable[[], None], check: str) -> None:
    assert raised_by(work) == check
