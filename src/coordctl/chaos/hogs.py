"""Faults that are a process of ours beside the members: it ends when its time is over; until then it is found by the fault's id."""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from coordctl.chaos import lives, values, workers
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.chaos.workers import CPU, HERD, MEMORY, TRANSFER
from coordctl.local import clusters, processes
from coordctl.local.clusters import LocalCluster

MODULE = "coordctl.chaos.workers"
TAKES_SECONDS_MAX = 20.0
LOG = "workers.log"
ACCEPTED = "coordnode_connections_accepted_total"
CPU_SHARE_MIN = 0.1  # of the time since it was started, on a machine that has much else to do


def amount_of(fault: str, by: str) -> float:
    if fault == MEMORY:
        return values.size_bytes(by)
    return values.duration_ms(by) if fault == TRANSFER else float(by)


SEEN = {CPU: "{by} cores are kept busy", MEMORY: "{by} are taken", HERD: "{by} clients come at once", TRANSFER: "another leads"}


def seen(entry: Entry) -> str:
    return SEEN[entry.fault].format(by=entry.by)


def strike(ledger: Ledger, entries: Sequence[Entry], for_ms: int) -> list[str]:
    return [_strike(ledger, entry) for entry in entries]


def _strike(ledger: Ledger, entry: Entry) -> str:
    cluster = clusters.read(ledger.cluster_folder)
    if cluster is None:
        return "there is no cluster"
    before = _sign(cluster, entry)
    arguments = [entry.fault, entry.id, str(amount_of(entry.fault, entry.by)), str(entry.deadline_ms), entry.boot]
    if entry.fault == TRANSFER:
        arguments += [f"{one.member}={one.address}" for one in cluster.members]
    else:
        arguments += [one.address for one in cluster.members]
    log = os.path.join(ledger.folder, LOG)
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
    import psutil

    used = 0.0
    pids = found(entry)
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            times = process.cpu_times()
            used += process.memory_info().rss if entry.fault == MEMORY else times.user + times.system
    if entry.fault == MEMORY:
        return used >= 0.9 * amount_of(entry.fault, entry.by)
    age = max((processes.age_seconds(pid) for pid in pids), default=0.0)
    return len(pids) >= int(entry.by) and age > 0.5 and used >= CPU_SHARE_MIN * age


def found(entry: Entry) -> list[int]:
    """Its processes that run."""
    pids = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
            if MODULE.encode() in words and entry.id.encode() in words and processes.started_mark(int(name)):
                pids.append(int(name))
    return pids


def cure(ledger: Ledger, entry: Entry) -> None:
    for pid in found(entry):
        processes.send(pid, processes.started_mark(pid), signal.SIGKILL)


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    return not found(entry)


def drop(ledger: Ledger, entry: Entry) -> None:
    cure(ledger, entry)


assert set(workers.WORKS) == set(SEEN)
