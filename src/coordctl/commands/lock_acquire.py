"""`coordctl lock acquire`: holds a lock beyond the life of the command that got it; with --pid, for the life of a process."""

import os

from coordctl.commands.fast import ACTION, head
from coordctl.commands.lock_run import HOW, terms_of
from coordctl.flags import Flag, Given, Verb, whole_number
from coordctl.local.clusters import chosen
from coordctl.report import plain
from coordctl.report.exits import DONE, NOT_PERMITTED, SURELY_NOT_DONE, UNREACHABLE, USAGE
from coordctl.runner import keeper, outcome
from coordctl.runner.held import hold
from coordctl.runner.source import Granted, Refused
from coordnode.client.identity import who
from coordnode.errors import BadRequest

ACQUIRE = Verb(
    "lock acquire",
    ("NAME",),
    "Get the lock NAME and print its token. It is held for --ttl, unless `lock renew` prolongs that or `lock release` ends it;\n"
    "with --pid a process is left behind that renews it as long as PID lives, and releases it then.",
    ACTION,
    (*HOW, Flag(("--pid",), "hold it as long as this process lives, such as $$", "PID", whole_number)),
)
CODES = {
    outcome.NOT_ACQUIRED: SURELY_NOT_DONE,
    outcome.UNREACHABLE: UNREACHABLE,
    outcome.NOT_PERMITTED: NOT_PERMITTED,
    outcome.WRONG: USAGE,
}


def acquire(given: Given) -> int:
    inherited = keeper.inherited() if "pid" in given else []
    watched = keeper.Watched(given["pid"]) if "pid" in given else None
    terms = terms_of(given, ())._replace(parent=0)  # what outlives us is no child of what we run in
    if watched is not None:
        terms = terms._replace(owner=f"{who().partition(',')[0]}, pid {given['pid']}")
    held = hold(chosen(given["endpoints"], given["cluster"]), terms)
    told = keeper.wait(held, watched, plain.note)
    if not isinstance(told, Granted):
        if left := keeper.let_go(held):
            plain.note(f"coordctl: {left}")
        held.hang_up()
    if isinstance(told, keeper.Interrupted):
        return 128 + told.number
    if isinstance(told, Refused):
        plain.note(f"coordctl: {told.sentence}")
        return CODES[told.outcome]
    if told is None:
        raise BadRequest(f"process {given['pid']} ended before {terms.wish.name} was acquired")
    plain.flush()
    pid = keeper.leave_behind(held, watched, inherited) if watched is not None else 0
    held.hang_up()
    if given.is_json():
        held_by = {"session": int(told.environment["COORD_SESSION"]), "ttl_ms": terms.ttl_ms, "keeper_pid": pid or None}
        from coordctl.commands.asked import named  # for those only who print it

        name = named("name", os.fsencode(terms.wish.name))
        plain.json_line({**head("lock-acquire", "acquired", DONE), **name, "token": told.token, **held_by})
    else:
        plain.line(str(told.token))
    return DONE
