"""Groups: who is in, by which view, bounded, and what is refused without a trace."""

import pytest

from coordnode.errors import BadRequest, Conflict, CoordError, Full, NotHeld, SessionExpired, StateFull, TooLarge
from coordnode.ids import SessionId
from coordnode.services.commands import (
    GROUPS,
    HAS,
    MEMBER_LEFT,
    CloseSession,
    FindMembers,
    FoundMember,
    GetGroup,
    GroupChanged,
    GroupInfo,
    GroupPage,
    GroupView,
    JoinGroup,
    LeaveGroup,
    ListGroups,
    Member,
    MemberPage,
    Operation,
    ReadOperation,
    Require,
    Result,
    UpdateMember,
    decode_member,
    decode_result,
)

from .driven import Driven, alone, in_session, opening


def read(driven: Driven, operation: ReadOperation, items_max: int = 1024) -> Result:
    return decode_result(driven.machine.read(operation, items_max))


def view_of(driven: Driven, group: bytes = b"web") -> GroupView:
    view = read(driven, GetGroup(group))
    assert isinstance(view, GroupView)
    return view


def with_two(**settings: int) -> Driven:
    """Sessions 1 and 2; 1 is member a of web."""
    driven = Driven(**settings)
    driven.apply(opening(1, owner="ops@web1, pid 7"), opening(2, owner="ops@web2, pid 9"))
    driven.apply(in_session(1, 1, JoinGroup(b"web", b"a", b"here", (("zone", "eu"),), 2)))
    return driven


REFUSED: list[tuple[str, int, Operation, type[CoordError], str]] = [
    ("without a session", 0, JoinGroup(b"web", b"b"), BadRequest, "nobody can join group web without a session; open one first"),
    ("session that is over", 9, JoinGroup(b"web", b"b"), SessionExpired, "session 9 is over"),
    ("no name", 1, JoinGroup(b""), BadRequest, "the group has no name"),
    ("a long name", 1, JoinGroup(b"g" * 256), TooLarge, "has 256 bytes, at most 255; shorten it"),
    ("a name with zero", 1, JoinGroup(b"we\0b"), BadRequest, "control character"),
    ("a member's name with a line end", 1, JoinGroup(b"web", b"a\n"), BadRequest, "the name of member"),
    ("too much data", 1, JoinGroup(b"web", b"b", b"x" * 2049), TooLarge, "2049 bytes, at most 2048"),
    ("too long labels", 1, JoinGroup(b"web", b"b", b"", (("k", "é" * 1024),)), TooLarge, "2049 bytes, at most 2048"),
    ("a label without key", 1, JoinGroup(b"web", b"b", b"", (("", "v"),)), BadRequest, "a label has no key"),
    ("a label twice", 1, JoinGroup(b"web", b"b", b"", (("k", "1"), ("k", "2"))), BadRequest, "given twice"),
    ("a negative weight", 1, JoinGroup(b"web", b"b", weight=-1), BadRequest, "weight is -1; give 0 to 1000"),
    ("a huge weight", 1, JoinGroup(b"web", b"b", weight=1001), BadRequest, "weight is 1001"),
    ("joined twice", 2, JoinGroup(b"web", b"a"), Conflict, "is there already: session 1 (ops@web1, pid 7), since view 1"),
    ("joined twice by itself", 1, JoinGroup(b"web", b"a"), Conflict, "this session itself, since view 1; update it instead"),
    ("another's member updated", 2, UpdateMember(b"web", b"a", b"x"), NotHeld, "belongs to session 1 (ops@web1, pid 7)"),
    ("another's member put out", 2, LeaveGroup(b"web", b"a"), NotHeld, "belongs to session 1"),
    ("a member put out by nobody", 0, LeaveGroup(b"web", b"a"), NotHeld, "only that session can change it"),
    ("not there", 1, UpdateMember(b"web", b"z", b"x"), NotHeld, "group web has no member z; join it first"),
    ("left twice", 1, LeaveGroup(b"web", b"z"), NotHeld, "group web has no member z"),
    ("an update without a name", 1, UpdateMember(b"web", b"", b"x"), BadRequest, "the member has no name"),
    ("an update beyond the weight", 1, UpdateMember(b"web", b"a", weight=5000), BadRequest, "weight is 5000"),
    ("an update that grows too much", 1, UpdateMember(b"web", b"a", b"x" * 2046), TooLarge, "2052 bytes"),
]


