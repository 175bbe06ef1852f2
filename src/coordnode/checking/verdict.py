"""What a checker answers. Frozen values; the shells print them."""

from typing import Final

import msgspec

from coordnode.checking.history import Operation, Value

PASS: Final = "pass"
VIOLATION: Final = "violation"
UNKNOWN: Final = "unknown"

BY_WITNESS: Final = "witness"  # the order that the replies themselves name was replayed
BY_WITNESS_SEARCH: Final = "witness, search for unknown outcomes"  # that order, with unknown outcomes fitted in
BY_SEARCH: Final = "search"  # every order that real time allows


class Evidence(msgspec.Struct, frozen=True):
    """Why the history cannot be explained."""

    operation: Operation  # the one that finds no place
    partition: Value = None  # the key it belongs to, where the model treats keys apart
    other: Operation | None = None  # the one it collides with
    expected: str = ""  # what the model would have answered there, when there is one answer
    before: str = ""  # the state that an order came to and that does not allow it, where orders were searched
    prefix: tuple[Operation, ...] = ()  # the shortest beginning of the (partition's) history that cannot be explained


class Verdict(msgspec.Struct, frozen=True):
    outcome: str  # PASS, VIOLATION, UNKNOWN
    reason: str  # one sentence
    model: str
    method: str
    operations: int = 0
    partitions: int = 1
    steps: int = 0  # of the model
    states: int = 0  # configurations remembered by the search
    evidence: Evidence | None = None  # of a violation
    certificate: tuple[tuple[Operation, ...], ...] = ()  # of a pass: one order for each partition
