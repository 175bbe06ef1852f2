"""What keys cost in memory and on disk, how long a cluster takes to begin again after all of it was killed, and after its leader was.

Each product and version by itself, as one that begins again disturbs all others. A write that is acknowledged ends the waiting.
"""

import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from .clusters import Cluster, Entrant
from .sections import Bench, Section

PAUSE_SECONDS = 0.002  # between two attempts to write


class Found(NamedTuple):
    product: str
    version: str
    keys: int
    fill_seconds: float
    memory_bytes: float  # for each key, of the member with the most
    memory_mib: float
    disk_mib: float  # likewise
    restart_seconds: float
    failover_ms: list[float]


def until_written(cluster: Cluster, survivors: int) -> None:
    members = cluster.members[-survivors:]
    while not any(cluster.put(member) for member in members):
        time.sleep(PAUSE_SECONDS)


def restart(cluster: Cluster) -> float:
    for member in cluster.members:
        cluster.crew.kill(member.process)
    began = time.monotonic()
    cluster.restart(cluster.members)
    until_written(cluster, len(cluster.members))
    return time.monotonic() - began


def failover(cluster: Cluster) -> float:
    leader = cluster.members[0]
    began = time.monotonic()
    cluster.crew.kill(leader.process)
    until_written(cluster, len(cluster.members) - 1)
    took = time.monotonic() - began
    cluster.restart([leader])
    until_written(cluster, len(cluster.members))
    cluster.check()
    return took * 1000


def once(bench: Bench, entrant: Entrant, number: int) -> Found:
    folder = bench.folder / f"r{number}"
    folder.mkdir()
    with entrant.start(folder) as cluster:
        before = max(member.memory_mib() for member in cluster.members)
        began = time.monotonic()
        cluster.fill(bench.keys)
        took = time.monotonic() - began
        cluster.check()
        memory = max(member.memory_mib() for member in cluster.members)
        disk = max(member.disk_mib() for member in cluster.members)
        restarted = restart(cluster)
        cluster.check()
        failovers = [failover(cluster) for _ in range(bench.rounds)]
        each = (memory - before) * 1024 * 1024 / bench.keys
        return Found(entrant.product, entrant.version, bench.keys, took, each, memory, disk, restarted, failovers)


def measure(bench: Bench) -> Section:
    return section([once(bench, entrant, number) for number, entrant in enumerate(bench.entrants)])


def section(found: Sequence[Found]) -> Section:
    lines = [
        "| | keys | bytes of memory for each | MiB of memory | MiB on disk | s to begin again | leader killed: ms, median: each |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        each = " ".join(f"{ms:.0f}" for ms in one.failover_ms)
        waited = f"{statistics.median(one.failover_ms):.0f}: {each}"
        sizes = f"{one.memory_bytes:,.0f} | {one.memory_mib:,.0f} | {one.disk_mib:,.0f}"
        lines.append(f"| {one.product} {one.version} | {one.keys:,} | {sizes} | {one.restart_seconds:.1f} | {waited} |")
    return Section("recovery", "\n".join(lines), [one._asdict() for one in found])
