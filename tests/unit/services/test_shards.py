"""Assignments: one owner at a time whatever happens, balanced once it is quiet, and what is refused without a trace."""

import random
from collections.abc import Sequence

import pytest

from coordnode.errors import BadRequest, Conflict, CoordError, Full, Missing, NotHeld, SessionExpired, StateFull
from coordnode.ids import SessionId, Term, Token
from coordnode.services import shards
from coordnode.services.commands import (
    ASSIGNED,
    EQUAL,
    FREED,
    NOTICES,
    REVOKING,
    SHARDS,
    TOKEN,
    AssignmentInfo,
    AssignmentPage,
    AssignmentView,
    CloseSession,
    Compare,
    ConfigureAssignment,
    CreateAssignment,
    DeleteAssignment,
    Done,
    Expire,
    GetAssignment,
    GroupChanged,
    JoinGroup,
    LeaveGroup,
    ListAssignments,
    Operation,
    OwnedShard,
    Put,
    ReadOperation,
    ReleaseShard,
    Result,
    Transaction,
    TransactionDone,
    UpdateMember,
    Wake,
    decode_assignment_changed,
    decode_result,
)

from .driven import CREATED_UNIX_S, Driven, alone, in_session, opening

FIRST_TOKEN = CREATED_UNIX_S << 20


def read(driven: Driven, operation: ReadOperation) -> Result:
    return decode_result(driven.machine.read(operation))


def owned(driven: Driven, name: bytes = b"jobs") -> list[OwnedShard]:
    view = read(driven, GetAssignment(name))
    assert isinstance(view, AssignmentView), view
    return view.owned


def owners(driven: Driven, name: bytes = b"jobs") -> dict[int, str]:
    """Shard -> its owner, in capitals while it is revoked."""
    return {
        row.shard: row.member.decode().upper() if row.revoke_left_ms is not None else row.member.decode() for row in owned(driven, name)
    }


def told(driven: Driven, session: int, after: int) -> list[tuple[int, int]]:
    """(kind, shard) of the session's notices since that revision."""
    found = []
    for change in driven.machine.changes(after, driven.machine.revision):  # type: ignore[arg-type]
        for event in change.events:
            if event.space == NOTICES and event.session == session:
                assert event.kind == SHARDS
                found += [(each.kind, each.shard) for each in decode_assignment_changed(event.value).changes]
    return found


def released(driven: Driven, shard: int, name: bytes = b"jobs") -> Result:
    (row,) = [row for row in owned(driven, name) if row.shard == shard]
    return driven.one(in_session(row.session, 0, ReleaseShard(name, shard, row.token)))


def joined(driven: Driven, session: int, member: bytes = b"", weight: int = 1, group: bytes = b"web") -> Result:
    return driven.one(in_session(session, 0, JoinGroup(group, member or b"m%d" % session, weight=weight)))


def with_four_shards(sessions: int = 3, **settings: int) -> Driven:
    """jobs has four shards over web, where session 1 is member m1."""
    driven = Driven(**settings)
    driven.apply(*[opening(number, owner=f"ops@web{number}") for number in range(1, sessions + 1)])
    driven.apply(alone(CreateAssignment(b"jobs", b"web", 4, 1000)))
    joined(driven, 1)
    return driven


def test_whoever_joins_gets_a_share_once_it_is_let_go() -> None:
    driven = with_four_shards()
    assert owners(driven) == {0: "m1", 1: "m1", 2: "m1", 3: "m1"}
    before = driven.machine.revision
    joined(driven, 2)
    assert owners(driven) == {0: "m1", 1: "m1", 2: "M1", 3: "M1"}
    assert told(driven, 1, before) == [(REVOKING, 2), (REVOKING, 3)]
    assert told(driven, 2, before) == []
    assert isinstance(released(driven, 3), Done)
    assert owners(driven) == {0: "m1", 1: "m1", 2: "M1", 3: "m2"}
    assert told(driven, 1, before) == [(REVOKING, 2), (REVOKING, 3)]
    assert told(driven, 2, before) == [(ASSIGNED, 3)]
    driven.cluster_ms = 999
    driven.apply(alone(Wake()))
    assert owners(driven)[2] == "M1"
    assert driven.machine.due() == 1000
    driven.cluster_ms = 1000
    driven.apply(alone(Wake()))
    assert owners(driven) == {0: "m1", 1: "m1", 2: "m2", 3: "m2"}
    assert told(driven, 1, before)[-1] == (FREED, 2)
    assert driven.machine.due() is None


