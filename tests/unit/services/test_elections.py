"""Elections: one leader at a time, candidates in line, and hand-over by name."""

import pytest

from coordnode import errors
from coordnode.ids import SessionId, Token
from coordnode.services.commands import (
    ELECTIONS,
    EQUAL,
    LEADS,
    PROCLAIMED,
    TOKEN,
    VACANT,
    Campaign,
    Candidacies,
    Candidacy,
    CandidateQueued,
    Compare,
    Depose,
    Done,
    Elected,
    ElectionPage,
    ElectionView,
    LeaderChange,
    LeadershipGiven,
    LeadershipTaken,
    LedAlready,
    ListElections,
    OpenSession,
    Operation,
    Proclaim,
    Put,
    ReadCandidacies,
    ReadElection,
    ReadOperation,
    Resign,
    Resigned,
    SessionOpened,
    Transaction,
    TransactionDone,
    decode_leader_change,
)

from .driven import alone
from .lock_scene import Scene
from .test_locks import refused


def stand(scene: Scene, session: int, candidate: str = "", value: bytes = b"") -> Token:
    queued = scene.do(session, Campaign(b"e", value, candidate))
    assert isinstance(queued, CandidateQueued), queued
    return queued.ticket


def view(scene: Scene, name: bytes = b"e") -> ElectionView:
    found = scene.read(ReadElection(name))
    assert isinstance(found, ElectionView)
    return found


def leader(scene: Scene) -> int:
    election = view(scene).election
    return election.leader.session if election is not None else 0


def told(scene: Scene) -> list[tuple[int, LeaderChange]]:
    return [(event.kind, decode_leader_change(event.value)) for event in scene.events(ELECTIONS)]


def test_the_first_leads_and_the_next_follows_in_the_same_entry() -> None:
    scene = Scene(3)
    token = scene.lead(1, value=b"one")
    ticket = stand(scene, 2, value=b"two")
    stand(scene, 3, value=b"three")
    before = scene.machine.revision
    assert scene.do(1, Resign(b"e", token)) == Resigned(before + 1, token)
    (given,) = scene.notices(2)
    assert isinstance(given, LeadershipGiven)
    assert (given.name, given.ticket) == (b"e", ticket)
    assert given.token > ticket > token
    assert leader(scene) == 2
    assert [candidate.session for candidate in view(scene).candidates] == [3]
    assert scene.notices(3) == []


def test_observers_hear_of_every_leader_every_value_and_of_none() -> None:
    scene = Scene(2)
    token = scene.lead(1, value=b"one", candidate="a")
    scene.do(1, Proclaim(b"e", token, b"one, busy"))
    scene.close(1)
    other = scene.lead(2, value=b"two")
    scene.do(2, Resign(b"e", other))
    assert told(scene) == [
        (LEADS, LeaderChange(token, SessionId(1), "s1", "a", b"one")),
        (PROCLAIMED, LeaderChange(token, SessionId(1), "s1", "a", b"one, busy")),
        (VACANT, LeaderChange(reason="its session ended")),
        (LEADS, LeaderChange(other, SessionId(2), "s2", "", b"two")),
        (VACANT, LeaderChange(reason="resigned")),
    ]
    assert view(scene).election is None


def test_who_follows_is_told_of_with_why_the_one_before_left() -> None:
    scene = Scene(4)
    token = scene.lead(1)
    for session in (2, 3, 4):
        stand(scene, session)
    scene.do(1, Resign(b"e", token))
    scene.close(2)
    scene.do(4, Depose(b"e", reason="host retired", by="ann"))
    assert [(change.session, change.reason) for _, change in told(scene)] == [
        (1, ""),
        (2, "resigned"),
        (3, "its session ended"),
        (4, "deposed by ann: host retired"),
    ]


def test_who_will_not_wait_is_told_who_leads() -> None:
    scene = Scene(2)
    scene.lead(1, value=b"one")
    before = scene.state()
    refusal = scene.do(2, Campaign(b"e", b"two", wait=False))
    assert isinstance(refusal, LedAlready)
    assert (refusal.leader.session, refusal.leader.value, refusal.leader.owner) == (1, b"one", "s1")
    assert scene.state() == before


