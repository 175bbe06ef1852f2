"""What a route is. Each service keeps a list of them in a file of its own; table.py joins the lists. Pure."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Meta

from coordnode.errors import BadRequest
from coordnode.ids import NO_SESSION, Revision, SessionId
from coordnode.services.commands import Change, ClientOperation, ReadOperation, Result

TIMEOUT_MS_MAX = 60_000
NUMBER_MAX = 2**53 - 1  # JSON carries it unharmed
JSON_TYPE = "application/json"
RAW_TYPE = "application/octet-stream"

Number = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]


# --- what a request wants of the cluster -----------------------------------------------------------------------------


class Read(NamedTuple):
    operation: ReadOperation


class Write(NamedTuple):
    """`is_safe_twice`: its own content makes a retry find the first attempt, as an opening's nonce does."""

    operation: ClientOperation
    is_safe_twice: bool = False


class Renew(NamedTuple):
    """A keep-alive; the result is a SessionOpened with the session's TTL."""

    session: SessionId


class Present(NamedTuple):
    """What a watch tells before the first change, unless it goes on from a revision."""

    read: ReadOperation
    show: Callable[[Result], tuple[Revision, msgspec.Struct]]


class Watch(NamedTuple):
    """Changes of the keys of one space in [start, end), from this revision on (0: from now on)."""

    start: bytes
    end: bytes
    space: int
    from_revision: int
    wait_ms: int  # of a long poll
    show: Callable[[Change], msgspec.Struct]
    show_all: Callable[[list[Any], int], msgspec.Struct]  # the answer of a long poll, with the revision to go on from
    present: Present | None = None


class Line(Protocol):
    """Waits for something until it is had. What its session is told brings another look."""

    first: Read | Write
    session: SessionId
    revision: Revision  # of the last result

    def on_result(self, result: Result) -> Read | None:
        """What to read once there is news; None: it is had. Raises what ended the wait."""

    def show(self) -> "Plain":
        """How it stands."""


class Wait(NamedTuple):
    line: Line
    wait_ms: int


Work = Read | Write | Renew | Watch | Wait


# --- what a request consists of --------------------------------------------------------------------------------------


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands behind the question mark. Routes with more parameters inherit from it."""

    timeout_ms: Annotated[
        int,
        Meta(ge=1, le=TIMEOUT_MS_MAX, description="how long to wait; a write that was not answered by then may have happened"),
    ] = 10_000


class ReadQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    stale: Annotated[bool, Meta(description="this member's own state, at once; Coord-Age-Ms says how old it may be")] = False
    min_revision: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="not older than this revision")] = 0


class ListQuery(ReadQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of what has names, in their order, a page at a time."""

    prefix: Annotated[str, Meta(max_length=1025, description="names that begin so")] = ""
    after: Annotated[str, Meta(max_length=1025, description="the last name of the page before")] = ""
    limit: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="0: as many as one page may hold")] = 0


Q = TypeVar("Q", bound=Query)
B = TypeVar("B")


class Asked(NamedTuple, Generic[Q, B]):
    """A request of a route, checked against the route's types."""

    path: Mapping[str, bytes]  # the parts of the path in braces, decoded
    query: Q
    body: B
    nonce: bytes  # names this attempt, or all attempts with the same Idempotency-Key
    wants_raw: bool  # Accept asks for the bytes alone
    session: SessionId = NO_SESSION  # the Coord-Session

    def number(self, name: str) -> int:
        """A part that the pattern calls a number."""
        number = int(self.path[name])
        if number > NUMBER_MAX:
            raise BadRequest(f"the {name} in the path is not below 2**53")
        return number


class Shown(NamedTuple):
    """An answer as HTTP carries it."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Plain(NamedTuple):
    """An answer as a route gives it: encoded as JSON."""

    status: int
    value: msgspec.Struct


class Route(NamedTuple):
    method: str
    path: str  # "/v1/locks/{name}"; {name...}: with slashes, to the end; {name:id}: a whole number
    name: str  # unique, as in "lock-acquire"; OpenAPI's operationId
    summary: str
    build: Callable[[Asked[Any, Any]], Work]
    show: Callable[[Asked[Any, Any], Result], msgspec.Struct | Plain | Shown]  # a Struct: status 200
    answers: Mapping[int, type[msgspec.Struct]]  # by status; what `show` may answer. Errors need not be said
    query: type[Query] = Query
    body: type[msgspec.Struct] | None = None
    takes_raw: bool = False  # a body that is not JSON arrives as bytes
    gives_raw: bool = False
    is_write: bool = False  # takes Idempotency-Key, or session and sequence
    takes_session: bool = False  # as a read
    is_stream: bool = False  # for who accepts one


def answers_itself(asked: Asked[Any, Any], result: Result) -> Shown:
    """The `show` of a route whose work says how it is shown."""
    raise AssertionError("a watch and a wait have no one result")