def test_each_ownership_has_a_token_that_a_transaction_may_ask_for() -> None:
    driven = with_four_shards()
    first = {row.shard: row.token for row in owned(driven)}
    assert sorted(first.values()) == [FIRST_TOKEN + number for number in range(4)]

    def may_write(shard: int, token: int) -> bool:
        done = driven.one(alone(Transaction([Compare(b"jobs/%d" % shard, TOKEN, EQUAL, token)], [Put(b"result", b"1")])))
        assert isinstance(done, TransactionDone)
        return done.succeeded

    joined(driven, 2)
    assert may_write(3, first[3]), "being revoked, it is still the owner"
    released(driven, 3)
    second = {row.shard: row.token for row in owned(driven)}
    assert second[3] > max(first.values())
    assert not may_write(3, first[3])
    assert may_write(3, second[3])
    assert not may_write(2, second[3])


def test_the_end_of_a_session_frees_its_shards_at_once_and_moves_nothing_else() -> None:
    driven = with_four_shards()
    joined(driven, 2)
    released(driven, 2)
    released(driven, 3)
    before = {row.shard: row.token for row in owned(driven) if row.session == 1}
    driven.apply(alone(CloseSession(SessionId(2))))
    assert owners(driven) == dict.fromkeys(range(4), "m1")
    assert {row.shard: row.token for row in owned(driven) if row.shard in before} == before
    driven.apply(alone(CloseSession(SessionId(1))))
    assert owners(driven) == {}
    joined(driven, 3)
    assert owners(driven) == dict.fromkeys(range(4), "m3")


def test_a_session_with_two_members_gets_nothing_on_its_way_out() -> None:
    driven = with_four_shards()
    joined(driven, 1, b"another")
    driven.apply(alone(CloseSession(SessionId(1))))
    assert owners(driven) == {}
    assert driven.machine._context.holdings.claims(SessionId(1), SHARDS) == []


def test_who_leaves_the_group_has_time_to_let_go() -> None:
    driven = with_four_shards()
    joined(driven, 2)
    released(driven, 3)
    assert isinstance(driven.one(in_session(1, 0, LeaveGroup(b"web", b"m1"))), GroupChanged)
    assert owners(driven) == {0: "M1", 1: "M1", 2: "M1", 3: "m2"}
    released(driven, 0)
    assert owners(driven)[0] == "m2"
    joined(driven, 1)
    assert owners(driven) == {0: "m2", 1: "M1", 2: "M1", 3: "m2"}
    driven.cluster_ms = 5000
    driven.apply(alone(Wake()))
    assert owners(driven) == {0: "m2", 1: "m1", 2: "m1", 3: "m2"}


def test_weights_count_and_none_drains() -> None:
    driven = with_four_shards()
    joined(driven, 2, weight=3)
    assert list(owners(driven).values()) == ["m1", "M1", "M1", "M1"]
    for shard in (1, 2, 3):
        released(driven, shard)
    assert list(owners(driven).values()) == ["m1", "m2", "m2", "m2"]
    driven.one(in_session(2, 0, UpdateMember(b"web", b"m2", weight=0)))
    assert list(owners(driven).values()) == ["m1", "M2", "M2", "M2"]
    driven.one(in_session(1, 0, UpdateMember(b"web", b"m1", weight=0)))
    released(driven, 2)
    assert owners(driven) == {0: "M1", 1: "M2", 3: "M2"}


