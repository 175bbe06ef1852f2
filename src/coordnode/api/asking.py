"""From a request's query, headers and body to what its route takes, and to the command's envelope. Everything is checked here. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from coordnode.api.route import JSON_TYPE, RAW_TYPE, Asked, Query, Route
from coordnode.api.table import unescaped
from coordnode.api.values import whole_number
from coordnode.errors import BadRequest, NotPermitted
from coordnode.ids import NO_SESSION, Sequence, SessionId
from coordnode.limits import REQUEST_ID_BYTES_MAX

IDEMPOTENCY_KEY = "idempotency-key"
SESSION, SEQUENCE, LOWEST_OPEN = "coord-session", "coord-sequence", "coord-lowest-open"
PARAMETERS_MAX = 64
NO_ENVELOPE_HEADERS = "a session and an Idempotency-Key both make a write happen once: give one"


class WrongType(BadRequest):
    """The body is of a content type that is not taken here."""


class ForeignPage(NotPermitted):
    """A browser asks because a page that is not this member's told it to."""


class Envelope(NamedTuple):
    """What makes a write happen once."""

    session: SessionId = SessionId(0)
    sequence: Sequence = Sequence(0)
    lowest_open: Sequence = Sequence(0)
    request_id: str = ""


def envelope_of(headers: Mapping[str, str]) -> Envelope:
    request_id = _request_id(headers.get(IDEMPOTENCY_KEY, ""))
    session, sequence, lowest_open = (_number(headers, name) for name in (SESSION, SEQUENCE, LOWEST_OPEN))
    if request_id and session:
        raise BadRequest(NO_ENVELOPE_HEADERS)
    return Envelope(SessionId(session), Sequence(sequence), Sequence(lowest_open), request_id)


def _request_id(text: str) -> str:
    """With or without the quotes of a structured header."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if len(text) > REQUEST_ID_BYTES_MAX or not text.isprintable() or not text.isascii():
        raise BadRequest(f"an Idempotency-Key has at most {REQUEST_ID_BYTES_MAX} printable ASCII characters")
    return text


def _number(headers: Mapping[str, str], name: str) -> int:
    number = whole_number(headers.get(name, "0"))
    if number is None:
        raise BadRequest(f"the header {name} is not a whole number below 2**53")
    return number


def parse_query(text: str) -> dict[str, str]:
    """Each parameter once. Bytes that are no text come out as surrogates, and are bytes again in values.in_query."""
    found: dict[str, str] = {}
    for pair in text.split("&") if text else ():
        name, _, value = (unescaped(part.replace("+", "%20")).decode("utf-8", "surrogateescape") for part in pair.partition("="))
        if name in found:
            raise BadRequest(f"the parameter {name[:40]!r} is given twice")
        if name:
            found[name] = value
        if len(found) > PARAMETERS_MAX:
            raise BadRequest(f"more than {PARAMETERS_MAX} parameters")
    return found


def ask(route: Route, path: Mapping[str, bytes], query: str, headers: Mapping[str, str], body: bytes, fresh: bytes) -> Asked[Query, Any]:
    """`fresh`: random bytes that name this attempt. Raises BadRequest, ForeignPage."""
    if route.method != "GET":
        _check_page(headers)
    key = _request_id(headers.get(IDEMPOTENCY_KEY, ""))
    nonce = hashlib.blake2b(key.encode(), digest_size=32, person=b"idempotency-key").digest() if key else fresh
    try:
        asked_query = msgspec.convert(parse_query(query), route.query, strict=False)
    except (msgspec.MsgspecError, UnicodeError, OverflowError) as error:
        raise BadRequest(f"the query: {_said(error)}") from None
    wants_raw = route.gives_raw and RAW_TYPE in headers.get("accept", "")
    session = SessionId(_number(headers, SESSION)) if route.is_write or route.takes_session else NO_SESSION
    return Asked(path, asked_query, _body(route, headers, body), nonce, wants_raw, session)


def _check_page(headers: Mapping[str, str]) -> None:
    """Routes that take bytes take what any page may send without being asked, and whoever opens one may be near enough to reach us.
    Browsers say where a request comes from; others say nothing of it."""
    origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "")
    is_foreign = site not in ("same-origin", "none") if site else origin and origin.partition("://")[2] != headers.get("host")
    if is_foreign:
        raise ForeignPage(f"a page from {origin[:80] or 'elsewhere'!r} may change nothing here; ask from somewhere else than a browser")


def _body(route: Route, headers: Mapping[str, str], body: bytes) -> Any:
    """A form's content types are not taken for JSON, so that no page that a browser shows can send one without being asked."""
    if route.body is None:
        return None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON_TYPE:
        if route.takes_raw:
            return body
        raise WrongType(f"the body must be JSON: say so with `Content-Type: {JSON_TYPE}`")
    try:
        return msgspec.json.decode(body, type=route.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError) as error:
        raise BadRequest(f"the body: {_said(error)}") from None


def _said(error: Exception) -> str:
    return str(error).encode(errors="backslashreplace").decode() or type(error).__name__
