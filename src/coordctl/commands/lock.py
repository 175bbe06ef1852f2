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
    from coordctl.commands.lock_verbs import COMMANDS

    if chosen in COMMANDS:
        return fast.dispatch("lock", COMMANDS, argv)
    from coordctl.commands import lock_acquire

    acquire = Command(lock_acquire.ACQUIRE, lock_acquire.acquire, Kind.ACTION)
    return fast.dispatch("lock", {"run": _run(argv)[1], "acquire": acquire, **COMMANDS}, argv)


def _run(argv: list[str]) -> tuple[list[str], Command]:
    """Our part of the line, and what to do with it and the rest."""
    from coordctl.commands import lock_run

    ours, command = lock_run.split_command(argv)
    return ours, Command(lock_run.RUN, lambda given: lock_run.lock_run(given, command), Kind.RUNNER)
