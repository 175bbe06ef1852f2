"""What watches were told, held against what was written and against each other. Pure, linear.

put (key, value)       → the revision that it made
open (watch, from)     a watch wants everything from that revision on; opened again it goes on there
told watch             → (revision, ((key, value), …)): all that happened at that revision
gap watch              → the revision from which on it can be told again: what is before is lost to it, and it knows
whole watch            → a revision up to which it was told everything
awaits watch           → a revision up to which it waited in vain to be told everything: what it lacks may be late, or never come

A revision that anybody was told of, or whose writer was answered, is one that every watch of that range must be told of: once, in
order, and as it was. Each put makes one revision at most, revisions are in the order of real time, and nobody is told of what is
not asked for yet. All watch the same keys.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Final

from coordnode.checking.history import OK, UNKNOWN, Operation, Value
from coordnode.checking.linearizable import told
from coordnode.checking.models import is_pair, shown
from coordnode.checking.verdict import BY_WITNESS, PASS, VIOLATION, Evidence, Verdict
from coordnode.checking.verdict import UNKNOWN as UNDECIDED
from coordnode.errors import BadRequest

NAME: Final = "watch"
FUNCTIONS: Final = ("put", "open", "told", "gap", "whole", "awaits")

_Revisions = dict[int, tuple[Value, list[Operation]]]  # what happened at each, and all who say so


def check_watches(operations: Sequence[Operation]) -> Verdict:
    for operation in operations:
        _check_shape(operation)
    done = [operation for operation in operations if operation.kind == OK]
    happened: _Revisions = {}
    for operation in done:
        if operation.function not in ("put", "told"):
            continue
        revision, events = _at(operation)
        known, by = happened.setdefault(revision, (events, []))
        if known != events:
            return _broken(operations, f"revision {revision} is {shown(known)} for one and {shown(events)} for another", operation, by[0])
        by.append(operation)
    revisions = sorted(happened)
    return _makers(operations, revisions, happened) or _order(operations, done, revisions, happened)


def _makers(operations: Sequence[Operation], revisions: Sequence[int], happened: _Revisions) -> Verdict | None:
    """Who made each revision: the put that was answered so, else one of unknown outcome for each of its events. Of puts that are alike,
    the one that was invoked first makes the first revision: if any choice respects real time, this one does."""
    untold: dict[Value, deque[Operation]] = {}
    for operation in operations:
        if operation.function == "put" and operation.kind == UNKNOWN:
            untold.setdefault(operation.argument, deque()).append(operation)
    newest: Operation | None = None  # of the puts that made the revisions so far, the one that was invoked last
    for revision in revisions:
        events, by = happened[revision]
        makers = [operation for operation in by if operation.function == "put"]
        if len(makers) > 1:
            return _broken(operations, f"revision {revision} is said to be made by {told(makers[0])} and by {told(makers[1])}", *makers[:2])
        if not makers:
            assert isinstance(events, tuple)
            for event in events:
                alike = untold.get(event)
                if not alike:
                    sentence = f"revision {revision} holds {shown(event)}, which nobody put, or not as often as it happened"
                    return _broken(operations, sentence, by[0])
                makers.append(alike.popleft())
        newest = max([*makers, *([newest] if newest is not None else [])], key=lambda put: put.invoked)
        earliest = min(by, key=lambda operation: operation.returned)
        if earliest.returned < newest.invoked:
            sentence = f"{told(earliest)} had returned before {told(newest)} was invoked, and is of the same revision or a later one"
            return _broken(operations, sentence, newest, earliest)
    return None


def _order(operations: Sequence[Operation], done: Sequence[Operation], revisions: Sequence[int], happened: _Revisions) -> Verdict:
    places = {revision: place for place, revision in enumerate(revisions)}
    following: dict[Value, int] = {}  # watch → place of the first revision that it was not told of yet
    in_vain = ""
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
                return _broken(operations, sentence, operation, happened[missed][1][0])
            following[argument] = expected + 1
        elif function in ("whole", "awaits"):
            expected = following.get(argument, 0)
            if expected == len(revisions) or revisions[expected] > _number(result):
                continue
            missed = revisions[expected]
            if function == "whole":
                sentence = f"watch {shown(argument)} was never told of revision {missed}, though it has everything up to {result}"
                return _broken(operations, sentence, operation, happened[missed][1][0])
            in_vain = in_vain or f"watch {shown(argument)} was not told of revision {missed}, though it waited for all up to {result}"
    if in_vain:
        return _undecided(operations, f"{in_vain}; it may only be late")
    count = len({operation.argument for operation in done if operation.function == "told"})
    if not count and any([place < len(revisions) for place in following.values()]):
        return _undecided(operations, "no watch was told anything, though something happened; nothing says for how long any of them waited")
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


def _undecided(operations: Sequence[Operation], reason: str) -> Verdict:
    return Verdict(UNDECIDED, reason, NAME, BY_WITNESS, operations=len(operations))


def _check_shape(operation: Operation) -> None:
    function, argument, result, is_told = operation.function, operation.argument, operation.result, operation.kind == OK
    if function not in FUNCTIONS:
        raise BadRequest(f"model watch does not know the function {function!r}; it knows {', '.join(FUNCTIONS)}")
    if function in ("put", "open") and not is_pair(argument):
        raise BadRequest(f"model watch: {function} needs a pair, not {shown(argument)}")
    if function == "open" and not _is_revision(argument[1]):  # type: ignore[index]  # a pair
        raise BadRequest(f"model watch: open needs (watch, revision), not {shown(argument)}")
    if is_told and function in ("put", "gap", "whole", "awaits") and not _is_revision(result):
        raise BadRequest(f"model watch: {function} gives a revision, not {shown(result)}")
    if is_told and function == "told":
        is_change = is_pair(result) and _is_revision(result[0]) and isinstance(result[1], tuple) and bool(result[1])  # type: ignore[index]
        if not is_change or not all(map(is_pair, result[1])):  # type: ignore[index]
            raise BadRequest(f"model watch: told gives (revision, ((key, value), …)), not {shown(result)}")


def _is_revision(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
