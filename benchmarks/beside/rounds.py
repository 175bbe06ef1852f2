"""Everything in turn, several times: each round every cluster, each time in another order, so that what disturbs one round disturbs all.

All clusters stay up meanwhile, since a virtual machine that begins anew is slow for half a minute; idle ones take next to nothing.
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .clusters import WRITES, Cluster, Load, Shape, counted_syncs

WARM = Shape(100, 1)
COUNTED_SECONDS = 1.0


class Who(NamedTuple):
    """A product, its version, and where its clients are connected."""

    product: str
    version: str
    layout: str

    def __str__(self) -> str:
        return f"{self.product} {self.version}, {self.layout}"


class What(NamedTuple):
    kind: str
    shape: Shape

    def __str__(self) -> str:
        return f"{self.kind} {self.shape}"


class Sample(NamedTuple):
    round: int
    who: Who
    what: What
    load: Load
    leader_us: float  # CPU for each request
    follower_us: float


class Row(NamedTuple):
    """One entrant at one thing: medians of its rounds."""

    what: What
    who: Who
    load: Load
    leader_us: float
    follower_us: float
    per_second_each: list[float]  # round by round
    is_best: bool  # of its product


class Syncs(NamedTuple):
    who: Who
    what: What
    done: int
    counts: list[int]  # the leader's first


def entrants_of(cluster: Cluster, what: What) -> list[Who]:
    """A single connection is at the leader."""
    if what.kind not in cluster.kinds:
        return []
    layouts = cluster.layouts_for(what.kind) if what.shape.connections >= len(cluster.members) else ("leader",)
    return [Who(cluster.product, cluster.version, layout) for layout in layouts]


def once(cluster: Cluster, who: Who, what: What, seconds: float, number: int) -> Sample:
    cluster.check()  # what the last load left under way is over
    os.sync()  # what others wrote and did not sync is not this one's business
    before, cpu_before = cluster.writes(), [member.cpu_seconds() for member in cluster.members]
    load = cluster.load(what.kind, what.shape, seconds, who.layout)
    cpu = [(member.cpu_seconds() - earlier) / load.done * 1e6 for member, earlier in zip(cluster.members, cpu_before, strict=True)]
    cluster.check()
    wrong = wrong_writes(load, cluster.writes() - before)
    if wrong:
        raise SystemExit(f"{who}: {what}: {wrong}")
    return Sample(number, who, what, load, cpu[0], sum(cpu[1:]) / len(cpu[1:]))


def wrong_writes(load: Load, counted: int) -> str:
    """Each write that succeeded is counted once by the cluster, and nothing else is."""
    if load.writes <= counted <= load.writes + load.under_way:
        return ""
    return f"{load.writes} writes succeeded, the cluster counts {counted}"


def run(clusters: Sequence[Cluster], whats: Sequence[What], rounds: int, seconds: float, say: Callable[[Sample], None]) -> list[Sample]:
    for cluster in clusters:
        cluster.load("put", WARM, cluster.warm_seconds, cluster.layouts[-1])
    samples = []
    for number in range(rounds):
        turn = number % len(clusters)
        for what in whats:
            for cluster in [*clusters[turn:], *clusters[:turn]]:
                for who in entrants_of(cluster, what):
                    samples.append(once(cluster, who, what, seconds, number))
                    say(samples[-1])
    return samples


def count_syncs(cluster: Cluster, who: Who, what: What) -> Syncs:
    """A short run of its own, since being traced makes members slow."""
    assert what.kind in WRITES
    with counted_syncs(cluster.members) as counts:
        load = cluster.load(what.kind, what.shape, COUNTED_SECONDS, who.layout)
    cluster.check()
    if not all(counts):
        raise SystemExit(f"{who}: a member never synced")
    return Syncs(who, what, load.done, counts)
