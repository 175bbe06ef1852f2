"""Whoever holds a run's lock is met with it in its hands: from seeing so to stopping it, it may have given it back."""

import time
from collections.abc import Callable, Sequence

from coordctl.chaos import clients
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.operations.chaos_loads import Holder, Loads

HOLDER_LOOK_SECONDS = 0.01
SHARE = 4  # of its time, one of so many, in which one client is waited for


def meet(loads: Loads, ledger: Ledger, client: int, entries: Sequence[Entry], until: float, wait: Callable[[float], bool]) -> Holder | None:
    """`client` stands still. Where it does so without the lock, it goes on, and is stopped again as soon as it has it: its entry in the
    ledger is written already, so that this takes no longer than a signal does. None: not by then; whoever asked may try another one.

    `wait`: so many seconds; whether the run is to end.
    """
    for entry in entries:
        until = min(until, time.monotonic() + entry.left_ms() / 1000 / SHARE)
    while True:
        holder = loads.holder()
        if holder is not None and holder.client == client:
            return holder
        for entry in entries:
            clients.cure(ledger, entry)
        while (holder := loads.holder()) is None or holder.client != client:
            if time.monotonic() >= until or wait(HOLDER_LOOK_SECONDS):
                return None
        if any(clients.strike(ledger, entries)):
            return None
