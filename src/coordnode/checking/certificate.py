"""Whether an order proves that a history is right: the small check that the large ones are held against. Pure."""

from collections import Counter
from collections.abc import Hashable, Sequence

from coordnode.checking.history import OK, UNKNOWN, Operation, first_out_of_order
from coordnode.checking.models import ILLEGAL, Model
from coordnode.checking.store import END_SESSIONS, Store


def verify(model: Model | None, operations: Sequence[Operation], certificate: Sequence[Sequence[Operation]]) -> str:
    """ "" when the orders prove it, else why not. Model None: the store of coordnode."""
    placed = Counter(operation for order in certificate for operation in order if operation.function != END_SESSIONS)
    if any(placed[operation] != 1 for operation in operations if operation.kind == OK):
        return "an operation that took effect is not placed exactly once"
    if placed - Counter(operation for operation in operations if operation.kind in (OK, UNKNOWN)):
        return "something is placed that nobody asked for, or that surely did not happen, or twice"
    for order in certificate:
        if first_out_of_order(order) is not None:
            return "real time is contradicted"
        wrong = _replayed(order) if model is None else _stepped(model, order)
        if wrong is not None:
            return f"{wrong.function} {wrong.argument!r} cannot have answered {wrong.result!r}"
    return ""


def _stepped(model: Model, order: Sequence[Operation]) -> Operation | None:
    states: dict[Hashable, Hashable] = {}
    for operation in order:
        partition = model.partition(operation)
        state = states.get(partition, model.initial)
        following = model.step(state, operation.function, operation.argument, operation.result)
        if following is not ILLEGAL:
            states[partition] = following
        elif operation.kind == OK:
            return operation
    return None


def _replayed(order: Sequence[Operation]) -> Operation | None:
    store = Store()
    for operation in order:
        expected, changes = store.answer(operation)
        if operation.kind == OK and expected != operation.result:
            return operation
        store.commit(operation, changes)
    return None
