"""Routes of assignments: shards over the members of a group, each with one owner and one token. Pure."""

from base64 import b64encode
from typing import Annotated

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.route import NUMBER_MAX, Asked, ListQuery, Query, Read, ReadQuery, Route, Work, Write
from coordnode.api.values import in_query, text_of
from coordnode.ids import Token
from coordnode.services.commands import (
    AssignmentPage,
    AssignmentView,
    ConfigureAssignment,
    CreateAssignment,
    DeleteAssignment,
    Done,
    GetAssignment,
    ListAssignments,
    ReleaseShard,
    Result,
)

Shards = Annotated[int, Meta(ge=1, le=1024)]
RevokeMs = Annotated[int, Meta(ge=1, le=3_600_000, description="so long an owner may take to release a shard that is wanted elsewhere")]


class CreateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    group: Annotated[str, Meta(min_length=1, max_length=255)]
    shards: Shards
    revoke_ms: RevokeMs = 10_000


class ConfigureBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is not said stays as it is."""

    shards: Shards | None = None
    revoke_ms: RevokeMs | None = None


class ReleaseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: Annotated[int, Meta(ge=1, le=NUMBER_MAX)]


class AssignmentDone(msgspec.Struct, frozen=True):
    """`changed` 0: it was so already."""

    revision: int
    changed: int


class ShownShard(msgspec.Struct, frozen=True):
    shard: int
    member: str | None
    member_base64: str
    session: int
    token: int
    revoke_left_ms: int | None  # to be released within this time; null: nobody wants it elsewhere


class ShownAssignment(msgspec.Struct, frozen=True):
    """A shard that is not in `owned` has no owner now."""

    revision: int
    group: str | None
    group_base64: str
    shards: int
    revoke_ms: int
    owned: list[ShownShard]


class ListedAssignment(msgspec.Struct, frozen=True):
    name: str | None
    name_base64: str
    group: str | None
    group_base64: str
    shards: int
    owned: int
    revoking: int


class ListedAssignments(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = the last name."""

    revision: int
    assignments: list[ListedAssignment]
    more: bool


def _shown(data: bytes) -> tuple[str | None, str]:
    return text_of(data), b64encode(data).decode()


def _create(asked: Asked[Query, CreateBody]) -> Work:
    body = asked.body
    return Write(CreateAssignment(asked.path["name"], body.group.encode(), body.shards, body.revoke_ms))


def _configure(asked: Asked[Query, ConfigureBody]) -> Work:
    return Write(ConfigureAssignment(asked.path["name"], asked.body.shards, asked.body.revoke_ms))


def _delete(asked: Asked[Query, None]) -> Work:
    return Write(DeleteAssignment(asked.path["name"]))


def _release(asked: Asked[Query, ReleaseBody]) -> Work:
    return Write(ReleaseShard(asked.path["name"], asked.number("shard"), Token(asked.body.token)))


def _show_done(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    done = expect(result, Done)
    return AssignmentDone(done.revision, done.changed)


def _get(asked: Asked[ReadQuery, None]) -> Work:
    return Read(GetAssignment(asked.path["name"]))


def _show_view(asked: Asked[ReadQuery, None], result: Result) -> msgspec.Struct:
    view = expect(result, AssignmentView)
    owned = [ShownShard(row.shard, *_shown(row.member), row.session, row.token, row.revoke_left_ms) for row in view.owned]
    return ShownAssignment(view.revision, *_shown(view.group), view.shards, view.revoke_ms, owned)


def _list(asked: Asked[ListQuery, None]) -> Work:
    query = asked.query
    return Read(ListAssignments(in_query(query.prefix), in_query(query.after), query.limit))


def _show_list(asked: Asked[ListQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, AssignmentPage)
    listed = [ListedAssignment(*_shown(one.name), *_shown(one.group), one.shards, one.owned, one.revoking) for one in page.assignments]
    return ListedAssignments(page.revision, listed, page.more)


ROUTES = (
    Route(
        "GET", "/v1/assignments", "assignment-list", "Assignments by name, a page at a time.",
        _list, _show_list, {200: ListedAssignments}, ListQuery,
    ),
    Route(
        "GET", "/v1/assignments/{name}", "assignment-view", "Who owns which shard, under which token.",
        _get, _show_view, {200: ShownAssignment}, ReadQuery,
    ),
    Route(
        "PUT", "/v1/assignments/{name}", "assignment-create", "Make an assignment; `changed` 0: it is there already, the same.",
        _create, _show_done, {200: AssignmentDone}, body=CreateBody, is_write=True,
    ),
    Route(
        "POST", "/v1/assignments/{name}", "assignment-configure", "Change its number of shards, or the time to release one.",
        _configure, _show_done, {200: AssignmentDone}, body=ConfigureBody, is_write=True,
    ),
    Route(
        "DELETE", "/v1/assignments/{name}", "assignment-delete", "Delete it: every owner loses its shards at once.",
        _delete, _show_done, {200: AssignmentDone}, is_write=True,
    ),
    Route(
        "POST", "/v1/assignments/{name}/shards/{shard:id}/release", "shard-release", "The Coord-Session lets go of its shard.",
        _release, _show_done, {200: AssignmentDone}, body=ReleaseBody, is_write=True,
    ),
)  # fmt: skip
