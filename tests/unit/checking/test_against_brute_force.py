"""The search and the witness check say what trying every order says, on thousands of small histories."""

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from coordnode.checking.catalogue import MODELS
from coordnode.checking.certificate import verify
from coordnode.checking.history import FOREVER, OK, UNKNOWN, UNSEEN, History, Operation
from coordnode.checking.judge import judge
from coordnode.checking.linearizable import Budget, search
from coordnode.checking.models import ILLEGAL
from coordnode.checking.verdict import PASS, VIOLATION
from coordnode.checking.witness import check_witness
from tests.unit.checking.brute_force import QUESTIONS, explains, random_history, spoilt, with_fields

HISTORIES = 2000  # for each model; two thirds of them spoilt


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_search_and_witness_agree_with_brute_force(name: str) -> None:
    model = MODELS[name]()
    random = Random(f"brute force {name}")
    seen = {PASS: 0, VIOLATION: 0}
    witnessed = {PASS: 0, VIOLATION: 0}
    for number in range(HISTORIES):
        operations = random_history(model, random, random.randrange(4, 10))
        right = number % 3 == 0
        for _ in range(number % 3):
            operations = spoilt(model, operations, random)
        true = explains(model, operations)
        if right:
            assert true, "the generator makes histories that are right"

        found = search(model, operations, Budget())
        assert found.outcome == (PASS if true else VIOLATION), (number, operations, found)
        if found.outcome == PASS:
            assert verify(model, operations, found.certificate) == ""
        else:
            check_prefix(model, operations, found.evidence.prefix, found.evidence.operation)  # type: ignore[union-attr]
        seen[found.outcome] += 1

        claimed = check_witness(model, operations, Budget())
        witnessed[claimed.outcome] += 1
        if claimed.outcome == PASS:
            assert true, "the witness check passes what no order explains"
            assert verify(model, operations, claimed.certificate) == ""
        else:
            assert claimed.outcome == VIOLATION
            assert not right, (number, claimed.reason)
            assert not pinned_explains(model, operations), "the claimed order is right, and the witness check refuses it"
    assert min(seen.values()) > 20, seen
    assert min(witnessed.values()) > 20, witnessed


def check_prefix(model, operations, prefix, last) -> None:  # type: ignore[no-untyped-def]
    """The shortest beginning: impossible as it is, possible when the operation that was stuck is still open."""
    key = model.partition(last)
    same_key = [operation for operation in operations if model.partition(operation) == key]
    end = last.returned
    cut = [opened(operation, end) for operation in same_key if operation.invoked <= end]
    assert not explains(model, cut)
    before = [opened(operation, end - 1) for operation in same_key if operation.invoked <= end]
    assert explains(model, before)
    assert all(operation in same_key for operation in prefix)


def opened(operation: Operation, end: int) -> Operation:
    """As it looked at time `end`: what had not returned then is unknown."""
    if operation.kind != OK or operation.returned <= end:
        return operation
    return Operation(operation.process, operation.function, operation.argument, operation.result, operation.invoked, 1 << 62, UNKNOWN)


def pinned_explains(model, operations) -> bool:  # type: ignore[no-untyped-def]
    """Brute force that keeps the claimed order: each placed operation at a moment of its own, if real time lets it. An unknown outcome
    that has a place happened there, or changed nothing where it was impossible."""
    placed = sorted(
        (operation for operation in operations if operation.index >= 0),
        key=lambda operation: (operation.index, operation.function in model.reads, operation.invoked),
    )
    for earlier, later in pairwise(placed):
        if earlier.index == later.index and later.function not in model.reads:
            return False
    for number, operation in enumerate(placed):
        if any(later.returned < operation.invoked for later in placed[number + 1 :]):
            return False
    moments = []
    for rank, operation in enumerate(placed):
        moments.append(Operation(0, operation.function, operation.argument, operation.result, 2 * rank + 1, 2 * rank + 1))
    for operation in operations:
        if operation.kind == UNKNOWN and operation.index < 0:
            after = [rank for rank, other in enumerate(placed) if other.returned < operation.invoked]
            first = 2 * max(after) + 2 if after else 0
            moments.append(Operation(0, operation.function, operation.argument, operation.result, first, 1 << 62, UNKNOWN))
    return explains(Forced(model), moments)


class Forced:
    """What nobody was told of changes nothing where it is impossible."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def step(self, state: Any, function: str, argument: Any, result: Any) -> Any:
        following = self._model.step(state, function, argument, result)
        return state if following is ILLEGAL and result is UNSEEN else following


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_unknown_outcomes_with_a_place_happen_there_whatever_else_is_unknown(name: str) -> None:
    model = MODELS[name]()
    random = Random(f"placed unknown outcomes {name}")
    seen = {PASS: 0, VIOLATION: 0}
    for number in range(HISTORIES // 4):
        operations = random_history(model, random, random.randrange(4, 10))
        for _ in range(number % 3):
            operations = spoilt(model, operations, random)
        free = [place for place in range(1, 12) if all(operation.index != place for operation in operations)]
        operations = [
            with_fields(one, index=random.choice(free))
            if one.kind == UNKNOWN and one.function not in model.reads and random.random() < 0.5
            else one
            for one in operations
        ]
        found = check_witness(model, operations, Budget())
        assert found.outcome == (PASS if pinned_explains(model, operations) else VIOLATION), (number, operations, found)
        if found.outcome == PASS:
            assert verify(model, operations, found.certificate) == ""
        seen[found.outcome] += 1
    assert min(seen.values()) > 20, seen


def test_an_outcome_that_has_a_place_is_forced_beside_one_that_has_none() -> None:
    placed = Operation(0, "write", 1, UNSEEN, 0, FOREVER, UNKNOWN, 1)
    read = Operation(1, "read", None, None, 10, 20, OK, 2)
    elsewhere = Operation(2, "write", 5, UNSEEN, 0, FOREVER, UNKNOWN)
    for operations in ([placed, read], [placed, read, elsewhere]):
        assert check_witness(MODELS["register"](), operations, Budget()).outcome == VIOLATION
        assert check_witness(MODELS["register"](), [placed, with_fields(read, result=1), *operations[2:]], Budget()).outcome == PASS


def test_an_addition_that_has_a_place_is_missed_by_later_reads() -> None:
    added = Operation(0, "add", 1, UNSEEN, 0, FOREVER, UNKNOWN, 1)
    for elements, outcome in (((), VIOLATION), ((1,), PASS)):
        read = Operation(1, "read", None, elements, 10, 20, OK, 2)
        for model in ("set", "set-full"):
            assert judge(History((added, read)), model, Budget()).outcome == outcome
