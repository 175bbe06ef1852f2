"""Routes of groups: who is there, bound to sessions, by view and by label. Pure."""

from base64 import b64encode
from typing import Annotated

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.route import Asked, ListQuery, Query, Read, ReadQuery, Route, Work, Write
from coordnode.api.values import Base64, in_query, in_text, text_of
from coordnode.errors import BadRequest
from coordnode.services.commands import (
    HAS,
    HAS_NOT,
    IS,
    IS_NOT,
    FindMembers,
    GetGroup,
    GroupChanged,
    GroupPage,
    GroupView,
    JoinGroup,
    LeaveGroup,
    ListGroups,
    Member,
    MemberPage,
    Require,
    Result,
    UpdateMember,
)

Text = Annotated[str, Meta(max_length=2048)]
Labels = Annotated[dict[Text, Text], Meta(max_length=256, description="what others find it by")]
Weight = Annotated[int, Meta(ge=0, le=1000, description="its share of what is assigned over the group; 0: none")]


class JoinBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    member: Annotated[str, Meta(max_length=255, description="empty: it is called after the session's owner")] = ""
    data: Annotated[Text | None, Meta(description="what others shall know of it: an address, a version")] = None
    data_base64: Base64 | None = None
    labels: Labels = {}
    weight: Weight = 1


class UpdateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is not said stays as it is."""

    data: Text | None = None
    data_base64: Base64 | None = None
    labels: Labels | None = None
    weight: Weight | None = None


class MemberChanged(msgspec.Struct, frozen=True):
    """`view` is the one that this made."""

    revision: int
    view: int
    member: str | None
    member_base64: str


class ShownMember(msgspec.Struct, frozen=True):
    member: str | None
    member_base64: str
    session: int
    data: str | None
    data_base64: str
    labels: dict[str, str]
    weight: int
    joined_view: int


class ShownGroup(msgspec.Struct, frozen=True):
    """Whole. A group without members has no view: 0."""

    revision: int
    view: int
    members: list[ShownMember]


class ListedGroup(msgspec.Struct, frozen=True):
    name: str | None
    name_base64: str
    view: int
    members: int


class ListedGroups(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = the last name."""

    revision: int
    groups: list[ListedGroup]
    more: bool


class FoundInGroup(msgspec.Struct, frozen=True):
    group: str | None
    group_base64: str
    member: ShownMember


class FoundInGroups(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = `next_group` and `after_member` = `next_member`, also after an empty page."""

    revision: int
    members: list[FoundInGroup]
    more: bool
    next_group: str | None
    next_member: str | None


class FindQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    where: Annotated[str, Meta(max_length=4096, description="key=value, key!=value, key or !key; all must be so, with commas between")] = ""
    after_member: Annotated[str, Meta(max_length=1025)] = ""


def _shown(data: bytes) -> tuple[str | None, str]:
    return text_of(data), b64encode(data).decode()


def _member(member: Member) -> ShownMember:
    return ShownMember(*_shown(member.name), member.session, *_shown(member.data), dict(member.labels), member.weight, member.joined)


def _data(body: JoinBody | UpdateBody) -> bytes | None:
    if body.data is not None and body.data_base64 is not None:
        raise BadRequest("give either data (text) or data_base64")
    return body.data.encode() if body.data is not None else body.data_base64


def _join(asked: Asked[Query, JoinBody]) -> Work:
    body = asked.body
    return Write(JoinGroup(asked.path["group"], body.member.encode(), _data(body) or b"", tuple(sorted(body.labels.items())), body.weight))


def _update(asked: Asked[Query, UpdateBody]) -> Work:
    body = asked.body
    labels = None if body.labels is None else tuple(sorted(body.labels.items()))
    return Write(UpdateMember(asked.path["group"], asked.path["member"], _data(body), labels, body.weight))


def _leave(asked: Asked[Query, None]) -> Work:
    return Write(LeaveGroup(asked.path["group"], asked.path["member"]))


def _show_changed(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    changed = expect(result, GroupChanged)
    return MemberChanged(changed.revision, changed.view, *_shown(changed.member))


def _view(asked: Asked[ReadQuery, None]) -> Work:
    return Read(GetGroup(asked.path["group"]))


def _show_view(asked: Asked[ReadQuery, None], result: Result) -> msgspec.Struct:
    view = expect(result, GroupView)
    return ShownGroup(view.revision, view.view, [_member(member) for member in view.members])


def _list(asked: Asked[ListQuery, None]) -> Work:
    query = asked.query
    return Read(ListGroups(in_query(query.prefix), in_query(query.after), query.limit))


def _show_list(asked: Asked[ListQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, GroupPage)
    return ListedGroups(page.revision, [ListedGroup(*_shown(one.name), one.view, one.members) for one in page.groups], page.more)


def _find(asked: Asked[FindQuery, None]) -> Work:
    query = asked.query
    requires = [_require(part) for part in in_text(query.where).split(",") if part]
    return Read(FindMembers(in_query(query.prefix), requires, in_query(query.after), in_query(query.after_member), query.limit))


def _require(text: str) -> Require:
    key, equals, value = text.partition("=")
    if equals:
        require = Require(key.removesuffix("!"), IS_NOT if key.endswith("!") else IS, value)
    else:
        require = Require(text.removeprefix("!"), HAS_NOT if text.startswith("!") else HAS)
    if not require.key:
        raise BadRequest(f"the condition {text!r} names no label; say key=value, key!=value, key or !key")
    return require


def _show_found(asked: Asked[FindQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, MemberPage)
    found = [FoundInGroup(*_shown(one.group), _member(one.member)) for one in page.members]
    return FoundInGroups(page.revision, found, page.more, text_of(page.at_group), text_of(page.at_member))


ROUTES = (
    Route("GET", "/v1/groups", "group-list", "Groups by name, a page at a time.", _list, _show_list, {200: ListedGroups}, ListQuery),
    Route("GET", "/v1/groups/{group}", "group-view", "Who is in a group, and the number of this view.",
          _view, _show_view, {200: ShownGroup}, ReadQuery),
    Route(
        "POST", "/v1/groups/{group}/members", "group-join", "Join a group: the member goes when the Coord-Session ends.",
        _join, _show_changed, {200: MemberChanged}, body=JoinBody, is_write=True,
    ),
    Route(
        "POST", "/v1/groups/{group}/members/{member}", "group-update", "Change what the Coord-Session's member says of itself.",
        _update, _show_changed, {200: MemberChanged}, body=UpdateBody, is_write=True,
    ),
    Route(
        "DELETE", "/v1/groups/{group}/members/{member}", "group-leave", "The Coord-Session's member leaves.",
        _leave, _show_changed, {200: MemberChanged}, is_write=True,
    ),
    Route(
        "GET", "/v1/members", "member-find", "Members of all groups of a prefix, by their labels, a page at a time.",
        _find, _show_found, {200: FoundInGroups}, FindQuery,
    ),
)  # fmt: skip
