"""How often is the cause found? Real faults on real clusters, and `logs explain` on what the members wrote.

    PYTHONPATH=src:. python benchmarks/causes/run.py --kinds slow-disk,kill-leader --seeds 1-2 --to results.jsonl [--keep FOLDER]
    PYTHONPATH=src:. python benchmarks/causes/run.py --again FOLDER > again.jsonl
    PYTHONPATH=src:. python benchmarks/causes/table.py results.jsonl [again.jsonl]

Each run: a fresh cluster, 20 s of ordinary life, the fault, and what the logs say of the time since it began. Nothing but members'
logs, flight recorders and what the kernel says of memory is read, and nothing in them tells of an injection. Beside it, on the same
lines, two plain ways: the most frequent kind of warnings and errors (grep), and the kind of line whose frequency changed most. They
count as right if the member they point at is.

What `--to` has already is not run again, so a campaign may be ended and begun anew. Each result names the commit of its rules. A run
that could not be set up is written down as such, with the reason; it counts for nothing, and is tried again the next time.
`--again` asks the present rules about logs that were kept.
"""

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.causes import kinds
from benchmarks.causes.faults import SETTLE_SECONDS, Right
from benchmarks.causes.scene import Scene, wait
from benchmarks.causes.table import NOT_SET_UP
from coordctl.logs import rates
from coordctl.logs.lines import WARNING
from coordctl.operations import logs
from coordctl.operations.explaining import explained
from coordctl.operations.windows import Asked

BASELINE_SECONDS = 20.0
MEMBERS = 3
OTHERS = "cpu taken by others"
DISTURBED_MS = 150  # of a second: with more, this machine's other work did take the CPU


