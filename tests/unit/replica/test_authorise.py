"""Everything that a client may ask passes one door, whatever it is and whichever way it came, and only who has the right comes in."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import product
from typing import NamedTuple, get_args

import msgspec
import pytest

from coordnode.errors import BadRequest, NotPermitted, SessionExpired
from coordnode.ids import MemberId, Revision, Sequence, SessionId
from coordnode.raft.entry import Config
from coordnode.replica.admission import HIDING, authorise, resolved
from coordnode.replica.authority import scoped
from coordnode.services import commands as c
from coordnode.services.auth.permits import NEEDED, SPACES, Permit
from coordnode.services.callers import MEMBER, Caller
from coordnode.services.dialogue import (
    Ask,
    ConfigAsk,
    ErrorReply,
    KeepAliveAsk,
    KeepAliveReply,
    LevelAsk,
    ReadAsk,
    Reply,
    TransferAsk,
    WatchAsk,
    WatchPush,
    WriteAsk,
)
from coordnode.services.levels import MENDED
from coordnode.services.rights import ADMIN, AREAS, KV, LEVELS, MANAGE, READ, USE
from tests.unit.replica.trio import MEMBERS, Trio
from tests.unit.services.driven import Driven, alone, opening
from tests.unit.wire import samples

OPERATOR = {"by": "cert:operator"}
ANYTHING = "anything"  # whoever may do anything at all at that level
OWN = "own"  # only with a session of one's own

TABLE: dict[type, str] = {
    c.Put: "kv:use",
    c.Delete: "kv:use",
    c.DeleteRange: "kv:use",
    c.Transaction: "kv:use",
    c.Get: "kv:read",
    c.Range: "kv:read",
    c.OpenSession: f"{ANYTHING}:use",
    c.CloseSession: OWN,
    c.ReadSessions: "admin:read",
    c.AddCounter: "counter:use",
    c.DeleteCounter: "counter:manage",
    c.GetCounter: "counter:read",
    c.ListCounters: "counter:read",
    c.JoinGroup: "group:use",
    c.UpdateMember: "group:use",
    c.LeaveGroup: "group:use",
    c.GetGroup: "group:read",
    c.ListGroups: "group:read",
    c.FindMembers: "group:read",
    c.Acquire: "lock:use",
    c.Release: "lock:use",
    c.BreakLock: "lock:manage",
    c.ReadLock: "lock:read",
    c.ListLocks: "lock:read",
    c.ReadHeldLocks: OWN,
    c.Campaign: "elect:use",
    c.Proclaim: "elect:use",
    c.Resign: "elect:use",
    c.Depose: "elect:manage",
    c.ReadElection: "elect:read",
    c.ListElections: "elect:read",
    c.ReadCandidacies: OWN,
    c.CreateAssignment: "shard:manage group:read",
    c.ConfigureAssignment: "shard:manage",
    c.DeleteAssignment: "shard:manage",
    c.ReleaseShard: "shard:use",
    c.GetAssignment: "shard:read",
    c.ListAssignments: "shard:read",
    c.ConfigureQueue: "queue:manage",
    c.PutTask: "queue:use",
    c.TakeTasks: "queue:use",
    c.StopTaking: "queue:use",
    c.ExtendTask: "queue:use",
    c.AckTask: "queue:use",
    c.NackTask: "queue:use",
    c.RedriveTasks: "queue:manage",
    c.PurgeTasks: "queue:manage",
    c.DeleteQueue: "queue:manage",
    c.GetQueue: "queue:read",
    c.ListQueues: "queue:read",
    c.ListTasks: "queue:read",
    c.GetTask: "queue:read",
    c.EnterBarrier: "barrier:use",
    c.LeaveBarrier: "barrier:use",
    c.GetBarrier: "barrier:read",
    c.ListBarriers: "barrier:read",
    c.ConfigureJournal: "journal:manage",
    c.AppendRecords: "journal:use",
    c.TrimJournal: "journal:manage",
    c.DeleteJournal: "journal:manage",
    c.GetJournal: "journal:read",
    c.ListJournals: "journal:read",
    c.ReadRecords: "journal:read",
    c.SetRole: "admin:manage",
    c.RemoveRole: "admin:manage",
    c.SetUser: "admin:manage",
    c.RemoveUser: "admin:manage",
    c.AddToken: "admin:manage",
    c.RemoveToken: "admin:manage",
    c.ListRoles: "admin:read",
    c.ListUsers: "admin:read",
    c.ListTokens: "admin:read",
    c.ReadAudit: "admin:read",
    type(None): f"{ANYTHING}:read",
    KeepAliveAsk: f"{ANYTHING}:use",
    TransferAsk: "admin:manage",
    ConfigAsk: "admin:manage",
    LevelAsk: "admin:manage",
}
"""What each needs, written down here once more: whoever changes it changes it in two places."""

FIELDS = ("queue", "journal", "name", "prefix", "key", "group")
OTHERS: dict[type, object] = {
    KeepAliveAsk: KeepAliveAsk(1, []),
    TransferAsk: TransferAsk(1, MemberId(2)),
    ConfigAsk: ConfigAsk(1, Config(voters=MEMBERS)),
    LevelAsk: LevelAsk(1, 4),
}


def asked() -> Iterator[object]:
    """Of everything that can be asked at least one."""
    yield from samples.OPERATIONS
    for body in samples.READS:
        yield c.decode_read(body)
    yield from OTHERS.values()


ASKED = list(asked())


class One(NamedTuple):
    """A role with one grant."""

    area: int
    level: int
    prefix: bytes


def permit(*grants: One) -> Permit:
    driven = Driven()
    rights = tuple([c.Grant(*grant) for grant in grants]) or (c.Grant(KV, READ, b"nothing that is asked for"),)
    driven.apply(alone(c.SetRole("some", rights, **OPERATOR)), alone(c.SetUser("ann", ("some",) if grants else (), **OPERATOR)))
    return Permit(driven.machine.auth, Caller(user="ann"))


def may(permit: Permit, operation: object) -> bool:
    try:
        authorise(permit, resolved(operation) if type(operation) in HIDING else (operation,))
    except (NotPermitted, SessionExpired):
        return False
    return True


def name_of(operation: object) -> bytes:
    """Nothing: it has none, or a range of them."""
    return next((getattr(operation, field) for field in FIELDS if isinstance(getattr(operation, field, None), bytes)), b"")


def test_every_operation_has_its_row_and_its_sample() -> None:
    words = {*get_args(c.ClientOperation), *get_args(c.ReadOperation), *get_args(Ask)}
    words -= {WriteAsk, ReadAsk, WatchAsk, *[ask for ask in get_args(Ask) if ask.__name__ == "UnwatchAsk"]}
    assert set(TABLE) == words == set(NEEDED)
    assert {type(operation) for operation in ASKED} >= words
    assert set(SPACES) == {getattr(c, space) for space in SPACE_NAMES}


SPACE_NAMES = ("KV", "LOCKS", "ELECTIONS", "GROUPS", "QUEUES", "SHARDS", "BARRIERS", "COUNTERS", "JOURNALS")
ROLES = [One(area, level, b"") for area, level in product(range(len(AREAS)), range(len(LEVELS)))]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: f"{AREAS[role.area]}-{LEVELS[role.level]}")
def test_each_role_may_what_the_table_says_and_nothing_else(role: One) -> None:
    ann = permit(role)
    for operation in ASKED:
        if isinstance(operation, c.OpenSession) and operation.first is not None:
            continue  # a test of its own
        row = TABLE[type(operation)]
        if row == OWN:
            expected = role.level >= READ  # nobody has said whose it is
        elif row.startswith(ANYTHING):
            expected = role.level >= LEVELS.index(row.removeprefix(f"{ANYTHING}:"))
        else:
            needed = [part.split(":") for part in row.split()]
            expected = all([AREAS[role.area] == area and role.level >= LEVELS.index(level) for area, level in needed])
        assert may(ann, operation) == expected, operation


@pytest.mark.parametrize("operation", [one for one in ASKED if name_of(one)], ids=lambda one: type(one).__name__)
def test_a_grant_reaches_as_far_as_its_prefix(operation: object) -> None:
    row = TABLE[type(operation)]
    if ANYTHING in row or row == OWN or "admin" in row:
        return
    name = name_of(operation)
    grants = [(AREAS.index(area), LEVELS.index(level)) for area, level in [part.split(":") for part in row.split()]]

    def with_prefix(prefix: bytes) -> Permit:
        return permit(*[One(area, level, prefix if place == 0 else b"") for place, (area, level) in enumerate(grants)])

    assert may(with_prefix(name[:1]), operation)
    assert not may(with_prefix(b"\x01"), operation)
    assert not may(with_prefix(name + b"more"), operation), "what is asked reaches further than the grant"
    assert not may(permit(), operation)


@pytest.mark.parametrize(
    ("start", "end", "is_covered"),
    [
        (b"app/", b"app0", True),
        (b"app/a", b"app/b", True),
        (b"app/", b"app/z", True),
        (b"app/", b"app1", False),
        (b"app/", b"", False),
        (b"app", b"app0", False),
        (b"", b"app0", False),
        (b"", b"", False),
    ],
)
def test_a_range_is_within_the_prefix_or_refused(start: bytes, end: bytes, is_covered: bool) -> None:
    ann = permit(One(KV, USE, b"app/"))
    assert may(ann, c.Range(start, end)) == is_covered
    assert may(ann, c.DeleteRange(start, end)) == is_covered
    assert may(ann, WatchAsk(1, start, end, Revision(0))) == is_covered
    highest = permit(One(KV, USE, b"\xff"))
    assert may(highest, c.Range(b"\xff1", b""))
    assert not may(highest, c.Range(b"\xfe", b""))


@pytest.mark.parametrize("space", [*SPACES, 1, 77])
def test_a_watch_needs_the_right_to_read_what_its_space_shows(space: int) -> None:
    for area in range(len(AREAS)):
        assert may(permit(One(area, READ, b"")), WatchAsk(1, b"", b"", Revision(0), space)) == (SPACES.get(space) == area)


def test_what_a_transaction_hides_is_looked_at_and_so_is_a_sessions_first_command() -> None:
    own, secret = b"app/a", b"secret"
    ann = permit(One(KV, USE, b"app/"))
    compare = c.Compare(secret, c.VERSION, c.EQUAL, 0)
    hidden: list[c.Transaction] = [
        c.Transaction([compare], [c.Put(own, b"")]),
        c.Transaction([], [c.Put(own, b""), c.Delete(secret)]),
        c.Transaction([], [c.Put(own, b"")], [c.Get(secret)]),
    ]
    assert may(ann, c.Transaction([c.Compare(own, c.VERSION, c.EQUAL, 0)], [c.Put(own, b"")], [c.Get(own)]))
    for transaction in hidden:
        assert not may(ann, transaction)
        assert not may(ann, c.OpenSession(b"n", 5_000, first=transaction))
    assert may(ann, c.OpenSession(b"n", 5_000, first=c.Put(own, b"")))
    assert not may(ann, c.OpenSession(b"n", 5_000, first=c.Acquire(own)))


def test_a_comparison_with_a_token_needs_to_read_something_of_that_name() -> None:
    compare = c.Transaction([c.Compare(b"jobs/7", c.TOKEN, c.EQUAL, 5)], [])
    for area in range(len(AREAS)):
        assert may(permit(One(area, READ, b"")), compare) == (AREAS[area] in ("lock", "elect", "shard", "queue"))


def test_to_others_a_session_does_not_exist() -> None:
    driven = Driven()
    driven.apply(
        alone(c.SetRole("all", tuple([c.Grant(area, MANAGE) for area in range(ADMIN)]), **OPERATOR)),
        *[alone(c.SetUser(name, ("all",), **OPERATOR)) for name in ("ann", "bob")],
        opening(1, user="ann"),
        opening(2),
    )
    auth = driven.machine.auth
    ann, bob, operator = [Permit(auth, Caller(user=user)) for user in ("ann", "bob", "operator")]
    for operation in (c.CloseSession(SessionId(1)), c.ReadHeldLocks(SessionId(1)), c.ReadCandidacies(SessionId(1))):
        assert [may(one, operation) for one in (ann, bob, operator)] == [True, False, True]
    child = c.OpenSession(b"child", 5_000, parent=SessionId(1))
    assert [may(one, child) for one in (ann, bob, operator)] == [True, False, True]
    notices = WatchAsk(1, (1).to_bytes(8, "big"), (1).to_bytes(8, "big") + b"\0", Revision(0), c.NOTICES)
    assert [may(one, notices) for one in (ann, bob, operator)] == [True, False, True]
    assert may(ann, msgspec.structs.replace(notices, end=b"\xff")) is False
    assert [ann.owns(SessionId(2)), bob.owns(SessionId(2)), bob.owns(SessionId(99))] == [True, True, True]
    with pytest.raises(SessionExpired) as hidden:
        bob.check_session(SessionId(1))
    assert hidden.value.sentence == "session 1 is over: it expired, was closed or never was; open a new one"


def test_what_is_said_of_a_denial_does_not_depend_on_what_exists() -> None:
    driven = Driven()
    driven.apply(alone(c.SetRole("some", (c.Grant(KV, READ, b"app/"),), **OPERATOR)), alone(c.SetUser("ann", ("some",), **OPERATOR)))
    sentences = []
    for _ in range(2):
        with pytest.raises(NotPermitted) as denied:
            Permit(driven.machine.auth, Caller(user="ann")).check(c.Get(b"secret"))
        sentences.append(denied.value.sentence)
        driven.apply(alone(c.Put(b"secret", b"1")))
    assert sentences == ["user ann may not read kv secret: no role of that user grants it"] * 2


# --- through a leader --------------------------------------------------------------------------------------------------


TOKEN = b"ann's token"
DIGEST = sha256(TOKEN).digest()
ANN, EVE, NOBODY = Caller(token=DIGEST, place="10.0.0.7:1"), Caller(user="eve", place="10.0.0.8:2"), Caller("mallory")


def write(operation: c.ClientOperation, session: int = 0, sequence: int = 0, request_id: str = "") -> Callable[[int], Ask]:
    body = c.encode(c.ClientCommand(SessionId(session), sequence, min(sequence, 1), request_id, operation))  # type: ignore[arg-type]
    return lambda request: WriteAsk(request, body)


def mend(request: int) -> Ask:
    return LevelAsk(request, MENDED)


ASKS: dict[str, Callable[[int], Ask]] = {
    "write": write(c.Put(b"a", b"1")),
    "in a session": write(c.Put(b"a", b"1"), 1, 1),
    "inside a transaction": write(c.Transaction([], [c.Put(b"a", b"1"), c.Delete(b"secret")])),
    "first command of a session": write(c.OpenSession(b"n", 5_000, "", c.Put(b"a", b"1"))),
    "read": lambda request: ReadAsk(request, c.encode(c.Get(b"a"))),
    "stale read": lambda request: ReadAsk(request, c.encode(c.Get(b"a")), True),
    "keep alive": lambda request: KeepAliveAsk(request, [SessionId(1)]),
    "watch": lambda request: WatchAsk(request, b"", b"", Revision(0)),
    "transfer": lambda request: TransferAsk(request, MemberId(2)),
    "membership": lambda request: ConfigAsk(request, Config(voters=MEMBERS)),
    "level": lambda request: LevelAsk(request, 4),
    "roles": write(c.SetRole("mine", (c.Grant(ADMIN, MANAGE),))),
}


class Guarded(Trio):
    """With one role: ann, by a token, may use keys below app/, and is an administrator, so that it stays that way."""

    def __init__(self, level: int = 4, supported_level: int = 4) -> None:
        super().__init__(level=level, supported_level=supported_level)
        self.at = self.leader()
        self.open(9, Caller(user="operator"))
        for operation in (
            c.SetRole("app", (c.Grant(KV, USE, b"app/"),)),
            c.SetUser("ann", ("app",)),
            c.AddToken("ann", DIGEST),
            c.SetUser("root", ("admin",)),
        ):
            assert isinstance(self.done(write(operation), 9), Reply)

    def open(self, connection: int, caller: Caller) -> None:
        for replica in self.replicas.values():
            replica.clients.on_opened(connection, caller)

    def done(self, make: Callable[[int], Ask], connection: int) -> object:
        request = self.ask(self.at, make, connection=connection)
        self.settle()
        return self.answer(request, connection)


@pytest.mark.parametrize("caller", [EVE, NOBODY], ids=["eve", "nobody"])
@pytest.mark.parametrize("name", ASKS)
def test_each_ask_passes_the_door(name: str, caller: Caller) -> None:
    trio = Guarded()
    trio.open(1, caller)
    applied = trio.replicas[trio.at].applied
    answer = trio.done(ASKS[name], 1)
    assert isinstance(answer, ErrorReply)
    assert (answer.code, answer.definite) == (NotPermitted.code, True)
    authority = trio.replicas[trio.at].clients.authority
    assert (authority.denials, authority.denied[0].place) == (1, caller.place)
    assert trio.replicas[trio.at].applied == applied, "nothing was proposed"


def test_who_has_the_right_comes_in_and_its_session_is_its_own() -> None:
    trio = Guarded()
    trio.open(1, ANN)
    trio.open(2, EVE)
    opened = trio.done(write(c.OpenSession(b"n", 5_000, "", c.Put(b"app/a", b"1"))), 1)
    assert isinstance(opened, Reply)
    result = c.decode_result(opened.result)
    assert isinstance(result, c.SessionOpened)
    machine = trio.replicas[trio.at].machine
    assert machine is not None
    assert machine.auth.owner_of(result.session) == "ann"
    trio.done(write(c.SetUser("eve", ("app",))), 9)
    theirs = trio.done(write(c.Put(b"app/b", b"1"), result.session, 7), 2)
    assert isinstance(theirs, ErrorReply)
    assert theirs.code == SessionExpired.code
    kept = trio.done(lambda request: KeepAliveAsk(request, [result.session]), 2)
    assert kept == KeepAliveReply(kept.request, [], [result.session])  # type: ignore[attr-defined]
    kept = trio.done(lambda request: KeepAliveAsk(request, [result.session]), 1)
    assert isinstance(kept, KeepAliveReply)
    assert [session for session, _ in kept.alive] == [result.session]


class Counted(SessionId):
    """A session's id that knows how often one of them was compared."""

    compared = 0
    __hash__ = SessionId.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return int(self) == other


