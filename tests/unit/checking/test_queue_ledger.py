"""The ledger of queues: what is right passes, and each lie is found by the check of its name."""

from collections.abc import Callable

import pytest

from coordnode.checking.queue_ledger import DELAYED, Asked, Given, QueueLedger, Rules
from coordnode.errors import PromiseBroken

RULES = Rules(1_000, 1, 100, 400, 10, 4, 100, 500)
Q = b"q"


def given(task: int, token: int, attempts: int = 1, payload: bytes | None = b"x", priority: int = 0) -> Given:
    return Given(task, token, payload, attempts, priority)


def put(ledger: QueueLedger, number: int, *, priority: int = 0, delay_ms: int = 0, key: bytes = b"", is_new: bool = True) -> None:
    ledger.put(Q, RULES, b"x", priority, delay_ms, key, number, is_new)


def take(ledger: QueueLedger, *tasks: Given, session: int = 0, wait: bool = False, ticket: int = 0, most: int = 9) -> None:
    ledger.taken(Q, RULES, session, Asked(most, wait, False, 0), tasks, ticket)


def scene() -> QueueLedger:
    """1 is held under 11 by session 7, 2 is ready, 3 is delayed until 700 ms."""
    ledger = QueueLedger()
    ledger.begin(1, 0)
    put(ledger, 1, priority=3, key=b"once")
    put(ledger, 2)
    put(ledger, 3, delay_ms=700)
    take(ledger, given(1, 11, priority=3), session=7, most=1)
    ledger.begin(2, 100)
    return ledger


def in_line() -> QueueLedger:
    """All are taken without a session; session 8 waits with ticket 50."""
    ledger = scene()
    take(ledger, given(2, 12))
    take(ledger, session=8, wait=True, ticket=50)
    ledger.begin(3, 100)
    return ledger


def spacious() -> QueueLedger:
    ledger = scene()
    ledger.configured(Q, RULES._replace(tasks_max=9), 1)
    return ledger


def test_a_life_as_it_must_be_passes() -> None:
    ledger = scene()
    put(ledger, 1, key=b"once", is_new=False)
    ledger.returned(Q, 11, 7, (-1, True), DELAYED, 100)
    take(ledger, given(2, 12), session=7)
    take(ledger, session=8, wait=True, ticket=50)
    ledger.begin(3, 200)
    ledger.woken(9)
    ledger.told(8, 50, [given(1, 13, 2, priority=3)])
    ledger.extended(Q, 13, 1_000, 0)
    ledger.begin(4, 1_100)
    ledger.woken(9)
    ledger.told_lost(7, 2, 12)
    ledger.refused(Q, 31, 12, False)
    ledger.begin(5, 1_250)
    assert ledger.ended(8), "task 1 has failed once too often: watches are told that it died"
    ledger.begin(6, 1_250)
    ledger.shown(Q, 6, (1, 1, 0, 1, 0, 3))
    assert "task 2 of queue b'q'" in ledger.unsettled(1_000)
    ledger.begin(7, 2_000)
    ledger.woken(9)
    ledger.redriven(Q, 0, 5, 1)
    ledger.purged(Q, False, 5, 3, False)
    assert ledger.unsettled(1_000) == ""
    ledger.configured(Q, RULES, 0)
    ledger.deleted(Q, 1, False)


def test_a_task_that_is_held_for_long_may_wait_whatever_its_queue_s_rules_became() -> None:
    ledger = scene()
    assert "task 1 of queue" in ledger.unsettled(RULES.lease_ms)
    ledger.extended(Q, 11, 30_000, 30_000)
    assert "task 3 of queue" in ledger.unsettled(RULES.lease_ms), "which is only delayed"


