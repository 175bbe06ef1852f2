"""Barriers: who is inside, told once when it opens and once when it is over, and what is refused without a trace."""

import pytest

from coordnode.errors import BadRequest, Conflict, CoordError, Full, NotHeld, SessionExpired, StateFull
from coordnode.ids import Revision, SessionId
from coordnode.services.commands import (
    BARRIER_OPENED,
    BARRIER_OVER,
    BARRIERS,
    BarrierChanged,
    BarrierPage,
    BarrierView,
    CloseSession,
    EnterBarrier,
    GetBarrier,
    LeaveBarrier,
    ListBarriers,
    Operation,
    ReadOperation,
    Result,
    decode_result,
)

from .driven import Driven, alone, in_session, opening


def read(driven: Driven, operation: ReadOperation, items_max: int = 1024) -> Result:
    return decode_result(driven.machine.read(operation, items_max))


def with_sessions(count: int, **settings: int) -> Driven:
    driven = Driven(**settings)
    driven.apply(*[opening(number) for number in range(1, count + 1)])
    return driven


def entered(driven: Driven, session: int, count: int, name: bytes = b"step") -> BarrierChanged:
    result = driven.one(in_session(session, 0, EnterBarrier(name, count)))
    assert isinstance(result, BarrierChanged), result
    return result


def left(driven: Driven, session: int, *, only_waiting: bool = False) -> BarrierChanged:
    result = driven.one(in_session(session, 0, LeaveBarrier(b"step", only_waiting)))
    assert isinstance(result, BarrierChanged), result
    return result


def test_a_round_costs_two_messages_however_many_there_are() -> None:
    driven = with_sessions(50)
    rounds = {entered(driven, session, 50).barrier.round for session in range(1, 51)}
    assert len(rounds) == 1
    for session in range(1, 51):
        left(driven, session)
    told = [event for change in driven.machine.changes(Revision(0), driven.machine.revision) for event in change.events]
    assert [(event.kind, event.key, event.space) for event in told] == [
        (BARRIER_OPENED, b"step", BARRIERS),
        (BARRIER_OVER, b"step", BARRIERS),
    ]
    assert entered(driven, 1, 50).barrier.round not in rounds


def test_each_round_has_another_number_also_when_nobody_was_told_of_one() -> None:
    driven = with_sessions(1)
    first = entered(driven, 1, 2).barrier.round
    left(driven, 1)
    assert entered(driven, 1, 2).barrier.round > first


def test_giving_up_does_not_leave_a_barrier_that_opened() -> None:
    driven = with_sessions(2)
    entered(driven, 1, 2)
    assert entered(driven, 2, 2).barrier.opened == 1
    assert left(driven, 1, only_waiting=True).is_inside
    assert not left(driven, 1).is_inside
    assert left(driven, 2).barrier.inside == 0


REFUSED: list[tuple[str, int, Operation, type[CoordError], str]] = [
    ("without a session", 0, EnterBarrier(b"step", 2), BadRequest, "nobody can enter barrier step without a session"),
    ("a session that is over", 9, EnterBarrier(b"step", 2), SessionExpired, "session 9 is over"),
    ("no name", 1, EnterBarrier(b"", 2), BadRequest, "the barrier has no name"),
    ("for nobody", 1, EnterBarrier(b"new", 0), BadRequest, "1 to 10000 sessions, not 0"),
    ("for too many", 1, EnterBarrier(b"new", 10_001), BadRequest, "1 to 10000 sessions, not 10001"),
    ("twice", 1, EnterBarrier(b"step", 2), Conflict, "session 1 is inside barrier step already; leave it first"),
    ("another number", 2, EnterBarrier(b"step", 3), Conflict, "waits for 2 sessions, not 3; say the same number"),
    ("open", 3, EnterBarrier(b"open", 1), Full, "is open, and 1 of its 1 sessions have not left yet"),
    ("not inside", 2, LeaveBarrier(b"step"), NotHeld, "session 2 is not inside barrier step; enter it first"),
    ("nobody is inside", 2, LeaveBarrier(b"new"), NotHeld, "is not inside barrier new"),
    ("left without a session", 0, LeaveBarrier(b"step"), NotHeld, "a command without session is not inside"),
]


@pytest.mark.parametrize(("session", "operation", "error", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_refused_leaves_no_trace(session: int, operation: Operation, error: type[CoordError], sentence: str) -> None:
    driven = with_sessions(3)
    entered(driven, 1, 2)
    entered(driven, 1, 1, b"open")
    before = driven.machine.dump()
    refused = driven.one(in_session(session, 0, operation) if session else alone(operation))
    driven.machine.scalars.applied -= 1
    assert driven.machine.dump() == before
    assert getattr(refused, "code", None) == error.code, refused
    assert sentence in getattr(refused, "sentence", "")


def test_lists_and_pages() -> None:
    driven = with_sessions(4)
    for session in (1, 2, 3):
        entered(driven, session, 4)
    entered(driven, 4, 2, b"stop")
    page = read(driven, ListBarriers(b"ste"))
    assert isinstance(page, BarrierPage)
    assert [(barrier.name, barrier.inside) for barrier in page.barriers] == [(b"step", 3)]
    first = read(driven, GetBarrier(b"step"), 2)
    assert isinstance(first, BarrierView)
    assert (first.sessions, first.more) == ([(1, ""), (2, "")], True)
    rest = read(driven, GetBarrier(b"step", SessionId(2)), 2)
    assert isinstance(rest, BarrierView)
    assert (rest.sessions, rest.more) == ([(3, "")], False)
    assert getattr(read(driven, GetBarrier(b"step", SessionId(-1))), "code", None) == BadRequest.code


def test_the_state_is_bounded_and_comes_back() -> None:
    driven = with_sessions(2)
    full = with_sessions(2, state_bytes_max=driven.machine.state_bytes + 100)
    assert getattr(full.one(in_session(1, 0, EnterBarrier(b"step", 2))), "code", None) == StateFull.code
    empty = driven.machine.state_bytes
    entered(driven, 1, 2)
    entered(driven, 2, 2)
    left(driven, 1)
    left(driven, 2)
    assert driven.machine.state_bytes == empty
    entered(driven, 1, 2)
    driven.apply(alone(CloseSession(SessionId(1))), alone(CloseSession(SessionId(2))))
    full.apply(alone(CloseSession(SessionId(1))), alone(CloseSession(SessionId(2))))
    assert driven.machine.state_bytes == full.machine.state_bytes