def test_a_keep_alive_for_others_sessions_looks_at_each_of_them_a_few_times_only() -> None:
    trio = Guarded()
    trio.open(1, ANN)
    trio.open(2, EVE)
    trio.done(write(c.SetUser("eve", ("app",))), 9)
    opened = [trio.done(write(c.OpenSession(b"%d" % number, 60_000)), 1) for number in range(100)]
    results = [c.decode_result(reply.result) for reply in opened if isinstance(reply, Reply)]
    named = [Counted(result.session) for result in results if isinstance(result, c.SessionOpened)]
    assert len(named) == len(opened)
    Counted.compared = 0
    kept = trio.done(lambda request: KeepAliveAsk(request, named), 2)
    assert Counted.compared <= 4 * len(named)
    assert isinstance(kept, KeepAliveReply)
    assert (kept.alive, len(kept.expired)) == ([], len(named))


def test_a_token_that_is_removed_lets_nobody_in_from_then_on_and_ends_what_it_watches() -> None:
    trio = Guarded()
    trio.open(1, ANN)
    watch = trio.ask(trio.at, lambda request: WatchAsk(request, b"app/", b"app0", Revision(0)), connection=1)
    trio.settle()
    assert isinstance(trio.done(write(c.Put(b"app/a", b"1")), 1), Reply)
    assert [type(answer) for answer in trio.answers[1, watch]] == [WatchPush, WatchPush]
    trio.done(write(c.RemoveToken(DIGEST)), 9)
    trio.done(write(c.Put(b"app/a", b"2")), 9)
    ended = trio.answers[1, watch][-1]
    assert isinstance(ended, ErrorReply)
    assert ended.code == NotPermitted.code
    assert len(trio.answers[1, watch]) == 3, "nothing more is pushed"
    assert isinstance(trio.done(write(c.Put(b"app/a", b"3")), 1), ErrorReply)


