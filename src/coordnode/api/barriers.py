"""Routes of barriers: entered and left in a session; whether it opened is asked again. Pure."""

from base64 import b64encode
from typing import Annotated

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.route import NUMBER_MAX, Asked, ListQuery, Query, Read, ReadQuery, Route, Work, Write
from coordnode.api.values import in_query, text_of
from coordnode.ids import SessionId
from coordnode.services.commands import (
    BarrierChanged,
    BarrierInfo,
    BarrierPage,
    BarrierView,
    EnterBarrier,
    GetBarrier,
    LeaveBarrier,
    ListBarriers,
    Result,
)


class EnterBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1, le=10_000, description="it opens when so many are inside; all must say the same")]


class LeaveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    only_waiting: Annotated[bool, Meta(description="stay inside if it is open")] = False


class ShownBarrier(msgspec.Struct, frozen=True):
    name: str | None
    name_base64: str
    round: int  # its number: no other round of any barrier has it
    count: int
    inside: int
    opened: int  # the revision; 0: it waits for more


class BarrierStands(msgspec.Struct, frozen=True):
    revision: int
    barrier: ShownBarrier
    is_inside: bool  # the Coord-Session


class BarrierSession(msgspec.Struct, frozen=True):
    session: int
    owner: str


class BarrierWith(msgspec.Struct, frozen=True):
    """`barrier` null: nobody is inside. `more`: go on with `after` = the last session."""

    revision: int
    barrier: ShownBarrier | None
    sessions: list[BarrierSession]
    more: bool


class ListedBarriers(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = the last name."""

    revision: int
    barriers: list[ShownBarrier]
    more: bool


class SessionsQuery(ReadQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after: Annotated[int, Meta(ge=0, le=NUMBER_MAX)] = 0
    limit: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="0: as many as one page may hold")] = 0


def _shown(barrier: BarrierInfo) -> ShownBarrier:
    name = barrier.name
    return ShownBarrier(text_of(name), b64encode(name).decode(), barrier.round, barrier.count, barrier.inside, barrier.opened)


def _enter(asked: Asked[Query, EnterBody]) -> Work:
    return Write(EnterBarrier(asked.path["name"], asked.body.count))


def _leave(asked: Asked[Query, LeaveBody]) -> Work:
    return Write(LeaveBarrier(asked.path["name"], asked.body.only_waiting))


def _show_changed(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    changed = expect(result, BarrierChanged)
    return BarrierStands(changed.revision, _shown(changed.barrier), changed.is_inside)


def _get(asked: Asked[SessionsQuery, None]) -> Work:
    return Read(GetBarrier(asked.path["name"], SessionId(asked.query.after), asked.query.limit))


def _show_view(asked: Asked[SessionsQuery, None], result: Result) -> msgspec.Struct:
    view = expect(result, BarrierView)
    barrier = None if view.barrier is None else _shown(view.barrier)
    return BarrierWith(view.revision, barrier, [BarrierSession(session, owner) for session, owner in view.sessions], view.more)


def _list(asked: Asked[ListQuery, None]) -> Work:
    query = asked.query
    return Read(ListBarriers(in_query(query.prefix), in_query(query.after), query.limit))


def _show_list(asked: Asked[ListQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, BarrierPage)
    return ListedBarriers(page.revision, [_shown(barrier) for barrier in page.barriers], page.more)


ROUTES = (
    Route(
        "GET", "/v1/barriers", "barrier-list", "Barriers that anybody is inside of.", _list, _show_list, {200: ListedBarriers}, ListQuery,
    ),
    Route(
        "GET", "/v1/barriers/{name}", "barrier-view", "How a barrier stands, and who is inside.",
        _get, _show_view, {200: BarrierWith}, SessionsQuery,
    ),
    Route(
        "POST", "/v1/barriers/{name}/enter", "barrier-enter", "The Coord-Session enters. `opened` 0: ask again until the round is open.",
        _enter, _show_changed, {200: BarrierStands}, body=EnterBody, is_write=True,
    ),
    Route(
        "POST", "/v1/barriers/{name}/leave", "barrier-leave", "The Coord-Session leaves.",
        _leave, _show_changed, {200: BarrierStands}, body=LeaveBody, is_write=True,
    ),
)  # fmt: skip
