"""`coordctl queue run`: takes one task and runs a command on it, with the task on standard input."""

from __future__ import annotations

import os

from coordctl.commands import fast
from coordctl.commands.asked import INTERRUPT
from coordctl.commands.lock_run import ENDING, HOLD_MAX, check, exit_code, report
from coordctl.flags import Flag, Given, Verb, duration_ms
from coordctl.hot import frames, queues
from coordctl.hot.asking import Asking
from coordctl.local.clusters import Endpoint, choose
from coordctl.report import plain
from coordctl.report.exits import EXPLAINED, Kind, of_error
from coordctl.runner import ending, outcome
from coordctl.runner.rules import Settings
from coordctl.runner.run import run
from coordctl.runner.task import Early, HeldTask
from coordnode.client.clock import now_ms
from coordnode.client.renewal import believed_ms
from coordnode.errors import BadRequest, CoordError, NotHeld
from coordnode.light import TYPE_CHECKING, NamedTuple, suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordctl.operations.interrupts import Interrupts

AGAIN_MS = 1_000  # to find out what came of a question whose answer nobody waited for

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
    if "wait" not in given:
        with Early() as early:
            return _run(given, command, early)
    from coordctl.operations.interrupts import Interrupts  # runs for long: it may take its time to start

    with Interrupts() as interrupts:
        return _run(given, command, interrupts)


def _run(given: Given, command: Sequence[str], signals: Early | Interrupts) -> int:
    queue, began_ms = os.fsencode(given["queue"]), now_ms()
    try:
        endpoints = choose(given["endpoints"], given["cluster"])[1]
        begun = _take(given, endpoints, queue, signals)
    except CoordError as error:
        if not signals.number:
            return _refused(given, error, now_ms() - began_ms)
        begun = None
    except KeyboardInterrupt:
        if not signals.number:
            raise
        begun = None
    waited_ms = now_ms() - began_ms
    if begun is None and signals.number:
        is_interrupt = signals.number == INTERRUPT
        return _ended(given, outcome.Outcome(outcome.INTERRUPTED, 128 + signals.number, None, waited_ms, is_interrupt=is_interrupt))
    if begun is None:
        if not given["quiet"]:
            plain.note(f"coordctl: {given['queue']} has no task to run now")
        return _ended(given, outcome.Outcome(outcome.NOT_ACQUIRED, given["conflict_exit_code"], None, waited_ms))
    task, lease_ms, sent_ms, cluster = begun
    _become_standard_input(task.payload)

    def ask(timeout_ms: int) -> Asking:
        return Asking(endpoints, timeout_ms, cluster=cluster)

    held = HeldTask(ask, queue, task, lease_ms, sent_ms + believed_ms(lease_ms))
    policy = ending.policy(lease_ms, given["on_lost"], given["leftover"], given["grace"])
    name = f"task {task.task} of {given['queue']}"
    settings = Settings(name, command[0], policy, given["conflict_exit_code"], given["hold_max"] or 0, records=True)
    return _ended(given, run(held, command, settings, plain.note, lambda: signals.number))


def _refused(given: Given, error: CoordError, waited_ms: int) -> int:
    code = of_error(Kind.RUNNER, error)
    for how, its_code in outcome.OUTCOMES.items():
        if code == its_code and how != outcome.NOT_ACQUIRED:
            report(given, outcome.Outcome(how, code, None, waited_ms))
            raise error
    plain.note(f"coordctl: {error.sentence}")  # there is no such queue, say
    return _ended(given, outcome.Outcome(outcome.NOT_ACQUIRED, given["conflict_exit_code"], None, waited_ms))


def _ended(given: Given, how: outcome.Outcome) -> int:
    report(given, how)
    return outcome.exit_code_of(how)


class _Begun(NamedTuple):
    task: queues.Taken
    lease_ms: int
    sent_ms: int  # it began then, at the earliest
    cluster: int  # whose it is: no other one knows its token


def _take(given: Given, endpoints: list[Endpoint], queue: bytes, signals: Early | Interrupts) -> _Begun | None:
    """Once a task may be ours a signal is only noted: it goes back when the runner, which looks at the signals, has it."""
    if isinstance(signals, Early):
        asking, sent_ms = fast.asking(given), now_ms()
        said = frames.new_request_id()
        try:
            taken, lease_ms = queues.take(asking, queue, 1, given["lease"], said)
        except KeyboardInterrupt:  # whatever came of it, asked again it is the same
            with suppress(CoordError):
                for task in queues.take(Asking(endpoints, AGAIN_MS, cluster=asking.cluster), queue, 1, given["lease"], said)[0]:
                    _give_back(given, queue, task.token)
            raise
        signals.defer()
        return _Begun(taken[0], lease_ms, sent_ms, asking.cluster) if taken else None
    from coordctl.operations import taking  # runs for long: it may take its time to start

    addresses = [endpoint.address for endpoint in endpoints]
    found, lease_ms = taking.take(addresses, queue, 1, given["wait"], given["lease"], given.timeout_ms() / 1000, signals)
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


def _give_back(given: Given, queue: bytes, token: int) -> None:
    queues.nack(fast.asking(given), queue, token, frames.new_request_id(), delay_ms=0, note="", begun=False)


def _become_standard_input(payload: bytes) -> None:
    """Not a pipe: the command may be slow, or not read at all."""
    descriptor = os.memfd_create("task")
    at = 0
    while at < len(payload):
        at += os.write(descriptor, payload[at:])
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.dup2(descriptor, 0)
    os.close(descriptor)
