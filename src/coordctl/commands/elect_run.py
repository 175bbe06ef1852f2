"""`coordctl elect run`: stands for an election, and runs a command while it leads."""

from __future__ import annotations

import os

from coordctl.commands.asked import content
from coordctl.commands.lock_run import ENDING, HOLD_MAX, NOT_ACQUIRED, TTL, WAITING, check, claimed, run_claimed
from coordctl.flags import Flag, Given, Verb
from coordctl.hot import elections
from coordctl.report.exits import EXPLAINED, Kind
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN = Verb(
    "elect run",
    ("NAME",),
    "Stand for the election NAME, and run COMMAND while leading it; docs/lock-run.md says all that is promised.\n"
    "COMMAND finds COORD_ELECTION, COORD_TOKEN, COORD_SESSION, COORD_SESSION_CLUSTER and COORD_DEADLINE_MS in its environment.\n"
    "-v tells who leads meanwhile.",
    EXPLAINED[Kind.RUNNER],
    (
        Flag(("--value",), "what others read of the leader: an address, say; - and @FILE as for kv put", "TEXT", default=""),
        Flag(("--candidate",), "the name by which others hand over to it (default: this host's)", "NAME"),
        TTL,
        *WAITING,
        HOLD_MAX,
        NOT_ACQUIRED,
        *ENDING,
    ),
    "-- COMMAND …",
)


def elect_run(given: Given, command: Sequence[str]) -> int:
    check(given, command, RUN)
    candidate = os.uname().nodename if given["candidate"] is None else given["candidate"]
    wish = elections.Wish(given["name"], content(given["value"]), candidate, waits=not given["try"])
    return run_claimed(given, command, claimed(given, command, wish))
