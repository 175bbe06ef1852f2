"""Sessions: what outlives a leader, and how they end."""

import pytest

from coordnode.errors import BadRequest, SessionExpired, TooLarge
from coordnode.services.commands import (
    Checkpoint,
    CloseSession,
    Done,
    Expire,
    Failure,
    OpenSession,
    Put,
    ReadSessions,
    SessionInfo,
    SessionOpened,
    SessionPage,
    Withdraw,
    decode_result,
)

from .driven import Driven, alone, in_session, opening


def test_ids_grow_and_are_never_used_again() -> None:
    driven = Driven()
    driven.cluster_ms = 5000
    assert driven.apply(opening(1, owner="one"), opening(2)) == [SessionOpened(1, 10_000, 0), SessionOpened(2, 10_000, 0)]
    driven.apply(alone(CloseSession(2)))
    assert driven.one(opening(3)) == SessionOpened(3, 10_000, 0)
    assert [(session, found.owner, found.opened_ms) for session, found in driven.machine.sessions()] == [(1, "one", 5000), (3, "", 5000)]
    assert list(driven.machine.leases()) == [(1, 10_000, None), (3, 10_000, None)]
    assert (driven.machine.has_session(1), driven.machine.has_session(2), driven.machine.has_session(0)) == (True, False, False)
    assert (driven.machine.ttl_ms(1), driven.machine.ttl_ms(2)) == (10_000, None)


def test_who_is_there_page_by_page() -> None:
    driven = Driven()
    driven.cluster_ms = 5000
    driven.apply(*[opening(number, owner=f"owner {number}") for number in range(1, 6)])
    driven.cluster_ms = 7500
    driven.apply(in_session(2, 1, Put(b"k", b"", True)), alone(CloseSession(3)))
    machine = driven.machine

    def page(after: int, limit: int, items_max: int = 1024) -> SessionPage:
        found = decode_result(machine.read(ReadSessions(after, limit), items_max))
        assert isinstance(found, SessionPage)
        return found

    assert page(0, 2) == SessionPage(1, [SessionInfo(1, 10_000, "owner 1", 2500, 0), SessionInfo(2, 10_000, "owner 2", 2500, 1)], True)
    assert [found.session for found in page(2, 2).sessions] == [4, 5]
    assert (page(2, 2).more, page(5, 0).sessions, [found.session for found in page(0, 0, 3).sessions]) == (False, [], [1, 2, 4])
    for wrong in (ReadSessions(-1), ReadSessions(2**53), ReadSessions(0, -1)):
        assert isinstance(decode_result(machine.read(wrong)), Failure)


def test_an_expiry_ends_what_is_still_there() -> None:
    driven = Driven()
    driven.apply(*[opening(number) for number in range(1, 5)])
    driven.apply(*[in_session(session, 1, Put(b"k%d" % session, b"", True)) for session in (1, 2, 3)])
    driven.apply(alone(CloseSession(2)))
    assert driven.one(alone(Expire(1, [1, 2, 3, 4, 9]))) == Done(6, 3)
    assert [[event.key for event in change.events] for change in driven.machine.changes(3, 6)] == [[b"k2"], [b"k1"], [b"k3"]]
    assert list(driven.machine.sessions()) == []
    assert driven.machine.state_bytes == driven.machine.scalars.request_ids_bytes, "only what answers late retries of the openings is left"


def test_an_expiry_of_another_term_is_void() -> None:
    driven = Driven()
    driven.apply(opening(1))
    for term in (0, 2):
        refused = driven.one(alone(Expire(term, [1])))
        assert isinstance(refused, Failure)
        assert refused.code == BadRequest.code
    assert driven.machine.has_session(1)
    driven.term = 2
    assert driven.one(alone(Expire(2, [1]))) == Done(0, 1)


def test_one_entry_names_no_more_sessions_than_the_bound() -> None:
    driven = Driven(expire_sessions_max=2)
    driven.apply(opening(1))
    for operation in (Expire(1, [1, 2, 3]), Checkpoint([(1, 1), (2, 1), (3, 1)]), Withdraw([1, 2, 3])):
        refused = driven.one(alone(operation))
        assert isinstance(refused, Failure)
        assert refused.code == TooLarge.code
    assert driven.one(alone(Expire(1, [1, 2]))) == Done(0, 1)


def test_checkpoints_are_kept_and_withdrawn() -> None:
    driven = Driven()
    driven.apply(opening(1), opening(2))
    assert driven.machine.remaining_ms(1) is None
    assert driven.one(alone(Checkpoint([(1, 700), (2, 99_999), (3, 1)]))) == Done(0, 2)
    assert (driven.machine.remaining_ms(1), driven.machine.remaining_ms(2), driven.machine.remaining_ms(3)) == (700, 10_000, None)
    assert list(driven.machine.leases()) == [(1, 10_000, 700), (2, 10_000, 10_000)]
    assert driven.restored().remaining_ms(1) == 700
    assert driven.one(alone(Checkpoint([(1, 700), (2, -5)]))) == Done(0, 1)
    assert driven.machine.remaining_ms(2) == 0
    assert driven.one(alone(Withdraw([1, 3]))) == Done(0, 1)
    assert list(driven.machine.leases()) == [(1, 10_000, None), (2, 10_000, 0)]


def test_closing_what_is_over_says_so() -> None:
    driven = Driven()
    refused = driven.one(alone(CloseSession(4)))
    assert isinstance(refused, Failure)
    assert refused.code == SessionExpired.code
    assert "session 4 is over" in refused.sentence


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (OpenSession(b"", 10_000), BadRequest),
        (OpenSession(b"n" * 65, 10_000), BadRequest),
        (OpenSession(b"n", 999), BadRequest),
        (OpenSession(b"n", 86_400_001), BadRequest),
        (OpenSession(b"n", 10_000, "ä" * 129), TooLarge),
        (OpenSession(b"n", 10_000, "", Put(b"", b"")), BadRequest),
        (CloseSession(0), BadRequest),
    ],
)
def test_what_admission_refuses_apply_refuses_too(operation: OpenSession, kind: type) -> None:
    driven = Driven()
    error = driven.machine.admit(alone(operation))  # type: ignore[arg-type]
    assert type(error) is kind
    assert driven.one(alone(operation)) == Failure(error.code, error.sentence)
    assert list(driven.machine.sessions()) == []


def test_how_long_a_session_is_open_goes_on_without_entries() -> None:
    driven = Driven()
    driven.cluster_ms = 1_000
    driven.apply(opening(1))

    def open_ms(now_ms: int) -> int:
        page = decode_result(driven.machine.read(ReadSessions(), now_ms=now_ms))
        assert isinstance(page, SessionPage)
        return page.sessions[0].open_ms

    before = driven.machine.digest
    assert [open_ms(now_ms) for now_ms in (0, 1_500, 4_000, 900)] == [0, 500, 3_000, 0]
    assert driven.machine.digest == before
