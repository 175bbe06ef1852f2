"""The near-linear check: replies name their place in the log; sort by it, sweep for real time, replay. Pure.

The order that the members themselves claim must be one that real time allows and that answers as they answered.
Operations with unknown outcome may have a place (whoever reads the log knows it); those without one are fitted in by
the search, which may only choose where they go, or by the store's replay, where revisions say how many are missing.
"""

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from typing import Final

from coordnode.checking.history import FAILED, FOREVER, NO_PLACE, OK, UNKNOWN, UNSEEN, Operation, Value, first_out_of_order
from coordnode.checking.linearizable import SLICE_WORK, Budget, Span, search_spans, told
from coordnode.checking.models import ILLEGAL, Foresight, Model
from coordnode.checking.verdict import BY_WITNESS, BY_WITNESS_SEARCH, PASS, VIOLATION, Evidence, Verdict
from coordnode.checking.verdict import UNKNOWN as UNDECIDED

_AFTER_ALL: Final = 1 << 62  # a read at applied index i comes after every position of entry i


def has_witness(operations: Sequence[Operation]) -> bool:
    """Whether each known outcome names its place."""
    return all([operation.index != NO_PLACE for operation in operations if operation.kind == OK])


def placed_order(operations: Sequence[Operation], reads: frozenset[str]) -> list[Operation]:
    """Those that have a place, in the order of the log; reads of one applied index in the order of their invocation."""
    ranked = [
        (operation.index, _AFTER_ALL if operation.function in reads else operation.position, operation.invoked, number)
        for number, operation in enumerate(operations)
        if operation.index != NO_PLACE and operation.kind != FAILED
    ]
    ranked.sort()
    return [operations[rank[3]] for rank in ranked]


def one_place_twice(order: Sequence[Operation], reads: frozenset[str]) -> tuple[str, Evidence] | None:
    previous = None
    for operation in order:
        if operation.function in reads:
            continue
        if previous is not None and previous.index == operation.index and previous.position == operation.position:
            place = f"index {operation.index}, position {operation.position}"
            return f"two operations claim {place}: {told(previous)} and {told(operation)}", Evidence(operation, other=previous)
        previous = operation
    return None


def real_time_broken(order: Sequence[Operation]) -> tuple[str, Evidence] | None:
    pair = first_out_of_order(order)
    if pair is None:
        return None
    earlier, later = pair
    reason = f"{told(later)} had returned before {told(earlier)} was invoked, and is placed after it"
    return reason, Evidence(later, other=earlier)


def check_witness(model: Model, operations: Sequence[Operation], budget: Budget) -> Verdict:
    """For the models that are step functions; the store of coordnode has its own replay."""
    order = placed_order(operations, model.reads)
    wrong = one_place_twice(order, model.reads) or real_time_broken(order)
    if wrong is not None:
        return Verdict(VIOLATION, wrong[0], model.name, BY_WITNESS, operations=len(operations), evidence=wrong[1])
    if any(operation.kind == UNKNOWN and operation.index == NO_PLACE for operation in operations):
        spans = spans_around(order, operations)
        is_any_untold = any([operation.kind == UNKNOWN for operation in order])
        return search_spans(_Untold(model) if is_any_untold else model, spans, budget, BY_WITNESS_SEARCH)
    states: dict[Hashable, Hashable] = {}
    initial, step, partition_of = model.initial, model.step, model.partition
    for number, operation in enumerate(order):
        if number % SLICE_WORK == SLICE_WORK - 1 and (spent := budget.spent(number)):
            reason = f"{spent}; {number} of {len(order)} operations are replayed, and explained so far"
            return Verdict(UNDECIDED, reason, model.name, BY_WITNESS, len(operations), max(1, len(states)), number)
        partition = partition_of(operation)
        state = states.get(partition, initial)
        following = step(state, operation.function, operation.argument, operation.result)
        if following is ILLEGAL and operation.kind == OK:
            reason = (
                f"in the order of the log, {told(operation)} is impossible at index {operation.index}: the state was {model.shown(state)}"
            )
            prefix = tuple([before for before in order[: number + 1] if partition_of(before) == partition])
            evidence = Evidence(operation, partition, expected=model.shown(state), prefix=prefix)
            return Verdict(VIOLATION, reason, model.name, BY_WITNESS, len(order), len(states), number + 1, evidence=evidence)
        if following is not ILLEGAL:
            states[partition] = following
    certificate = (tuple(order),)
    reason = "the order of the log explains every operation"
    return Verdict(PASS, reason, model.name, BY_WITNESS, len(operations), max(1, len(states)), len(order), certificate=certificate)


class _Untold:
    """A model in whose histories unknown outcomes have places, too: each happens there, or changes nothing where it is impossible. The
    model's own foresight does not know of that, so any unknown outcome may be needed."""

    def __init__(self, model: Model) -> None:
        self.name, self.initial, self.reads, self.refuses, self.learns = model.name, model.initial, model.reads, model.refuses, model.learns
        self.partition, self.relevant, self.shown, self._step = model.partition, model.relevant, model.shown, model.step

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        following = self._step(state, function, argument, result)
        return state if following is ILLEGAL and result is UNSEEN else following

    def foresight(self, known: Sequence[Operation], unseen: Sequence[Operation]) -> Foresight:
        return Foresight()


def spans_around(order: Sequence[Operation], operations: Sequence[Operation]) -> list[Span]:
    """Each placed operation at its rank and nowhere else; the others from the first rank that real time leaves them."""
    spans = [(2 * rank + 1, 2 * rank + 1, operation) for rank, operation in enumerate(order)]
    earliest = returns_from(order)
    spans.extend(
        (2 * bisect_left(earliest, operation.invoked), FOREVER, operation)
        for operation in operations
        if operation.kind == UNKNOWN and operation.index == NO_PLACE
    )
    return spans


def returns_from(order: Sequence[Operation]) -> list[int]:
    """For each rank the earliest return among it and all later ones: nothing invoked after that may stand before it."""
    earliest = [FOREVER] * len(order)
    lowest = FOREVER
    for rank in range(len(order) - 1, -1, -1):
        lowest = min(lowest, order[rank].returned)
        earliest[rank] = lowest
    return earliest
