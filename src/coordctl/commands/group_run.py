"""`coordctl group run`: a member of a group for as long as a command runs."""

from __future__ import annotations

from coordctl.commands.asked import name_of
from coordctl.commands.lock_run import ENDING, HOLD_MAX, NOT_ACQUIRED, TTL, check, claimed, run_claimed
from coordctl.commands.of_itself import ABOUT, about
from coordctl.flags import Given, Verb
from coordctl.hot import groups
from coordctl.report.exits import EXPLAINED, Kind
from coordnode.client.identity import who
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN = Verb(
    "group run",
    ("GROUP", "[MEMBER]"),
    "Join GROUP as MEMBER (default: called after who runs it), run COMMAND, and leave when it has ended.\n"
    "COMMAND finds COORD_GROUP, COORD_MEMBER, COORD_VIEW, COORD_SESSION, COORD_SESSION_CLUSTER and COORD_DEADLINE_MS in its environment,\n"
    "so that `coordctl group update GROUP MEMBER` inside of it is about this member. 75 if the name is taken.",
    EXPLAINED[Kind.RUNNER],
    (*ABOUT, TTL, HOLD_MAX, NOT_ACQUIRED, *ENDING),
    "-- COMMAND …",
)


def group_run(given: Given, command: Sequence[str]) -> int:
    check(given, command, RUN)
    wish = groups.Wish(given["group"], name_of(given, "member") or who().encode(), *about(given))
    return run_claimed(given, command, claimed(given, command, wish))
