"""The models under hostile eyes: a lie told anywhere in a right history is found, and what is known less well convicts nobody."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest

from coordnode.checking.catalogue import MODELS
from coordnode.checking.certificate import verify
from coordnode.checking.history import FAILED, FOREVER, NO_PLACE, OK, UNKNOWN, UNSEEN, Operation
from coordnode.checking.linearizable import Budget, search
from coordnode.checking.models import ILLEGAL, Model
from coordnode.checking.verdict import PASS, VIOLATION
from coordnode.checking.witness import check_witness
from tests.unit.checking.brute_force import QUESTIONS, answer_of, question, random_history, with_fields

GRANTS = ("acquire", "campaign", "own", "open", "append", "take", "join", "enter", "add-get")
"""What is never answered twice in the same words, one right after the other."""


def one_by_one(model: Model, random: Random, count: int) -> list[Operation]:
    """A right history in which nothing overlaps, every outcome is known, and what there is in the end is looked at again and again."""
    operations: list[Operation] = []
    states: dict[object, object] = {}
    looks = [question(model, random) for _ in range(200)]
    asked = [question(model, random) for _ in range(count)] + [look for look in looks if look[0] in model.reads][:8]
    for number, (function, argument) in enumerate(asked, start=1):
        operation = Operation(0, function, argument, UNSEEN, 10 * number, 10 * number + 5)
        partition = model.partition(operation)
        state = states.get(partition, model.initial)
        result = answer_of(model, function, argument, state, model.step(state, function, argument, UNSEEN), number)  # type: ignore[arg-type]
        following = ILLEGAL if result is ILLEGAL else model.step(state, function, argument, result)  # type: ignore[arg-type]
        if following is not ILLEGAL:
            states[partition] = following
            operations.append(with_fields(operation, result=result))
    return operations


def can_be(model: Model, operations: Sequence[Operation]) -> bool:
    """In the one order that there is."""
    states: dict[object, object] = {}
    for operation in operations:
        partition = model.partition(operation)
        state = states.get(partition, model.initial)
        following = model.step(state, operation.function, operation.argument, operation.result)  # type: ignore[arg-type]
        if following is ILLEGAL:
            return False
        states[partition] = following
    return True


def granted_twice(operations: list[Operation], random: Random) -> list[Operation]:
    grants = [at for at, one in enumerate(operations) if one.function in GRANTS and one.result not in (False, None, one.argument)]
    if not grants:
        return operations
    at = random.choice(grants)
    again = with_fields(operations[at], invoked=operations[at].returned + 1, returned=operations[at].returned + 2)
    return [*operations[: at + 1], again, *operations[at + 1 :]]


def forgotten(operations: list[Operation], random: Random) -> list[Operation]:
    at = random.randrange(len(operations))
    return operations[:at] + operations[at + 1 :]


def stale(operations: list[Operation], random: Random) -> list[Operation]:
    """One is told what another was told before, who asked the same."""
    at = random.randrange(len(operations))
    one = operations[at]
    before = [other.result for other in operations[:at] if (other.function, other.argument) == (one.function, one.argument)]
    return [*operations[:at], with_fields(one, result=random.choice(before)), *operations[at + 1 :]] if before else operations


def answers_swapped(operations: list[Operation], random: Random) -> list[Operation]:
    one, other = random.randrange(len(operations)), random.randrange(len(operations))
    changed = list(operations)
    if operations[one].function == operations[other].function:
        changed[one] = with_fields(operations[one], result=operations[other].result)
        changed[other] = with_fields(operations[other], result=operations[one].result)
    return changed


def reordered(operations: list[Operation], random: Random) -> list[Operation]:
    """Two that followed each other are said to have come the other way round."""
    at = random.randrange(len(operations) - 1)
    one, other = operations[at : at + 2]
    swapped = [with_fields(new, invoked=old.invoked, returned=old.returned) for new, old in ((other, one), (one, other))]
    return [*operations[:at], *swapped, *operations[at + 2 :]]


LIES: tuple[Callable[[list[Operation], Random], list[Operation]], ...] = (granted_twice, forgotten, stale, answers_swapped, reordered)


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_every_lie_that_shows_is_found(name: str) -> None:
    model = MODELS[name]()
    random = Random(f"lies {name}")
    found: Counter[str] = Counter()
    for _ in range(60):
        right = one_by_one(model, random, 30)
        assert search(model, right, Budget()).outcome == PASS
        for lie in LIES:
            told = lie(right, random)
            verdict = search(model, told, Budget())
            assert verdict.outcome == (PASS if can_be(model, told) else VIOLATION), (lie.__name__, told, verdict.reason)
            if lie is granted_twice and len(told) > len(right):
                assert verdict.outcome == VIOLATION, told
            found[lie.__name__] += verdict.outcome == VIOLATION
    assert sum(found.values()) >= 30, found


def known_less(operations: Sequence[Operation], random: Random) -> list[Operation]:
    """The same with a coarser clock, longer operations, crashed clients, and refusals that nobody was told."""
    tick = random.choice([1, 60, 300])
    named = {part for one in operations for part in (one.argument if isinstance(one.argument, tuple) else (one.argument,)) if part}
    changed = []
    for operation in operations:
        invoked = (operation.invoked - random.choice([0, 0, 200])) // tick * tick
        returned = operation.returned
        if operation.kind != UNKNOWN:
            returned = -(-(returned + random.choice([0, 0, 200])) // tick) * tick
        less = with_fields(operation, invoked=invoked, returned=returned)
        told = operation.result if isinstance(operation.result, tuple) else (operation.result,)
        is_used = operation.function in GRANTS and not named.isdisjoint(told)  # who names a token was told it
        if operation.kind in (OK, FAILED) and not is_used and random.random() < 0.2:
            less = with_fields(less, kind=UNKNOWN, result=UNSEEN, returned=FOREVER, index=NO_PLACE)
        changed.append(less)
    return sorted(changed, key=lambda operation: operation.invoked)


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_what_is_known_less_well_convicts_nobody(name: str) -> None:
    model = MODELS[name]()
    random = Random(f"less {name}")
    for number in range(150):
        operations = known_less(random_history(model, random, random.randrange(5, 25)), random)
        verdict = search(model, operations, Budget(steps_max=200_000))
        assert verdict.outcome == PASS, (number, operations, verdict.reason)
        assert verify(model, operations, verdict.certificate) == ""
        placed = check_witness(model, operations, Budget(steps_max=200_000))
        assert placed.outcome == PASS, (number, operations, placed.reason)
