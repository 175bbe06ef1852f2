"""The queue as a model: what a history of takers may be, and what no order explains."""

import pytest

from coordnode.checking.history import FAILED, FOREVER, OK, UNKNOWN, UNSEEN, History, Operation, Value
from coordnode.checking.judge import NOT_GIVEN, judge, model_named
from coordnode.checking.linearizable import Budget
from coordnode.checking.verdict import PASS, VIOLATION
from coordnode.errors import BadRequest

Asked = tuple[str, Value, Value]

PUTS: list[Asked] = [("put", ("a", 0), None), ("put", ("b", 0), None), ("put", ("urgent", 5), None)]


def outcome(*asked: Asked) -> str:
    """One after the other; a result of UNSEEN is an outcome that nobody was told."""
    operations = []
    for number, (function, argument, result) in enumerate(asked):
        unknown = result is UNSEEN
        returned = FOREVER if unknown else 2 * number + 1
        operations.append(Operation(number, function, argument, result, 2 * number, returned, UNKNOWN if unknown else OK))
    return judge(History(tuple(operations)), "queue", Budget()).outcome


RIGHT: dict[str, list[Asked]] = {
    "priorities, then the order of puts": [*PUTS, ("take", None, ("urgent", 1)), ("take", None, ("a", 2)), ("take", None, ("b", 3))],
    "empty": [("take", None, None)],
    "done": [*PUTS[:1], ("take", None, ("a", 1)), ("ack", 1, True), ("take", None, None), ("read", None, ())],
    "a lease that ended": [*PUTS[:2], ("take", None, ("a", 1)), ("take", None, ("a", 2)), ("ack", 1, "stale"), ("ack", 2, True)],
    "backing off": [*PUTS[:1], ("take", None, ("a", 1)), ("nack", 1, True), ("take", None, None), ("read", None, ("a",))],
    "a take that nobody saw": [*PUTS[:2], ("take", None, UNSEEN), ("take", None, ("b", 2)), ("take", None, ("a", 3))],
    "or that never was": [*PUTS[:2], ("take", None, UNSEEN), ("take", None, ("a", 2)), ("take", None, ("b", 3))],
    "a put that nobody saw": [("put", ("a", 0), UNSEEN), ("take", None, ("a", 1))],
    "an acknowledgement that nobody saw": [*PUTS[:1], ("take", None, ("a", 1)), ("ack", 1, UNSEEN), ("read", None, ())],
}
WRONG: dict[str, list[Asked]] = {
    "a later put first": [*PUTS[:2], ("take", None, ("b", 1))],
    "a lower priority first": [*PUTS, ("take", None, ("a", 1))],
    "lost": [*PUTS[:1], ("take", None, None)],
    "lost in the end": [*PUTS[:1], ("read", None, ())],
    "never put": [("take", None, ("a", 1))],
    "back after it was done": [*PUTS[:1], ("take", None, ("a", 1)), ("ack", 1, True), ("take", None, ("a", 2))],
    "done twice": [*PUTS[:1], ("take", None, ("a", 1)), ("ack", 1, True), ("ack", 1, True)],
    "done with a stale token": [*PUTS[:1], ("take", None, ("a", 1)), ("take", None, ("a", 2)), ("ack", 1, True)],
    "done after it was refused": [*PUTS[:1], ("take", None, ("a", 1)), ("ack", 1, "stale"), ("ack", 1, True)],
    "a token that was given before": [*PUTS[:2], ("take", None, ("a", 1)), ("take", None, ("b", 1))],
    "a token that goes back": [*PUTS[:2], ("take", None, ("a", 2)), ("take", None, ("b", 1))],
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_may_be(name: str) -> None:
    assert outcome(*RIGHT[name]) == PASS


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be(name: str) -> None:
    assert outcome(*WRONG[name]) == VIOLATION


SENSELESS: list[Asked] = [("put", "a", None), ("put", ("a", "b"), None), ("take", None, "a"), ("read", None, "a"), ("steal", 1, 1)]
SENSELESS += [("ack", "a", True), ("ack", 1, False)]


@pytest.mark.parametrize("asked", SENSELESS)
def test_shapes_that_make_no_sense_are_refused(asked: Asked) -> None:
    with pytest.raises(BadRequest, match="model queue"):
        outcome(asked)


def test_it_begins_empty() -> None:
    assert model_named("queue", NOT_GIVEN).initial == ((), (), 0, 0)
    with pytest.raises(BadRequest, match="cannot begin with"):
        model_named("queue", ())


def test_a_value_that_names_two_tasks_is_refused() -> None:
    with pytest.raises(BadRequest, match="model queue: 'v' is put twice; put each value once"):
        outcome(("put", ("v", 0), None), ("put", ("v", 1), UNSEEN), ("read", None, ("v", "v")))
    failed = Operation(0, "put", ("v", 0), UNSEEN, 0, 1, FAILED)
    again = Operation(0, "put", ("v", 0), None, 2, 3)
    assert judge(History((failed, again)), "queue", Budget()).outcome == PASS
