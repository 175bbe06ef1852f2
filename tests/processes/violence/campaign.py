"""One campaign: a load, watches, violence for a while, and then the judgement.

    python -m tests.processes.violence.campaign --seconds 600 --seed 1 [--power] [--cut]

`--power`: the members' disks forget at kill -9 whatever was not synced. `--cut`: their networks are cut, too (root).
A red campaign prints its seed and keeps its folder.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from coordnode.ranges import prefix_end
from coordnode.services.commands import Done, Page, Put, Range
from tests.processes.members import PATIENCE_S, SOURCE, Cluster, wait_until
from tests.processes.networks import Networks, why_not
from tests.processes.shims import compiled
from tests.processes.violence.clients import LAST_KEY, RANGE_LIMIT, Client
from tests.processes.violence.holders import PREFIX
from tests.processes.violence.judgement import Watched, check, lines, merged
from tests.processes.violence.nemesis import Nemesis
from tests.processes.violence.paper import Paper
from tests.processes.violence.power import SOURCE as POWER
from tests.processes.violence.power import Lost, Power

LOADS = 3
THREADS = 3
FLAGS = ("--snapshot-entries", "400", "--keep-entries", "100")  # snapshots are made, sent and loaded all the time


class Found(NamedTuple):
    acts: list[str]
    events: int
    acknowledged: int  # writes
    revisions: int
    gaps: int
    sessions: int  # that ended without being closed
    lost: Lost
    verdict: str


class Campaign:
    def __init__(self, folder: Path, seed: int, *, power: bool = False, networks: Networks | None = None) -> None:
        """Who gives networks closes them."""
        self._folder = folder
        self._seed = seed
        self.cluster = Cluster(folder, hosts=networks.open(3) if networks is not None else None)
        if networks is not None:
            networks.put_inside(self.cluster)
        powers: dict[int, Power] = {}
        if power:
            library = compiled(POWER, folder)
            powers = {number: Power(library, one.folder) for number, one in self.cluster.members.items()}
        self._nemesis = Nemesis(self.cluster, random.Random(seed), FLAGS, powers, networks)
        self._clients: list[subprocess.Popen[str]] = []
        self._endpoints = ",".join(self.cluster.contacts.values())
        self._papers = [folder / f"load-{number}.jsonl" for number in range(LOADS)]
        self._own = Client(self._endpoints, Paper(folder / "own.jsonl"), 0)
        self._own_count = 0

    def run(self, seconds: float, *, each_act_once: bool = False) -> Found:
        try:
            return self._run(seconds, each_act_once=each_act_once)
        finally:
            for client in self._clients:
                client.kill()
                client.wait()
            self._own.close()
            self.cluster.end()

    def _run(self, seconds: float, *, each_act_once: bool) -> Found:
        nemesis = self._nemesis
        nemesis.heal()
        self.cluster.wait_ready()
        for number, paper in enumerate(self._papers):
            first = 1 + number * (THREADS + 1)  # the last one holds sessions
            self._client("load", paper, "--first-process", str(first), "--threads", str(THREADS), "--seed", str(self._seed + number))
        watch_paper = self._folder / "watches.jsonl"
        watching = self._client("watch", watch_paper, "--seed", str(self._seed))
        until = time.monotonic() + seconds
        acts = list(nemesis.all_of_them()) if each_act_once else []
        while acts or time.monotonic() < until:
            nemesis.act(acts.pop() if acts else None)
            self._progress()
        self.cluster.wait_ready()
        for client in self._clients:
            if client is not watching:
                _end(client, "")
        self.cluster.wait_ready()
        wait_until(self._no_session_holds_a_key, "sessions that nobody renews end", 4 * PATIENCE_S)
        last_revision = self._progress()
        _end(watching, f"{last_revision}\n")
        assert self.cluster.wait_equal() == last_revision
        self._own.close()
        return self._judge(watch_paper, last_revision)

    def _judge(self, watch_paper: Path, last_revision: int) -> Found:
        history = self._folder / "history.jsonl"
        watched = Watched(watch_paper)
        watched.check(last_revision)
        events = merged([*self._papers, self._folder / "own.jsonl"], history, watched.changes)
        acknowledged = watched.check_against(history)
        sessions = watched.check_sessions([line for paper in self._papers for line in lines(paper)])
        code, verdict = check(history)
        assert code == 0, verdict
        for one in self.cluster.members.values():
            for name in ("bug", "failed", "rotten", "diverged", "writes_stopped"):
                assert not one.events(name), one.events(name)
        nemesis = self._nemesis
        return Found(nemesis.told, events, acknowledged, last_revision, watched.gaps, sessions, nemesis.lost, verdict.splitlines()[0])

    def _no_session_holds_a_key(self) -> bool:
        page = self._own.ask(Range(PREFIX, prefix_end(PREFIX), RANGE_LIMIT), timeout_ms=int(PATIENCE_S * 1_000))
        return isinstance(page, Page) and not page.items

    def _progress(self) -> int:
        """Waits until a write is acknowledged; its revision."""

        def put() -> int | None:
            self._own_count += 1
            done = self._own.ask(Put(LAST_KEY, b"0-%d" % self._own_count), timeout_ms=int(PATIENCE_S * 1_000))
            return int(done.revision) if isinstance(done, Done) else None

        # Each try has that patience already: one that was in vain must not have been the only one.
        return wait_until(put, f"a write is acknowledged after {self._nemesis.told[-1:]}", 4 * PATIENCE_S)

    def _client(self, what: str, paper: Path, *flags: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.processes.violence.clients", what, self._endpoints, str(paper), *flags]
        environment = {"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"}
        with (self._folder / "clients.log").open("a") as log:
            client = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, text=True, env=environment)
        self._clients.append(client)
        return client


def _end(client: "subprocess.Popen[str]", word: str) -> None:
    """It finishes what it has begun."""
    client.communicate(word, timeout=4 * PATIENCE_S)
    assert client.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--power", action="store_true")
    parser.add_argument("--cut", action="store_true")
    options = parser.parse_args()
    if options.cut and why_not():
        parser.error(f"--cut: {why_not()}")
    folder = Path(tempfile.mkdtemp(prefix="violence-"))
    print(f"seed {options.seed}; {folder} is kept when it turns red", flush=True)
    networks = Networks() if options.cut else None
    try:
        found = Campaign(folder, options.seed, power=options.power, networks=networks).run(options.seconds)
    finally:
        if networks is not None:
            networks.close()
    counted = {act: found.acts.count(act) for act in sorted({*found.acts})}
    print(*[f"{name}: {value}" for name, value in found._replace(acts=[])._asdict().items() if name != "acts"], counted, sep="\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
