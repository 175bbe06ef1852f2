"""Each kind of verb has its own small set of codes, and every error that can happen has its place in it."""

import pytest

from coordctl.report.exits import Kind, of_error
from coordnode import errors


@pytest.mark.parametrize(
    ("error", "action", "query", "probe"),
    [
        (errors.Unreachable("x"), 69, 69, 3),
        (errors.NotLeader("x"), 69, 69, 3),
        (errors.TimedOut("x"), 74, 69, 3),
        (errors.Disconnected("x"), 74, 69, 3),
        (errors.Unknown("x"), 74, 69, 3),
        (errors.Overloaded("x"), 75, 1, 3),
        (errors.NoSpace("x"), 75, 1, 3),
        (errors.WritesStopped("x"), 76, 1, 3),
        (errors.NotPermitted("x"), 77, 77, 3),
        (errors.BadRequest("x"), 64, 64, 64),
        (errors.TooLarge("x"), 64, 64, 3),
        (errors.SessionExpired("x"), 1, 1, 3),
        (errors.HistoryGone("x"), 1, 1, 3),
        (OSError(2, "x"), 1, 1, 3),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_codes(error: errors.CoordError | OSError, action: int, query: int, probe: int) -> None:
    assert (of_error(Kind.ACTION, error), of_error(Kind.QUERY, error), of_error(Kind.PROBE, error)) == (action, query, probe)