def test_what_changes_no_weight_moves_nothing() -> None:
    driven = with_four_shards()
    joined(driven, 2)
    for shard in (2, 3):
        released(driven, shard)
    before = owned(driven)
    driven.one(in_session(2, 0, UpdateMember(b"web", b"m2", b"news")))
    assert owned(driven) == before


def test_more_shards_and_fewer() -> None:
    driven = with_four_shards()
    driven.apply(alone(ConfigureAssignment(b"jobs", 6)))
    assert owners(driven) == dict.fromkeys(range(6), "m1")
    driven.apply(alone(ConfigureAssignment(b"jobs", 2, 50)))
    assert owners(driven) == {0: "m1", 1: "m1", 2: "M1", 3: "M1", 4: "M1", 5: "M1"}
    released(driven, 5)
    driven.cluster_ms = 50
    driven.apply(alone(Wake()))
    assert owners(driven) == {0: "m1", 1: "m1"}


def test_deleting_it_ends_every_ownership_at_once() -> None:
    driven = with_four_shards()
    joined(driven, 2)
    before = driven.machine.revision
    assert driven.one(alone(DeleteAssignment(b"jobs"))) == Done(before + 1)  # type: ignore[arg-type]
    assert told(driven, 1, before) == [(FREED, shard) for shard in range(4)]
    assert getattr(read(driven, GetAssignment(b"jobs")), "code", None) == Missing.code
    assert driven.machine.due() is None
    assert driven.one(alone(DeleteAssignment(b"jobs"))) == Done(before + 1, 0)  # type: ignore[arg-type]


def test_a_notice_tells_each_session_all_that_one_command_moved() -> None:
    driven = with_four_shards()
    (change,) = driven.machine.changes(driven.machine.revision - 1, driven.machine.revision)  # type: ignore[arg-type,operator]
    notices = [event for event in change.events if event.space == NOTICES]
    assert len(notices) == 1
    assert [each.shard for each in decode_assignment_changed(notices[0].value).changes] == [0, 1, 2, 3]


def test_one_wake_frees_so_many_only() -> None:
    driven = with_four_shards(wake_items_max=2)
    driven.one(in_session(1, 0, LeaveGroup(b"web", b"m1")))
    driven.cluster_ms = 1000
    driven.apply(alone(Wake()))
    assert owners(driven) == {2: "M1", 3: "M1"}
    assert driven.machine.due() == 1000
    driven.apply(alone(Wake()))
    assert owners(driven) == {}


REFUSED: list[tuple[str, int, Operation, type[CoordError], str]] = [
    ("no name", 0, CreateAssignment(b"", b"web", 4), BadRequest, "the assignment has no name"),
    ("no group", 0, CreateAssignment(b"new", b"", 4), BadRequest, "the group has no name"),
    ("no shards", 0, CreateAssignment(b"new", b"web", 0), BadRequest, "1 to 1024 shards, not 0"),
    ("too many shards", 0, CreateAssignment(b"new", b"web", 1025), BadRequest, "1 to 1024 shards, not 1025"),
    ("no time", 0, CreateAssignment(b"new", b"web", 4, 0), BadRequest, "0 ms to let go of a shard; give 1 to 3600000"),
    ("a negative time", 0, ConfigureAssignment(b"jobs", None, -5), BadRequest, "-5 ms to let go"),
    (
        "there with other settings",
        0,
        CreateAssignment(b"jobs", b"web", 5, 1000),
        Conflict,
        "with 4 shards over group web, 1000 ms to let go",
    ),
    ("configured, not there", 0, ConfigureAssignment(b"new", 4), Missing, "there is no assignment new; create it first"),
    ("released, not there", 1, ReleaseShard(b"new", 0, Token(FIRST_TOKEN)), Missing, "there is no assignment new"),
    ("a shard that cannot be", 1, ReleaseShard(b"jobs", 1024, Token(FIRST_TOKEN)), BadRequest, "there is no shard 1024"),
    ("a shard without owner", 1, ReleaseShard(b"jobs", 9, Token(FIRST_TOKEN)), NotHeld, "shard 9 of jobs has no owner"),
    ("no token", 1, ReleaseShard(b"jobs", 0, Token(0)), BadRequest, "0 is no token"),
    (
        "a stale token",
        1,
        ReleaseShard(b"jobs", 1, Token(FIRST_TOKEN)),
        NotHeld,
        f"owned under token {FIRST_TOKEN + 1}: {FIRST_TOKEN} is over",
    ),
    ("a foreign session", 2, ReleaseShard(b"jobs", 0, Token(FIRST_TOKEN)), NotHeld, "belongs to session 1: only that one can release it"),
    ("without a session", 0, ReleaseShard(b"jobs", 0, Token(FIRST_TOKEN)), NotHeld, "belongs to session 1"),
    ("a session that is over", 9, ReleaseShard(b"jobs", 0, Token(FIRST_TOKEN)), SessionExpired, "session 9 is over"),
]