def test_nobody_finds_what_another_users_request_was_answered_with() -> None:
    trio = Guarded()
    trio.open(1, ANN)
    trio.open(2, EVE)
    trio.done(write(c.SetUser("eve", ("app",))), 9)
    first = trio.done(write(c.Put(b"app/a", b"1"), request_id="once"), 1)
    again = trio.done(write(c.Put(b"app/a", b"1"), request_id="once"), 1)
    other = trio.done(write(c.Put(b"app/b", b"1"), request_id="once"), 2)
    assert isinstance(first, Reply) and isinstance(again, Reply) and isinstance(other, Reply)
    assert (again.index, again.position) == (first.index, first.position)
    assert other.index > first.index


@pytest.mark.parametrize(("level", "request_id"), [(4, "worker-1"), (5, "worker-1"), (5, "")])
def test_nobody_finds_the_session_that_another_user_opened_with_the_same_nonce(level: int, request_id: str) -> None:
    """Over HTTP it is made of an Idempotency-Key, which others may choose, too."""
    trio = Guarded(level)
    trio.open(1, ANN)
    trio.open(2, EVE)
    trio.done(write(c.SetUser("eve", ("app",))), 9)
    opening = write(c.OpenSession(b"n" * 32, 5_000), request_id=request_id)
    first, again, other = (trio.done(opening, connection) for connection in (1, 1, 2))
    assert isinstance(first, Reply) and isinstance(again, Reply) and isinstance(other, Reply)
    assert (again.index, again.position) == (first.index, first.position)
    assert c.decode_result(other.result) == c.SessionOpened(SessionId(2), 5_000, Revision(0))


