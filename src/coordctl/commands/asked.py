"""What the verbs that start fast share beside fast: their flags, request ids, sessions, and how bytes are shown."""

from __future__ import annotations

import os
import sys

from coordctl.flags import Flag, Given, whole_number
from coordctl.hot import frames
from coordctl.local.clusters import choose
from coordctl.report import plain
from coordnode.errors import BadRequest, NotPermitted, Unknown
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

REQUEST_ID = Flag(("--request-id",), "with the same ID this happens once, however often and from wherever it is run", "ID", default="")
STALE = Flag(("--stale",), "at once from one member's own state, which may be old")
SESSION = Flag(
    ("--session",), "in this session, which somebody else keeps (default: COORD_SESSION, if it is of this cluster)", "N", whole_number
)
INTERRUPT = 2  # SIGINT
COUNT = Flag(("--count",), "end after so many", "N", whole_number)


def name_of(given: Given, field: str) -> bytes:
    return os.fsencode(given[field] or "")


def content(text: str) -> bytes:
    """As it is; `-`: standard input; `@FILE`: what is in the file."""
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        with open(text[1:], "rb") as file:
            return file.read()
    return os.fsencode(text)


def text(data: bytes) -> str:
    return data.decode(errors="replace")


def shown(name: str, data: bytes) -> dict[str, object]:
    """As text where it is text, and always as base64."""
    from base64 import b64encode  # for those only who print JSON

    try:
        as_text: str | None = data.decode()
    except UnicodeDecodeError:
        as_text = None
    return {name: as_text, f"{name}_base64": b64encode(data).decode()}


def named(field: str, name: bytes) -> dict[str, object]:
    """As the best text there is, and always as base64: that is the name."""
    return {**shown(field, name), field: text(name)}


def endpoints(given: Given) -> list[str]:
    return [endpoint.address for endpoint in choose(given["endpoints"], given["cluster"])[1]]


def session_of(given: Given) -> int:
    """0: none is said, or one of another cluster."""
    if "session" in given:
        return int(given["session"])
    said = os.environ.get("COORD_SESSION", "")
    try:
        session = whole_number(said) if said else 0
    except ValueError as error:
        raise BadRequest(f"COORD_SESSION={said!r}: {error}") from None
    return session if session and not _is_of_another_cluster(given) else 0


def _is_of_another_cluster(given: Given) -> bool:
    """COORD_SESSION: the number is somebody else's here then. An older coordctl does not say which one it is of."""
    said = os.environ.get("COORD_SESSION_CLUSTER", "")
    if not said:
        return False
    from coordctl.commands import fast
    from coordctl.hot.session import page

    asking = fast.asking(given)
    with suppress(NotPermitted):  # whatever it answers, it has said who it is
        page(asking, 0, 1, stale=True)
    return str(asking.cluster) != said


def must_have_session(given: Given, verb: str) -> int:
    session = session_of(given)
    if not session:
        if os.environ.get("COORD_SESSION"):
            raise BadRequest(f"{verb} needs a session, and COORD_SESSION is of another cluster: give --session")
        raise BadRequest(f"{verb} needs a session: give --session, or run it where COORD_SESSION is set")
    return session


def ended_by(signal: int) -> int:
    """The exit code, as a shell has it. For a Ctrl-C what is around us ends, too."""
    if signal in (0, INTERRUPT):  # 0: nobody noted which
        raise KeyboardInterrupt
    return 128 + signal


def request_id(given: Given) -> str:
    """One of our own makes it safe to follow a change of leaders with the same write."""
    return given["request_id"] or frames.new_request_id()


def surely(said: str, write: Callable[[], T], *, remembers: bool = True) -> T:
    """`remembers`: whoever is asked knows a write that comes again by its id."""
    again = f"look before you try again, or run it again with --request-id {said}: then it happens once"
    remedy = again if remembers else "look before you try again"
    try:
        return write()
    except Unknown as error:
        raise type(error)(f"{error.sentence}; {remedy}") from error
    except KeyboardInterrupt:
        plain.note(f"coordctl: interrupted before it was answered; it may have happened or not; {remedy}")
        raise
