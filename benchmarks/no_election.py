"""Nobody is elected while the leader lives, however busy the machine: peak writes, busy loops at equal nice, snapshots of a million keys.

    python benchmarks/no_election.py [--seconds 600] [--loops 4] [--keys 1000000] [--shape 100x10] [--folder DIR]

Three members with their defaults. Exit code 1 when the term went on or any member changed its role; what the members told of
late ticks, slow turns and slow commits is counted, with the worst of each. Burns the whole machine. Needs cc.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from beside.clusters import needs, parse_shape, processes, scratch
from beside.coordnode import compile_load, coordnode

WORST_OF = {"late_tick": "late_ms", "slow_turn": "took_ms", "slow_commit": "total_ms", "snapshot": "took_ms"}


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    with processes() as crew:
        for _ in range(count):
            crew.start([sys.executable, "-c", "while True: pass"], Path(os.devnull))
        yield


def events(log: Path, since: int) -> list[dict[str, Any]]:
    with log.open("rb") as file:
        file.seek(since)
        return [json.loads(line) for line in file.read().splitlines() if line.startswith(b"{")]


def report(name: str, told: list[dict[str, Any]]) -> int:
    """Prints what one member told; how often its role changed."""
    words: list[str] = []
    for kind, field in WORST_OF.items():
        found = [event[field] for event in told if event["event"] == kind]
        if found:
            words.append(f"{kind} {len(found)}, worst {max(found)} ms")
    dropped = sum(event["count"] for event in told if event["event"] == "events_dropped")
    roles = [event for event in told if event["event"] == "role"]
    print(f"{name}: {'; '.join(words) or 'nothing'}{f'; {dropped} more of them not written' if dropped else ''}")
    for event in roles:
        print(f"{name}: {event['at']} {event['role']} of {event['leader']} in term {event['term']}")
    return len(roles)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--loops", type=int, default=4)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--shape", default="100x10")
    parser.add_argument("--folder")
    parser.add_argument("--flag", action="append", default=[], help="for each member")
    options = parser.parse_args()
    shape = parse_shape(options.shape)
    needs("cc")
    with scratch(options.folder) as folder, coordnode(folder, compile_load(folder), options.flag) as cluster:
        began = time.monotonic()
        cluster.fill(options.keys)
        print(f"{options.keys} keys written in {time.monotonic() - began:.0f} s; {cluster.check()}", flush=True)
        logs = sorted(folder.glob("n*.log"))
        sizes = [log.stat().st_size for log in logs]
        terms = {one["term"] for one in cluster.statuses()}
        with busy_loops(options.loops):
            try:
                load = cluster.load("put", shape, options.seconds)
                print(f"{load.done} puts, {load.per_second:,.0f} a second; {load.p50_ms} ms, p99 {load.p99_ms} ms")
            except subprocess.CalledProcessError:
                print("the load was refused")
        changed = sum([report(log.stem, events(log, size)) for log, size in zip(logs, sizes, strict=True)])
        after = {one["term"] for one in cluster.statuses()}
    print(f"terms {sorted(terms)} before, {sorted(after)} after")
    if terms != after or changed:
        raise SystemExit("an election, or a member that believed in one")


if __name__ == "__main__":
    main()
