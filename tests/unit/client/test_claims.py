"""One acquisition as its client sees it: answers, notices in any order, and what a gap in them leaves to be read."""

import msgspec
import pytest

from coordnode.client.claims import Claim
from coordnode.errors import Busy, Deadlock, Unknown
from coordnode.ids import Revision, SessionId, Token
from coordnode.services.commands import (
    EXCLUSIVE,
    LEADS,
    PROCLAIMED,
    SEMAPHORE,
    VACANT,
    Acquire,
    Campaign,
    Candidacies,
    Candidacy,
    CandidateQueued,
    Change,
    Done,
    Elected,
    Event,
    Failure,
    HeldLock,
    HeldLocks,
    Leader,
    LeaderChange,
    LeadershipGiven,
    LeadershipTaken,
    LedAlready,
    LockBusy,
    LockGiven,
    LockGranted,
    LockHolder,
    LockInfo,
    LockQueued,
    LockTaken,
    ReadCandidacies,
    ReadHeldLocks,
    Release,
    Resign,
    Result,
    encode,
)

ELSEWHERE = LeaderChange(Token(9), SessionId(3), "", "web2")
HOLDER = LockHolder(Token(7), SessionId(9), "ann@web1", EXCLUSIVE, 1, 1, "backup", 0, 1_500, 0)
LOCK = LockInfo(b"x", EXCLUSIVE, 0, 1, 1, 2, HOLDER)
LEADER = Leader(Token(7), SessionId(9), "ann@web1", "web1", b"", 0, 2_000)
QUEUED = LockQueued(Revision(5), Token(8), 0, LOCK)


def waiting() -> Claim:
    claim = Claim(Acquire(b"x"))
    claim.on_answer(QUEUED)
    return claim


def test_granted_at_once_and_given_later() -> None:
    claim = Claim(Acquire(b"x"))
    claim.on_answer(LockGranted(Revision(5), Token(7)))
    assert (claim.token, claim.asked_revision, claim.what) == (7, 5, "lock x")
    claim = waiting()
    assert (claim.token, claim.ticket) == (0, 8)
    claim.on_notice(LockGiven(b"y", Token(8), Token(9)))
    claim.on_notice(LockGiven(b"x", Token(4), Token(9)))
    claim.on_notice(LeadershipGiven(b"x", Token(8), Token(9)))
    assert claim.token == 0
    claim.on_notice(LockGiven(b"x", Token(8), Token(9)))
    assert claim.token == 9


def test_a_notice_may_come_before_the_answer_that_names_its_ticket() -> None:
    claim = Claim(Acquire(b"x"))
    claim.on_notice(LockGiven(b"x", Token(8), Token(9)))
    claim.on_answer(QUEUED)
    assert claim.token == 9


def test_what_is_taken_says_why() -> None:
    claim = waiting()
    claim.on_notice(LockGiven(b"x", Token(8), Token(9)))
    claim.on_notice(LockTaken(b"x", Token(7), "another's", "bob"))
    assert claim.why_over == ""
    claim.on_notice(LockTaken(b"x", Token(9), "host retired", "bob"))
    assert claim.why_over == "bob ended it: host retired"
    led = Claim(Campaign(b"x"))
    led.on_answer(Elected(Revision(5), Token(7)))
    led.on_notice(LeadershipTaken(b"x", Token(7), "", ""))
    assert led.why_over == "an operator ended it: no reason given"


@pytest.mark.parametrize(
    ("rows", "token", "is_over"),
    [
        ([HeldLock(b"x", Token(9), Token(8), 1)], 9, False),
        ([HeldLock(b"x", Token(0), Token(8), 0)], 0, False),
        ([HeldLock(b"x", Token(3), Token(2), 1)], 0, True),
        ([], 0, True),
    ],
)
def test_after_a_gap_its_ticket_is_looked_for(rows: list[HeldLock], token: int, is_over: bool) -> None:
    claim = waiting()
    request = claim.reread(SessionId(9))
    assert request.operation == ReadHeldLocks(SessionId(9), b"x", Token(0), 64)
    request.convert(HeldLocks(Revision(50), rows, False))
    assert claim.token == token
    assert bool(claim.why_over) is is_over


def test_after_a_gap_a_leadership_that_is_gone_is_noticed() -> None:
    claim = Claim(Campaign(b"x"))
    claim.on_answer(Elected(Revision(5), Token(7)))
    request = claim.reread(SessionId(9))
    assert request.operation == ReadCandidacies(SessionId(9), b"x", Token(0), 64)
    request.convert(Candidacies(Revision(50), [Candidacy(b"x", Token(7), Token(0))], False))
    assert claim.why_over == ""
    request.convert(Candidacies(Revision(51), [], False))
    assert claim.why_over == "the cluster does not know of it any more"


REFUSALS: list[tuple[Result | None, type[Exception], str]] = [
    (LockBusy(Revision(5), LOCK), Busy, r"lock x is held by ann@web1 for 1.5 s \(backup\); 2 wait for it"),
    (
        LockBusy(Revision(5), LockInfo(b"x", SEMAPHORE, 3, 3, 2, 0, HOLDER)),
        Busy,
        r"for 1.5 s \(backup\) and 1 more, 3 of 3 permits; 0 wait for it",
    ),
    (LedAlready(Revision(5), LEADER), Busy, "is led by web1 for 2 s"),
    (Failure(32, "waiting would never end"), Deadlock, "waiting would never end"),
    (Done(Revision(5)), Unknown, "answered with Done to a request for lock x"),
]


@pytest.mark.parametrize(("result", "kind", "sentence"), REFUSALS)
def test_what_it_is_refused_with(result: Result | None, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        Claim(Acquire(b"x")).on_answer(result)


def test_it_is_given_up_by_its_token_or_its_ticket() -> None:
    claim = waiting()
    assert claim.giving_up().operation == Release(b"x", Token(8))
    claim.on_notice(LockGiven(b"x", Token(8), Token(9)))
    assert claim.giving_up().operation == Release(b"x", Token(9))
    led = Claim(Campaign(b"x"))
    led.on_answer(CandidateQueued(Revision(5), Token(8), 0, LEADER))
    assert led.giving_up().operation == Resign(b"x", Token(8))


def test_how_a_leadership_ended_stands_in_what_follows_it() -> None:
    def fate(*changes: tuple[int, LeaderChange]) -> str | None:
        led = Claim(Campaign(b"x"))
        led.on_answer(Elected(Revision(5), Token(7)))
        told = [Change(Revision(5 + at), [Event(kind, b"x", encode(change), 0)]) for at, (kind, change) in enumerate(changes)]
        return next((found for change in told if (found := led.fate(change)) is not None), None)

    own = LeaderChange(Token(7), SessionId(1))
    vacant = [(VACANT, LeaderChange(reason=why)) for why in ("resigned", "its session ended", "deposed by ann: host retired")]
    followed = [(LEADS, msgspec.structs.replace(ELSEWHERE, reason=change.reason)) for _, change in vacant]
    for resigned, ended, deposed in (vacant, followed):
        assert fate((LEADS, own), (PROCLAIMED, own), resigned, (LEADS, ELSEWHERE)) == ""
        assert fate((LEADS, own), ended) == "its session ended before it was given back"
        assert fate((LEADS, own), deposed) == "deposed by ann: host retired"
        assert fate(resigned, (LEADS, own)) is None, "an end before its beginning is another's"
    assert fate((LEADS, own), (PROCLAIMED, own)) is None, "it lasts"
