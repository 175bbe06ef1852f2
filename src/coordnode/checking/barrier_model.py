"""Barriers: what a round is, and barriers as clients see them. Pure.

Who goes with its session goes unseen: whoever records adds `lost` with it, of unknown outcome, from when its session was last known
to live.
"""

from collections.abc import Hashable
from typing import Any, Final

import msgspec

from coordnode.checking.history import OK, UNSEEN, Operation, Value
from coordnode.checking.models import ILLEGAL, OneObject, is_pair, shown
from coordnode.errors import BadRequest


class Round(msgspec.Struct, frozen=True):
    """It opens when `count` sessions are inside, stays open, and is over when the last of them has left."""

    number: int
    count: int
    inside: tuple[Any, ...] = ()  # sessions, in the order of their coming
    is_open: bool = False

    def may_enter(self, session: Hashable, count: int) -> bool:
        return not self.is_open and session not in self.inside and self.count == count

    def with_one(self, session: Hashable) -> "Round":
        inside = (*self.inside, session)
        return Round(self.number, self.count, inside, len(inside) == self.count)

    def without(self, session: Hashable) -> "Round":
        return Round(self.number, self.count, tuple([one for one in self.inside if one != session]), self.is_open)

    def shown(self) -> tuple[int, int, int, bool]:
        return self.number, self.count, len(self.inside), self.is_open


NOT_TOLD: Final = 0  # the number of a round that nobody was told


class Barrier(OneObject):
    """Barriers never see each other, and all arguments are pairs (barrier, …): enter (barrier, (session, count)) → (round, inside, is
    open), or false; leave (barrier, session) → whether it was inside; give-up likewise, but "open" where it has opened and all stay
    inside; lost (barrier, session); read (barrier, …) → (round, count, inside, is open), or nothing. No round has another's number."""

    name = "barrier"
    functions = frozenset({"enter", "leave", "give-up", "lost", "read"})
    pairs = functions
    learns = frozenset({"read"})
    refuses = frozenset({"enter", "leave", "give-up"})
    initial: Hashable = (0, None)  # the highest number so far, the round under way

    def partition(self, operation: Operation) -> Hashable:
        assert isinstance(operation.argument, tuple)
        barrier: Hashable = operation.argument[0]
        return barrier

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        assert isinstance(state, tuple)
        assert isinstance(argument, tuple)
        highest, found = state
        if function == "read":
            if result is UNSEEN or found is None or result is None:
                return state if result is UNSEEN or (found is None and result is None) else ILLEGAL
            assert isinstance(result, tuple)
            return self._told(highest, found, result[0]) if result[1:] == found.shown()[1:] else ILLEGAL
        if function == "enter":
            return self._entered(highest, found, argument[1], result, state)
        session = argument[1]
        if found is None or session not in found.inside:
            return state if result is False or (result is UNSEEN and function != "lost") else ILLEGAL
        if function == "give-up" and found.is_open:
            return state if result in (UNSEEN, "open") else ILLEGAL
        if result is False or result == "open":
            return ILLEGAL
        left = found.without(session)
        return highest, left if left.inside else None

    def _entered(self, highest: int, found: Round | None, asked: Value, result: Value, state: Hashable) -> Hashable:
        assert isinstance(asked, tuple)
        session, count = asked
        now = Round(NOT_TOLD, count) if found is None else found
        if not now.may_enter(session, count):
            return state if result is UNSEEN or result is False else ILLEGAL
        now = now.with_one(session)
        if result is UNSEEN:
            return highest, now
        if result is False:
            return ILLEGAL
        assert isinstance(result, tuple)
        return self._told(highest, now, result[0]) if result[1:] == (len(now.inside), now.is_open) else ILLEGAL

    def _told(self, highest: int, found: Round, number: int) -> Hashable:
        if found.number != NOT_TOLD:
            return (highest, found) if number == found.number else ILLEGAL
        return (number, Round(number, found.count, found.inside, found.is_open)) if number > highest else ILLEGAL

    def shown(self, state: Hashable) -> str:
        assert isinstance(state, tuple)
        found = state[1]
        if found is None:
            return "nobody inside"
        number = found.number or f"above {state[0]}"
        return f"round {number}, {'open' if found.is_open else 'closed'}, {shown(found.inside)} of {found.count} inside"

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        function, argument, result = operation.function, operation.argument, operation.result
        if function == "enter" and not (is_pair(argument[1]) and _is_count(argument[1][1])):  # type: ignore[index]
            raise BadRequest(f"model barrier: enter needs (barrier, (session, count)), not {shown(argument)}")
        if operation.kind != OK:
            return
        if function == "enter" and result is not False and not (_is_row(result, 3) and _is_count(result[0])):  # type: ignore[index]
            raise BadRequest(f"model barrier: enter gives (round, inside, is open), or false, not {shown(result)}")
        if function == "read" and result is not None and not (_is_row(result, 4) and _is_count(result[0])):  # type: ignore[index]
            raise BadRequest(f"model barrier: a read gives (round, count, inside, is open), or nothing, not {shown(result)}")
        if function in ("leave", "give-up") and not isinstance(result, bool) and not (function == "give-up" and result == "open"):
            raise BadRequest(f"model barrier: {function} is answered with true or false, not {shown(result)}")


def _is_count(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_row(value: Value, length: int) -> bool:
    return isinstance(value, tuple) and len(value) == length
