"""How long commits ever stall: puts at a fixed rate over a million keys, while members make snapshots and collect garbage.

    PYTHONPATH=src:. python benchmarks/stalls.py --keys 1000000 --seconds 60 --share 0.5

The rate is a share of the peak that is measured first, or what --rate says. Every spell of replies that took more than 20 ms is told
with what the members said of that time: slow commits with their breakdown, slow turns, late ticks, and whether a snapshot was under way.
The exit code is 1 when the longest gap between two replies passes --gap-max.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.million import Million, million

PEAK_SECONDS = 5.0
WARM_SECONDS = 2.0
TOLD = ("slow_commit", "slow_turn", "late_tick", "role", "space_low")
SHOWN = ("total_ms", "queue_ms", "wait_ms", "fsync_ms", "peers_ms", "apply_ms", "took_ms", "late_ms", "messages", "asks", "role")
SPELLS_SHOWN = 12


def snapshots(cluster: Million, since_s: float) -> list[tuple[int, float, float]]:
    """(member, began, ended) of those that were finished since then."""
    found = []
    for number, member in enumerate(cluster.members, 1):
        for event in member.events(since_s):
            if event["event"] == "snapshot":
                found.append((number, event["at_s"] - event["took_ms"] / 1_000, event["at_s"]))
    return sorted(found)


def longest_gaps(gaps: list[list[float]], made: list[tuple[int, float, float]]) -> tuple[float, float]:
    """In milliseconds: while a snapshot was made, and otherwise."""
    longest = [0.0, 0.0]
    for ended_ms, gap_ms in gaps:
        is_otherwise = not any(began <= ended_ms / 1_000 and ended >= (ended_ms - gap_ms) / 1_000 for _, began, ended in made)
        longest[is_otherwise] = max(longest[is_otherwise], gap_ms)
    return longest[0], longest[1]


def tell_spell(cluster: Million, spell: list[float], made: list[tuple[int, float, float]], began_s: float) -> None:
    first_s, last_s, longest_ms, count = spell[0] / 1_000, spell[1] / 1_000, spell[2], int(spell[3])
    from_s = first_s - longest_ms / 1_000 - 0.005
    making = [f"n{number}" for number, began, ended in made if began <= last_s and ended >= from_s]
    print(f"  at {first_s - began_s:6.2f} s: {count} replies, longest {longest_ms:.0f} ms; snapshot at {', '.join(making) or 'nobody'}")
    for number, member in enumerate(cluster.members, 1):
        for event in member.events(from_s):
            if event["event"] in TOLD and event["at_s"] <= last_s + 0.02:
                said = " ".join(f"{field}={event[field]}" for field in SHOWN if field in event)
                print(f"      n{number} {event['event']} {said}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--share", type=float, default=0.5, help="of the peak")
    parser.add_argument("--rate", type=float, default=0.0, help="puts a second, instead of a share of the peak")
    parser.add_argument("--gap-max", type=float, default=100.0, help="milliseconds")
    parser.add_argument("--parent", help="folder for scratch")
    parser.add_argument("flags", nargs="*", help="for the members, behind --")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="stalls-", dir=given.parent) as folder,
        million(Path(folder), given.keys, ("--slow-commit", "20ms", *given.flags)) as cluster,
    ):
        cluster.start()
        leader = cluster.leader()
        rate = given.rate
        done = cluster.load(1, WARM_SECONDS)["writes"]
        if not rate:
            peak = cluster.load(1, PEAK_SECONDS)
            done += peak["writes"]
            rate = given.share * peak["per_second"]
            print(f"peak {peak['per_second']:,.0f} puts/s; open loop at {rate:,.0f}", flush=True)
        began_s = time.time()
        found: dict[str, Any] = cluster.load(1, given.seconds, rate)
        done += found["writes"]
        revision = cluster.wait_equal()
        assert revision == given.keys + done, f"{given.keys} keys, {done} puts, and revision {revision}"
        made = snapshots(cluster, began_s)
        ms = found["ms"]
        print(f"{given.keys:,} keys, {found['done']:,} puts in {found['seconds']:.0f} s, n{leader.folder.name[1:]} led", end=": ")
        print(f"median {ms['p50']:.1f} ms, 99 % below {ms['p99']:.1f}, longest {ms['max']:.0f}", end="; ")
        print(f"longest gap between replies {found['longest_gap_ms']:.1f} ms")
        for number, began, ended in made:
            print(f"  n{number} made a snapshot from {began - began_s:.1f} to {ended - began_s:.1f} s")
        during, otherwise = longest_gaps(found["gaps"], made)
        print(f"  longest gap while somebody made one {during:.1f} ms, otherwise {otherwise:.1f} ms (0: none above 10 ms)")
        spells = found["slow"]
        print(f"{len(spells)} spells of replies above 20 ms; the longest of them:", flush=True)
        for spell in sorted(sorted(spells, key=lambda one: -one[2])[:SPELLS_SHOWN]):
            tell_spell(cluster, spell, made, began_s)
        memory = ", ".join(f"{member.resident_mib():.0f}" for member in cluster.members)
        print(f"memory of the members: {memory} MiB")
        return int(found["longest_gap_ms"] > given.gap_max)


if __name__ == "__main__":
    raise SystemExit(main())
