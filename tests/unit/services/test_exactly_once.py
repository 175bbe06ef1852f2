"""A command that is asked again has one effect and one answer, for as long as that can be promised; after that it is refused as too old."""

import random

import msgspec
import pytest

from coordnode.errors import BadRequest, SessionExpired, TooOld
from coordnode.services.commands import (
    AddCounter,
    CloseSession,
    Command,
    CounterValue,
    Done,
    Failure,
    Get,
    OpenSession,
    Outcome,
    Put,
    RaiseLevel,
    SessionOpened,
    Transaction,
)
from coordnode.services.requests import _charge, _pack_place

from .driven import Driven, alone, in_session, opening


def code_of(result: object) -> int:
    return result.code if isinstance(result, Failure) else 0


def test_a_retry_gets_the_very_same_outcome() -> None:
    driven = Driven()
    driven.apply(opening(1))
    driven.apply(alone(Put(b"x", b"")), in_session(1, 1, Put(b"a", b"1")))
    first = driven.outcomes[1]
    assert (first.index, first.position) == (2, 1)
    driven.apply(in_session(1, 1, Put(b"a", b"other")), in_session(1, 1, Put(b"a", b"1")))
    assert driven.outcomes == [first, first]
    assert driven.machine.revision == 2


def test_a_failure_is_an_answer_too() -> None:
    driven = Driven(state_bytes_max=2000)
    driven.apply(opening(1))
    refused = driven.one(in_session(1, 1, Put(b"a", b"x" * 4000)))
    assert isinstance(refused, Failure)
    assert driven.one(in_session(1, 1, Put(b"a", b""))) == refused


def test_retries_come_in_any_order() -> None:
    driven = Driven()
    driven.apply(opening(1))
    order = list(range(1, 41))
    random.Random(1).shuffle(order)
    answers: dict[int, Outcome] = {}
    for sequence in order:
        driven.apply(in_session(1, sequence, Put(b"a", b"%d" % sequence), 1))
        answers[sequence] = driven.outcomes[0]
    revision = driven.machine.revision
    random.Random(2).shuffle(order)
    for sequence in order:
        driven.apply(in_session(1, sequence, Put(b"a", b"again"), 1))
        assert driven.outcomes[0] == answers[sequence]
    assert driven.machine.revision == revision == 40


def test_replies_below_the_lowest_open_sequence_are_forgotten() -> None:
    driven = Driven()
    driven.apply(opening(1))
    for sequence in (1, 2, 3, 7):
        driven.apply(in_session(1, sequence, Put(b"a", b"")))
    driven.apply(in_session(1, 8, Put(b"a", b""), 3))
    results = driven.apply(*[in_session(1, sequence, Put(b"a", b"")) for sequence in (1, 2, 3, 7)])
    assert [code_of(result) for result in results] == [TooOld.code, TooOld.code, 0, 0]
    # A floor never sinks: a late retry with an old lowest open sequence changes nothing.
    driven.apply(in_session(1, 5, Put(b"a", b""), 1))
    assert code_of(driven.one(in_session(1, 2, Put(b"a", b"")))) == TooOld.code
    # A jump over many sequences that were never used.
    driven.apply(in_session(1, 10**12, Put(b"a", b""), 10**12))
    assert code_of(driven.one(in_session(1, 8, Put(b"a", b"")))) == TooOld.code
    assert driven.machine._sessions.windows.windows[1].replies.keys() == {10**12}  # type: ignore[index]


def test_the_window_is_bounded_by_entries() -> None:
    driven = Driven(dedupe_entries_max=4)
    driven.apply(opening(1))
    driven.apply(*[in_session(1, sequence, Put(b"a", b"")) for sequence in (10, 30, 20, 40)])
    assert driven.one(in_session(1, 10, Put(b"a", b""))) == Done(1)
    driven.apply(in_session(1, 50, Put(b"a", b"")))
    results = driven.apply(*[in_session(1, sequence, Put(b"a", b"")) for sequence in (10, 20, 30, 40, 50)])
    assert [code_of(result) for result in results] == [TooOld.code, 0, 0, 0, 0]
    # 11 is above the floor and was never used: it runs, and being the lowest makes way at once.
    assert driven.one(in_session(1, 11, Put(b"a", b""))) == Done(6)
    assert code_of(driven.one(in_session(1, 11, Put(b"a", b"")))) == TooOld.code


def test_the_window_is_bounded_by_bytes() -> None:
    driven = Driven(dedupe_bytes_max=1000)
    driven.apply(opening(1), alone(Put(b"big", b"x" * 300)), alone(Put(b"huge", b"x" * 2000)))
    for sequence in range(1, 5):
        driven.apply(in_session(1, sequence, Transaction([], [Get(b"big")])))
    results = driven.apply(*[in_session(1, sequence, Put(b"a", b"")) for sequence in (1, 2)])
    assert [code_of(result) for result in results] == [TooOld.code, 0]
    driven.apply(in_session(1, 5, Transaction([], [Get(b"huge")])))
    assert code_of(driven.one(in_session(1, 5, Put(b"a", b"")))) == TooOld.code
    assert driven.machine._sessions.windows.windows[1].bytes == 0  # type: ignore[index]


