"""Does a fault, looks whether it took, undoes it, and looks again. Each may be done twice: that changes nothing."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from coordctl.chaos import belonging, ceilings, clients, filling, hogs, links, lives, packets, premises, seams, shaping, signals
from coordctl.chaos.faults import BELONGING, CLIENTS, CLOCK, CLUSTER, DISK, FAULTS, FDS, FILL_DISK, HERD, HOST, NETWORK, PROCESS, SNAPSHOT
from coordctl.chaos.ledger import Entry, Ledger
from coordnode.errors import CoordError


class Mechanism(Protocol):
    """One way to break something. Whatever it does may be cut short anywhere, and done again by somebody else."""

    def strike(self, ledger: Ledger, entries: Sequence[Entry], for_ms: int) -> list[str]:
        """With each what is wrong, or "": it was seen to have taken."""

    def seen(self, entry: Entry) -> str:
        """What was seen of it once it took."""

    def cure(self, ledger: Ledger, entry: Entry) -> None: ...

    def is_cured(self, ledger: Ledger, entry: Entry) -> bool: ...

    def drop(self, ledger: Ledger, entry: Entry) -> None:
        """The cluster is being stopped, and whoever calls has the ledger's lock: nothing stays, and nothing is started."""


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


def strike(ledger: Ledger, entries: Sequence[Entry], for_ms: int) -> list[tuple[Entry, str]]:
    """Of one fault, all at once; with each what is wrong, or "": it was seen to have taken."""
    try:
        troubles = _mechanism(ledger, entries[0]).strike(ledger, entries, for_ms)
    except OSError as error:  # of what went away meanwhile, as members do that take part only for a while
        troubles = [str(error)] * len(entries)
    return list(zip(entries, troubles, strict=True))


def seen(entry: Entry) -> str:
    return _usual(entry).seen(entry)


def heal(ledger: Ledger, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """All of them begun before any is waited for; with each what is wrong, or "": it was seen to be over, and is out of the ledger."""
    if not entries:
        return []
    with ledger.locked():  # what is done again and again is under way no more, and never begins again
        for entry in entries:
            if not entry.is_due():
                ledger.end_now(entry)
    begun = [(entry, _undo(ledger, entry)) for entry in entries]
    healed = []
    for entry, trouble in begun:
        is_over = partial(_mechanism(ledger, entry).is_cured, ledger, entry)
        trouble = trouble or lives.wait_until(is_over, lives.SERVES_SECONDS_MAX, "it does not answer yet")
        if not trouble and ledger.remove(entry):
            ledger.note("healed", entry, until_unix_ms=entry.until_unix_ms)
        healed.append((entry, trouble))
    return healed


def _undo(ledger: Ledger, entry: Entry) -> str:
    try:
        _mechanism(ledger, entry).cure(ledger, entry)
    except (CoordError, OSError) as error:
        return error.sentence if isinstance(error, CoordError) else str(error)
    return ""


tend = signals.tend


def drop(ledger: Ledger) -> None:
    """The cluster is being stopped: what stands still goes on, so that it can end, and nobody starts anything again."""
    if not os.path.isdir(ledger.folder):
        return
    with ledger.locked():
        for entry in ledger.entries():
            _mechanism(ledger, entry).drop(ledger, entry)
            if ledger.remove(entry):
                ledger.note("dropped", entry)
        links.remove(ledger)
        links.stop(ledger)
