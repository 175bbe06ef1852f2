"""Exit codes. A verb is an action, a query or a probe, and each kind has its own small set."""

from __future__ import annotations

from coordnode.errors import (
    BadRequest,
    Busy,
    Conflict,
    CoordError,
    Deadlock,
    Full,
    LevelMissing,
    MembershipBusy,
    NoSpace,
    NotLeader,
    NotPermitted,
    NotReady,
    Overloaded,
    StateFull,
    TooLarge,
    Unknown,
    Unreachable,
    WritesStopped,
)
from coordnode.light import TYPE_CHECKING
from coordnode.streams import OUTPUT

if TYPE_CHECKING:
    from typing import ClassVar

DONE = 0
FAILED = 1  # of a query: not there, empty
USAGE = 64
UNREACHABLE = 69
BUG = 70
OUTCOME_UNKNOWN = 74
SURELY_NOT_DONE = 75
REFUSED = 76
NOT_PERMITTED = 77
INTERRUPTED = 130

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3  # of a probe, as Nagios has them


class Kind(str):
    """Of a verb; these four and no other."""

    ACTION: ClassVar[Kind]
    QUERY: ClassVar[Kind]
    PROBE: ClassVar[Kind]
    RUNNER: ClassVar[Kind]


Kind.ACTION, Kind.QUERY, Kind.PROBE, Kind.RUNNER = map(Kind, ("action", "query", "probe", "runner"))


EXPLAINED = {
    Kind.ACTION: "Exit codes: 0 done; 1 failed, nothing changed; 64 usage; 69 unreachable, no quorum; 74 outcome unknown: read before "
    "you try again; 75 surely not done: trying again is safe; 76 refused for safety; 77 not permitted; 130 interrupted.",
    Kind.QUERY: "Exit codes: 0 answered; 1 not there or not readable; 64 usage; 69 unreachable, no quorum; 77 not permitted; "
    "130 interrupted.",
    Kind.RUNNER: "Exit codes: the command's own; 128+n if signal n ended it; 126 not executable; 127 not found; 64 usage; 69 unreachable; "
    "75 not acquired (-E sets another); 77 not permitted; 79 lost, whatever the command returned; 124 --hold-max reached. "
    "--report FILE tells our codes from the command's.",
    Kind.PROBE: "Exit codes: 0 ok; 1 warning; 2 critical, a promise is broken; 3 unknown; 64 usage; 130 interrupted.",
}

_OF_ALL: tuple[tuple[type[CoordError], int], ...] = (
    (BadRequest, USAGE),
    (TooLarge, USAGE),
    (Conflict, USAGE),
    (NotPermitted, NOT_PERMITTED),
    (Unreachable, UNREACHABLE),
    (NotLeader, UNREACHABLE),  # nobody else took the lead until the time was over
    (NotReady, UNREACHABLE),
)
_OF_ACTIONS: tuple[tuple[type[CoordError], int], ...] = (
    (Overloaded, SURELY_NOT_DONE),
    (NoSpace, SURELY_NOT_DONE),
    (StateFull, SURELY_NOT_DONE),
    (MembershipBusy, SURELY_NOT_DONE),
    (Busy, SURELY_NOT_DONE),
    (Deadlock, SURELY_NOT_DONE),
    (Full, SURELY_NOT_DONE),
    (WritesStopped, REFUSED),
    (LevelMissing, REFUSED),
)


def of_error(kind: Kind, error: CoordError | OSError) -> int:
    """Of an error that kept the verb from answering at all: a probe says that it does not know."""
    if kind is Kind.PROBE:
        return USAGE if isinstance(error, BadRequest) else UNKNOWN
    if kind is Kind.ACTION and isinstance(error, OSError) and error.filename == OUTPUT:
        return OUTCOME_UNKNOWN  # what cannot be printed may be done
    table = _OF_ALL + _OF_ACTIONS if kind in (Kind.ACTION, Kind.RUNNER) else _OF_ALL
    for error_class, code in table:
        if isinstance(error, error_class):
            return code
    if isinstance(error, Unknown):
        return OUTCOME_UNKNOWN if kind is Kind.ACTION else UNREACHABLE
    return FAILED
