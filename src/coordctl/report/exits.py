"""Exit codes. A verb is an action, a query or a probe, and each kind has its own small set."""

from enum import Enum

from coordnode.errors import CoordError

DONE = 0
FAILED = 1  # of a query: not there, empty
USAGE = 64
BUG = 70
REFUSED = 76
INTERRUPTED = 130

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3  # of a probe, as Nagios has them


class Kind(Enum):
    QUERY = "query"
    PROBE = "probe"


EXPLAINED = {
    Kind.QUERY: "Exit codes: 0 answered; 1 not there or not readable; 64 usage; 130 interrupted.",
    Kind.PROBE: "Exit codes: 0 ok; 1 warning; 2 critical, a promise is broken; 3 unknown; 64 usage; 130 interrupted.",
}


def of_error(kind: Kind, _error: CoordError | OSError) -> int:
    """Of an error that kept the verb from answering at all: a probe says that it does not know."""
    return UNKNOWN if kind is Kind.PROBE else FAILED
