"""Records a second that are appended durably, in batches by several producers, while old ones go and a reader verifies what comes.

Ours alone: neither etcd nor ZooKeeper has a journal.
"""

import json
import os
import statistics
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple

from .clusters import HERE, compile_c, fetch
from .sections import Bench, Section, verdict

PRODUCERS, OUTSTANDING, BATCH = 8, 4, 1_000
BYTES_MAX = 16 << 20  # of each journal: reached in two seconds
WANTED = 1_000_000


class Turn(NamedTuple):
    said: dict[str, Any]  # by the generator
    dropped: int  # records that had to go, of all journals


def wrong_with(journals: Sequence[dict[str, Any]], said: dict[str, Any]) -> str:
    there = sum(journal["next"] for journal in journals)
    if there != said["records"]:
        return f"{said['records']} records were acknowledged, the journals count {there}"
    large = [journal for journal in journals if journal["size_bytes"] > BYTES_MAX]
    return f"{len(large)} journals are larger than they may be" if large else ""


def once(bench: Bench, program: str) -> Turn:
    bench.ours.check()
    os.sync()
    endpoints = ",".join(member.address for member in bench.ours.members)
    command = [program, endpoints, *map(str, (PRODUCERS, OUTSTANDING, bench.seconds, BATCH, BYTES_MAX))]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    bench.ours.check()
    listed = fetch(f"http://{bench.ours.members[0].address}/v1/journals?prefix={said['prefix']}-")["journals"]
    wrong = wrong_with(listed, said)
    if wrong:
        raise SystemExit(wrong)
    return Turn(said, sum(journal["first"] for journal in listed))


def measure(bench: Bench) -> Section:
    program = compile_c(HERE / "journal.c", bench.folder, "-lz")
    return section([once(bench, str(program)) for _ in range(bench.rounds)])


def section(turns: Sequence[Turn]) -> Section:
    middle = sorted(turns, key=lambda turn: turn.said["per_second"])[len(turns) // 2]
    is_kept = statistics.median(turn.said["per_second"] for turn in turns) >= WANTED
    said, ms = middle.said, middle.said["ms"]
    each = ", ".join(f"{turn.said['per_second']:,.0f}" for turn in turns)
    lines = [
        f"{PRODUCERS} producers, {OUTSTANDING} batches of {BATCH:,} records of 64 bytes under way of each: {each} records a second, wanted "
        f"{WANTED:,}: {verdict(is_kept)};",
        f"a batch p50 {ms['p50']:.1f} ms, p99 {ms['p99']:.1f} ms; {middle.dropped:,} of {said['records']:,} dropped for newer ones; "
        f"{said['read']:,} verified by a reader, the last {said['read_after_ms']:.0f} ms after it was acknowledged",
    ]
    return Section("journal", "\n".join(lines), [{**turn.said, "dropped": turn.dropped} for turn in turns], is_kept)
