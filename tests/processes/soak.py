"""Random faults on real members for a long time, in segments, each of which is written down by the machine.

    PYTHONPATH=src:. .venv/bin/python -m tests.processes.soak --minutes 10 [--seed N] [--record FILE]
    PYTHONPATH=src:. .venv/bin/python -m tests.processes.soak --total [--record FILE]

A segment is a playbook drawn from a seed: loads of several services, and faults of every kind that may hit one host. All histories are
judged, and afterwards all that chaos may touch must be as it was. FILE gets a line for each segment: build, times, operations, faults by
kind, verdicts.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from coordctl.chaos.faults import CLIENTS, DISK, FAULTS, FILL_DISK, HOLDERS, NETWORK, exclude_each_other
from coordctl.chaos.loads.words import KINDS
from coordctl.chaos.playbook import Playbook, parse_playbook
from tests.processes.boundaries import LONG, Boundaries, Snapshot, differences, snapshot
from tests.processes.builds import build
from tests.processes.local import Home
from tests.processes.playbooks import SAID_NOTHING, cluster, run

RECORD = Path(__file__).with_name("soak.jsonl")
KEPT = Path(tempfile.gettempdir()) / "soak-kept"  # histories of segments that broke a promise
SEGMENT_SECONDS = 60.0
FIRST_SECONDS, GAP_SECONDS = 2.0, 3.0
HEALS_SECONDS = 8.0  # for a member to get back from the others what its disk lost
LASTS_SECONDS = (3.0, 6.0)
LONG_SECONDS = (20.0, 25.0)  # where a member must have been started by then, also on a machine with other work
BESIDE_SHARE = 0.3  # of the faults that leave a quorum alone: the next one comes while they last
AMOUNTS = {"cpu": "1", "memory": "64MiB", "herd": "20", "transfer": "500ms", "delay": "50ms", "jitter": "40ms", "slow-close": "500ms"}
LINKS = ("leader <-> others", "others -> leader", "leader -> others", "follower -> leader", "random <-> others")
MEMBERS = ("leader", "leader", "follower", "random")
NOT_ONE_HOST = (FILL_DISK,)  # it fills what is not ours


def drawn(seed: int, seconds: float) -> str:
    """A playbook, of which no row takes a quorum from a cluster of three."""
    chance = random.Random(seed)
    loads = ["kv", "lock", *chance.sample([kind for kind in KINDS if kind not in ("kv", "lock")], 2)]
    lines = [f"proves: What seed {seed} draws breaks no promise.", "version: 1", f"seed: {seed}", "load:"]
    lines += [f"  - {{do: {kind}, clients: 3}}" for kind in loads]
    lines.append("rows:")
    at = FIRST_SECONDS
    names = [name for name in FAULTS if name not in NOT_ONE_HOST]
    beside: list[tuple[str, float]] = []  # what lasts while others begin, and when it is surely healed
    while at < seconds:
        lasting = [name for name, until in beside if until > at]
        name = chance.choice([name for name in names if not any(exclude_each_other(name, other) for other in lasting)])
        fault = FAULTS[name]
        lasts = chance.uniform(*(LONG_SECONDS if name in LONG else LASTS_SECONDS))
        to = chance.choice(LINKS if fault.kind == NETWORK else MEMBERS)
        to = "lock" if name in HOLDERS else "all" if name in ("herd", "transfer") or fault.kind == CLIENTS else to
        by = f", by: {AMOUNTS.get(name, fault.by_example)}" if fault.by is not None else ""
        lines.append(f'  - {{at: {at * 1000:.0f}ms, for: {lasts * 1000:.0f}ms, do: {name}, to: "{to}"{by}}}')
        is_beside = not fault.takes_quorum and chance.random() < BESIDE_SHARE
        beside.append((name, at + lasts + HEALS_SECONDS))
        at += (HEALS_SECONDS if fault.kind == DISK else GAP_SECONDS) + (0 if is_beside else lasts)
    return "\n".join([*lines, "expect:", "  - {that: healthy, within: 60s}"]) + "\n"


def segment(home: Home, before: Snapshot, playbook: Playbook, folder: Path) -> dict[str, Any]:
    began_unix, began = time.time(), time.monotonic()
    kept = KEPT / playbook.name
    found = run(home, playbook, folder, "--keep", str(kept))
    if found["outcome"] != "promise broken":
        shutil.rmtree(kept, ignore_errors=True)
    until = time.monotonic() + 60.0
    left = "unknown"
    while left and time.monotonic() < until:
        left = differences(before, now) if (now := snapshot(home)) != before else ""
    operations = sum(
        int(one["sentence"].split()[0]) for one in found["verdicts"] if one["kind"] == "check" and one["sentence"][0].isdigit()
    )
    return {
        "build": build(),
        "seed": playbook.seed,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began_unix)),
        "seconds": round(time.monotonic() - began, 1),
        "cores": os.cpu_count(),
        "members": len(home.members()),
        "outcome": found["outcome"],
        "operations": operations,
        "loads": [one.do for one in playbook.load],
        "faults": dict(Counter(row["do"] for row in found.get("rows", []))),
        "not_green": [f"{one['kind']} {one['name']}: {one['sentence']}" for one in found["verdicts"] if one["outcome"] != "green"]
        + [found["told"]] * (found["outcome"] == SAID_NOTHING),
        "left": left,
    }


def totals(record: Path) -> str:
    lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    faults: Counter[str] = Counter()
    for line in lines:
        faults.update(line["faults"])
    outcomes = Counter(line["outcome"] for line in lines)
    minutes = sum(line["seconds"] for line in lines) / 60
    broken = sum(line["outcome"] == "promise broken" for line in lines)
    left = sum(bool(line["left"]) for line in lines)
    by_outcome = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    return (
        f"{len(lines)} segments, {minutes:.0f} minutes, {sum(line['operations'] for line in lines):,} operations, "
        f"{faults.total()} faults of {len(faults)} kinds; {by_outcome}; promises broken: {broken}, something left: {left}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--total", action="store_true")
    asked = parser.parse_args()
    if asked.total:
        print(totals(asked.record))
        return 0
    seed = asked.seed or random.SystemRandom().randrange(10**6, 10**9)
    is_bad = False
    with cluster(3) as home:
        before = Boundaries(home).settle(None, "before")
        until = time.monotonic() + asked.minutes * 60
        while time.monotonic() < until:
            text = drawn(seed, SEGMENT_SECONDS)
            (home.folder / f"soak-{seed}.yaml").write_text(text)
            line = segment(home, before, parse_playbook(f"soak-{seed}", text.encode()), home.folder)
            with asked.record.open("a") as file:
                file.write(json.dumps(line) + "\n")
            told = f"{line['outcome']:<16}{seed:<12}{line['seconds']:6.1f} s  {line['operations']:6} operations"
            print(*[told, *line["not_green"], *filter(None, [line["left"]])], sep="\n    ", flush=True)
            is_bad |= line["outcome"] in ("promise broken", "not reverted") or bool(line["left"])
            seed += 1
    print(totals(asked.record))
    return 1 if is_bad else 0


if __name__ == "__main__":
    sys.exit(main())
