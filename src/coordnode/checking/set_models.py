"""Sets that only grow. A state is a number with a bit for each element, so that thousands of states of thousands of elements fit. Pure."""

from collections.abc import Hashable, Sequence

from coordnode.checking.history import NO_PLACE, OK, UNKNOWN, UNSEEN, Operation, Value
from coordnode.checking.models import ILLEGAL, OneObject, shown
from coordnode.errors import BadRequest


class SetFull(OneObject):
    """add an element, read them all; every read counts."""

    name = "set-full"
    functions = frozenset({"read", "add"})

    def __init__(self, initial: tuple[Hashable, ...] = ()) -> None:
        self._numbers: dict[Hashable, int] = {}
        self.initial: Hashable = self._bits(initial)

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        assert isinstance(state, int)
        if function == "add":
            return state | 1 << self._numbers.setdefault(argument, len(self._numbers))
        if result is UNSEEN:
            return state
        assert isinstance(result, tuple)
        return state if len(result) == state.bit_count() and state == self._bits(result) else ILLEGAL

    def _bits(self, elements: tuple[Hashable, ...]) -> int:
        numbers = self._numbers
        for element in elements:
            numbers.setdefault(element, len(numbers))
        bits = bytearray((len(numbers) >> 3) + 1)
        for element in elements:
            number = numbers[element]
            bits[number >> 3] |= 1 << (number & 7)
        return int.from_bytes(bits, "little")

    def elements(self, state: Hashable) -> tuple[Hashable, ...]:
        assert isinstance(state, int)
        return tuple([element for element, number in self._numbers.items() if state >> number & 1])

    def shown(self, state: Hashable) -> str:
        return shown(self.elements(state))

    def relevant(self, operations: Sequence[Operation]) -> list[Operation]:
        """Without unknown outcomes that have no place and that no read shows: those happened never, or when nobody looked any more."""
        checked = super().relevant(operations)
        shown_once: dict[Hashable, None] = {}
        for operation in checked:
            if operation.function == "read" and isinstance(operation.result, tuple):
                shown_once.update(dict.fromkeys(operation.result))
        return [one for one in checked if one.kind != UNKNOWN or one.index != NO_PLACE or one.argument in shown_once]

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        if operation.function == "read" and operation.kind == OK and not isinstance(operation.result, tuple):
            raise BadRequest(f"model {self.name}: a read gives a collection, not {shown(operation.result)}")


class LastReadSet(SetFull):
    """add an element; only the last read counts: nothing acknowledged is missing, nothing is there that nobody added."""

    name = "set"

    def relevant(self, operations: Sequence[Operation]) -> list[Operation]:
        last = None
        for operation in operations:
            if operation.function == "read" and operation.kind == OK:
                last = operation
        return super().relevant([operation for operation in operations if operation.function != "read" or operation is last])
