"""Faults of a member's process, by signals: killed, stopped, killed again and again."""

import signal
from collections.abc import Sequence
from functools import partial

from coordctl.chaos import lives, premises
from coordctl.chaos.faults import KEEPS_DOWN
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.local import processes

TAKES_SECONDS_MAX = 20.0  # from a signal to its effect
LOOP_LIVES_SECONDS = 1.5  # of a member in a crash loop, at most

KILL, PAUSE, CRASH_LOOP = "kill", "pause", "crash-loop"
SIGNALS = {KILL: signal.SIGKILL, PAUSE: signal.SIGSTOP, CRASH_LOOP: signal.SIGKILL}
NOT_TAKEN = {KILL: "its process runs still", PAUSE: "its process does not stand still", CRASH_LOOP: "its process runs still"}


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    """All at once."""
    with ledger.striking(entries):
        for entry in entries:
            if entry.fault in KEEPS_DOWN:
                premises.of(ledger.cluster_folder).keep_down(entry)
            processes.send(entry.pid, entry.mark, SIGNALS[entry.fault])
    return [lives.wait_until(partial(_has_taken, entry), TAKES_SECONDS_MAX, NOT_TAKEN[entry.fault]) for entry in entries]


def seen(entry: Entry) -> str:
    return "process stopped" if entry.fault == PAUSE else "process gone"


def _has_taken(entry: Entry) -> bool:
    if entry.fault == PAUSE:
        return processes.is_stopped(entry.pid, entry.mark)
    return not processes.is_running(entry.pid, entry.mark)


def cure(ledger: Ledger, entry: Entry) -> None:
    if entry.fault == PAUSE:
        processes.send(entry.pid, entry.mark, signal.SIGCONT)
    else:
        lives.start(ledger, entry)


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    if entry.fault == PAUSE:  # a process that is gone stands still no more
        return not processes.is_stopped(entry.pid, entry.mark)
    return lives.is_back(ledger, entry)


def drop(ledger: Ledger, entry: Entry) -> None:
    if entry.fault == PAUSE:
        processes.send(entry.pid, entry.mark, signal.SIGCONT)


def tend(ledger: Ledger, entry: Entry) -> None:
    """A fault that is done again and again."""
    if entry.fault != CRASH_LOOP:
        return
    member = lives.member_of(ledger.cluster_folder, entry.member)
    if member is None or not lives.is_running(member):
        lives.start(ledger, entry)
        return
    # How long this one may live is drawn by its pid: now it dies while it starts, now when it serves.
    if processes.age_seconds(member.pid) > LOOP_LIVES_SECONDS * (member.pid % 7 + 1) / 7:
        with ledger.locked():
            present = ledger.find(entry)
            if present is not None and not present.is_due():
                processes.send(member.pid, member.started, signal.SIGKILL)
                ledger.note("killed again", entry, pid=member.pid)
