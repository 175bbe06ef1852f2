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
        """Functions that never change the state."""
        ...

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable: ...

    def partition(self, operation: Operation) -> Hashable:
        """Operations of different partitions never see each other; all in one: None."""
        ...

    def relevant(self, operations: Sequence[Operation]) -> list[Operation]:
        """Those that the model judges; refuses, by name, functions and arguments that it does not know."""
        ...


class OneObject:
    """What the models of one single object share."""

    name: str
    functions: frozenset[str]
    pairs: frozenset[str] = frozenset()  # functions whose argument is a pair
    reads: frozenset[str] = frozenset({"read"})
    initial: Hashable

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
    """add a number, read the sum."""

    name = "counter"
    functions = frozenset({"read", "add"})

    def __init__(self, initial: int = 0) -> None:
        self.initial: Hashable = initial

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        if function == "read":
            return state if result is UNSEEN or result == state else ILLEGAL
        assert isinstance(state, int)
        assert isinstance(argument, int)
        return state + argument

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        if operation.function == "add" and not isinstance(operation.argument, int):
            raise BadRequest(f"model {self.name}: add needs a whole number, not {shown(operation.argument)}")


class SetFull(OneObject):
    """add an element, read them all; every read counts."""

    name = "set-full"
    functions = frozenset({"read", "add"})

    def __init__(self, initial: tuple[Hashable, ...] = ()) -> None:
        self.initial: Hashable = frozenset(initial)

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        assert isinstance(state, frozenset)
        if function == "add":
            return state | {argument}
        if result is UNSEEN:
            return state
        assert isinstance(result, tuple)
        return state if len(result) == len(state) and state == frozenset(result) else ILLEGAL

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        if operation.function == "read" and operation.kind == OK and not isinstance(operation.result, tuple):
            raise BadRequest(f"model {self.name}: a read gives a collection, not {shown(operation.result)}")


class LastReadSet(SetFull):
    """add an element; only the last read counts: nothing acknowledged is missing, nothing is there that nobody added."""

    name = "set"

    def relevant(self, operations: Sequence[Operation]) -> list[Operation]:
        checked = super().relevant(operations)
        last = None
        for operation in checked:
            if operation.function == "read" and operation.kind == OK:
                last = operation
        return [operation for operation in checked if operation.function != "read" or operation is last]


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

    def __init__(self, initial: Hashable = "") -> None:
        self.initial = initial

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
            return self.initial
        return _compare_and_set(state, argument[1][0], argument[1][1], result)

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        assert isinstance(operation.argument, tuple)
        if operation.function == "cas" and not is_pair(operation.argument[1]):
            raise BadRequest(f"model kv: cas needs (key, (expected, next)), not {shown(operation.argument)}")
        if operation.function == "append" and not isinstance(operation.argument[1], str):
            raise BadRequest(f"model kv: append needs a text, not {shown(operation.argument)}")
        if operation.function == "get" and operation.kind == OK and not is_pair(operation.result):
            raise BadRequest(f"model kv: a get gives (key, value), not {shown(operation.result)}")


class WorkQueue(OneObject):
    """Tasks taken at least once: put (value, priority), take → (value, token) or None, ack and nack a token → True, or "stale".

    Values are put once. A task that was taken may come back at any time, for its lease may have ended: it is then given before whatever
    was put behind it, or stays away for its back-off. `read` gives the values that are not acknowledged.
    """

    name = "queue"
    functions = frozenset({"put", "take", "ack", "nack", "read"})
    pairs = frozenset({"put"})
    initial: Hashable = ((), (), 0, 0)  # ready, away, puts so far, the newest token

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        assert isinstance(state, tuple)
        ready, away, count, newest = state
        if function == "put":
            assert isinstance(argument, tuple)
            value, priority = argument
            return tuple(sorted([*ready, (-priority, count, value)])), away, count + 1, newest
        if function == "take":
            return self._take(state, result)
        if function == "read":
            there = [task[2] for task in ready] + [task[2] for task, _ in away]
            return state if result is UNSEEN or (isinstance(result, tuple) and sorted(result) == sorted(there)) else ILLEGAL
        held = [task for task, token in away if token == argument]
        if result == "stale" or (result is UNSEEN and not held):
            return ready, _without(away, argument), count, newest  # its lease may have ended; from now on it surely has
        if not held:
            return ILLEGAL
        if function == "ack":
            away = tuple([one for one in away if one[0] != held[0]])
        return ready, _without(away, argument), count, newest

    def _take(self, state: tuple[Value, ...], result: Value) -> Hashable:
        ready, away, count, newest = state
        assert isinstance(ready, tuple)
        assert isinstance(away, tuple)
        assert isinstance(newest, int)
        if result is UNSEEN:
            return (ready[1:], (*away, (ready[0], 0)), count, newest) if ready else state
        if result is None:
            return ILLEGAL if ready else state
        assert isinstance(result, tuple)
        value, token = result
        if not isinstance(token, int) or token <= newest:
            return ILLEGAL
        if ready and ready[0][2] == value:
            return ready[1:], (*away, (ready[0], token)), count, token
        back = [task for task, _ in away if task[2] == value]
        if not back or (ready and ready[0] < back[0]):
            return ILLEGAL
        return ready, (*[one for one in away if one[0] != back[0]], (back[0], token)), count, token

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        argument, result = operation.argument, operation.result
        if operation.function == "put" and not (is_pair(argument) and isinstance(argument[1], int)):  # type: ignore[index]
            raise BadRequest(f"model queue: put needs (value, priority), not {shown(argument)}")
        if operation.kind == OK and operation.function == "take" and result is not None and not is_pair(result):
            raise BadRequest(f"model queue: a take gives (value, token) or nothing, not {shown(result)}")
        if operation.kind == OK and operation.function == "read" and not isinstance(result, tuple):
            raise BadRequest(f"model queue: a read gives a collection, not {shown(result)}")
        if operation.kind == OK and operation.function in ("ack", "nack") and result not in (True, "stale"):
            raise BadRequest(f'model queue: {operation.function} gives true or "stale", not {shown(result)}')
        if operation.function in ("ack", "nack") and not isinstance(argument, int):
            raise BadRequest(f"model queue: {operation.function} needs a token, not {shown(argument)}")


def _without(away: tuple[tuple[Value, int], ...], token: Value) -> tuple[tuple[Value, int], ...]:
    """That token holds nothing any more; whether its task is back nobody knows."""
    return tuple([(task, 0 if held == token else held) for task, held in away])
