"""What watches are told of the committed log, held against the replay of what clients were answered: the store's model knows no history."""

from collections.abc import Mapping, Sequence
from typing import Any

from coordnode.checking.history import Operation
from coordnode.checking.store import Store
from coordnode.errors import PromiseBroken
from coordnode.services.commands import DELETE_EVENT, KV, PUT_EVENT
from coordnode.simulator.reference import EventRow

_ANYTHING = object()  # what a part of the store changed: watches must be told that it did


def check_changes(certificate: Sequence[Operation], changes: Mapping[int, Sequence[EventRow]]) -> None:
    """`certificate`: all that took effect, in order. Each change is told whole, under its revision, and nothing else is told."""
    store = Store()
    spaces = [KV, *[part.SPACE for part in store.parts.values()]]  # of the others, checks of their own know what must be told
    for operation in certificate:
        _, changed = store.answer(operation)
        before = store.revision
        store.commit(operation, changed)
        if store.revision == before:
            continue
        told = {(row[5], row[1]): row for row in changes.get(store.revision, ()) if row[5] in spaces}  # the last word on each key
        expected: dict[tuple[int, bytes], Any] = {}
        for key, item in changed.items():
            if type(key) is not tuple:
                expected[KV, key] = item
            elif (event_key := store.parts[key[0]].event_key(key)) is not None:
                expected[store.parts[key[0]].SPACE, event_key] = _ANYTHING
        if told.keys() != expected.keys() or not all(_is_told(item, told[key]) for key, item in expected.items()):
            sentence = f"revision {store.revision} changed {sorted(map(repr, changed))}, and watches are told of {sorted(map(repr, told))}"
            raise PromiseBroken("change-told-whole", sentence, (operation.function, operation.argument, changed, told))
    if changes and max(changes) != store.revision:
        raise PromiseBroken("change-told-whole", f"watches are told of revision {max(changes)}; the last is {store.revision}", None)


def _is_told(item: Any, row: EventRow) -> bool:
    if item is _ANYTHING:
        return True
    if item is None:
        return row[0] == DELETE_EVENT
    return row[0] == PUT_EVENT and row[2:5] == (item[1], item[4], item[5])
