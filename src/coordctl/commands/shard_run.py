"""`coordctl shard run`: a member of the assignment's group, with a command for each shard that it owns."""

from __future__ import annotations

import os

from coordctl.commands import fast
from coordctl.commands.asked import name_of
from coordctl.commands.lock_run import ENDING, NOT_ACQUIRED, TTL, check, claimed, cluster, report
from coordctl.commands.of_itself import ABOUT, about
from coordctl.flags import Given, Verb
from coordctl.hot import groups, shards
from coordctl.report import plain
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.runner import ending, outcome
from coordctl.runner.held import hold
from coordctl.runner.rules import Settings
from coordnode.client.identity import who
from coordnode.errors import BadRequest, Missing
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TTL_MS_MIN = 1_000

RUN = Verb(
    "shard run",
    ("NAME", "[MEMBER]"),
    "Join the group of the assignment NAME as MEMBER (default: called after who runs it), and run one COMMAND for each shard owned.\n"
    "COMMAND finds COORD_ASSIGNMENT, COORD_SHARD, COORD_TOKEN, COORD_GROUP, COORD_MEMBER, COORD_SESSION, COORD_SESSION_CLUSTER and\n"
    "COORD_DEADLINE_MS in its environment. A shard that goes to somebody else: TERM, KILL after --grace, and only then it is released.\n"
    "When a COMMAND ends by itself, so does the run, with its exit code.",
    EXPLAINED[Kind.RUNNER],
    (*ABOUT, TTL, NOT_ACQUIRED, *ENDING),
    "-- COMMAND …",
)


def shard_run(given: Given, command: Sequence[str]) -> int:
    from coordctl.runner.owning import Owning  # runs for long: it may take its time to start

    check(given, command, RUN)
    found = cluster(given)
    try:
        view = shards.view(fast.asking(given), name_of(given, "name"), stale=False)
    except Missing as error:
        raise BadRequest(error.sentence) from None
    if view.revoke_ms < TTL_MS_MIN:
        raise BadRequest(
            f"{given['name']} gives its owners {view.revoke_ms} ms to release a shard, and a command needs {TTL_MS_MIN} ms to end: "
            f"coordctl shard set {given['name']} --revoke 10s"
        )
    wish = groups.Wish(os.fsdecode(view.group), name_of(given, "member") or who().encode(), *about(given))
    terms = claimed(given, command, wish)
    # A renewal that was answered says that nothing was revoked before it was sent: the lease must not be longer than what is left then.
    terms = terms._replace(ttl_ms=min(terms.ttl_ms, view.revoke_ms))
    policy = ending.policy(terms.ttl_ms, given["on_lost"], given["leftover"], given["grace"])
    settings = Settings(given["name"], command[0], policy, given["conflict_exit_code"])
    ended = Owning(hold(found, terms), given["name"], command, settings, plain.note).run()
    report(given, ended)
    return outcome.exit_code_of(ended)