@pytest.mark.parametrize("request_id", ["", "worker-1"])
def test_an_opening_that_is_asked_again_after_the_raise_happened_once(request_id: str) -> None:
    """And with it what is carried out in the session."""
    trio = Guarded(level=4, supported_level=MENDED)
    trio.open(1, ANN)
    opening = write(c.OpenSession(b"n" * 16, 5_000, "", c.Put(b"app/a", b"1")), request_id=request_id)
    first = trio.done(opening, 1)
    assert isinstance(trio.done(mend, 9), Reply)
    again = trio.done(opening, 1)
    assert isinstance(first, Reply) and isinstance(again, Reply)
    assert (again.index, again.position) == (first.index, first.position)


@pytest.mark.parametrize("user", ["ann", ""], ids=["as of level 4", "as of level 3"])
@pytest.mark.parametrize("then", [None, write(c.CloseSession(SessionId(1))), mend], ids=["", "over", "raised"])
def test_an_opening_that_a_leader_of_an_earlier_build_put_into_the_log_is_found(user: str, then: Callable[[int], Ask] | None) -> None:
    """By who asked for it, and by nobody else. They wrote its nonce as it was, and its request id beside it."""
    trio = Guarded(level=4, supported_level=MENDED)
    trio.open(1, ANN)
    trio.open(2, EVE)
    trio.done(write(c.SetUser("eve", ("app",))), 9)
    clients = trio.replicas[trio.at].clients
    operation = c.OpenSession(b"n" * 32, 5_000, user=user)
    command = c.ClientCommand(SessionId(0), Sequence(0), Sequence(0), scoped("ann", "worker-1"), operation)
    clients._proposing.collect(c.encode(command), command, (1, 0))
    trio.settle()
    if then is not None:
        assert isinstance(trio.done(then, 9), Reply)
    opening = write(c.OpenSession(b"n" * 32, 5_000), request_id="worker-1")
    sessions = [c.decode_result(reply.result) for reply in (trio.done(opening, 1), trio.done(opening, 2)) if isinstance(reply, Reply)]
    assert [one.session for one in sessions if isinstance(one, c.SessionOpened)] == [1, 2]