class Probe:
    """Whether whatever else runs on this machine kept us from the CPU: how late a thread that only sleeps wakes, in each second."""

    def __init__(self) -> None:
        self._late_ms: list[tuple[float, float]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ending.is_set():
            second, late = time.time(), 0.0
            while time.time() < second + 1:
                began = time.monotonic()
                time.sleep(0.01)
                late += time.monotonic() - began - 0.01
            self._late_ms.append((second, late * 1_000))

    def close(self) -> None:
        self._ending.set()
        self._thread.join()

    def end(self, since: float) -> float:
        """Of the worst second since then."""
        self.close()
        return max((late for second, late in self._late_ms if second >= since - 1), default=0.0)


class Run(NamedTuple):
    """What is kept of one, beside its logs."""

    kind: str
    seed: int
    start: str
    right: Right
    members: int
    late_ms: float  # as the probe saw it


def one_run(kind: str, seed: int, keep: str) -> dict[str, object]:
    fault = (kinds.FAULTS | kinds.HEALTHY)[kind]
    scene = Scene(MEMBERS, with_tls=kind in kinds.WITH_TLS, with_names=kind in kinds.WITH_NAMES)
    probe = Probe()
    try:
        if kind in kinds.DISKS:
            kinds.DISKS[kind](scene)
        scene.begin()
        wait(BASELINE_SECONDS + seed % 3)
        began = time.time()
        right = fault(scene, seed)
        wait(SETTLE_SECONDS)
        start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began))
        folder = Path(keep) / f"{kind}-{seed}" if keep else scene.folder / "kept"
        for place in scene.places():
            target = folder / Path(place).relative_to(scene.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(place, target)
        run = Run(kind, seed, start, right, len(scene.cluster.members), round(probe.end(began)))
        (folder / "run.json").write_text(json.dumps(run))
        return judged(folder, run)
    finally:
        scene.close()
        probe.close()


@cache
def rules() -> str:
    """The commit of the rules; with a star where something is changed and not committed."""
    here = Path(__file__).parent
    said = subprocess.run(["git", "describe", "--always", "--exclude=*", "--dirty=*"], cwd=here, capture_output=True, text=True, check=True)
    return said.stdout.strip()


def judged(folder: Path, run: Run) -> dict[str, object]:
    asked = Asked(start=run.start)
    places = [str(path) for path in sorted(folder.rglob("*.log*"))]
    found = explained(places, None, asked)
    told = [(one.cause, one.members) for one in found.hypotheses if not one.is_planned]
    if run.late_ms >= DISTURBED_MS and OTHERS not in run.right.causes:
        told = [one for one in told if one[0] != OTHERS]  # it is true, and not what was injected
    return {
        "kind": run.kind,
        "seed": run.seed,
        "rules": rules(),
        "right": run.right,
        "rank": rank(run.right, told),
        "told": told,
        "planned": [(one.cause, one.members) for one in found.hypotheses if one.is_planned],
        "outcome": found.outcome,
        "unexplained": [(one.member, one.kind, one.what) for one in found.unexplained],
        "late_ms": run.late_ms,
        **plain(places, asked, run.right, {str(number): f"n{number}" for number in range(1, run.members + 1)}),
    }


def again(folder: Path) -> None:
    for path in sorted(folder.glob("*/run.json")):
        run = Run(*json.loads(path.read_text()))
        print(json.dumps(judged(path.parent, run._replace(right=Right(*run.right)))), flush=True)


def rank(right: Right, told: list[tuple[str, list[str]]]) -> int:
    """1: first; 0: not among them. Of several faults all must be there, and their rank is the last one's, less the others."""
    if not right.causes:
        return 0 if told else 1
    if len(right.causes) > 1 and len(right.members) > 1:
        ranks = [rank(Right((cause,), (member,)), told) for cause, member in zip(right.causes, right.members, strict=True)]
        return max(1, max(ranks) - len(ranks) + 1) if all(ranks) else 0
    for number, (cause, members) in enumerate(told, 1):
        if cause in right.causes and all(member in members for member in right.members):
            return number
    return 0


def plain(places: list[str], asked: Asked, right: Right, names: dict[str, str]) -> dict[str, object]:
    """What grep and a table of frequencies point at."""
    with logs.gathered(places, None) as found:
        read = logs.read(found, asked)
    summary, side, before = read.side.summary, read.side, read.baseline
    counted: list[tuple[int, float, str, str]] = []
    for (member, kind), cells in summary.cells.items():
        now = sum(int(cell[0]) for _, cell in side.within(member, cells))
        if not now:
            continue
        old = sum(int(cell[0]) for _, cell in before.within(member, cells)) if before is not None else 0
        g2 = rates.change(now, side.seconds_of(member), old, before.seconds_of(member) if before is not None else 1).g2
        counted.append((now if summary.levels.get(kind, 0) >= WARNING else 0, g2, member, kind))

    def points_at(member: str, kind: str) -> bool:
        about = {names.get(str(act.fields.get("peer")), "") for act in summary.acts if act.member == member and act.kind == kind}
        return not right.members or member in right.members or bool(about & set(right.members))

    loud = max(counted, key=lambda one: one[0], default=None)
    changed = max(counted, key=lambda one: one[1], default=None)
    return {
        "grep": bool(loud and loud[0] and points_at(loud[2], loud[3])) if right.causes else not (loud and loud[0]),
        "frequency": bool(changed and points_at(changed[2], changed[3])) if right.causes else not (changed and changed[1] > 10),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How often is the cause found?")
    parser.add_argument("--kinds", default=",".join([*kinds.FAULTS, *kinds.HEALTHY]))
    parser.add_argument("--seeds", default="1-5")
    parser.add_argument("--to", default="", help="a file of results, for those that are not in it yet; default: standard output")
    parser.add_argument("--again", default="", help="ask the present rules about the logs that were kept in this folder")
    parser.add_argument("--keep", default="", help="a folder for the logs of each run")
    arguments = parser.parse_args(argv)
    if arguments.again:
        again(Path(arguments.again))
        return 0
    results = Path(arguments.to) if arguments.to else None
    told = map(json.loads, results.read_text().splitlines()) if results is not None and results.exists() else ()
    done = {(run["kind"], run["seed"]) for run in told if NOT_SET_UP not in run}
    failed = 0
    first, _, last = arguments.seeds.partition("-")
    for seed in range(int(first), int(last or first) + 1):
        for kind in arguments.kinds.split(","):
            if (kind, seed) in done:
                continue
            try:
                line = json.dumps(one_run(kind, seed, arguments.keep)) + "\n"
            except Exception as error:  # of the harness, or a cluster that did not come up: no verdict, and none is counted
                failed += 1
                print(f"{kind} {seed} was not brought about:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
                line = json.dumps({"kind": kind, "seed": seed, NOT_SET_UP: f"{type(error).__name__}: {error}"}) + "\n"
            if results is None:
                print(line, end="", flush=True)
            else:
                with results.open("a") as file:
                    file.write(line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