@pytest.mark.parametrize(("session", "operation", "error", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_refused_leaves_no_trace(session: int, operation: Operation, error: type[CoordError], sentence: str) -> None:
    driven = with_two()
    before = driven.machine.dump()
    command = in_session(session, 0, operation) if session else alone(operation)
    refused = driven.one(command)
    driven.machine.scalars.applied -= 1
    assert driven.machine.dump() == before
    assert getattr(refused, "code", None) == error.code, refused
    assert sentence in getattr(refused, "sentence", "")


def test_names_come_from_the_owner_and_are_unique() -> None:
    driven = Driven()
    driven.apply(
        opening(1, owner="ops@web1\n"), opening(2, owner="ops@web1 "), opening(3), opening(4, owner="é" * 120), opening(5, owner="é" * 120)
    )
    names = [driven.one(in_session(session, 1, JoinGroup(b"web"))) for session in (1, 2, 3, 4, 5)]
    assert names[:3] == [GroupChanged(1, 1, b"ops@web1 "), GroupChanged(2, 2, b"ops@web1 /2"), GroupChanged(3, 3, b"session/3")]
    assert [member.name for member in view_of(driven).members] == sorted(name.member for name in names)  # type: ignore[union-attr]
    assert view_of(driven).members[-1].name.decode() == "é" * 100 + "/5"


def test_the_end_of_a_session_is_one_view_of_each_group() -> None:
    driven = with_two()
    driven.apply(
        in_session(1, 2, JoinGroup(b"web", b"b")), in_session(1, 3, JoinGroup(b"db", b"a")), in_session(2, 1, JoinGroup(b"web", b"c"))
    )
    driven.apply(alone(CloseSession(SessionId(1))))
    (change,) = driven.machine.changes(4, 5)  # type: ignore[arg-type]
    assert [(event.kind, event.key, event.space) for event in change.events] == [
        (MEMBER_LEFT, b"db", GROUPS),
        (MEMBER_LEFT, b"web", GROUPS),
        (MEMBER_LEFT, b"web", GROUPS),
    ]
    assert [decode_member(event.value).name for event in change.events] == [b"a", b"a", b"b"]
    assert view_of(driven).view == 5
    assert view_of(driven, b"db") == GroupView(5, 0, [])  # type: ignore[arg-type]


def test_a_group_is_bounded_and_the_state_comes_back() -> None:
    driven = with_two(group_members_max=2)
    driven.apply(in_session(2, 1, JoinGroup(b"web", b"b")))
    full = driven.one(in_session(2, 2, JoinGroup(b"web", b"c")))
    assert getattr(full, "code", None) == Full.code
    driven.apply(in_session(1, 2, LeaveGroup(b"web", b"a")))
    assert isinstance(driven.one(in_session(2, 3, JoinGroup(b"web", b"c", b"x" * 100))), GroupChanged)
    driven.apply(in_session(2, 4, UpdateMember(b"web", b"c", b"", (("k", "v"),))))
    with_members = driven.machine.state_bytes
    driven.apply(in_session(2, 5, LeaveGroup(b"web", b"b")), in_session(2, 6, LeaveGroup(b"web", b"c")))
    assert read(driven, ListGroups()) == GroupPage(7, [], False)  # type: ignore[arg-type]
    assert driven.machine.state_bytes < with_members
    fresh = Driven()
    fresh.apply(opening(1, owner="ops@web1, pid 7"), opening(2, owner="ops@web2, pid 9"))
    for each in (driven, fresh):  # the answers that a session keeps go with it
        each.apply(alone(CloseSession(SessionId(1))), alone(CloseSession(SessionId(2))))
    assert driven.machine.state_bytes == fresh.machine.state_bytes


def test_a_full_state_refuses_growth_only() -> None:
    driven = with_two(state_bytes_max=with_two().machine.state_bytes + 10)
    assert getattr(driven.one(in_session(2, 1, JoinGroup(b"web", b"b"))), "code", None) == StateFull.code
    assert getattr(driven.one(in_session(1, 2, UpdateMember(b"web", b"a", b"x" * 100))), "code", None) == StateFull.code
    assert isinstance(driven.one(in_session(1, 3, UpdateMember(b"web", b"a", b""))), GroupChanged)
    assert isinstance(driven.one(in_session(1, 4, LeaveGroup(b"web", b"a"))), GroupChanged)


def test_groups_and_members_are_listed_in_pages() -> None:
    driven = with_two()
    for number, (group, zone) in enumerate([(b"web/1", "eu"), (b"web/2", "us"), (b"web/3", "eu"), (b"x", "eu")], 2):
        driven.apply(in_session(1, number, JoinGroup(group, b"m", b"", (("zone", zone),))))
    first = read(driven, ListGroups(b"web"), 2)
    assert first == GroupPage(5, [GroupInfo(b"web", 1, 1), GroupInfo(b"web/1", 2, 1)], True)  # type: ignore[arg-type]
    found: list[bytes] = []
    pages, ask = 0, FindMembers(b"web", [Require("zone", HAS)], limit=1)
    while True:
        page = read(driven, ask)
        assert isinstance(page, MemberPage)
        found += [each.group for each in page.members]
        pages += 1
        if not page.more:
            break
        ask = FindMembers(b"web", ask.requires, page.at_group, page.at_member, 1)
    assert (found, pages) == ([b"web", b"web/1", b"web/2", b"web/3"], 4)


def test_one_search_looks_at_so_many_members_only() -> None:
    driven = with_two()
    for number in range(2, 50):
        driven.apply(in_session(1, number, JoinGroup(b"g%02d" % number, b"m")))
    before = driven.machine.rows_looked_at
    page = read(driven, FindMembers(b"", [Require("zone")], b"", b""), 16)
    assert page == MemberPage(49, [], True, b"g17", b"m")  # type: ignore[arg-type]
    assert driven.machine.rows_looked_at == before + 16, "whoever carries it out can tell how much that was"
    page = read(driven, FindMembers(b"", [Require("zone")], b"v", b""), 1)
    assert page == MemberPage(49, [FoundMember(b"web", Member(b"a", 1, b"here", (("zone", "eu"),), 2, 1))], False, b"web", b"a")  # type: ignore[arg-type]


def test_what_a_search_may_ask_is_checked() -> None:
    driven = with_two()
    for ask in (
        FindMembers(b"", [Require("")]),
        FindMembers(b"", [Require("k", 4)]),
        FindMembers(b"", [Require("k")] * 17),
        FindMembers(b"a\0"),
        FindMembers(b"", [], b"web", b"\0"),
        FindMembers(b"", [], b"", b"", -1),
        GetGroup(b""),
        ListGroups(b"\n"),
    ):
        assert getattr(read(driven, ask), "code", None) in (BadRequest.code, TooLarge.code), ask
