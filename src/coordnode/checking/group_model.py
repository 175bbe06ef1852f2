"""A group of members and the numbers of its views, as clients see it. Pure.

A member that goes with its session goes unseen: whoever records adds `lost` with it, of unknown outcome, from when its session was
last known to live. What a watch said is a `read` that was invoked when the watch was opened.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Final

from coordnode.checking.history import OK, UNSEEN, Operation, Value
from coordnode.checking.models import ILLEGAL, Foresight, OneObject, is_pair, shown
from coordnode.errors import BadRequest

_NOBODY: Final = object()


class Group(OneObject):
    """Groups never see each other, and all arguments are pairs (group, …): join (group, (member, about)) → view, or false where it is
    there already; update likewise → view, or false where it is not; leave (group, member) → view, or false; lost (group, member);
    read (group, …) → (view, ((member, about), …)), view 0 where nobody is. Each change has a view of its own number, above all before."""

    name = "group"
    functions = frozenset({"join", "update", "leave", "lost", "read"})
    pairs = functions
    learns = frozenset({"read"})
    refuses = frozenset({"join", "update", "leave"})
    initial: Hashable = (0, True, ())  # the number of the view, whether it is that and not just above it, members in no order that counts

    def partition(self, operation: Operation) -> Hashable:
        assert isinstance(operation.argument, tuple)
        group: Hashable = operation.argument[0]
        return group

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        assert isinstance(state, tuple)
        assert isinstance(argument, tuple)
        number, _, members = state
        if function == "read":
            return state if result is UNSEEN else self._read(state, result)
        member, about = argument[1] if function in ("join", "update") else (argument[1], None)
        others = tuple([one for one in members if one[0] != member])
        is_there = len(others) < len(members)
        is_right = is_there is not (function == "join")
        if result is False or not is_right:
            return state if not is_right and (result is False or (result is UNSEEN and function != "lost")) else ILLEGAL
        following = others if function in ("leave", "lost") else tuple(sorted([*others, (member, about)], key=repr))
        if following == members:
            return self._learnt(state, result)
        if result is UNSEEN or function == "lost":
            return number, False, following
        assert isinstance(result, int)
        return (result, True, following) if result > number else ILLEGAL

    def _read(self, state: tuple[int, bool, tuple[Value, ...]], result: Value) -> Hashable:
        assert isinstance(result, tuple)
        view, members = result
        assert isinstance(members, tuple)
        if tuple(sorted(members, key=repr)) != state[2]:
            return ILLEGAL
        if not members:
            return ILLEGAL if view else state
        return self._learnt(state, view)

    def _learnt(self, state: tuple[int, bool, tuple[Value, ...]], view: Value) -> Hashable:
        """The number of a view that there is."""
        number, is_told, members = state
        if view is UNSEEN:
            return state
        assert isinstance(view, int)
        if is_told:
            return state if view == number else ILLEGAL
        return (view, True, members) if view > number else ILLEGAL

    def foresight(self, known: Sequence[Operation], unseen: Sequence[Operation]) -> Foresight:
        return _Foresight(known)

    def shown(self, state: Hashable) -> str:
        assert isinstance(state, tuple)
        return f"view {'' if state[1] else 'above '}{state[0]} of {shown(state[2])}"

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        function, argument, result = operation.function, operation.argument, operation.result
        if function in ("join", "update") and not is_pair(argument[1]):  # type: ignore[index]
            raise BadRequest(f"model group: {function} needs (group, (member, about)), not {shown(argument)}")
        if operation.kind != OK or function == "lost":
            return
        if function != "read":
            if not isinstance(result, int) or (result is not False and result <= 0):
                raise BadRequest(f"model group: {function} gives the number of a view, or false, not {shown(result)}")
        elif not (is_pair(result) and isinstance(result[0], int) and isinstance(result[1], tuple) and all(map(is_pair, result[1]))):  # type: ignore[index]
            raise BadRequest(f"model group: a read gives (view, ((member, about), …)), not {shown(result)}")


class _Foresight(Foresight):
    """Who is there at a view is told by those who read it. Where nobody else names it, changes of others may as well come behind it."""

    def __init__(self, known: Sequence[Operation]) -> None:
        self._read: dict[Value, dict[Value, Value]] = {}  # by view
        self._told: Counter[Value] = Counter()  # views by their changes
        for one in known:
            if one.function == "read":
                self._read[one.result[0]] = dict(one.result[1])  # type: ignore[index]
            else:
                self._told[one.result] += 1

    def effect(self, unseen: Operation) -> Hashable:
        function = "lost" if unseen.function == "leave" else unseen.function
        return function, unseen.argument

    def needs(self, state: Hashable, goal: Operation) -> Sequence[Hashable] | None:
        assert isinstance(state, tuple)
        assert isinstance(goal.argument, tuple)
        function, result = goal.function, goal.result
        members = dict(state[2])
        if function == "read":
            there = dict(result[1])  # type: ignore[index]
            return None if members == there else _changes(members, there)
        member, about = goal.argument[1] if function in ("join", "update") else (goal.argument[1], None)
        if (member in members) is ((function == "join") is (result is not False)):
            return (("out", member),) if member in members else (("in", member),)
        if result is False or function == "lost":
            return ()
        if self._told[result] > 1 or (function == "update" and members[member] == about):
            return None
        members.pop(member, None)
        if function != "leave":
            members[member] = about
        return _changes(members, self._read[result]) if result in self._read else ()

    def serves(self, unseen: Operation) -> Sequence[Hashable]:
        assert isinstance(unseen.argument, tuple)
        if unseen.function in ("leave", "lost"):
            return (("out", unseen.argument[1]),)
        member, about = unseen.argument[1]
        return (("is", member, about), ("in", member)) if unseen.function == "join" else (("is", member, about),)


def _changes(members: dict[Value, Value], there: dict[Value, Value]) -> list[Hashable]:
    """What makes those members of these."""
    needs: list[Hashable] = [("out", member) for member, about in members.items() if there.get(member, _NOBODY) != about]
    for member, about in there.items():
        if members.get(member, _NOBODY) != about:
            needs += [("is", member, about), ("in", member)]
    return needs