def test_no_opening_stands_in_the_log_with_a_request_id() -> None:
    """Members of older builds would open two sessions with one nonce, and end where the second of two kept replies is forgotten."""
    trio = Trio(level=4)
    opened = [trio.result(c.OpenSession(b"n", 5_000), request_id=request_id) for request_id in ("r1", "r2", "")]
    assert opened == [c.SessionOpened(SessionId(1), 5_000, Revision(0))] * 3


def test_who_asked_is_written_by_the_leader_whatever_the_client_says() -> None:
    trio = Guarded()
    trio.open(2, Caller("me", "root", place="10.0.0.9:3"))
    assert isinstance(trio.done(write(c.SetUser("bob", (), "hired", "cert:operator", "nowhere")), 2), Reply)
    machine = trio.replicas[trio.at].machine
    assert machine is not None
    newest = list(machine.auth.audit.table.items())[-1][1]
    assert (newest.by, newest.place, newest.what, newest.reason) == ("cert:root", "10.0.0.9:3", "user bob", "hired")
    forged = trio.done(write(c.OpenSession(b"n", 5_000, user="ann")), 2)
    assert isinstance(forged, ErrorReply)
    assert forged.code == BadRequest.code


def test_a_read_that_comes_over_http_passes_it_too() -> None:
    trio = Guarded()
    clients = trio.replicas[trio.at].clients
    with pytest.raises(NotPermitted, match="eve may not read kv a"):
        clients.permitted(EVE, c.Get(b"a"))
    assert clients.permitted(ANN, c.Get(b"app/a")).user == "ann"
    assert clients.permitted(Caller(user=f"{MEMBER}7"), c.ReadSessions()).may_all
    assert [denial.by for denial in clients.authority.denied] == ["eve"]


