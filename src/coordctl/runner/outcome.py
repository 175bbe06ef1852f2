"""How a run ended: its exit code, and what `--report` says."""

from __future__ import annotations

import os

from coordnode.light import NamedTuple

LOST_CODE, HOLD_MAX_CODE, NOT_ACQUIRED_CODE, UNREACHABLE_CODE, NOT_PERMITTED_CODE, USAGE_CODE = 79, 124, 75, 69, 77, 64

ENDED = "ended"  # the command ended by itself, or by a signal that somebody sent it
NOT_STARTED = "not started"  # there is no such command, or it cannot be executed
LOST, BROKEN, HOLD_MAX = "lost", "broken", "hold-max"
NOT_ACQUIRED, UNREACHABLE, NOT_PERMITTED, WRONG = "not acquired", "unreachable", "not permitted", "usage"
INTERRUPTED = "interrupted"  # while it waited
DONE_BEFORE = "done before"  # --once: another run has succeeded

OUTCOMES = {
    NOT_ACQUIRED: NOT_ACQUIRED_CODE,
    UNREACHABLE: UNREACHABLE_CODE,
    NOT_PERMITTED: NOT_PERMITTED_CODE,
    WRONG: USAGE_CODE,
    LOST: LOST_CODE,
    BROKEN: LOST_CODE,
    HOLD_MAX: HOLD_MAX_CODE,
    DONE_BEFORE: 0,
}
"""Those whose exit code does not come from the command."""


class Outcome(NamedTuple):
    outcome: str
    exit_code: int
    token: int | None = None  # None: it was never held
    waited_ms: int = 0
    held_ms: int = 0
    is_interrupt: bool = False  # of a Ctrl-C at the terminal: whoever runs us ends for it, too; not in the report


def exit_code_of_status(status: int) -> int:
    """Of what the command returned: its own, or 128 and the signal's number."""
    return status if status >= 0 else 128 - status


def exit_code_of(outcome: Outcome) -> int:
    """Once all is written down. Raises KeyboardInterrupt where that is how it ended."""
    if outcome.is_interrupt:
        raise KeyboardInterrupt
    return outcome.exit_code


def write(path: str, outcome: Outcome) -> None:
    """A file: whole or not at all. What is none, such as /dev/null, is written to and never replaced; nobody waits for its reader."""
    import json  # for the runs only that write it

    fields = outcome._asdict()
    del fields["is_interrupt"]
    text = json.dumps({"schema": "coordctl.run-report/1", **fields}) + "\n"
    if os.path.exists(path) and not os.path.isfile(path):
        with open(os.open(path, os.O_WRONLY | os.O_NONBLOCK), "w", encoding="utf-8") as file:
            file.write(text)
        return
    path = os.path.realpath(path)
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError:
        if os.path.exists(beside):
            os.unlink(beside)
        raise
