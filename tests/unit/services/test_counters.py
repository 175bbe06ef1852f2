"""Counters: each addition exactly once, bounded, seen by watches and lists."""

from coordnode.errors import BadRequest, StateFull
from coordnode.services.commands import (
    COUNTERS,
    DELETE_EVENT,
    PUT_EVENT,
    AddCounter,
    CounterInfo,
    CounterPage,
    CounterValue,
    DeleteCounter,
    Done,
    Event,
    Failure,
    GetCounter,
    ListCounters,
    ReadOperation,
    Result,
    decode_result,
    encode,
)

from .driven import Driven, alone, in_session, opening


def read(driven: Driven, operation: ReadOperation, items_max: int = 1024) -> Result:
    return decode_result(driven.machine.read(operation, items_max))


def test_additions_are_exactly_once_and_watched() -> None:
    driven = Driven()
    driven.apply(opening(1))
    add = in_session(1, 1, AddCounter(b"visits", 5))
    assert driven.one(add) == CounterValue(1, 5)
    assert driven.one(add) == CounterValue(1, 5)
    assert driven.one(alone(AddCounter(b"visits", -7))) == CounterValue(2, -2)
    assert read(driven, GetCounter(b"visits")) == CounterValue(2, -2)
    assert driven.one(alone(DeleteCounter(b"visits"))) == Done(3)
    assert driven.one(alone(DeleteCounter(b"visits"))) == Done(3, 0)
    assert read(driven, GetCounter(b"visits")) == CounterValue(3, 0)
    told = [event for change in driven.machine.changes(0, 3) for event in change.events]
    assert told == [
        Event(PUT_EVENT, b"visits", encode(5), 0, 0, COUNTERS),
        Event(PUT_EVENT, b"visits", encode(-2), 0, 0, COUNTERS),
        Event(DELETE_EVENT, b"visits", b"", 0, 0, COUNTERS),
    ]


def test_a_counter_stays_within_what_json_carries() -> None:
    driven = Driven()
    driven.apply(alone(AddCounter(b"n", 2**53 - 1)))
    before = driven.machine.digest
    refused = driven.one(alone(AddCounter(b"n", 1)))
    assert isinstance(refused, Failure)
    assert refused.code == BadRequest.code
    driven.machine.scalars.applied -= 1
    assert driven.machine.digest == before


def test_the_state_is_bounded_and_comes_back() -> None:
    driven = Driven(state_bytes_max=500)
    driven.apply(alone(AddCounter(b"a", 1)), alone(AddCounter(b"b", 1)))
    refused = driven.one(alone(AddCounter(b"c", 1)))
    assert isinstance(refused, Failure)
    assert refused.code == StateFull.code
    driven.apply(alone(DeleteCounter(b"a")))
    assert driven.one(alone(AddCounter(b"c", 1))) == CounterValue(4, 1)
    driven.apply(alone(DeleteCounter(b"b")), alone(DeleteCounter(b"c")))
    assert driven.machine.state_bytes == 0


def test_lists_are_paged_by_prefix() -> None:
    driven = Driven()
    driven.apply(*[alone(AddCounter(name, 1)) for name in (b"a", b"b/1", b"b/2", b"b/3", b"c")])
    first = read(driven, ListCounters(b"b/"), 2)
    assert first == CounterPage(5, [CounterInfo(b"b/1", 1), CounterInfo(b"b/2", 1)], True)
    assert read(driven, ListCounters(b"b/", b"b/2")) == CounterPage(5, [CounterInfo(b"b/3", 1)], False)
    assert read(driven, ListCounters(b"", b"", 1)) == CounterPage(5, [CounterInfo(b"a", 1)], True)


def test_names_are_checked_alike_everywhere() -> None:
    driven = Driven()
    for operation in (AddCounter(b"", 1), AddCounter(b"a\n", 1), AddCounter(b"a", 2**53), DeleteCounter(b"a\0b"), GetCounter(b"\x7f")):
        error = driven.machine.admit(alone(operation))  # type: ignore[arg-type]
        assert isinstance(error, BadRequest)
    assert isinstance(read(driven, ListCounters(b"", b"", -1)), Failure)
