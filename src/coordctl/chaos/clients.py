"""Faults of a run's own clients: whoever holds the lock stands still, or is gone."""

import signal
from collections.abc import Sequence
from functools import partial

from coordctl.chaos import lives
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.local import processes

PAUSE_HOLDER, KILL_HOLDER = "pause-holder", "kill-holder"
TAKES_SECONDS_MAX = 20.0


def seen(entry: Entry) -> str:
    return "it stands still with the lock in its hands" if entry.fault == PAUSE_HOLDER else "it is gone with the lock in its hands"


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    """Whoever is to be killed is stopped as well: only of one that stands still is it certain that it has the lock yet."""
    with ledger.striking(entries):
        for entry in entries:
            processes.send(entry.pid, entry.mark, signal.SIGSTOP)
    return [lives.wait_until(partial(processes.is_stopped, entry.pid, entry.mark), TAKES_SECONDS_MAX, "it runs still") for entry in entries]


def kill(entry: Entry) -> str:
    """What is wrong, or "": it was seen to be gone."""
    processes.send(entry.pid, entry.mark, signal.SIGKILL)
    return lives.wait_until(lambda: not processes.is_running(entry.pid, entry.mark), TAKES_SECONDS_MAX, "it runs still")


def cure(ledger: Ledger, entry: Entry) -> None:
    """Who is gone stays gone: the run has one client less."""
    processes.send(entry.pid, entry.mark, signal.SIGCONT)


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    return not processes.is_stopped(entry.pid, entry.mark)


def drop(ledger: Ledger, entry: Entry) -> None:
    cure(ledger, entry)
