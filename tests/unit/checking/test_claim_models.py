"""Locks, semaphores and elections as models: what a history of holders may be, and what no order explains."""

import pytest

from coordnode.checking.history import FOREVER, OK, UNKNOWN, UNSEEN, History, Operation, Value
from coordnode.checking.judge import judge, model_named
from coordnode.checking.linearizable import Budget
from coordnode.checking.verdict import PASS, VIOLATION
from coordnode.errors import BadRequest

Asked = tuple[str, Value, Value]


def outcome(model: str, *asked: Asked) -> str:
    """One after the other; a result of UNSEEN is an outcome that nobody was told."""
    operations = []
    for number, (function, argument, result) in enumerate(asked):
        unknown = result is UNSEEN
        returned = FOREVER if unknown else 2 * number + 1
        operations.append(Operation(number, function, argument, result, 2 * number, returned, UNKNOWN if unknown else OK))
    return judge(History(tuple(operations)), model, Budget()).outcome


TAKE: list[Asked] = [("acquire", None, 5)]

RIGHT: dict[str, tuple[str, list[Asked]]] = {
    "one after the other": ("lock", [*TAKE, ("release", 5, True), ("acquire", None, 6)]),
    "a holder that fell silent": ("lock", [*TAKE, ("lost", 5, UNSEEN), ("acquire", None, 6), ("release", 5, False)]),
    "a pending acquire that took it": ("lock", [("acquire", None, UNSEEN), ("lost", None, UNSEEN), ("acquire", None, 7)]),
    "a pending acquire that never was": ("lock", [("acquire", None, UNSEEN), ("acquire", None, 7), ("release", 7, True)]),
    "the resource refuses the stale": (
        "lock",
        [*TAKE, ("lost", 5, UNSEEN), ("acquire", None, 6), ("write", (6, "b"), True), ("write", (5, "a"), False), ("read", None, "b")],
    ),
    "a late write that nothing overtook": ("lock", [*TAKE, ("lost", 5, UNSEEN), ("acquire", None, 6), ("write", (5, "a"), True)]),
    "readers": (
        "rwlock",
        [("acquire", "read", 1), ("acquire", "read", 2), ("release", 1, True), ("release", 2, True), ("acquire", "write", 3)],
    ),
    "permits": ("semaphore", [("acquire", (2, 3), 1), ("acquire", (1, 3), 2), ("release", 1, True), ("acquire", (2, 3), 3)]),
    "a leader and the next": (
        "election",
        [
            ("campaign", "a", 1),
            ("observe", None, "a"),
            ("proclaim", (1, "b"), True),
            ("observe", None, "b"),
            ("resign", 1, True),
            ("observe", None, None),
            ("campaign", "c", 2),
            ("proclaim", (1, "x"), False),
        ],
    ),
}
WRONG: dict[str, tuple[str, list[Asked]]] = {
    "two holders": ("lock", [*TAKE, ("acquire", None, 6)]),
    "a token that goes back": ("lock", [*TAKE, ("release", 5, True), ("acquire", None, 4)]),
    "the same token twice": ("lock", [*TAKE, ("release", 5, True), ("acquire", None, 5)]),
    "released twice": ("lock", [*TAKE, ("release", 5, True), ("release", 5, True)]),
    "released after it was lost": ("lock", [*TAKE, ("lost", 5, UNSEEN), ("acquire", None, 6), ("release", 5, True)]),
    "a stale write is admitted": (
        "lock",
        [*TAKE, ("lost", 5, UNSEEN), ("acquire", None, 6), ("write", (6, "b"), True), ("write", (5, "a"), True)],
    ),
    "a write is refused without cause": ("lock", [*TAKE, ("write", (5, "a"), False)]),
    "a writer beside a reader": ("rwlock", [("acquire", "read", 1), ("acquire", "write", 2)]),
    "a reader beside a writer": ("rwlock", [("acquire", "write", 1), ("acquire", "read", 2)]),
    "a permit too many": ("semaphore", [("acquire", (2, 3), 1), ("acquire", (2, 3), 2)]),
    "two leaders": ("election", [("campaign", "a", 1), ("campaign", "b", 2)]),
    "a value of nobody": ("election", [("campaign", "a", 1), ("resign", 1, True), ("observe", None, "a")]),
    "a stale leader proclaims": (
        "election",
        [("campaign", "a", 1), ("resign", 1, True), ("campaign", "b", 2), ("proclaim", (1, "x"), True)],
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_may_be(name: str) -> None:
    model, asked = RIGHT[name]
    assert outcome(model, *asked) == PASS


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be(name: str) -> None:
    model, asked = WRONG[name]
    assert outcome(model, *asked) == VIOLATION


SHAPES: list[tuple[str, Asked]] = [
    ("lock", ("acquire", None, "five")),
    ("lock", ("acquire", None, True)),
    ("lock", ("release", "x", True)),
    ("lock", ("release", 5, "yes")),
    ("lock", ("write", ("x", 1), True)),
    ("lock", ("write", 5, True)),
    ("rwlock", ("acquire", "own", 5)),
    ("semaphore", ("acquire", (0, 3), 5)),
    ("semaphore", ("acquire", None, 5)),
    ("election", ("acquire", None, 5)),
]


@pytest.mark.parametrize(("model", "asked"), SHAPES)
def test_what_is_no_history_of_it(model: str, asked: Asked) -> None:
    with pytest.raises(BadRequest, match=f"model {model}"):
        outcome(model, asked)


def test_it_begins_free() -> None:
    with pytest.raises(BadRequest, match="cannot begin with"):
        model_named("lock", 5)