def test_bytes_are_counted_while_one_reply_takes_anothers_place() -> None:
    driven = Driven(dedupe_bytes_max=1000)
    driven.apply(opening(1), alone(Put(b"big", b"x" * 300)))
    for sequence in range(1, 5):
        driven.apply(in_session(1, sequence, Put(b"a", b""), 1))
    window = driven.machine._sessions.windows.windows[1]  # type: ignore[index]
    for sequence in range(5, 9):
        driven.apply(in_session(1, sequence, Get(b"big"), sequence - 3))
        assert window.bytes == sum([len(reply.result) for reply in window.replies.values()])
    assert sorted(window.replies) == [6, 7, 8], "the client may still ask for four, and three fill the window"


def test_without_a_sequence_nothing_is_remembered_but_the_session_must_live() -> None:
    driven = Driven()
    driven.apply(opening(1))
    assert driven.apply(in_session(1, 0, Put(b"a", b"", True)), in_session(1, 0, Put(b"a", b"", True))) == [Done(1), Done(2)]
    assert code_of(driven.one(in_session(2, 0, Put(b"a", b"")))) == SessionExpired.code


def test_an_ended_or_unknown_session_answers_nothing_else() -> None:
    driven = Driven()
    driven.apply(opening(1))
    driven.apply(in_session(1, 1, Put(b"a", b"")))
    driven.apply(alone(CloseSession(1)))
    results = driven.apply(in_session(1, 1, Put(b"a", b"")), in_session(1, 2, Put(b"a", b"")), in_session(5, 1, Put(b"a", b"")))
    assert [code_of(result) for result in results] == [SessionExpired.code] * 3
    assert driven.machine.revision == 1


def test_a_session_may_close_itself() -> None:
    driven = Driven()
    driven.apply(opening(1))
    assert driven.one(in_session(1, 1, CloseSession(1))) == Done(0)
    assert not driven.machine.has_session(1)
    assert code_of(driven.one(in_session(1, 1, CloseSession(1)))) == SessionExpired.code


def test_request_ids_without_a_session() -> None:
    driven = Driven(request_ids_max=3)
    driven.apply(*[alone(Put(b"a", b""), f"r{number}") for number in range(3)])
    first = driven.outcomes[0]
    driven.apply(alone(Put(b"a", b"again"), "r0"))
    assert driven.outcomes == [first]
    driven.apply(alone(Put(b"a", b""), "r3"))  # the oldest makes way, however often it was asked again
    assert driven.apply(*[alone(Put(b"a", b""), f"r{number}") for number in (1, 2, 3, 0)]) == [Done(2), Done(3), Done(4), Done(5)]


def test_request_ids_are_bounded_by_bytes() -> None:
    driven = Driven(request_ids_bytes_max=3000)
    driven.apply(alone(Put(b"big", b"x" * 1000)))
    for number in range(5):
        driven.apply(alone(Transaction([], [Get(b"big")]), f"r{number}"))
        assert driven.machine.scalars.request_ids_bytes <= 3000
    assert driven.one(alone(Put(b"a", b""), "r0")) == Done(2)
    assert driven.one(alone(Put(b"a", b""), "r4")) != Done(3)


def test_opening_is_deduplicated_by_nonce_also_when_the_session_is_over() -> None:
    driven = Driven()
    driven.apply(opening(1), opening(2), opening(1))
    first, second, again = driven.outcomes
    assert again == first != second
    driven.apply(alone(CloseSession(1)))
    assert driven.one(opening(1)) == SessionOpened(1, 10_000, 0), "a late retry finds the session that is over, and opens no other"
    assert not driven.machine.has_session(1)
    assert driven.one(opening(2)) == SessionOpened(2, 10_000, 0)


def opening_with(request_id: str, number: int) -> Command:
    """As HTTP asks for it under an Idempotency-Key."""
    return msgspec.structs.replace(opening(number), request_id=request_id)


def check_what_is_kept(driven: Driven) -> None:
    """Each reply has one place in the order in which they are forgotten, and is counted."""
    requests = driven.machine._requests
    replies, order = requests._replies, requests._order
    assert dict(order.items()) == {_pack_place(kept.index, kept.position): name for name, kept in replies.items()}
    assert driven.machine.scalars.request_ids_bytes == sum([_charge(name, kept) for name, kept in replies.items()])


