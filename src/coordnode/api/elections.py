"""Routes of elections: stood for in a session, proclaimed, resigned, handed over, shown, observed. Pure."""

from base64 import b64encode
from typing import Annotated

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.claims import Claimed, ClaimLine, HeldToken, WaitMs, WaitQuery
from coordnode.api.route import (
    NUMBER_MAX,
    Asked,
    ListQuery,
    Present,
    Query,
    Read,
    ReadQuery,
    Route,
    Wait,
    Watch,
    Work,
    Write,
    answers_itself,
)
from coordnode.api.values import Base64, in_query, text_of
from coordnode.api.watches import WaitQuery as WatchQuery
from coordnode.errors import BadRequest
from coordnode.ids import Revision, Token
from coordnode.services.commands import (
    ELECTIONS,
    VACANT,
    Campaign,
    Candidate,
    Change,
    Depose,
    Done,
    ElectionInfo,
    ElectionPage,
    ElectionView,
    Leader,
    ListElections,
    Proclaim,
    ReadElection,
    Resign,
    Resigned,
    Result,
    decode_leader_change,
)

CandidateName = Annotated[str, Meta(max_length=255)]
Note = Annotated[str, Meta(max_length=1_024)]


class CampaignBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: Annotated[str | None, Meta(description="what others read of the leader: an address, say")] = None
    value_base64: Base64 | None = None
    candidate: Annotated[CandidateName, Meta(description="by which others hand over to it")] = ""
    wait_ms: WaitMs = 0


class ProclaimBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: Annotated[int, Meta(ge=1, le=NUMBER_MAX)]
    value: str | None = None
    value_base64: Base64 | None = None


class ResignBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: HeldToken
    to: Annotated[CandidateName, Meta(description="the candidate who shall lead next; refused if nobody of that name stands")] = ""


class TransferBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: Annotated[CandidateName, Meta(description="the candidate who shall lead next; empty: the next in line")] = ""
    token: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="only this leadership; 0: whoever leads")] = 0
    reason: Annotated[Note, Meta(description="told to who led")] = ""
    by: Annotated[Note, Meta(description="who hands over")] = ""


class ShownLeader(msgspec.Struct, frozen=True):
    token: int
    session: int
    owner: str
    candidate: str
    value: str | None
    value_base64: str
    since_unix_ms: int
    led_ms: int


class ShownCandidate(msgspec.Struct, frozen=True):
    ticket: int
    session: int
    owner: str
    candidate: str
    value: str | None
    value_base64: str
    since_unix_ms: int
    waited_ms: int


class ElectionStands(msgspec.Struct, frozen=True):
    """`leader` null: nobody leads, and nobody stands. `candidates` in the order in which they follow."""

    revision: int
    leader: ShownLeader | None
    candidates: list[ShownCandidate]
    more: bool


class ListedElection(msgspec.Struct, frozen=True):
    name: str | None
    name_base64: str
    leader: ShownLeader
    candidates: int


