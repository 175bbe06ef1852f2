"""What clients asked, when, and what they were told: operations, and the recorder that makes them out of events. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

Value = object  # None, bool, int, float, str, bytes, or a tuple of values: hashable, and never part of a cycle

OK: Final = 0  # took effect between its invocation and its return
FAILED: Final = 1  # surely did not take effect
UNKNOWN: Final = 2  # may have taken effect at any time after its invocation, or never

KIND_NAMES: Final = ("ok", "fail", "info")

FOREVER: Final = 1 << 62  # `returned` of an operation whose outcome nobody was told
NO_PLACE: Final = -1  # `index` of an operation whose reply named no place in the log


class _Unseen:
    """The result of an operation whose answer nobody saw: every answer is possible."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "unseen"


UNSEEN: Final = _Unseen()


class Operation(msgspec.Struct, frozen=True, gc=False):
    """One thing that one client asked. A came before B in real time if, and only if, A.returned < B.invoked."""

    process: int
    function: str
    argument: Value
    result: Value  # UNSEEN unless kind is OK
    invoked: int  # any count that grows with real time: nanoseconds, or the number of the event
    returned: int  # FOREVER unless kind is OK or FAILED
    kind: int = OK
    index: int = NO_PLACE  # where in the log it took effect, or the applied index at which it read
    position: int = 0  # within the log entry


class History(msgspec.Struct, frozen=True):
    operations: tuple[Operation, ...]  # in order of invocation
    model: str = ""  # as the file named it; "" when it did not say
    keyed_line: int = 0  # of the file: the first whose event names a key beside its value; 0: none does


class Recorder:
    """Collects operations as they are invoked and completed. Handles are counted from 0."""

    __slots__ = ("_completed", "_invoked")

    def __init__(self) -> None:
        self._invoked: list[tuple[int, str, Value, int]] = []
        self._completed: dict[int, Operation] = {}

    def invoke(self, process: int, function: str, argument: Value, time: int) -> int:
        self._invoked.append((process, function, argument, time))
        return len(self._invoked) - 1

    def ok(self, handle: int, result: Value, time: int, index: int = NO_PLACE, position: int = 0) -> None:
        self._complete(handle, result, time, OK, index, position)

    def fail(self, handle: int, time: int) -> None:
        """It surely did not happen."""
        self._complete(handle, UNSEEN, time, FAILED, NO_PLACE, 0)

    def unknown(self, handle: int, index: int = NO_PLACE, position: int = 0) -> None:
        """Nobody was told. `index`, `position`: where the log shows that it took effect, for those who can read the log."""
        self._complete(handle, UNSEEN, FOREVER, UNKNOWN, index, position)

    def _complete(self, handle: int, result: Value, time: int, kind: int, index: int, position: int) -> None:
        assert handle not in self._completed, f"operation {handle} completed twice"
        process, function, argument, invoked = self._invoked[handle]
        assert invoked <= time, f"operation {handle} returned before it was invoked"
        self._completed[handle] = Operation(process, function, argument, result, invoked, time, kind, index, position)

    def history(self, model: str = "") -> History:
        """What was recorded so far; what is still open counts as unknown."""
        operations: list[Operation] = []
        for handle, (process, function, argument, invoked) in enumerate(self._invoked):
            completed = self._completed.get(handle)
            if completed is None:
                completed = Operation(process, function, argument, UNSEEN, invoked, FOREVER, UNKNOWN)
            operations.append(completed)
        return History(tuple(operations), model)


def first_out_of_order(order: Sequence[Operation]) -> tuple[Operation, Operation] | None:
    """(earlier, later) as placed, where `later` had returned before `earlier` was invoked; None: real time is respected."""
    newest = None
    newest_invoked = -FOREVER
    for operation in order:
        if operation.returned < newest_invoked:
            assert newest is not None
            return newest, operation
        if operation.invoked > newest_invoked:
            newest = operation
            newest_invoked = operation.invoked
    return None
