"""What single objects promise: step functions over immutable states. Pure.

`step(state, function, argument, result)` is the state after the operation, or ILLEGAL when the object, being in that
state, could not have answered so. With result UNSEEN it is the state after the operation took effect.
"""

from collections.abc import Hashable, Sequence
from typing import Final, Protocol

from coordnode.checking.history import OK, UNSEEN, Operation, Value
from coordnode.errors import BadRequest


class _Illegal:
    __slots__ = ()

    def __repr__(self) -> str:
        return "illegal"


ILLEGAL: Final = _Illegal()


class Model(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def initial(self) -> Hashable: ...

    @property
    def reads(self) -> frozenset[str]:
        """Functions that only look."""
        ...

    @property
    def refuses(self) -> frozenset[str]:
        """Functions whose result False says that they were refused and left the state as it was."""
        ...

    @property
    def learns(self) -> frozenset[str]:
        """Those reads whose answer may settle what the state leaves open, such as a number that nobody was told. One that settles
        nothing, being legal now, must be legal at no later state in which it would settle something."""
        ...

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable: ...

    def foresight(self, known: Sequence[Operation], unseen: Sequence[Operation]) -> "Foresight":
        """Of the known outcomes of one partition, in the order of their return, and of its unknown ones."""
        ...

    def partition(self, operation: Operation) -> Hashable:
        """Operations of different partitions never see each other; all in one: None."""
        ...

    def relevant(self, operations: Sequence[Operation]) -> list[Operation]:
        """Those that the model judges; refuses, by name, functions and arguments that it does not know."""
        ...

    def shown(self, state: Hashable) -> str:
        """The state in words, within a line."""
        ...


class Foresight:
    """What can matter, to those who know all that will be asked and answered. Here: everything."""

    def argument(self, operation: Operation) -> Value:
        """What of its argument does."""
        return operation.argument

    def effect(self, unseen: Operation) -> Hashable:
        """The same of unknown outcomes that differ only in their invocation: whenever they change something, they change the same."""
        return unseen.function, self.argument(unseen)

    def needs(self, state: Hashable, goal: Operation) -> Sequence[Hashable] | None:
        """At this state: what those unknown outcomes serve that are to stand before `goal`, because standing behind it they, or others in
        their stead, would not explain as much. Where several are needed, there must be an order in which each serves a need that is left
        when those before it have happened. None: any may be needed."""
        return None

    def serves(self, unseen: Operation) -> Sequence[Hashable]:
        """Which of these needs an unknown outcome serves."""
        return ()

    def turn(self, operation: Operation) -> tuple[Hashable, int] | None:
        """A hint, which may be wrong: of those with the same first part, the one with the lower second part is better placed first."""
        return None

    def essence(self, at: int, state: Hashable) -> Hashable:
        """What of a state does, while known outcomes are left from the `at`th return on. Of two with the same, the one for which fewer
        unknown outcomes were used must explain all that the other one does."""
        return state

    def idle(self, at: int, state: Hashable) -> Sequence[Hashable]:
        """Effects that serve nobody any more, then: whether they were used does not matter."""
        return ()


class OneObject:
    """What the models of one single object share."""

    name: str
    functions: frozenset[str]
    pairs: frozenset[str] = frozenset()  # functions whose argument is a pair
    reads: frozenset[str] = frozenset({"read"})
    refuses: frozenset[str] = frozenset()
    learns: frozenset[str] = frozenset()
    initial: Hashable

    def shown(self, state: Hashable) -> str:
        return f"{state!r:.80}"

    def foresight(self, known: Sequence[Operation], unseen: Sequence[Operation]) -> "Foresight":
        return Foresight()

    def partition(self, operation: Operation) -> Hashable:
        return None

    def relevant(self, operations: Sequence[Operation]) -> list[Operation]:
        for operation in operations:
            self.check_shape(operation)
        return list(operations)

    def check_shape(self, operation: Operation) -> None:
        if operation.function not in self.functions:
            known = ", ".join(sorted(self.functions))
            raise BadRequest(f"model {self.name} does not know the function {operation.function!r}; it knows {known}")
        if operation.function in self.pairs and not is_pair(operation.argument):
            raise BadRequest(f"model {self.name}: {operation.function} needs a pair, not {shown(operation.argument)}")


def is_pair(value: Value) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def is_token(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def shown(value: Value, characters_max: int = 80) -> str:
    """For sentences: never longer than a line, whatever the value."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, str | bytes) and len(value) > characters_max:
        return repr(value[:characters_max]) + "…"
    if isinstance(value, tuple) and len(value) > 16:
        return f"{len(value)} values: ({', '.join(shown(item, 16) for item in value[:4])}, …)"
    text = "(" + ", ".join(shown(item, 32) for item in value) + ")" if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 2 * characters_max else text[: 2 * characters_max] + "…"


class Register(OneObject):
    """read, write."""

    name = "register"
    functions = frozenset({"read", "write"})

    def __init__(self, initial: Hashable = None) -> None:
        self.initial = initial

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        if function == "write":
            return argument
        return state if result is UNSEEN or result == state else ILLEGAL


class CasRegister(Register):
    """read, write, and cas (expected, next): its result is False when it compared and found another value."""

    name = "cas-register"
    functions = frozenset({"read", "write", "cas"})
    pairs = frozenset({"cas"})
    refuses = frozenset({"cas"})

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        if function != "cas":
            return Register.step(self, state, function, argument, result)
        assert isinstance(argument, tuple)
        return _compare_and_set(state, argument[0], argument[1], result)


def _compare_and_set(state: Hashable, expected: Hashable, following: Hashable, result: Value) -> Hashable:
    if result is False:
        return ILLEGAL if state == expected else state
    return following if state == expected else ILLEGAL


class Counter(OneObject):
    """add a number (its result is not looked at), add-get a number → the sum with it, read → the sum."""

    name = "counter"
    functions = frozenset({"read", "add", "add-get"})

    def __init__(self, initial: int = 0) -> None:
        self.initial: Hashable = initial

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        if function == "read":
            return state if result is UNSEEN or result == state else ILLEGAL
        assert isinstance(state, int)
        assert isinstance(argument, int)
        following = state + argument
        return following if function == "add" or result is UNSEEN or result == following else ILLEGAL

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        if operation.function != "read" and not isinstance(operation.argument, int):
            raise BadRequest(f"model {self.name}: {operation.function} needs a whole number, not {shown(operation.argument)}")


class Mutex(OneObject):
    """acquire, release; who holds it is not asked."""

    name = "mutex"
    functions = frozenset({"acquire", "release"})
    reads: frozenset[str] = frozenset()
    initial: Hashable = False

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        if function == "acquire":
            return ILLEGAL if state else True
        return False if state else ILLEGAL


class KeyValue(OneObject):
    """get, put, append, delete, cas on keys that never see each other; arguments and results are pairs (key, value)."""

    name = "kv"
    functions = frozenset({"get", "put", "append", "delete", "cas"})
    pairs = functions
    reads = frozenset({"get"})
    refuses = frozenset({"cas"})

    def __init__(self, initial: Hashable = "") -> None:
        self.initial = initial
        self._absent: Hashable = None if initial is None else ""  # what a get gives of a key that was deleted

    def partition(self, operation: Operation) -> Hashable:
        assert isinstance(operation.argument, tuple)
        key: Hashable = operation.argument[0]
        return key

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        assert isinstance(argument, tuple)
        if function == "get":
            if result is UNSEEN:
                return state
            assert isinstance(result, tuple)
            return state if result[1] == state else ILLEGAL
        if function == "put":
            value: Hashable = argument[1]
            return value
        if function == "append":
            return (state or "") + str(argument[1]) if isinstance(state, str | None) else ILLEGAL
        if function == "delete":
            return self._absent
        return _compare_and_set(state, argument[1][0], argument[1][1], result)

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        assert isinstance(operation.argument, tuple)
        if operation.function == "cas" and not is_pair(operation.argument[1]):
            raise BadRequest(f"model kv: cas needs (key, (expected, next)), not {shown(operation.argument)}")
        if operation.function == "append" and not isinstance(operation.argument[1], str):
            raise BadRequest(f"model kv: append needs a text, not {shown(operation.argument)}")
        if operation.function == "get" and operation.kind == OK:
            if not is_pair(operation.result):
                raise BadRequest(f"model kv: a get gives (key, value), not {shown(operation.result)}")
            asked, answered = operation.argument[0], operation.result[0]  # type: ignore[index]  # pairs
            if asked != answered:
                raise BadRequest(f"model kv: a get of {shown(asked)} cannot give a value of {shown(answered)}")
