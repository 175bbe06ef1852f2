"""Sessions and the keys that live with them, as clients see it. Pure.

When a session ends by itself nobody sees it: whoever records adds `lost` with it, of unknown outcome, from when its holder was last
told that it lives. A history without that says that it did not end by itself, however silent its holder was.
"""

from collections.abc import Hashable, Sequence

from coordnode.checking.history import OK, UNSEEN, Operation, Value
from coordnode.checking.models import ILLEGAL, Foresight, OneObject, is_pair, shown
from coordnode.errors import BadRequest

Keys = tuple[tuple[Hashable, Hashable, int], ...]  # (key, value, bit of its session; 0: of none), sorted by when each was first used


class Sessions(OneObject):
    """open → session, renew session → whether it lived, close session → whether it did, lost session; bind (session, (key, value)) →
    whether it lived, put (key, value), delete key → whether it was there, get key → value. A key goes with the session it was bound to
    last, and not before."""

    name = "session"
    functions = frozenset({"open", "renew", "close", "lost", "bind", "put", "delete", "get"})
    pairs = frozenset({"bind", "put"})
    reads = frozenset({"get", "renew"})
    refuses = frozenset({"bind", "close", "delete"})
    initial: Hashable = (0, 0, ())  # bits of all sessions so far, of those that live, keys

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        assert isinstance(state, tuple)
        opened, living, keys = state
        if function == "open":
            if result is UNSEEN:
                return state  # nobody knows its number, so nobody can use it
            bit = self.bit(result)
            return ILLEGAL if opened & bit else (opened | bit, living | bit, keys)
        if function in ("get", "put", "delete"):
            return self._unbound(state, function, argument, result)
        bit = self.bit(argument[0] if function == "bind" else argument)  # type: ignore[index]  # a pair, by its shape
        if not living & bit:
            return state if result is False or (result is UNSEEN and function != "lost") else ILLEGAL
        if result is False:
            return ILLEGAL
        if function == "renew":
            return state
        if function == "bind":
            return opened, living, self._with(keys, argument[1], bit)  # type: ignore[index]
        return opened, living & ~bit, tuple([one for one in keys if one[2] != bit])

    def _unbound(self, state: tuple[int, int, Keys], function: str, argument: Value, result: Value) -> Hashable:
        opened, living, keys = state
        if function == "put":
            return opened, living, self._with(keys, argument, 0)
        there = [one for one in keys if one[0] == argument]
        if function == "get":
            return state if result is UNSEEN or result == (there[0][1] if there else None) else ILLEGAL
        if result is not UNSEEN and result is not bool(there):
            return ILLEGAL
        return (opened, living, tuple([one for one in keys if one[0] != argument])) if there else state

    def _with(self, keys: Keys, bound: Value, bit: int) -> Keys:
        assert isinstance(bound, tuple)
        key, value = bound
        return tuple(sorted([*[one for one in keys if one[0] != key], (key, value, bit)], key=lambda one: self.bit(one[0])))

    def bit(self, one: Hashable) -> int:
        return 1 << self._numbers.setdefault(one, len(self._numbers))

    def foresight(self, known: Sequence[Operation], unseen: Sequence[Operation]) -> Foresight:
        return _Foresight(self, known, unseen)

    def shown(self, state: Hashable) -> str:
        assert isinstance(state, tuple)
        living = [one for one, number in self._numbers.items() if state[1] >> number & 1]
        return f"sessions {shown(tuple(living))}, keys {shown(tuple([(key, value) for key, value, _ in state[2]]))}"

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        function, argument, result, told = operation.function, operation.argument, operation.result, operation.kind == OK
        if function == "open" and told and result is None:
            raise BadRequest("model session: open gives a session, not nothing")
        if function == "bind" and not is_pair(argument[1]):  # type: ignore[index]
            raise BadRequest(f"model session: bind needs (session, (key, value)), not {shown(argument)}")
        if function in ("renew", "close", "bind", "delete") and told and not isinstance(result, bool):
            raise BadRequest(f"model session: {function} is answered with true or false, not {shown(result)}")


