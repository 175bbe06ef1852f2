"""`coordctl lock`: run, acquire, renew, release, check, ls, show, break. Starts fast, like kv: each verb loads only its own."""

from __future__ import annotations

from coordctl.commands import fast
from coordctl.commands.fast import Command
from coordctl.report.exits import Kind


def main(argv: list[str]) -> int:
    chosen = argv[0] if argv else ""
    if chosen == "run":
        ours, run = _run(argv)
        return fast.dispatch("lock", {"run": run}, ours)
    if chosen == "acquire":
        return fast.dispatch("lock", {"acquire": _acquire()}, argv)
    from coordctl.commands.lock_verbs import COMMANDS

    if chosen in COMMANDS:
        return fast.dispatch("lock", COMMANDS, argv)
    return fast.dispatch("lock", {"run": _run(argv)[1], "acquire": _acquire(), **COMMANDS}, argv)


def _acquire() -> Command:
    from coordctl.commands import lock_acquire

    return Command(lock_acquire.ACQUIRE, lock_acquire.acquire, Kind.ACTION)


def _run(argv: list[str]) -> tuple[list[str], Command]:
    """Our part of the line, and what to do with it and the rest."""
    from coordctl.commands import lock_run

    ours, command = lock_run.split_command(argv)
    return ours, Command(lock_run.RUN, lambda given: lock_run.lock_run(given, command), Kind.RUNNER)
