"""What loads record in minutes is decided in thousands of steps, also where it is wrong."""

from random import Random

import pytest

from coordnode.checking.catalogue import MODELS
from coordnode.checking.certificate import verify
from coordnode.checking.history import OK, UNKNOWN, Operation
from coordnode.checking.linearizable import Budget, search
from coordnode.checking.verdict import PASS, VIOLATION
from tests.unit.checking.brute_force import with_fields
from tests.unit.checking.long_histories import WORLDS

COUNT, CLIENTS = 3_000, 4
STEPS_MAX = 300_000


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", WORLDS)
def test_a_long_history_that_is_right(name: str, seed: int) -> None:
    operations = WORLDS[name](Random(f"{name} {seed}")).recorded(COUNT, CLIENTS)
    assert sum(one.kind == UNKNOWN for one in operations) > COUNT / 40
    found = search(MODELS[name](), operations, Budget(steps_max=STEPS_MAX))
    assert found.outcome == PASS, found.reason
    assert verify(MODELS[name](), operations, found.certificate) == ""


def stale(operations: list[Operation], name: str) -> tuple[int, object]:
    """Someone is answered late what was right long ago: a value that was overwritten, a view that is over."""
    asked = {"session": "get", "group": "read"}[name]
    answered = [number for number, one in enumerate(operations) if one.function == asked and one.kind == OK]
    late = answered[3 * len(answered) // 4 :]
    old = [number for number in answered[: len(answered) // 4] if operations[number].result not in (None, (0, ()))]
    victim = next(number for number in late if operations[number].argument == operations[old[0]].argument)
    return victim, operations[old[0]].result


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["session", "group"])  # of a queue all orders of unknown puts would have to be tried, to the first one
def test_and_one_that_is_wrong(name: str, seed: int) -> None:
    operations = WORLDS[name](Random(f"{name} {seed}")).recorded(COUNT, CLIENTS)
    victim, result = stale(operations, name)
    operations[victim] = with_fields(operations[victim], result=result)
    found = search(MODELS[name](), operations, Budget(steps_max=STEPS_MAX))
    assert found.outcome == VIOLATION, found.reason