LIES: dict[str, tuple[str, Callable[[], QueueLedger], Callable[[QueueLedger], object]]] = {
    "a later one first": ("queue-order", scene, lambda led: (put(led, 4), take(led, given(4, 12), most=1))),
    "a number that goes back": ("queue-order", scene, lambda led: (put(led, 9), put(led, 8))),
    "nothing, with one ready": ("queue-none-lost", scene, take),
    "done already": ("queue-one-holder", scene, lambda led: (led.acknowledged(Q, 11, 7), take(led, given(1, 12), most=1))),
    "held by another": ("queue-one-holder", scene, lambda led: take(led, given(1, 12), most=1)),
    "a stale token accepted": ("queue-one-holder", scene, lambda led: led.acknowledged(Q, 10, 7)),
    "a live token refused": ("queue-one-holder", scene, lambda led: led.refused(Q, 31, 11, False)),
    "a token that is not new": ("queue-one-holder", scene, lambda led: take(led, given(2, 11))),
    "too early": ("queue-never-early", scene, lambda led: take(led, given(3, 12), most=1)),
    "a wrong number of attempts": ("queue-retries", scene, lambda led: take(led, given(2, 12, 2))),
    "dead too soon": ("queue-retries", scene, lambda led: led.returned(Q, 11, 7, (-1, True), 4, 0)),
    "another back-off": ("queue-retries", scene, lambda led: led.returned(Q, 11, 7, (-1, True), DELAYED, 200)),
    "more redriven than died": ("queue-dead-letters", scene, lambda led: led.redriven(Q, 0, 9, 1)),
    "another payload": ("queue-kept", scene, lambda led: take(led, given(2, 12, 1, b"y"))),
    "what is taken purged": ("queue-kept", scene, lambda led: led.purged(Q, False, 9, 3, False)),
    "deleted with tasks": ("queue-kept", scene, lambda led: led.deleted(Q, 1, False)),
    "other counts": ("queue-kept", scene, lambda led: led.shown(Q, 1, (2, 1, 0, 0, 0, 3))),
    "missing": ("queue-kept", scene, lambda led: led.refused(Q, 33, 0, False)),
    "another lease": ("queue-kept", scene, lambda led: led.extended(Q, 11, 999, 0)),
    "put twice": ("queue-put-once", scene, lambda led: put(led, 4, key=b"once")),
    "a key that nobody put": ("queue-put-once", scene, lambda led: put(led, 1, key=b"other", is_new=False)),
    "a key that is forgotten": ("queue-put-once", scene, lambda led: (led.begin(3, 500), put(led, 1, key=b"once", is_new=False))),
    "more than it may": ("queue-bounded", scene, lambda led: (put(led, 4), put(led, 5))),
    "full, and it is not": ("queue-bounded", spacious, lambda led: led.refused(Q, 35, 0, False)),
    "not told": ("queue-told-once", in_line, lambda led: (put(led, 4), led.begin(4, 100))),
    "told twice": ("queue-told-once", in_line, lambda led: (put(led, 4), led.told(8, 50, [given(4, 13)]), led.told(8, 50, [given(4, 14)]))),
    "somebody else told": ("queue-told-once", in_line, lambda led: (put(led, 4), led.told(9, 50, [given(4, 13)]))),
    "told too early": ("queue-never-early", in_line, lambda led: (put(led, 4), led.told(8, 50, [given(3, 13)]))),
    "a ticket beside tasks": ("queue-told-once", scene, lambda led: take(led, given(2, 12), wait=True, ticket=50)),
    "a loss not told": ("queue-told-once", scene, lambda led: (led.acknowledged(Q, 11, 9), led.begin(3, 100))),
    "a loss that was none": ("queue-told-once", scene, lambda led: led.told_lost(7, 1, 11)),
    "leaving told of too much": ("queue-told-once", in_line, lambda led: led.stopped(Q, 50, [given(2, 12)])),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_found_by_its_check(lie: str) -> None:
    name, begin, tell = LIES[lie]
    ledger = begin()
    with pytest.raises(PromiseBroken) as broken:
        tell(ledger)
    assert broken.value.check_name == name, broken.value.sentence
