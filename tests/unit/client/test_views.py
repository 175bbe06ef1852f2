"""Views: from one read and the changes after it, each one once, none that goes back; and conditions on labels."""

import pytest

from coordnode.client.views import Assembly, View, parse_require
from coordnode.errors import BadRequest
from coordnode.ids import Revision, SessionId
from coordnode.services.commands import (
    GROUPS,
    HAS,
    HAS_NOT,
    IS,
    IS_NOT,
    LOCKS,
    MEMBER_JOINED,
    MEMBER_LEFT,
    MEMBER_UPDATED,
    Change,
    Event,
    GroupView,
    Member,
    Require,
    encode,
)


def member(name: str, data: bytes = b"", joined: int = 1) -> Member:
    return Member(name.encode(), SessionId(7), data, (), 1, Revision(joined))


def event(kind: int, who: Member, group: bytes = b"web", space: int = GROUPS) -> Event:
    return Event(kind, group, encode(who), 0, SessionId(7), space)


def change(revision: int, *events: Event) -> Change:
    return Change(Revision(revision), list(events))


def read(revision: int, view: int, *members: Member) -> GroupView:
    return GroupView(Revision(revision), Revision(view), list(members))


def test_a_read_and_what_came_after_it() -> None:
    assembly = Assembly(b"web")
    a, b = member("a"), member("b", joined=9)
    assert assembly.on_read(read(5, 3, a)) == View("web", Revision(3), (a,))
    assert assembly.on_change(change(9, event(MEMBER_JOINED, b))) == View("web", Revision(9), (a, b))
    newer = member("a", b"new")
    assert assembly.on_change(change(10, event(MEMBER_UPDATED, newer))) == View("web", Revision(10), (newer, b))
    gone = assembly.on_change(change(12, event(MEMBER_LEFT, newer), event(MEMBER_LEFT, b)))
    assert gone == View("web", Revision(12), ())
    assert gone is not None
    assert (len(gone), "a" in gone, list(gone)) == (0, False, [])


def test_what_concerns_others_is_no_view() -> None:
    assembly = Assembly(b"web")
    assembly.on_read(read(5, 3, member("a")))
    assert assembly.on_change(change(6, event(MEMBER_JOINED, member("b"), b"db"))) is None
    assert assembly.on_change(change(7, event(MEMBER_JOINED, member("b"), b"web", LOCKS))) is None


def test_after_a_gap_only_what_is_new_is_told() -> None:
    assembly = Assembly(b"web")
    a, b = member("a"), member("b", joined=40)
    assembly.on_read(read(5, 3, a))
    assert assembly.on_read(read(30, 3, a)) is None
    assert assembly.on_read(read(40, 35, a)) == View("web", Revision(35), (a,))
    assert assembly.on_read(read(50, 44, a, b)) == View("web", Revision(44), (a, b))
    assert assembly.on_read(read(60, 0)) == View("web", Revision(60), ())
    assert assembly.on_read(read(70, 0)) is None
    again = assembly.on_change(change(71, event(MEMBER_JOINED, b)))
    assert again is not None
    assert again.number == 71
    assert again.get("b") == b


def test_conditions() -> None:
    assert parse_require("zone=eu") == Require("zone", IS, "eu")
    assert parse_require("zone!=eu=1") == Require("zone", IS_NOT, "eu=1")
    assert parse_require("zone") == Require("zone", HAS)
    assert parse_require("!zone") == Require("zone", HAS_NOT)
    for nothing in ("", "=eu", "!", "!=eu"):
        with pytest.raises(BadRequest, match="names no label"):
            parse_require(nothing)