def test_a_leader_hands_over_to_a_named_candidate() -> None:
    scene = Scene(4)
    token = scene.lead(1)
    stand(scene, 2, "a")
    stand(scene, 3, "b")
    stand(scene, 4, "b")
    before = scene.state()
    refused(scene.do(1, Resign(b"e", token, "c")), errors.Missing, "nobody called c stands")
    assert scene.state() == before
    scene.do(1, Resign(b"e", token, "b"))
    assert leader(scene) == 3  # the first of that name
    assert [candidate.session for candidate in view(scene).candidates] == [2, 4]


def test_a_name_that_begins_another_is_another() -> None:
    scene = Scene(2)
    token = scene.lead(1)
    stand(scene, 2, "web10")
    refused(scene.do(1, Resign(b"e", token, "web1")), errors.Missing)


def test_only_the_leader_proclaims_with_its_own_token() -> None:
    scene = Scene(2)
    token = scene.lead(1)
    ticket = stand(scene, 2)
    before = scene.state()
    refused(scene.do(2, Proclaim(b"e", token, b"mine")), errors.NotHeld, "led by session 1, not by session 2")
    refused(scene.do(2, Proclaim(b"e", ticket, b"mine")), errors.NotHeld, f"token {token} of session 1 leads it now")
    assert scene.state() == before
    scene.do(1, Resign(b"e", token))
    refused(scene.do(1, Proclaim(b"e", token, b"late")), errors.NotHeld, "(any more)")


def test_a_candidate_withdraws_and_one_elected_meanwhile_resigns() -> None:
    scene = Scene(3)
    token = scene.lead(1)
    second, third = stand(scene, 2), stand(scene, 3)
    assert scene.do(2, Resign(b"e", second)) == Resigned(scene.machine.revision, Token(0))
    refused(scene.do(2, Resign(b"e", second)), errors.NotHeld)
    refused(scene.do(1, Resign(b"e", third)), errors.NotHeld, "session 3 stands", "not session 1")
    refused(scene.do(3, Resign(b"e", third, "x")), errors.NotHeld, "only who leads")
    scene.do(1, Resign(b"e", token))
    (given,) = scene.notices(3)
    assert isinstance(given, LeadershipGiven)
    assert scene.do(3, Resign(b"e", third)) == Resigned(scene.machine.revision, given.token)
    assert leader(scene) == 0


def test_a_session_that_ends_stands_no_more_and_is_not_elected() -> None:
    scene = Scene(3)
    scene.lead(1)
    stand(scene, 1)
    stand(scene, 2)
    scene.expire(1)
    assert leader(scene) == 2
    assert view(scene).candidates == []
    assert scene.notices(1) == []


def test_an_operator_ends_a_leadership_who_led_is_told_at_once() -> None:
    scene = Scene(3)
    token = scene.lead(1)
    stand(scene, 2, "a")
    stand(scene, 3, "b")
    assert isinstance(scene.do(0, Depose(b"e", token, "b", "upgrade", "ann")), Done)
    assert scene.notices(1) == [LeadershipTaken(b"e", token, "upgrade", "ann")]
    assert leader(scene) == 3
    refused(scene.do(0, Depose(b"e", token)), errors.NotHeld)
    refused(scene.do(0, Depose(b"e", Token(0), "x")), errors.Missing, "nobody called x")
    refused(scene.do(0, Depose(b"other")), errors.Missing, "nobody leads election other")


def test_opening_a_session_may_bring_the_candidacy_along() -> None:
    scene = Scene(0)
    opened = scene.driven.one(alone(OpenSession(b"x", 9_000, "me", Campaign(b"e", b"v"))))
    assert isinstance(opened, SessionOpened)
    assert isinstance(opened.first, Elected)
    election = view(scene).election
    assert election is not None
    assert election.leader.owner == "me"


def test_a_leaders_token_guards_a_transaction() -> None:
    scene = Scene(1)
    token = scene.lead(1)
    guarded = Transaction([Compare(b"e", TOKEN, EQUAL, token)], [Put(b"k", b"v")])
    done = scene.do(1, guarded)
    assert isinstance(done, TransactionDone)
    assert done.succeeded
    scene.do(1, Resign(b"e", token))
    done = scene.do(1, guarded)
    assert isinstance(done, TransactionDone)
    assert not done.succeeded


def test_what_is_kept_goes_with_the_last_one() -> None:
    scene = Scene(0)
    before = scene.machine.state_bytes
    for session in range(1, 5):
        scene.open()
        scene.do(session, Campaign(b"e", b"v" * session, "c" * session))
    election = view(scene).election
    assert election is not None
    scene.do(1, Proclaim(b"e", election.leader.token, b"longer than before"))
    for session in (1, 3, 2, 4):
        scene.close(session)
    assert scene.machine.state_bytes - scene.machine.scalars.request_ids_bytes == before
    assert not [number for number in (10, 11, 30, 31, 32) if list(scene.machine.containers[number].items())]


