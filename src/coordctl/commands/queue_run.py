"""`coordctl queue run`: takes one task and runs a command on it, with the task on standard input."""

from __future__ import annotations

import os

from coordctl.commands import fast
from coordctl.commands.lock_run import ENDING, HOLD_MAX, check, exit_code, report
from coordctl.flags import Flag, Given, Verb, duration_ms
from coordctl.hot import frames, queues
from coordctl.hot.asking import Asking
from coordctl.local.clusters import Endpoint, choose
from coordctl.report import plain
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.runner import ending, outcome
from coordctl.runner.rules import Settings
from coordctl.runner.run import run
from coordctl.runner.task import HeldTask
from coordnode.client.clock import now_ms
from coordnode.client.renewal import believed_ms
from coordnode.errors import BadRequest, CoordError, NotHeld, Unreachable
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN = Verb(
    "queue run",
    ("QUEUE",),
    "Take one task and run COMMAND on it: the payload is its standard input.\n"
    "Extended while COMMAND runs, acknowledged if it exits with 0, returned otherwise; 75 if there is none.\n"
    "COMMAND finds COORD_QUEUE, COORD_TASK, COORD_ATTEMPT, COORD_TOKEN and COORD_DEADLINE_MS in its environment.",
    EXPLAINED[Kind.RUNNER],
    (
        Flag(("--wait",), "for a task, if there is none", "30s", duration_ms),
        Flag(("--lease",), "how long the task outlives a runner that fell silent (default: as the queue says)", "30s", duration_ms, 0),
        HOLD_MAX,
        Flag(("-E", "--conflict-exit-code"), "exit code if there is no task (default: 75)", "CODE", exit_code, outcome.NOT_ACQUIRED_CODE),
        *ENDING,
    ),
    "-- COMMAND …",
)


def queue_run(given: Given, command: Sequence[str]) -> int:
    check(given, command, RUN)
    if not given["queue"]:
        raise BadRequest("the queue has no name: give 1 to 255 bytes")
    queue, began_ms = os.fsencode(given["queue"]), now_ms()
    try:
        endpoints = choose(given["endpoints"], given["cluster"])[1]
        begun = _take(given, endpoints, queue)
    except Unreachable:
        report(given, outcome.Outcome(outcome.UNREACHABLE, outcome.UNREACHABLE_CODE))
        raise
    if begun is None:
        if not given["quiet"]:
            plain.note(f"coordctl: {given['queue']} has no task to run now")
        code = given["conflict_exit_code"]
        report(given, outcome.Outcome(outcome.NOT_ACQUIRED, code, None, now_ms() - began_ms))
        return int(code)
    task, lease_ms, sent_ms, cluster = begun
    _become_standard_input(task.payload)

    def ask(timeout_ms: int) -> Asking:
        return Asking(endpoints, timeout_ms, cluster=cluster)

    held = HeldTask(ask, queue, task, lease_ms, sent_ms + believed_ms(lease_ms))
    policy = ending.policy(lease_ms, given["on_lost"], given["leftover"], given["grace"])
    name = f"task {task.task} of {given['queue']}"
    settings = Settings(name, command[0], policy, given["conflict_exit_code"], given["hold_max"] or 0, records=True)
    ended = run(held, command, settings, plain.note)
    report(given, ended)
    return outcome.exit_code_of(ended)


class _Begun(NamedTuple):
    task: queues.Taken
    lease_ms: int
    sent_ms: int  # it began then, at the earliest
    cluster: int  # whose it is: no other one knows its token


def _take(given: Given, endpoints: list[Endpoint], queue: bytes) -> _Begun | None:
    if "wait" not in given:
        asking, sent_ms = fast.asking(given), now_ms()
        taken, lease_ms = queues.take(asking, queue, 1, given["lease"], frames.new_request_id())
        return _Begun(taken[0], lease_ms, sent_ms, asking.cluster) if taken else None
    from coordctl.operations import taking  # runs for long: it may take its time to start

    addresses = [endpoint.address for endpoint in endpoints]
    found, lease_ms = taking.take(addresses, queue, 1, given["wait"] / 1000, given["lease"], given.timeout_ms() / 1000)
    if not found:
        return None
    asking, sent_ms = fast.asking(given), now_ms()  # closing what waited took its time: the lease begins anew
    try:
        lease_ms = queues.extend(asking, queue, found[0].token, given["lease"], "")
        return _Begun(queues.Taken(*found[0]), lease_ms, sent_ms, asking.cluster)
    except NotHeld:
        return None
    except CoordError as error:
        plain.note(f"coordctl: task {found[0].task} was taken, and its lease ends it")
        raise error


def _become_standard_input(payload: bytes) -> None:
    """Not a pipe: the command may be slow, or not read at all."""
    descriptor = os.memfd_create("task")
    at = 0
    while at < len(payload):
        at += os.write(descriptor, payload[at:])
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.dup2(descriptor, 0)
    os.close(descriptor)
