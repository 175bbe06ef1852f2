"""How long ours takes beside what the machine itself takes: an open loop at half of the peak, and one request at a time.

Each round measures in turn: three bare processes that sync at once, the peak, and an open loop at half of it, whose times count from
when a request was due. A single connection has no peak that matters: its mean is held against the syncs and echoes it is made of.
"""

import json
import os
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .clusters import HERE, Load, Shape, compile_c
from .coordnode import Coordnode
from .sections import Bench, Section, verdict

PROBE_SECONDS = 1.0
P50_TIMES = 5
SYNC_P99_TIMES = 3
SINGLE = Shape(1, 1)
SINGLE_TIMES = 2.5
SINGLE_ECHOES = 2


class Bare(NamedTuple):
    """Milliseconds of the machine alone."""

    sync_mean: float
    sync_p99: float
    echo_mean: float


class Turn(NamedTuple):
    shape: Shape
    bare: Bare
    peak: float  # per second
    load: Load

    @property
    def bound_ms(self) -> float:
        if self.shape == SINGLE:
            return SINGLE_TIMES * (self.bare.sync_mean + SINGLE_ECHOES * self.bare.echo_mean)
        return max(P50_TIMES * self.load.p50_ms, SYNC_P99_TIMES * self.bare.sync_p99)

    @property
    def bounded_ms(self) -> float:
        return self.load.mean_ms if self.shape == SINGLE else self.load.p99_ms


def parse_probe(text: str) -> Bare:
    found = json.loads(text)
    return Bare(found["sync"]["mean"], found["sync"]["p99"], found["echo"]["mean"])


def once(cluster: Coordnode, probe: Path, shape: Shape, seconds: float, folder: Path) -> Turn:
    cluster.check()
    os.sync()
    said = subprocess.run([str(probe), str(folder), str(PROBE_SECONDS)], check=True, stdout=subprocess.PIPE, text=True).stdout
    load = cluster.load("put", shape, seconds)
    peak = load.per_second
    if shape != SINGLE:
        cluster.check()
        load = cluster.load("put", shape, seconds, rate=peak / 2)
    return Turn(shape, parse_probe(said), peak, load)


def measure(bench: Bench) -> Section:
    probe = compile_c(HERE / "probe.c", bench.folder)
    turns = range(bench.rounds)
    return section([[once(bench.ours, probe, shape, bench.seconds, bench.folder) for shape in bench.shapes] for _ in turns])


def section(turns: Sequence[Sequence[Turn]]) -> Section:
    """Round by round, as each round has bounds of its own."""
    lines = [
        "| puts | at | p50 ms | mean ms | p99 ms | bare sync mean, p99; echo ms | bound | round by round | kept |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    is_kept = True
    for those in zip(*turns, strict=True):
        shares = [turn.bounded_ms / turn.bound_ms for turn in those]
        middle = sorted(those, key=lambda turn: turn.bounded_ms / turn.bound_ms)[len(those) // 2]
        kept = statistics.median(shares) <= 1
        is_kept = is_kept and kept
        load, bare = middle.load, middle.bare
        at = "one at a time" if middle.shape == SINGLE else f"{middle.peak / 2:,.0f}/s, half of the peak"
        bound = f"{'mean' if middle.shape == SINGLE else 'p99'} ≤ {middle.bound_ms:.2f}"
        times = (
            f"{load.p50_ms:.2f} | {load.mean_ms:.2f} | {load.p99_ms:.2f} | {bare.sync_mean:.2f}, {bare.sync_p99:.2f}; {bare.echo_mean:.3f}"
        )
        each = " ".join(f"{share:.2f}" for share in shares)
        lines.append(f"| {middle.shape} | {at} | {times} | {bound} | {each} of it | {verdict(kept)} |")
    data = [
        {"shape": str(turn.shape), "peak": turn.peak, **turn.bare._asdict(), **turn.load._asdict(), "bound_ms": turn.bound_ms}
        for those in turns
        for turn in those
    ]
    return Section("latency", "\n".join(lines), data, is_kept)