class ListedElections(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = the last name."""

    revision: int
    elections: list[ListedElection]
    more: bool


class ElectionMoved(msgspec.Struct, frozen=True):
    revision: int


class LeadershipLeft(msgspec.Struct, frozen=True):
    """`token` 0: it only stood, and stands no more."""

    revision: int
    token: int


class ObservedLeader(msgspec.Struct, frozen=True):
    token: int
    session: int
    owner: str
    candidate: str
    value: str | None
    value_base64: str


class Observation(msgspec.Struct, frozen=True):
    """`leader` null: nobody leads now, for this `reason` where it was seen."""

    revision: int
    leader: ObservedLeader | None
    reason: str = ""


class Observations(msgspec.Struct, frozen=True):
    """Nothing is missing before `next_revision`: give it as `from_revision` to go on."""

    observed: list[Observation]
    next_revision: int


class ElectionQuery(ReadQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after_ticket: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="of the last candidate of the page before")] = 0
    limit: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="0: as many as one page may hold")] = 0


def _value(value: bytes) -> tuple[str | None, str]:
    return text_of(value), b64encode(value).decode()


def _leader(one: Leader) -> ShownLeader:
    return ShownLeader(one.token, one.session, one.owner, one.candidate, *_value(one.value), one.since_wall_ms, one.led_ms)


def _candidate(one: Candidate) -> ShownCandidate:
    return ShownCandidate(one.ticket, one.session, one.owner, one.candidate, *_value(one.value), one.since_wall_ms, one.waited_ms)


def _listed(one: ElectionInfo) -> ListedElection:
    return ListedElection(*_value(one.name), _leader(one.leader), one.candidates)


def _said(body: CampaignBody | ProclaimBody) -> bytes:
    if body.value is not None and body.value_base64 is not None:
        raise BadRequest("give either value (text) or value_base64")
    return body.value.encode() if body.value is not None else body.value_base64 or b""


def _campaign(asked: Asked[Query, CampaignBody]) -> Work:
    name, body = asked.path["name"], asked.body
    first = Write(Campaign(name, _said(body), body.candidate, body.wait_ms > 0))
    return Wait(ClaimLine(name, asked.session, first, is_lock=False), body.wait_ms)


def _await(asked: Asked[WaitQuery, None]) -> Work:
    line = ClaimLine(asked.path["name"], asked.session, None, is_lock=False, ticket=asked.number("ticket"))
    return Wait(line, asked.query.wait_ms)


def _proclaim(asked: Asked[Query, ProclaimBody]) -> Work:
    return Write(Proclaim(asked.path["name"], Token(asked.body.token), _said(asked.body)))


def _transfer(asked: Asked[Query, TransferBody]) -> Work:
    body = asked.body
    return Write(Depose(asked.path["name"], Token(body.token), body.to, body.reason, body.by))


def _show_moved(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    return ElectionMoved(expect(result, Done).revision)


def _resign(asked: Asked[Query, ResignBody]) -> Work:
    return Write(Resign(asked.path["name"], Token(asked.body.token), asked.body.to))


def _show_resigned(asked: Asked[Query, ResignBody], result: Result) -> msgspec.Struct:
    resigned = expect(result, Resigned)
    return LeadershipLeft(resigned.revision, resigned.token)


def _view(asked: Asked[ElectionQuery, None]) -> Work:
    return Read(ReadElection(asked.path["name"], Token(asked.query.after_ticket), asked.query.limit))


def _show_view(asked: Asked[ElectionQuery, None], result: Result) -> msgspec.Struct:
    view = expect(result, ElectionView)
    leader = None if view.election is None else _leader(view.election.leader)
    return ElectionStands(view.revision, leader, [_candidate(one) for one in view.candidates], view.more)


def _list(asked: Asked[ListQuery, None]) -> Work:
    query = asked.query
    return Read(ListElections(in_query(query.prefix), in_query(query.after), query.limit))


def _show_list(asked: Asked[ListQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, ElectionPage)
    return ListedElections(page.revision, [_listed(one) for one in page.elections], page.more)


def _observe(asked: Asked[WatchQuery, None]) -> Work:
    name, query = asked.path["name"], asked.query
    present = Present(ReadElection(name, limit=1), _show_present)
    return Watch(name, name + b"\0", ELECTIONS, query.from_revision, query.wait_ms, _show_change, Observations, present)


def _show_present(result: Result) -> tuple[Revision, msgspec.Struct]:
    view = expect(result, ElectionView)
    if view.election is None:
        return view.revision, Observation(view.revision, None)
    one = view.election.leader
    return view.revision, Observation(view.revision, ObservedLeader(one.token, one.session, one.owner, one.candidate, *_value(one.value)))


def _show_change(change: Change) -> msgspec.Struct:
    """What is true at the end of it."""
    event = change.events[-1]
    told = decode_leader_change(event.value)
    if event.kind == VACANT:
        return Observation(change.revision, None, told.reason)
    return Observation(change.revision, ObservedLeader(told.token, told.session, told.owner, told.candidate, *_value(told.value)))


ROUTES = (
    Route(
        "GET", "/v1/elections", "election-list", "Elections that somebody leads, a page at a time.",
        _list, _show_list, {200: ListedElections}, ListQuery,
    ),
    Route(
        "GET", "/v1/elections/{name}", "election-view", "Who leads, and who stands.",
        _view, _show_view, {200: ElectionStands}, ElectionQuery,
    ),
    Route(
        "GET", "/v1/elections/{name}/observe", "election-observe",
        "Who leads, then every change, \"nobody\" among them; without `from_revision` what is, at once. A stream, or one answer.",
        _observe, answers_itself, {200: Observations}, WatchQuery, is_stream=True,
    ),
    Route(
        "POST", "/v1/elections/{name}/campaign", "election-campaign",
        "The Coord-Session leads, or after `wait_ms` stands in line still (202).",
        _campaign, answers_itself, {200: Claimed, 202: Claimed}, body=CampaignBody, is_write=True,
    ),
    Route(
        "GET", "/v1/elections/{name}/candidates/{ticket:id}", "election-await",
        "What became of a candidacy of the Coord-Session: it leads (200), or not yet (202).",
        _await, answers_itself, {200: Claimed, 202: Claimed}, WaitQuery, takes_session=True,
    ),
    Route(
        "POST", "/v1/elections/{name}/proclaim", "election-proclaim", "The leader's new value.",
        _proclaim, _show_moved, {200: ElectionMoved}, body=ProclaimBody, is_write=True,
    ),
    Route(
        "POST", "/v1/elections/{name}/resign", "election-resign",
        "The Coord-Session's leadership or candidacy with this number ends; the next in line leads, or whom `to` names.",
        _resign, _show_resigned, {200: LeadershipLeft}, body=ResignBody, is_write=True,
    ),
    Route(
        "POST", "/v1/elections/{name}/transfer", "election-transfer",
        "An operator hands over; who led is told, and its token is stale at once.",
        _transfer, _show_moved, {200: ElectionMoved}, body=TransferBody, is_write=True,
    ),
)  # fmt: skip
