"""Faults that are a process of ours beside the members: it ends when its time is over; until then it is found by the fault's id."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from coordctl.chaos import lives, premises, values, workers
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.chaos.workers import CPU, HERD, MEMORY, TRANSFER
from coordctl.local import processes
from coordctl.local.clusters import LocalCluster

MODULE = "coordctl.chaos.workers"
TAKES_SECONDS_MAX = 20.0
LOG = "workers.log"
ACCEPTED = "coordnode_connections_accepted_total"
LOOKS, LOOK_SECONDS = 10, 0.05  # at a process that is to keep a core busy, on end


def amount_of(fault: str, by: str) -> float:
    if fault == MEMORY:
        return values.size_bytes(by)
    return values.duration_ms(by) if fault == TRANSFER else float(by)


SEEN = {CPU: "{by} cores are kept busy", MEMORY: "{by} are taken", HERD: "{by} clients come at once", TRANSFER: "another leads"}


def seen(entry: Entry) -> str:
    return SEEN[entry.fault].format(by=entry.by)


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    return [_strike(ledger, entry) for entry in entries]


def _strike(ledger: Ledger, entry: Entry) -> str:
    cluster = premises.of(ledger.cluster_folder).cluster()
    if cluster is None:
        return "there is no cluster"
    before = _sign(cluster, entry)
    arguments = [entry.fault, entry.id, str(amount_of(entry.fault, entry.by)), str(entry.deadline_ms), entry.boot]
    if entry.fault == TRANSFER:
        arguments += [f"{one.member}={one.address}" for one in cluster.members]
    else:
        arguments += [one.address for one in cluster.members]
    log = os.path.join(ledger.folder, LOG)
    with ledger.striking([entry]):
        processes.let_go(processes.start(arguments, log, ledger.folder, module=MODULE))
    return lives.wait_until(lambda: _has_taken(cluster, entry, before), TAKES_SECONDS_MAX, f"nothing is seen of it: see {log}", 0.05)


def _sign(cluster: LocalCluster, entry: Entry) -> float:
    """What changes when it has taken."""
    if entry.fault == HERD:
        return sum(lives.metrics(one.address).numbers.get(ACCEPTED, 0.0) for one in cluster.members)
    return max((int(lives.status(one.address).get("term", 0)) for one in cluster.members), default=0) if entry.fault == TRANSFER else 0.0


def _has_taken(cluster: LocalCluster, entry: Entry, before: float) -> bool:
    if entry.fault in (HERD, TRANSFER):
        return _sign(cluster, entry) >= before + (float(entry.by) if entry.fault == HERD else 1)
    return _holds_memory(entry) if entry.fault == MEMORY else _keeps_busy(entry)


def _holds_memory(entry: Entry) -> bool:
    held = 0
    for pid in found(entry):
        with suppress(OSError), open(f"/proc/{pid}/statm", encoding="ascii") as file:
            held += int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return held >= 0.9 * amount_of(entry.fault, entry.by)


def _keeps_busy(entry: Entry) -> bool:
    """Each runs, or waits for nothing but a core: on a machine with other work it may get little of one, and takes it from others."""
    for _ in range(LOOKS):
        pids = found(entry)
        if len(pids) < int(entry.by) or not all(map(_is_on_core, pids)):
            return False
        time.sleep(LOOK_SECONDS)
    return True


def _is_on_core(pid: int) -> bool:
    """Or waits for one."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] == b"R"
    return False


def found(entry: Entry) -> list[int]:
    """Its processes that run."""
    return [pid for pid in processes.each_with_words(MODULE, entry.id) if processes.started_mark(pid)]


def cure(ledger: Ledger, entry: Entry) -> None:
    for pid in found(entry):
        processes.send(pid, processes.started_mark(pid), signal.SIGKILL)


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    return not found(entry)


def drop(ledger: Ledger, entry: Entry) -> None:
    cure(ledger, entry)


assert set(workers.WORKS) == set(SEEN)
