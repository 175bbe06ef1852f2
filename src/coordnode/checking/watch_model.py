"""What watches were told, held against what was written and against each other. Pure, linear.

put (key, value)       → the revision that it made
open (watch, from)     a watch wants everything from that revision on; opened again it goes on there
told watch             → (revision, ((key, value), …)): all that happened at that revision
gap watch              → the revision from which on it can be told again: what is before is lost to it, and it knows
whole watch            → a revision up to which it was told everything

A revision that anybody was told of, or whose writer was answered, is one that every watch of that range must be told of: once, in
order, and as it was. All watch the same keys.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from coordnode.checking.history import FAILED, OK, Operation, Value
from coordnode.checking.models import is_pair, shown
from coordnode.checking.verdict import BY_WITNESS, PASS, VIOLATION, Evidence, Verdict
from coordnode.errors import BadRequest

NAME: Final = "watch"
FUNCTIONS: Final = ("put", "open", "told", "gap", "whole")


def check_watches(operations: Sequence[Operation]) -> Verdict:
    for operation in operations:
        _check_shape(operation)
    asked = {operation.argument for operation in operations if operation.function == "put" and operation.kind != FAILED}
    happened: dict[int, tuple[Value, Operation]] = {}  # revision → what happened at it, and who says so
    told_or_done = [operation for operation in operations if operation.kind == OK]
    for operation in told_or_done:
        if operation.function not in ("put", "told"):
            continue
        revision, events = _at(operation)
        known, by = happened.setdefault(revision, (events, operation))
        if known != events:
            return _broken(operations, f"revision {revision} is {shown(known)} for one and {shown(events)} for another", operation, by)
        strange = [event for event in events if event not in asked]
        if strange:
            return _broken(operations, f"revision {revision} holds {shown(strange[0])}, which nobody put", operation)
    return _order(operations, told_or_done, sorted(happened), happened)


def _order(
    operations: Sequence[Operation],
    done: Sequence[Operation],
    revisions: Sequence[int],
    happened: dict[int, tuple[Value, Operation]],
) -> Verdict:
    places = {revision: place for place, revision in enumerate(revisions)}
    following: dict[Value, int] = {}  # watch → place of the first revision that it was not told of yet
    for operation in done:
        function, argument, result = operation.function, operation.argument, operation.result
        if function == "open":
            assert isinstance(argument, tuple)
            following[argument[0]] = _place(revisions, argument[1])
        elif function == "gap":
            following[argument] = max(following.get(argument, 0), _place(revisions, result))
        elif function == "told":
            revision, _ = _at(operation)
            expected = following.get(argument, 0)
            if places[revision] < expected:
                return _broken(operations, f"watch {shown(argument)} is told of revision {revision} again, or too late", operation)
            if places[revision] > expected:
                missed = revisions[expected]
                sentence = f"watch {shown(argument)} was never told of revision {missed}, and then of {revision}"
                return _broken(operations, sentence, operation, happened[missed][1])
            following[argument] = expected + 1
        elif function == "whole":
            expected = following.get(argument, 0)
            if expected < len(revisions) and revisions[expected] <= _number(result):
                missed = revisions[expected]
                sentence = f"watch {shown(argument)} was never told of revision {missed}, though it has everything up to {result}"
                return _broken(operations, sentence, operation, happened[missed][1])
    count = len({operation.argument for operation in done if operation.function == "told"})
    reason = f"{count} watches were told each of {len(revisions)} revisions in their range once, in order and as it was"
    return Verdict(PASS, reason, NAME, BY_WITNESS, operations=len(operations))


def _place(revisions: Sequence[int], start: Value) -> int:
    return bisect_left(revisions, _number(start))


def _number(value: Value) -> int:
    assert isinstance(value, int)
    return value


def _at(operation: Operation) -> tuple[int, tuple[Value, ...]]:
    """(revision, events)"""
    if operation.function == "put":
        return _number(operation.result), (operation.argument,)
    assert isinstance(operation.result, tuple)
    revision, events = operation.result
    assert isinstance(events, tuple)
    return _number(revision), events


def _broken(operations: Sequence[Operation], reason: str, operation: Operation, other: Operation | None = None) -> Verdict:
    return Verdict(VIOLATION, reason, NAME, BY_WITNESS, operations=len(operations), evidence=Evidence(operation, other=other))


def _check_shape(operation: Operation) -> None:
    function, argument, result, told = operation.function, operation.argument, operation.result, operation.kind == OK
    if function not in FUNCTIONS:
        raise BadRequest(f"model watch does not know the function {function!r}; it knows {', '.join(FUNCTIONS)}")
    if function in ("put", "open") and not is_pair(argument):
        raise BadRequest(f"model watch: {function} needs a pair, not {shown(argument)}")
    if function == "open" and not _is_revision(argument[1]):  # type: ignore[index]  # a pair
        raise BadRequest(f"model watch: open needs (watch, revision), not {shown(argument)}")
    if told and function in ("put", "gap", "whole") and not _is_revision(result):
        raise BadRequest(f"model watch: {function} gives a revision, not {shown(result)}")
    if told and function == "told":
        is_change = is_pair(result) and _is_revision(result[0]) and isinstance(result[1], tuple) and bool(result[1])  # type: ignore[index]
        if not is_change or not all(map(is_pair, result[1])):  # type: ignore[index]
            raise BadRequest(f"model watch: told gives (revision, ((key, value), …)), not {shown(result)}")


def _is_revision(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