def test_before_the_first_role_everybody_may_do_everything() -> None:
    trio = Trio(level=4)
    trio.replicas[trio.leader()].clients.on_opened(1, NOBODY)
    assert isinstance(trio.write(c.Put(b"a", b"1")), Reply)


def test_what_an_operator_does_is_on_record_before_it_happens_whoever_asked() -> None:
    trio = Trio(level=4)
    for replica in trio.replicas.values():
        replica.clients.on_opened(1, Caller("ops@web1", place="10.0.0.9:3"))
    trio.write(c.BreakLock(b"nightly", reason="host retired"))
    trio.write(c.Depose(b"primary", to="web2"))
    trio.write(c.Put(b"a", b"1"))
    trio.write(c.Put(b"_accepted/no-spare", b'{"unix_s": 1, "by": "ann@web2", "verb": "member drain", "reason": "the rack moves"}'))
    trio.write(c.Put(b"_accepted/another", b"not what is read there"))
    trio.write(c.Delete(b"_accepted/no-spare"))
    trio.write(c.Delete(b"a"))
    trio.ask(trio.leader(), lambda request: ConfigAsk(request, Config(voters=MEMBERS[:2], learners=MEMBERS[2:])))
    trio.settle()
    trio.ask(trio.leader(), lambda request: TransferAsk(request, MemberId(2)))
    trio.settle()
    trio.tick(4)
    machine = trio.replicas[trio.leader()].machine
    assert machine is not None
    assert [(one.what, one.before, one.after, one.reason) for _, one in machine.auth.audit.table.items()] == [
        ("lock nightly", "whoever holds it", "broken", "host retired"),
        ("election primary", "whoever leads", "web2", ""),
        ("risk no-spare", "not taken", "accepted by ann@web2 for member drain", "the rack moves"),
        ("risk another", "not taken", "accepted", ""),
        ("risk no-spare", "accepted", "cleared", ""),
        ("membership", "as it was", "voters 1 2, learners 3", ""),
        ("leadership", "this leader", "member 2", ""),
    ]
    assert {(one.by, one.place) for _, one in machine.auth.audit.table.items()} == {("unproven:ops@web1", "10.0.0.9:3")}
