"""Does a fault, looks whether it took, undoes it, and looks again. Each may be done twice: that changes nothing."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Protocol

from coordctl.chaos import belonging, ceilings, clients, filling, hogs, links, lives, packets, premises, seams, shaping, signals
from coordctl.chaos.faults import BELONGING, CLIENTS, CLOCK, CLUSTER, DISK, FAULTS, FDS, FILL_DISK, HERD, HOST, NETWORK, PROCESS, SNAPSHOT
from coordctl.chaos.ledger import Entry, Ledger
from coordnode.errors import CoordError

TROUBLES = (CoordError, OSError, subprocess.SubprocessError)
CURED_SECONDS = 5.0  # from a cure to its effect, before it is tried again: a member starts meanwhile
PAUSE_SECONDS = 0.5


class Mechanism(Protocol):
    """One way to break something. Whatever it does may be cut short anywhere, and done again by somebody else."""

    def strike(self, ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
        """With each what is wrong, or "": it was seen to have taken. What does not end by itself is done while `ledger.striking`."""

    def seen(self, entry: Entry) -> str:
        """What was seen of it once it took."""

    def cure(self, ledger: Ledger, entry: Entry) -> None: ...

    def is_cured(self, ledger: Ledger, entry: Entry) -> bool: ...

    def drop(self, ledger: Ledger, entry: Entry) -> None:
        """The cluster is being stopped, and whoever calls has the ledger's lock: nothing stays, and nothing is started. Raises one of
        TROUBLES where something stays all the same."""


class Arriving(Mechanism, Protocol):
    """To what arrives on a host."""

    MECHANISM: str
    ENDS: str

    def lacks(self, fault: str) -> str:
        """Why it cannot be done on this host, and the remedy; "": it can."""


BY_KIND: dict[str, Mechanism] = {
    PROCESS: signals,
    NETWORK: links,
    DISK: seams,
    CLOCK: seams,
    HOST: hogs,
    CLUSTER: hogs,
    CLIENTS: clients,
}
BY_FAULT: dict[str, Mechanism] = {FILL_DISK: filling, FDS: ceilings, HERD: hogs, SNAPSHOT: seams, **dict.fromkeys(BELONGING, belonging)}


def _mechanism(ledger: Ledger, entry: Entry) -> Mechanism:
    if FAULTS[entry.fault].hits_links and premises.of(ledger.cluster_folder).links_end_here:
        return where_it_ends(entry.fault)
    return _usual(entry)


def where_it_ends(fault: str) -> Arriving:
    """What is done to a link on the host of whom it leads to."""
    return shaping if fault in shaping.HOLDS else packets


def _usual(entry: Entry) -> Mechanism:
    return BY_FAULT.get(entry.fault) or BY_KIND[FAULTS[entry.fault].kind]


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Of one fault, all at once; with each what is wrong, or "": it was seen to have taken."""
    try:
        troubles = _mechanism(ledger, entries[0]).strike(ledger, entries)
    except TROUBLES as error:  # of what went away meanwhile, as members do that take part only for a while
        troubles = [words(error)] * len(entries)
    return list(zip(entries, troubles, strict=True))


def seen(entry: Entry) -> str:
    return _usual(entry).seen(entry)


def heal(ledger: Ledger, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """None waits for another; with each what is wrong, or "": it was seen to be over, and is out of the ledger."""
    return _at_once(entries, partial(heal_one, ledger))


def _at_once(entries: Sequence[Entry], act: Callable[[Entry], str]) -> list[tuple[Entry, str]]:
    troubles: dict[str, str] = {}

    def one(entry: Entry) -> None:
        troubles[entry.id] = act(entry)

    threads = [threading.Thread(target=one, args=(entry,), daemon=True) for entry in entries]  # who breaks off does not wait for them
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [(entry, troubles.get(entry.id, "its undoing broke off")) for entry in entries]


def heal_one(ledger: Ledger, entry: Entry) -> str:
    """As above."""
    try:
        is_ended = _end(ledger, entry)
        if trouble := _undo(ledger, entry):
            return trouble
        with nullcontext() if is_ended else ledger.locked():
            if not is_ended and not _mechanism(ledger, entry).is_cured(ledger, entry):
                return "it was done again meanwhile"
            if ledger.remove(entry):
                ledger.note("healed", entry, until_unix_ms=entry.until_unix_ms)
    except TROUBLES as error:
        return words(error)
    return ""


def _end(ledger: Ledger, entry: Entry) -> bool:
    """What is done again and again is under way no more, and never begins again. False: no space is left to say so."""
    with ledger.locked():
        try:
            if not entry.is_due():
                ledger.end_now(entry)
        except OSError:
            return False
    return True


def _undo(ledger: Ledger, entry: Entry) -> str:
    """Again and again: a process that was just killed may have been seen running, and what had no space may have some by now."""
    until = time.monotonic() + lives.SERVES_SECONDS_MAX
    while (trouble := _cure(ledger, entry)) and time.monotonic() < until:
        time.sleep(PAUSE_SECONDS)
    return trouble


def _cure(ledger: Ledger, entry: Entry) -> str:
    try:
        mechanism = _mechanism(ledger, entry)
        mechanism.cure(ledger, entry)
        return lives.wait_until(partial(mechanism.is_cured, ledger, entry), CURED_SECONDS, "it does not answer yet")
    except TROUBLES as error:
        return words(error)


def words(error: Exception) -> str:
    """What went wrong, as users are told."""
    return error.sentence if isinstance(error, CoordError) else str(error)


tend = signals.tend


def drop(ledger: Ledger) -> list[str]:
    """The cluster is being stopped: what stands still goes on, so that it can end, and nobody starts anything again. What could not be
    undone, and why, stays written down: who belongs to the cluster only its members can change, so it is changed once they run again."""
    if not os.path.isdir(ledger.folder):
        return []
    with ledger.locked():
        entries = ledger.entries()
        others = [entry for entry in entries if entry.fault not in BELONGING]  # first: members that stood still are needed for these
        left = [*_drop_all(ledger, others), *_drop_all(ledger, [entry for entry in entries if entry.fault in BELONGING])]
        links.remove(ledger)
        links.stop(ledger)
    return [*left, *ledger.unread()]


def _drop_all(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    """None waits for another."""
    troubles = _at_once(entries, partial(_drop_one, ledger))
    for entry, trouble in troubles:
        if trouble:
            ledger.end_now(entry, awaits_start=entry.fault in BELONGING)
            ledger.note("not undone", entry, trouble=trouble)
        elif ledger.remove(entry):
            ledger.note("dropped", entry)
    return [f"{entry.fault} {entry.target}: {trouble}" for entry, trouble in troubles if trouble]


def _drop_one(ledger: Ledger, entry: Entry) -> str:
    try:
        _mechanism(ledger, entry).drop(ledger, entry)
    except TROUBLES as error:
        return words(error)
    return ""
