"""How long nobody's write is acknowledged when the leader goes: killed, stopped, cut off silently, asked to leave.

    PYTHONPATH=src:. python benchmarks/failover.py --times 30 [--faults kill,stop,cut,term] [--flag=--tick=20ms]

Three members with their defaults on this machine, and clients that write all the time, each sending again what was not
answered. For each fault: the longest time between two acknowledgements around it. `cut` takes the leader's network away
without a word to anybody; it needs root, because each member then gets a network namespace of its own.
"""

import argparse
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coordnode.client.sync import connect
from coordnode.errors import CoordError
from tests.processes.members import SOURCE, Cluster, Process, wait_until
from tests.processes.networks import Networks, why_not

CLIENTS = 8
PAUSE_S = 0.002  # of a client between two writes
QUIET_S = 0.6  # of steady writing before each fault, and after it was healed
LONGEST_S = 20.0
BOUNDS_MS = {"kill": (600, 1_500), "stop": (1_000, 2_500), "cut": (1_000, 2_500), "term": (None, 150)}  # median, worst
WORDS = {"kill": "kill -9", "stop": "SIGSTOP", "cut": "cut off silently", "term": "SIGTERM"}


# --- the load: a process of its own ----------------------------------------------------------------------------------


def load(endpoints: str) -> None:
    """Answers each line of standard input with the times of all acknowledgements since the last one."""
    times: list[float] = []

    def write(number: int) -> None:
        with connect(endpoints) as cluster:
            for count in itertools.count():
                try:
                    cluster.kv.put(f"load/{number}", b"x" * 64, request_id=f"{os.getpid()}-{number}-{count}", timeout=LONGEST_S)
                except CoordError as error:
                    print(error, file=sys.stderr, flush=True)
                    continue
                times.append(time.monotonic())
                time.sleep(PAUSE_S)

    for number in range(CLIENTS):
        threading.Thread(target=write, args=(number,), daemon=True).start()
    for _ in sys.stdin:
        taken, times[:] = list(times), []
        print(json.dumps(taken), flush=True)
    os._exit(0)


class Load:
    def __init__(self, endpoints: str) -> None:
        command = [sys.executable, __file__, "--load", endpoints]
        environment = {"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.times: list[float] = []

    def look(self) -> list[float]:
        """All since `forget`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.times += json.loads(self._process.stdout.readline())
        return self.times

    def forget(self) -> None:
        self.look()
        self.times = []

    def wait_steady(self, seconds: float) -> None:
        """Written without a break for so long."""

        def is_steady() -> bool:
            recent = [at for at in self.look() if at > time.monotonic() - seconds]
            gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(recent))]
            return len(recent) > 20 and recent[-1] - recent[0] > 0.8 * seconds and max(gaps) < 0.1

        self.forget()
        wait_until(is_steady, "clients write steadily")

    def longest_gap_ms(self, since_s: float) -> float:
        """Once writing goes on again after the fault."""
        wait_until(lambda: len([at for at in self.look() if at > since_s + 0.05]) > 20, "writing goes on", LONGEST_S)
        times = sorted(at for at in self.look() if at > since_s - 0.05)
        return max(later - earlier for earlier, later in itertools.pairwise(times)) * 1_000

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


# --- faults ----------------------------------------------------------------------------------------------------------


class Bench:
    def __init__(self, folder: Path, flags: list[str], networks: Networks | None) -> None:
        self._flags = flags
        self._networks = networks
        self.cluster = Cluster(folder, hosts=networks.open(3) if networks is not None else None)
        if networks is not None:
            networks.put_inside(self.cluster)
        self.cluster.start(*flags)
        self.cluster.wait_ready()
        self.load = Load(",".join(self.cluster.contacts.values()))

    def measure(self, fault: str, times: int) -> list[float]:
        gaps: list[float] = []
        for _ in range(times):
            self.cluster.wait_ready()
            wait_until(self._is_whole, "all members are connected")
            self.load.wait_steady(QUIET_S)
            leader = self.cluster.leader()
            at_s = time.monotonic()
            heal = FAULTS[fault](self, leader)
            gaps.append(self.load.longest_gap_ms(at_s))
            print(f"{fault} {gaps[-1]:.0f} ms", file=sys.stderr, flush=True)
            heal()
        return gaps

    def _is_whole(self) -> bool:
        found = [one.status() for one in self.cluster.members.values()]
        return all(one is not None and all(peer["connected"] for peer in one["peers"]) for one in found)

    def kill(self, leader: Process) -> Callable[[], None]:
        leader.kill()
        return lambda: leader.start(*self._flags)

    def stop(self, leader: Process) -> Callable[[], None]:
        leader.signal(signal.SIGSTOP)
        return lambda: leader.signal(signal.SIGCONT)

    def cut(self, leader: Process) -> Callable[[], None]:
        assert self._networks is not None
        networks = self._networks
        networks.cut(leader.member)
        return lambda: networks.heal(leader.member)

    def term(self, leader: Process) -> Callable[[], None]:
        leader.signal(signal.SIGTERM)
        assert leader.wait() == 0
        return lambda: leader.start(*self._flags)

    def end(self) -> None:
        self.load.end()
        self.cluster.end()


FAULTS: dict[str, Callable[[Bench, Process], Callable[[], None]]] = {
    "kill": Bench.kill,
    "stop": Bench.stop,
    "cut": Bench.cut,
    "term": Bench.term,
}


@contextmanager
def bench(flags: list[str], *, with_networks: bool) -> Iterator[Bench]:
    networks = Networks() if with_networks else None
    with tempfile.TemporaryDirectory(prefix="failover-") as folder:
        try:
            made = Bench(Path(folder), flags, networks)
            try:
                yield made
            finally:
                made.end()
        finally:
            if networks is not None:
                networks.close()


def row(fault: str, gaps: list[float]) -> str:
    median_max, worst_max = BOUNDS_MS[fault]
    gaps = sorted(gaps)
    median = statistics.median(gaps)
    kept = (median_max is None or median <= median_max) and gaps[-1] <= worst_max
    figures = [median, gaps[int(len(gaps) * 0.9)], gaps[-1]]
    cells = [WORDS[fault], len(gaps), *map(round, figures), f"{median_max or '-'} / {worst_max}", "yes" if kept else "NO"]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--faults", default="kill,stop,cut,term")
    parser.add_argument("--flag", action="append", default=[], help="for each member")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    if options.load:
        load(options.load)
        return
    faults = options.faults.split(",")
    if "cut" in faults and why_not():
        print(f"cut is left out: {why_not()}", file=sys.stderr)
        faults.remove("cut")
    rows = ["| the leader's end | times | median ms | p90 ms | worst ms | wanted: median / worst | kept |", "|---|---|---|---|---|---|---|"]
    for fault in faults:
        with bench(options.flag, with_networks=fault == "cut") as made:
            rows.append(row(fault, made.measure(fault, options.times)))
    print("\n".join(rows))


if __name__ == "__main__":
    main()
