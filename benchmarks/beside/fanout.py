"""Ten thousand watches that are all told of every change: whether all are told, in order, and what commits of others lose by it.

Commits are an open loop of puts to other keys, first without the watches, then with them, each round.
"""

import json
import os
import statistics
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple

from .clusters import HERE, Load, Shape, compile_c
from .sections import Bench, Section, verdict

CONNECTIONS, WATCHES_EACH = 100, 100
PUTS_PER_SECOND = 20
COMMITS = Shape(10, 1)
COMMITS_PER_SECOND = 500.0
TIMES_MAX = 2


class Turn(NamedTuple):
    without: Load
    beside: Load
    told: dict[str, Any]  # what the watching generator says

    @property
    def times(self) -> float:
        return self.beside.p99_ms / self.without.p99_ms


def once(bench: Bench, program: str) -> Turn:
    ours = bench.ours
    ours.check()
    os.sync()
    without = ours.load("put", COMMITS, bench.seconds, rate=COMMITS_PER_SECOND)
    endpoints = ",".join(member.address for member in ours.members)
    command = [program, endpoints, *map(str, (CONNECTIONS, WATCHES_EACH, PUTS_PER_SECOND, bench.seconds))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        watching.stdout.readline()  # "ready"
        beside = ours.load("put", COMMITS, bench.seconds, rate=COMMITS_PER_SECOND)
        said = watching.stdout.readline()
    if watching.returncode:
        raise SystemExit("not every watch was told of everything in order")
    return Turn(without, beside, json.loads(said))


def measure(bench: Bench) -> Section:
    program = compile_c(HERE / "fanout.c", bench.folder, "-lz")
    return section([once(bench, str(program)) for _ in range(bench.rounds)])


def section(turns: Sequence[Turn]) -> Section:
    middle = sorted(turns, key=lambda turn: turn.times)[len(turns) // 2]
    is_kept = statistics.median(turn.times for turn in turns) <= TIMES_MAX
    told, ms = middle.told, middle.told["ms"]
    each = " ".join(f"{turn.times:.2f}" for turn in turns)
    lines = [
        f"{told['watches']:,} watches on {CONNECTIONS} connections, {PUTS_PER_SECOND} changes a second: {told['delivered']:,} of "
        f"{told['watches'] * told['puts']:,} delivered in order, p50 {ms['p50']:.1f} ms, p99 {ms['p99']:.1f} ms after the put was due;",
        f"commit p99 of others at {COMMITS_PER_SECOND:,.0f}/s {middle.without.p99_ms:.2f} ms without, {middle.beside.p99_ms:.2f} ms "
        f"beside: {each} times, wanted {TIMES_MAX}: {verdict(is_kept)}",
    ]
    data = [{"without": turn.without._asdict(), "beside": turn.beside._asdict(), "told": turn.told} for turn in turns]
    return Section("fanout", "\n".join(lines), data, is_kept)