def test_a_nonce_opens_one_session_under_however_many_request_ids() -> None:
    driven = Driven(request_ids_max=3)
    opened = driven.one(opening_with("r1", 1))
    assert driven.apply(opening_with("r2", 1), opening(1), opening_with("r1", 1)) == [opened] * 3
    driven.apply(alone(CloseSession(1)))
    assert driven.one(opening_with("r3", 1)) == opened, "a late retry finds the session that is over"
    driven.apply(*[alone(Put(b"a", b""), f"r{number}") for number in range(4, 10)])
    check_what_is_kept(driven)
    assert driven.one(opening_with("r1", 1)) == SessionOpened(2, 10_000, 6), "what is forgotten is asked anew"


@pytest.mark.parametrize("level", [4, 5])
def test_openings_with_request_ids_leave_room_for_the_replies_to_others(level: int) -> None:
    driven = Driven(level=level, request_ids_max=20)
    for number in range(1, 31):
        driven.apply(opening_with(f"r{number}", number), alone(CloseSession(number)))
    driven.apply(alone(RaiseLevel(5)))  # what fills the room at the old level for ever is gone then
    check_what_is_kept(driven)
    assert driven.apply(alone(AddCounter(b"pay", 1), "pay-1"), alone(AddCounter(b"pay", 1), "pay-1")) == [CounterValue(1, 1)] * 2


def opened_twice() -> Driven:
    """Two sessions of one nonce, which builds of level 4 opened for two request ids."""
    driven = Driven(level=4, request_ids_max=4)
    driven.apply(opening_with("r1", 1), opening_with("r2", 1))
    return driven


def test_a_log_in_which_one_nonce_opened_two_sessions_is_applied_on() -> None:
    """Members that began to keep two replies in place of one go on, at the level that they have."""
    driven = opened_twice()
    driven.apply(alone(CloseSession(1)), alone(CloseSession(2)))
    for number in range(9):
        driven.apply(alone(Put(b"a", b""), f"other {number}"))
    assert [name for _, name in driven.machine._requests._order.items()][-1] == b"other 8"


@pytest.mark.parametrize("closed", ["before", "after", "in between"])
def test_what_older_levels_left_behind_is_mended_when_the_level_is_raised(closed: str) -> None:
    driven = opened_twice()
    closings = [alone(CloseSession(1)), alone(CloseSession(2))]
    before = {"before": 2, "after": 0, "in between": 1}[closed]
    driven.apply(*closings[:before])
    state_bytes = driven.machine.state_bytes - driven.machine.scalars.request_ids_bytes
    driven.apply(alone(RaiseLevel(5)))
    check_what_is_kept(driven)
    assert driven.machine.state_bytes - driven.machine.scalars.request_ids_bytes == state_bytes
    for closing in closings[before:]:
        driven.apply(closing)
        check_what_is_kept(driven)
    driven.apply(*[alone(Put(b"a", b""), f"other {number}") for number in range(9)])
    check_what_is_kept(driven)
    assert driven.machine.scalars.state_bytes >= driven.machine.scalars.request_ids_bytes > 0


def test_the_first_command_is_sequence_one_of_the_new_session() -> None:
    driven = Driven()
    opened = driven.one(opening(1, first=Put(b"a", b"", True)))
    assert opened == SessionOpened(1, 10_000, 1, Done(1))
    place = driven.outcomes[0]
    assert driven.one(in_session(1, 1, Put(b"a", b"", True))) == Done(1)
    assert (driven.outcomes[0].index, driven.outcomes[0].position) == (place.index, place.position)
    assert driven.one(opening(1, first=Put(b"a", b"", True))) == opened
    assert driven.machine.revision == 1
    assert driven.machine.changes(0, 1)[0].events[0].session == 1


def test_a_first_command_may_fail_in_a_session_that_opens() -> None:
    opened = Driven(session_keys_max=0).one(opening(1, first=Put(b"a", b"", True)))
    assert isinstance(opened, SessionOpened)
    assert isinstance(opened.first, Failure)


def test_envelopes_that_make_no_sense_are_refused_before_and_in_apply() -> None:
    driven = Driven()
    driven.apply(opening(1))
    put = Put(b"a", b"")
    for command in (
        in_session(-1, 1, put),
        in_session(1, -1, put),
        in_session(1, 2**53, put),
        in_session(1, 3, put, lowest_open=4),
        in_session(0, 1, put),
        in_session(1, 1, OpenSession(b"n", 10_000)),
    ):
        error = driven.machine.admit(command)  # type: ignore[arg-type]
        assert type(error) is BadRequest, command
        assert driven.one(command) == Failure(error.code, error.sentence)
    both = msgspec.structs.replace(in_session(1, 2, put), request_id="request")
    assert code_of(driven.one(both)) == BadRequest.code
    assert driven.machine.admit(alone(put, "r" * 129)) is not None  # type: ignore[arg-type]
    assert driven.machine.admit(in_session(1, 2**53 - 1, put)) is None  # type: ignore[arg-type]
    assert driven.machine.revision == 0
