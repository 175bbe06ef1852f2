"""What applying puts costs, counted: calls of functions, and pieces of memory that stay. No clock decides here."""

import gc
import sys
from types import FrameType

from coordnode.ids import Index, Sequence, SessionId, Term
from coordnode.services.commands import Batch, Command, Put, decode_batch, encode, splice_batch
from coordnode.services.machine import Machine

from .driven import Driven, opening

COMMANDS = 200
SESSIONS = 20
OPEN_REQUESTS = 10  # of one client at a time
CALLS_PER_NEW_KEY = 2  # the table and the bucket that take it in; one that is there is replaced without a call
C_CALLS_PER_PUT = 13
WARM = 25  # batches
SPARE = 70  # calls for a batch, whatever it holds


def prepared() -> Machine:
    driven = Driven()
    driven.apply(*[opening(number) for number in range(SESSIONS)])
    for number in range(WARM):  # every key and every reply has its place, and nothing is about to be hashed
        driven.machine.apply(Index(2 + number), Term(1), batch_of(number))
    return driven.machine


def batch_of(number: int, prefix: bytes = b"key") -> Batch:
    """As a follower has it, decoded from the entry; the same keys each time."""
    bodies: list[bytes] = []
    for place in range(COMMANDS):
        sequence = 1 + number * COMMANDS // SESSIONS + place // SESSIONS
        lowest_open = max(1, sequence - OPEN_REQUESTS + 1)
        put = Put(b"%s-%d" % (prefix, place), b"%64d" % number)
        bodies.append(encode(Command(SessionId(1 + place % SESSIONS), Sequence(sequence), Sequence(lowest_open), "", put)))
    return decode_batch(splice_batch(0, 0, bodies))


def calls_of(machine: Machine, batch: Batch) -> tuple[int, int]:
    """How many functions of Python, and of C, were called to apply it."""
    counts = {"call": 0, "c_call": 0}

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event in counts:
            counts[event] += 1

    sys.setprofile(count)
    try:
        machine.apply(Index(machine.applied + 1), Term(1), batch)
    finally:
        sys.setprofile(None)
    return counts["call"], counts["c_call"]


def test_calls_for_a_put() -> None:
    machine = prepared()
    calls, c_calls = calls_of(machine, batch_of(WARM))
    assert calls <= SPARE
    assert c_calls <= C_CALLS_PER_PUT * COMMANDS + SPARE
    calls, _ = calls_of(machine, batch_of(WARM + 1, b"new"))
    assert calls <= CALLS_PER_NEW_KEY * COMMANDS + SPARE


def test_a_replaced_value_leaves_nothing_but_history() -> None:
    machine = prepared()
    assert machine.digest
    gc.collect()
    before = sys.getallocatedblocks()
    for number in range(WARM, WARM + 10):
        machine.apply(Index(machine.applied + 1), Term(1), batch_of(number))
    assert machine.digest
    gc.collect()
    assert sys.getallocatedblocks() - before <= 10 * COMMANDS // 2, "history keeps a few for each group of 64"