@pytest.mark.parametrize(("session", "operation", "error", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_refused_leaves_no_trace(session: int, operation: Operation, error: type[CoordError], sentence: str) -> None:
    driven = with_four_shards()
    before = driven.machine.dump()
    refused = driven.one(in_session(session, 0, operation) if session else alone(operation))
    driven.machine.scalars.applied -= 1
    assert driven.machine.dump() == before
    assert getattr(refused, "code", None) == error.code, refused
    assert sentence in getattr(refused, "sentence", "")


def test_the_same_again_is_no_change() -> None:
    driven = with_four_shards()
    revision = driven.machine.revision
    assert driven.one(alone(CreateAssignment(b"jobs", b"web", 4, 1000))) == Done(revision, 0)
    assert driven.one(alone(ConfigureAssignment(b"jobs", 4))) == Done(revision, 0)


def test_bounds() -> None:
    driven = with_four_shards(group_assignments_max=2, state_bytes_max=20_000)
    assert driven.one(alone(CreateAssignment(b"more", b"web", 1))) == Done(driven.machine.revision)
    assert getattr(driven.one(alone(CreateAssignment(b"most", b"web", 1))), "code", None) == Full.code
    assert getattr(driven.one(alone(CreateAssignment(b"most", b"db", 100))), "code", None) == StateFull.code
    assert getattr(driven.one(alone(ConfigureAssignment(b"jobs", 100))), "code", None) == StateFull.code


def test_sessions_that_end_in_one_command_are_balanced_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    driven = with_four_shards(sessions=9)
    driven.apply(alone(CreateAssignment(b"more", b"web", 30, 1000)))
    for session in range(2, 10):
        joined(driven, session)
    looked: list[int] = []
    quotas = shards.quotas

    def counted(count: int, weights: Sequence[int], loads: Sequence[int]) -> list[int]:
        looked.append(len(weights))
        return quotas(count, weights, loads)

    monkeypatch.setattr(shards, "quotas", counted)
    before = driven.machine.revision
    assert driven.one(alone(Expire(Term(1), [SessionId(session) for session in range(1, 9)]))) == Done(driven.machine.revision, 8)
    assert looked == [1, 1], "each assignment once, for the one member that is left"
    for name, count in ((b"jobs", 4), (b"more", 30)):
        assert [row.session for row in owned(driven, name)] == [9] * count
    assert driven.machine.revision == before + 8
    looked.clear()
    assert driven.one(alone(Expire(Term(1), [SessionId(1), SessionId(9), SessionId(9)]))) == Done(driven.machine.revision, 1)
    assert (looked, owned(driven)) == ([0, 0], [])


def test_lists() -> None:
    driven = with_four_shards()
    joined(driven, 2)
    driven.apply(alone(CreateAssignment(b"jobs/2", b"db", 7)), alone(CreateAssignment(b"other", b"web", 1)))
    before = driven.machine.rows_looked_at
    page = read(driven, ListAssignments(b"jobs"))
    assert driven.machine.rows_looked_at > before, "shards are counted one by one"
    revision = driven.machine.revision
    assert page == AssignmentPage(revision, [AssignmentInfo(b"jobs", b"web", 4, 4, 2), AssignmentInfo(b"jobs/2", b"db", 7, 0, 0)], False)
    assert getattr(read(driven, ListAssignments(b"jobs", b"", -1)), "code", None) == BadRequest.code


def test_all_that_it_took_comes_back() -> None:
    driven = with_four_shards()
    joined(driven, 2)
    released(driven, 3)
    driven.apply(alone(DeleteAssignment(b"jobs")))
    for session in (1, 2, 3):
        driven.apply(alone(CloseSession(SessionId(session))))
    fresh = Driven()
    fresh.apply(*[opening(number, owner=f"ops@web{number}") for number in range(1, 4)])
    for session in (1, 2, 3):
        fresh.apply(alone(CloseSession(SessionId(session))))
    assert driven.machine.state_bytes == fresh.machine.state_bytes


@pytest.mark.parametrize("seed", range(20))
def test_never_two_owners_and_balanced_in_the_end(seed: int) -> None:
    chance = random.Random(seed)
    driven = Driven()
    sessions = list(range(1, 7))
    driven.apply(*[opening(number) for number in sessions])
    shards = chance.randrange(1, 20)
    driven.apply(alone(CreateAssignment(b"jobs", b"web", shards, 30)))
    weights: dict[int, int] = {}
    live: dict[int, int] = {}  # shard -> token, as owners were told
    seen = 0
    for step in range(150):
        session = chance.choice(sessions)
        dice = chance.random()
        driven.cluster_ms += chance.randrange(10)
        if dice < 0.3 and session not in weights:
            weights[session] = chance.randrange(4)
            joined(driven, session, weight=weights[session])
        elif dice < 0.4 and session in weights:
            weights[session] = chance.randrange(4)
            driven.one(in_session(session, 0, UpdateMember(b"web", b"m%d" % session, weight=weights[session])))
        elif dice < 0.5 and session in weights:
            del weights[session]
            driven.one(in_session(session, 0, LeaveGroup(b"web", b"m%d" % session)))
        elif dice < 0.55 and len(sessions) > 1:
            weights.pop(session, None)
            sessions.remove(session)
            driven.apply(alone(CloseSession(SessionId(session))))
            sessions.append(int(driven.machine.scalars.session_next))
            driven.apply(opening(1000 + step))
        elif dice < 0.6:
            shards = chance.randrange(1, 20)
            driven.apply(alone(ConfigureAssignment(b"jobs", shards)))
        elif dice < 0.9 and (rows := [row for row in owned(driven) if row.revoke_left_ms is not None]):
            released(driven, chance.choice(rows).shard)
        else:
            driven.apply(alone(Wake()))
        for change in driven.machine.changes(seen, driven.machine.revision):  # type: ignore[arg-type]
            for event in [event for event in change.events if event.space == SHARDS]:
                for move in decode_assignment_changed(event.value).changes:
                    if move.kind == ASSIGNED:
                        assert move.shard not in live, f"shard {move.shard} has two owners"
                        assert move.session in sessions
                        live[move.shard] = move.token
                    elif move.kind == FREED:
                        assert live.pop(move.shard) == move.token
                    else:
                        assert live[move.shard] == move.token
        seen = driven.machine.revision
        holdings = driven.machine._context.holdings
        assert {row.shard: row.token for row in owned(driven)} == live
        assert all(holdings.live(token) is not None for token in live.values())
        assert all(len(holdings.claims(SessionId(each), SHARDS)) == sum(row.session == each for row in owned(driven)) for each in sessions)
    driven.cluster_ms += 1000
    driven.apply(alone(Wake()))
    whole = sum(weights.values())
    counts = {session: 0 for session in weights}
    for row in owned(driven):
        assert row.revoke_left_ms is None
        counts[row.session] += 1
    assert sum(counts.values()) == (shards if whole else 0)
    for session, weight in weights.items():
        assert whole == 0 or shards * weight // whole <= counts[session] <= -(-shards * weight // whole)
