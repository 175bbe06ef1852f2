"""Routes of sessions: opened, kept alive by whoever opened them, closed, listed. Pure."""

from typing import Annotated

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.route import NUMBER_MAX, Asked, Query, Read, ReadQuery, Renew, Route, Work, Write
from coordnode.ids import SessionId
from coordnode.services.commands import CloseSession, Done, OpenSession, ReadSessions, Result, SessionOpened, SessionPage


class OpenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ttl_ms: Annotated[int, Meta(ge=1_000, le=86_400_000, description="the session ends when nothing was heard for so long")]
    owner: Annotated[str, Meta(max_length=64, description="shown to operators")] = ""


class SessionHeld(msgspec.Struct, frozen=True):
    """Count the lease from the moment of sending, less 0.2 % for two clocks."""

    session: int
    ttl_ms: int


class SessionClosed(msgspec.Struct, frozen=True):
    revision: int


class ShownSession(msgspec.Struct, frozen=True):
    session: int
    ttl_ms: int
    owner: str
    open_ms: int
    keys: int  # that are bound to it


class ShownSessions(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = the last session's number."""

    revision: int
    sessions: list[ShownSession]
    more: bool


class ListQuery(ReadQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after: Annotated[int, Meta(ge=0, le=NUMBER_MAX)] = 0
    limit: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="0: as many as one page may hold")] = 0


def _open(asked: Asked[Query, OpenBody]) -> Work:
    return Write(OpenSession(asked.nonce, asked.body.ttl_ms, asked.body.owner), is_safe_twice=True)


def _show_held(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    opened = expect(result, SessionOpened)
    return SessionHeld(opened.session, opened.ttl_ms)


def _renew(asked: Asked[Query, None]) -> Work:
    return Renew(SessionId(asked.number("session")))


def _close(asked: Asked[Query, None]) -> Work:
    return Write(CloseSession(SessionId(asked.number("session"))), is_safe_twice=True)


def _show_closed(asked: Asked[Query, None], result: Result) -> msgspec.Struct:
    return SessionClosed(expect(result, Done).revision)


def _list(asked: Asked[ListQuery, None]) -> Work:
    return Read(ReadSessions(SessionId(asked.query.after), asked.query.limit))


def _show_list(asked: Asked[ListQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, SessionPage)
    sessions = [ShownSession(one.session, one.ttl_ms, one.owner, one.open_ms, one.keys) for one in page.sessions]
    return ShownSessions(page.revision, sessions, page.more)


ROUTES = (
    Route(
        "POST", "/v1/sessions", "session-open", "Open a session. With an Idempotency-Key a retry finds the same one.",
        _open, _show_held, {200: SessionHeld}, body=OpenBody, is_write=True,
    ),
    Route("GET", "/v1/sessions", "session-list", "Who is there.", _list, _show_list, {200: ShownSessions}, ListQuery),
    Route(
        "POST", "/v1/sessions/{session:id}/keep-alive", "session-keep-alive", "Renew the lease: the session lives on for its whole TTL.",
        _renew, _show_held, {200: SessionHeld},
    ),
    Route(
        "DELETE", "/v1/sessions/{session:id}", "session-close", "Close a session; what was bound to it ends with it.",
        _close, _show_closed, {200: SessionClosed},
    ),
)  # fmt: skip
