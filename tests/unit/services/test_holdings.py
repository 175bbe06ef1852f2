"""What sessions hold: claims in order, tokens that only grow, and transactions that ask for a token."""

import pytest

from coordnode.errors import LevelMissing
from coordnode.ids import NO_SESSION, SessionId
from coordnode.services.commands import EQUAL, LOCKS, NOT_EQUAL, SHARDS, TOKEN, Compare, Put, Transaction, TransactionDone

from .driven import CREATED_UNIX_S, Driven, alone

ONE, TWO = SessionId(1), SessionId(2)


def test_claims_are_listed_by_session_and_service() -> None:
    driven = Driven()
    holdings = driven.machine._context.holdings
    for session, space, what in ((ONE, LOCKS, b"b"), (ONE, LOCKS, b"a"), (ONE, SHARDS, b"a"), (TWO, LOCKS, b"c")):
        holdings.claim(session, space, what)
    assert holdings.claims(ONE, LOCKS) == [b"a", b"b"]
    holdings.unclaim(ONE, LOCKS, b"a")
    assert holdings.claims(ONE, LOCKS) == [b"b"]
    with pytest.raises(AssertionError, match="does not claim"):
        holdings.unclaim(ONE, LOCKS, b"a")
    with pytest.raises(AssertionError, match="twice"):
        holdings.claim(TWO, LOCKS, b"c")
    assert driven.restored().dump() == driven.machine.dump()
    for session, space, what in ((ONE, LOCKS, b"b"), (ONE, SHARDS, b"a"), (TWO, LOCKS, b"c")):
        holdings.unclaim(session, space, what)
    assert driven.machine.state_bytes == 0


def test_a_transaction_may_ask_for_a_live_token() -> None:
    driven = Driven()
    holdings = driven.machine._context.holdings
    token = holdings.grant(LOCKS, b"nightly", ONE)
    assert token == CREATED_UNIX_S << 20

    def guarded(name: bytes, number: int, relation: int = EQUAL) -> bool:
        done = driven.one(alone(Transaction([Compare(name, TOKEN, relation, number)], [Put(b"result", b"1")])))
        assert isinstance(done, TransactionDone)
        return done.succeeded

    assert guarded(b"nightly", token)
    assert not guarded(b"hourly", token)
    assert not guarded(b"nightly", token + 1)
    assert not guarded(b"nightly", -1)
    assert guarded(b"nightly", token + 1, NOT_EQUAL)
    holdings.revoke(token)
    assert not guarded(b"nightly", token)
    assert holdings.grant(LOCKS, b"nightly", NO_SESSION) == token + 1


def test_asking_for_a_token_waits_for_its_level() -> None:
    driven = Driven(level=2)
    error = driven.machine.admit(alone(Transaction([Compare(b"nightly", TOKEN, EQUAL, 1)], [])))  # type: ignore[arg-type]
    assert isinstance(error, LevelMissing)
    assert driven.machine.admit(alone(Transaction([], []))) is None  # type: ignore[arg-type]
