"""From an outcome to a status and JSON. Pure."""

from typing import TypeVar

import msgspec

from coordnode.api.route import JSON_TYPE, Plain, Shown
from coordnode.errors import (
    BY_CODE,
    BadRequest,
    ClusterReplaced,
    CoordError,
    Damaged,
    HistoryGone,
    LevelMissing,
    MembershipBusy,
    Missing,
    NoSpace,
    NotLeader,
    NotPermitted,
    NotReady,
    Overloaded,
    SessionExpired,
    StateFull,
    TooLarge,
    Unreachable,
    WritesStopped,
)
from coordnode.services.commands import Result

R = TypeVar("R")

STATUS: dict[type[CoordError], int] = {
    BadRequest: 400,
    NotPermitted: 403,
    ClusterReplaced: 409,
    MembershipBusy: 409,
    Missing: 404,
    SessionExpired: 410,
    HistoryGone: 410,
    TooLarge: 413,
    LevelMissing: 501,
    NotLeader: 503,
    NotReady: 503,
    Overloaded: 503,
    WritesStopped: 503,
    Unreachable: 503,
    NoSpace: 507,
    StateFull: 507,
    Damaged: 500,
}
REFUSED, UNKNOWN = 409, 504  # for every other error: surely nothing happened; nobody knows


class Error(msgspec.Struct, frozen=True):
    """The body of every answer that is an error. `definite`: it surely did not happen. Else read before you try again."""

    code: int
    name: str
    sentence: str
    definite: bool
    retry_after_ms: int = 0
    floor: int | msgspec.UnsetType = msgspec.UNSET  # of HistoryGone: the oldest revision that is kept


encode = msgspec.json.Encoder().encode


def status_of(error: CoordError) -> int:
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return REFUSED if error.definite else UNKNOWN


def shown_error(error: CoordError, status: int = 0) -> Shown:
    """`status`: what HTTP itself calls it, where it has a name for it."""
    name = BY_CODE.get(error.code, type(error)).__name__
    floor = error.floor if isinstance(error, HistoryGone) and error.floor else msgspec.UNSET
    body = encode(Error(error.code, name, error.sentence, error.definite, error.retry_after_ms, floor))
    headers = (("Retry-After", str(-(-error.retry_after_ms // 1000))),) if error.retry_after_ms else ()
    return Shown(status or status_of(error), JSON_TYPE, body + b"\n", headers)


def shown(answer: msgspec.Struct | Plain | Shown) -> Shown:
    if isinstance(answer, Shown):
        return answer
    status, value = answer if isinstance(answer, Plain) else (200, answer)
    return Shown(status, JSON_TYPE, encode(value) + b"\n")


def expect(result: Result, kind: type[R]) -> R:
    """Only an Idempotency-Key (or a sequence) that stood for something else before brings another kind of result."""
    if not isinstance(result, kind):
        raise BadRequest(f"this Idempotency-Key or sequence was used for another operation before: its result is {type(result).__name__}")
    return result
