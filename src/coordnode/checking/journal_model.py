"""Journals: records under dense offsets, appended in batches, read in order, gone only from the front. Pure.

A state names its records by a number: each batch is kept once, beside the one before it, so that thousands of states of thousands of
records fit; skipping links find the batch of an offset.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from coordnode.checking.history import OK, UNSEEN, Operation, Value
from coordnode.checking.models import ILLEGAL, Foresight, OneObject, is_pair, shown
from coordnode.errors import BadRequest

_EMPTY: Final = 0
_Batch = tuple[int, tuple[Value, ...], int, int, int]  # offset behind it, its records, the batch before, one far before, how many there are


class Journal(OneObject):
    """Journals never see each other, and all arguments are pairs (journal, …): append (journal, (record, …)) → the first one's offset;
    read (journal, offset) → (first, (record, …)), as many as it likes, none only at the end; `first` is above the offset where what
    is below is not kept any more; trim (journal, offset) → anything: what is below is gone."""

    name = "journal"
    functions = frozenset({"append", "read", "trim"})
    pairs = functions
    learns = frozenset({"read"})
    initial: Hashable = (0, 0, _EMPTY)  # first offset that is not known to be gone, next offset, the last batch

    def __init__(self) -> None:
        self._batches: list[_Batch] = [(0, (), _EMPTY, _EMPTY, 0)]
        self._numbers: dict[tuple[int, tuple[Value, ...]], int] = {}

    def partition(self, operation: Operation) -> Hashable:
        assert isinstance(operation.argument, tuple)
        journal: Hashable = operation.argument[0]
        return journal

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        assert isinstance(state, tuple)
        assert isinstance(argument, tuple)
        first, following, last = state
        what = argument[1]
        if function == "append":
            if result is not UNSEEN and result != following:
                return ILLEGAL
            return first, following + len(what), self._appended(last, what)
        if function == "trim":
            return (max(first, min(what, following)), following, last)
        if result is UNSEEN:
            return state
        assert isinstance(result, tuple)
        begin, records = result
        if begin < what or (begin > what and begin > following):
            return ILLEGAL
        if begin > what:
            first = max(first, begin)
        if not records:
            return (first, following, last) if begin > what or what >= following else ILLEGAL
        if begin < first or begin + len(records) > following or self.records(last, begin, len(records)) != records:
            return ILLEGAL
        return first, following, last

    def foresight(self, known: Sequence[Operation], unseen: Sequence[Operation]) -> Foresight:
        return _Foresight(known)

    def _appended(self, last: int, records: tuple[Value, ...]) -> int:
        number = self._numbers.setdefault((last, records), len(self._batches))
        if number == len(self._batches):
            end, _, _, far, count = self._batches[last]
            before_far = self._batches[far]
            skips = count - before_far[4] == before_far[4] - self._batches[before_far[3]][4]
            self._batches.append((end + len(records), records, last, before_far[3] if skips else last, count + 1))
        return number

    def records(self, last: int, offset: int, count: int) -> tuple[Value, ...]:
        """Those of a journal whose last batch is that one; there are as many."""
        found: list[tuple[Value, ...]] = []
        at = last
        while self._batches[self._batches[at][2]][0] >= offset + count:
            far = self._batches[at][3]
            at = far if self._batches[far][0] >= offset + count else self._batches[at][2]
        end = self._batches[at][0]
        while self._batches[at][0] > offset:
            found.append(self._batches[at][1])
            at = self._batches[at][2]
        begin = self._batches[at][0]
        records = [record for batch in reversed(found) for record in batch]
        return tuple(records[offset - begin : len(records) - (end - offset - count)])

    def shown(self, state: Hashable) -> str:
        assert isinstance(state, tuple)
        return f"offsets {state[0]} to {state[1]}, the last batch {shown(self._batches[state[2]][1])}"

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        function, result = operation.function, operation.result
        assert isinstance(operation.argument, tuple)
        what = operation.argument[1]
        if function == "append" and not (isinstance(what, tuple) and what):
            raise BadRequest(f"model journal: append needs (journal, (record, …)), not {shown(operation.argument)}")
        if function != "append" and not _is_offset(what):
            raise BadRequest(f"model journal: {function} needs (journal, offset), not {shown(operation.argument)}")
        if operation.kind != OK:
            return
        if function == "append" and not _is_offset(result):
            raise BadRequest(f"model journal: append gives an offset, not {shown(result)}")
        if function == "read" and not (is_pair(result) and _is_offset(result[0]) and isinstance(result[1], tuple)):  # type: ignore[index]
            raise BadRequest(f"model journal: a read gives (first, (record, …)), not {shown(result)}")


def _is_offset(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class _Foresight(Foresight):
    """What stands at an offset is told by whoever wrote it there or read it. What was trimmed unseen need not be gone."""

    def __init__(self, known: Sequence[Operation]) -> None:
        self._records: dict[int, Value] = {}
        for one in known:
            if one.function == "read":
                self._records.update(_placed(one.result))
            elif one.function == "append":
                self._records.update(_placed((one.result, one.argument[1])))  # type: ignore[index]

    def needs(self, state: Hashable, goal: Operation) -> Sequence[Hashable] | None:
        assert isinstance(state, tuple)
        following = state[1]
        if following >= _end(goal):
            return ()
        return (("begins", self._records[following]),) if following in self._records else ("any",)

    def serves(self, unseen: Operation) -> Sequence[Hashable]:
        return ("any", ("begins", unseen.argument[1][0])) if unseen.function == "append" else ()  # type: ignore[index]


def _placed(found: Value) -> Iterable[tuple[int, Value]]:
    assert isinstance(found, tuple)
    first, records = found
    return enumerate(records, first)


def _end(goal: Operation) -> int:
    """So far the journal must have come before it."""
    result = goal.result
    if goal.function == "append":
        assert isinstance(result, int)
        return result
    if goal.function != "read":
        return 0
    assert isinstance(result, tuple)
    assert isinstance(goal.argument, tuple)
    end: int = result[0] + len(result[1])
    return end if result[1] or end > goal.argument[1] else 0