def test_bounds() -> None:
    scene = Scene(4, candidates_max=1, session_locks_max=2, state_bytes_max=10_000)
    token = scene.lead(1)
    stand(scene, 2)
    refused(scene.do(3, Campaign(b"e")), errors.Full, "1 stand for election e")
    scene.lead(1, b"f")
    refused(scene.do(1, Campaign(b"g")), errors.Full, "session 1 stands for 2 elections")
    refused(scene.do(1, Proclaim(b"e", token, b"v" * 9_000)), errors.StateFull)
    refused(scene.do(3, Campaign(b"h", b"v" * 9_000)), errors.StateFull)


BAD: list[tuple[Operation, type[errors.CoordError], str]] = [
    (Campaign(b""), errors.BadRequest, "the election has no name"),
    (Campaign(b"e", b"v" * 16_385), errors.TooLarge, "a leader's value has 16385 bytes"),
    (Campaign(b"e", candidate="c" * 256), errors.TooLarge, "candidate's name has 256 bytes"),
    (Campaign(b"e", candidate="a\0b"), errors.BadRequest, "control character"),
    (Proclaim(b"e", Token(0), b""), errors.BadRequest, "the leader's token is 0"),
    (Proclaim(b"e", Token(2**53), b""), errors.BadRequest, "the leader's token is"),
    (Proclaim(b"unknown", Token(5), b""), errors.NotHeld, "nobody leads it now"),
    (Resign(b"e", Token(-1)), errors.BadRequest, "is -1"),
    (Resign(b"e", Token(7)), errors.NotHeld, "7 does not lead or stand"),
    (Depose(b"e", Token(-1)), errors.BadRequest, "the token to end is -1"),
    (Depose(b"e", reason="r" * 257), errors.TooLarge, "reason has 257 bytes"),
]


@pytest.mark.parametrize(("operation", "kind", "sentence"), BAD)
def test_what_makes_no_sense_is_said_and_changes_nothing(operation: Operation, kind: type[errors.CoordError], sentence: str) -> None:
    scene = Scene(2)
    scene.lead(2)
    before = scene.state()
    refused(scene.do(1, operation), kind, sentence)
    assert scene.state() == before


def test_a_candidacy_without_a_session_is_refused() -> None:
    refused(Scene(0).do(0, Campaign(b"e")), errors.BadRequest, "open one first")


BAD_READS: list[ReadOperation] = [
    ReadElection(b""),
    ReadElection(b"e", Token(-1)),
    ListElections(limit=-1),
    ReadCandidacies(SessionId(-1)),
]


@pytest.mark.parametrize("operation", BAD_READS)
def test_reads_that_make_no_sense(operation: ReadOperation) -> None:
    refused(Scene(1).read(operation), errors.BadRequest)


def test_pages_and_what_a_session_stands_for() -> None:
    scene = Scene(4)
    token = scene.lead(1)
    tickets = [stand(scene, session, value=b"v" * 100) for session in (2, 3, 4)]
    page = scene.read(ReadElection(b"e", tickets[0], 1))
    assert isinstance(page, ElectionView)
    assert ([candidate.ticket for candidate in page.candidates], page.more) == ([tickets[1]], True)
    scene.lead(2, b"f")
    listed = scene.read(ListElections(), 1)
    assert isinstance(listed, ElectionPage)
    assert ([election.name for election in listed.elections], listed.more) == ([b"e"], True)
    assert scene.read(ReadCandidacies(SessionId(1))) == Candidacies(scene.machine.revision, [Candidacy(b"e", token, Token(0))], False)
    standing = scene.read(ReadCandidacies(SessionId(2)), 1)
    assert standing == Candidacies(scene.machine.revision, [Candidacy(b"e", Token(0), tickets[0])], True)


def test_a_page_of_large_values_ends_early() -> None:
    scene = Scene(4)
    scene.lead(1)
    for session in (2, 3, 4):
        stand(scene, session, value=b"v" * 100)
    machine = scene.machine
    found = machine._reads[ReadElection](ReadElection(b"e"), 1024, 150)
    assert isinstance(found, ElectionView)
    assert (len(found.candidates), found.more) == (2, True)
