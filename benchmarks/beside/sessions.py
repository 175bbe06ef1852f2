"""A hundred thousand sessions that are kept alive: whether all live on, what a renewal costs, and what commits of others lose by it.

Ours alone: a session of ZooKeeper is a connection of its own, and etcd's leases are renewed one by one.
"""

import json
import os
import statistics
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple

from .clusters import HERE, Load, compile_c, wait_for
from .fanout import COMMITS, COMMITS_PER_SECOND
from .sections import Bench, Section

CONNECTIONS, SESSIONS_EACH = 100, 1_000
TTL_MS = 20_000
LEFT_SHARE = 0.2  # of what the state grew by, at most, once they are over: answers to who opened them are remembered for longer


class Turn(NamedTuple):
    without: Load
    beside: Load
    said: dict[str, Any]  # by the generator
    leader_us: float  # CPU for each renewal, commits included
    memory_bytes: float  # of the leader, for each session


def once(bench: Bench, program: str) -> Turn:
    ours = bench.ours
    ours.check()
    os.sync()
    without = ours.load("put", COMMITS, bench.seconds, rate=COMMITS_PER_SECOND)
    leader = ours.members[0]
    memory, state_bytes = leader.memory_mib(), ours.statuses()[0]["state_bytes"]
    endpoints = ",".join(member.address for member in ours.members)
    command = [program, endpoints, *map(str, (CONNECTIONS, SESSIONS_EACH, TTL_MS, bench.seconds))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as keeping:
        assert keeping.stdout is not None
        keeping.stdout.readline()  # "ready"
        full_bytes = ours.statuses()[0]["state_bytes"]
        grown = (leader.memory_mib() - memory) * 1024 * 1024
        cpu = leader.cpu_seconds()
        beside = ours.load("put", COMMITS, bench.seconds, rate=COMMITS_PER_SECOND)
        text = keeping.stdout.readline()
        cpu = leader.cpu_seconds() - cpu
    if keeping.returncode:
        raise SystemExit("not every session lived on")
    left_bytes = state_bytes + LEFT_SHARE * (full_bytes - state_bytes)
    wait_for(lambda: ours.statuses()[0]["state_bytes"] < left_bytes, "all sessions have expired")
    said = json.loads(text)
    return Turn(without, beside, said, cpu / said["renewals"] * 1e6, grown / said["sessions"])


def measure(bench: Bench) -> Section:
    program = compile_c(HERE / "sessions.c", bench.folder, "-lz")
    return section([once(bench, str(program)) for _ in range(bench.rounds)])


def section(turns: Sequence[Turn]) -> Section:
    middle = sorted(turns, key=lambda turn: turn.beside.p99_ms / turn.without.p99_ms)[len(turns) // 2]
    said, ms = middle.said, middle.said["ms"]
    memory = turns[0].memory_bytes  # later ones find room that was used before
    opened = statistics.median(turn.said["opened_per_second"] for turn in turns)
    each = " ".join(f"{turn.beside.p99_ms / turn.without.p99_ms:.2f}" for turn in turns)
    counted = f"{said['sessions']:,} sessions on {CONNECTIONS} connections, {TTL_MS / 1000:g} s to live: {opened:,.0f} opened a second"
    commits = f"{middle.without.p99_ms:.2f} ms without, {middle.beside.p99_ms:.2f} ms beside: {each} times"
    lines = [
        f"{counted}, {memory:,.0f} bytes of the leader's memory for each; {said['renewals']:,} renewals, none lost,",
        f"an answer for {SESSIONS_EACH:,} p50 {ms['p50']:.1f} ms, p99 {ms['p99']:.1f} ms after it was due;",
        f"commit p99 of others at {COMMITS_PER_SECOND:,.0f}/s {commits}; {middle.leader_us:.1f} µs of the leader's CPU for each renewal, "
        "commits included",
    ]
    data = [
        {"without": turn.without._asdict(), "beside": turn.beside._asdict(), **turn.said}
        | {"leader_us": turn.leader_us, "memory_bytes": turn.memory_bytes}
        for turn in turns
    ]
    return Section("sessions", "\n".join(lines), data)
