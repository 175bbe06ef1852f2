"""What telemetry costs: puts of 100 clients, one outstanding each, with it and without, in turn.

    PYTHONPATH=src:. python benchmarks/telemetry.py [--pairs 22] [--seconds 1.5]

Two clusters of three members on this machine; one of them runs a copy of this program in which events, pulses, the flight recorder, the
histograms and the breakdown of each commit are taken out. The one that is not asked idles. Pairs are measured as A B, B A, …; the figure
of each pair is how many fewer puts the one with telemetry took. Needs a C compiler, and a machine that nobody else uses.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.beside.coordnode import compile_load
from tests.processes.members import SOURCE, Cluster

CONNECTIONS, OUTSTANDING = 100, 1
WITHOUT = {
    "node/observer.py": """

def _only_what_must_be(self, events, effects, asked_ns, began_ns, ended_ns):
    raft = self._replica.raft
    if raft.config is not self._config:
        self._config = raft.config
        self._on_config(raft.config)


Observer.turned = _only_what_must_be
Observer.on_committed = lambda self, committed: None
""",
    "node/pulse.py": "\n\nPulse.maybe_tell = lambda self, now_ns: None\n",
    "node/telemetry.py": "\n\nTelemetry.emit = lambda self, *args, **fields: None\n",
    "node/metrics.py": "\n\nDurations.observe = lambda self, duration_ns: None\n",
}


def without(folder: Path) -> Path:
    target = folder / "without"
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in WITHOUT.items():
        with (target / "coordnode" / name).open("a") as file:
            file.write(text)
    return target


def started(folder: Path, source: Path) -> Cluster:
    folder.mkdir()
    cluster = Cluster(folder)
    for one in cluster.members.values():
        one.start(environment={"PYTHONPATH": str(source)})
    cluster.wait_ready()
    return cluster


def puts_per_second(program: Path, cluster: Cluster, seconds: float) -> float:
    host, port = cluster.leader().address
    command = [str(program), f"{host}:{port}", str(CONNECTIONS), str(OUTSTANDING), f"{seconds:g}", "put"]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return float(found["per_second"])


def main() -> None:
    parser = argparse.ArgumentParser(description="What does telemetry cost?")
    parser.add_argument("--pairs", type=int, default=22)
    parser.add_argument("--seconds", type=float, default=1.5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="telemetry-") as scratch:
        folder = Path(scratch)
        program = compile_load(folder)
        clusters = [started(folder / "a", SOURCE), started(folder / "b", without(folder))]
        try:
            for cluster in clusters:
                puts_per_second(program, cluster, arguments.seconds)
            costs, figures = [], []
            for number in range(arguments.pairs):
                order = (0, 1) if number % 2 == 0 else (1, 0)
                found = {which: puts_per_second(program, clusters[which], arguments.seconds) for which in order}
                figures.append((found[0], found[1]))
                costs.append(1 - found[0] / found[1])
                print(json.dumps({"with": round(found[0]), "without": round(found[1]), "cost": round(costs[-1], 4)}), flush=True)
        finally:
            for cluster in clusters:
                cluster.end()
    low, high = interval(sorted(costs))
    print(f"with {median(a for a, _ in figures):,.0f}/s, without {median(b for _, b in figures):,.0f}/s")
    print(f"cost, median of {len(costs)} pairs: {median(costs):.1%}; 95 % interval of the median: {low:.1%} to {high:.1%}")


def interval(ordered: list[float]) -> tuple[float, float]:
    """Of the median, from the order alone: no more than 2.5 in 100 lie outside on either side."""
    count, total, rank, ways = len(ordered), 0.0, 0, 1.0
    for number in range(count + 1):
        total += ways / 2**count
        if total > 0.025:
            break
        rank = number + 1
        ways = ways * (count - number) / (number + 1)
    return ordered[max(0, rank - 1)], ordered[min(count - 1, count - rank)]


if __name__ == "__main__":
    main()