class _Unread:
    """A value that nobody reads: like any other such."""

    __slots__ = ("_value",)

    def __init__(self, value: Value) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unread)

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return repr(self._value)


class _Foresight(Foresight):
    """Values that nobody reads are one. Of a session that nobody names any more only its keys count: that it lives is no
    worse than that it is over, for which an unknown outcome was used."""

    def __init__(self, model: Sessions, known: Sequence[Operation], unseen: Sequence[Operation]) -> None:
        self._model = model
        self._read = {(one.argument, one.result) for one in known if one.function == "get"}
        bound = {_concerned(one)[0] for one in unseen if one.function == "bind"}
        ended = dict.fromkeys(one.argument for one in unseen if one.function in ("close", "lost"))
        self._only_ended = [(model.bit(session), ("lost", session)) for session in ended if session not in bound]
        self._named: list[int] = []  # at each return: bits of the sessions that it or a later one names
        named = 0
        for one in reversed(known):
            if one.function not in ("get", "put", "delete"):
                named |= model.bit(one.result if one.function == "open" else _concerned(one)[0])
            self._named.append(named)
        self._named.reverse()

    def argument(self, operation: Operation) -> Value:
        session, key, value = _concerned(operation)
        if operation.function not in ("put", "bind") or (key, value) in self._read:
            return operation.argument
        return (session, (key, _Unread(value))) if operation.function == "bind" else (key, _Unread(value))

    def effect(self, unseen: Operation) -> Hashable:
        function = "lost" if unseen.function == "close" else unseen.function
        return function, self.argument(unseen)

    def needs(self, state: Hashable, goal: Operation) -> Sequence[Hashable]:
        """A value that is read: whatever writes it so. Nothing that is read: what writes nothing, deletes the key, or binds it to a session
        that may end. A session that is over: what ends it, and what binds keys to it, for these go with it."""
        assert isinstance(state, tuple)
        _, living, keys = state
        session, key, _ = _concerned(goal)
        if goal.function in ("get", "delete"):
            written: tuple[Hashable, ...] = (("is", key, goal.result),) if goal.function == "get" else ()
            if written and goal.result is not None:
                return written
            bits = [bit for one, _, bit in keys if one == key]
            if goal.result is True:
                return () if bits else (("there", key),)
            return (*written, ("gone", key), ("ends", bits[0]), ("binds", bits[0])) if bits else ()
        bit = 0 if goal.function in ("open", "put") else self._model.bit(session)
        if not living & bit:
            return ()
        if goal.result is False:
            return ("ends", bit), ("binds", bit)
        return (("binds", bit),) if goal.function in ("close", "lost") else ()

    def serves(self, unseen: Operation) -> Sequence[Hashable]:
        session, key, value = _concerned(unseen)
        if unseen.function == "open":
            return ()
        if unseen.function == "delete":
            return (("gone", key),)
        if unseen.function == "put":
            return ("there", key), ("is", key, value)
        bit = self._model.bit(session)
        return (("there", key), ("is", key, value), ("gone", key), ("binds", bit)) if unseen.function == "bind" else (("ends", bit),)

    def essence(self, at: int, state: Hashable) -> Hashable:
        assert isinstance(state, tuple)
        opened, living, keys = state
        named = self._named[at]
        return opened & named, living & named, keys

    def idle(self, at: int, state: Hashable) -> Sequence[Hashable]:
        """The end of a session that nobody names, and that has no keys and gets none."""
        assert isinstance(state, tuple)
        counts = self._named[at]
        for _, _, bit in state[2]:
            counts |= bit
        return [effect for bit, effect in self._only_ended if not counts & bit]


def _concerned(operation: Operation) -> tuple[Value, Value, Value]:
    """Its session, its key, and what it writes there; None where there is none."""
    argument = operation.argument
    if operation.function in ("get", "delete"):
        return None, argument, None
    if operation.function not in ("bind", "put"):
        return argument, None, None
    assert isinstance(argument, tuple)
    session, (key, value) = argument if operation.function == "bind" else (None, argument)
    return session, key, value
