"""Clients that write down what they asked, when, and what they were told: each a thread, several in each process, one a holder.

    python -m tests.processes.violence.clients load ENDPOINTS FILE --first-process 1 --threads 3 --seed 7
    python -m tests.processes.violence.clients watch ENDPOINTS FILE --seed 7

A load stops at the end of its standard input. Watches are told there by a number which revision is the last to wait for.
"""

import argparse
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from coordnode.checking.writing import plain
from coordnode.client.addresses import parse_addresses
from coordnode.client.clock import now_ms
from coordnode.client.pump import Pump
from coordnode.client.requests import Request
from coordnode.client.sync import Cluster, connect
from coordnode.errors import CoordError, HistoryGone
from coordnode.ids import SessionId
from coordnode.services.commands import EQUAL, MOD_REVISION, ClientOperation, Compare, Delete, Get, Put, Range, Result, Transaction
from coordnode.simulator.cluster import VOCABULARY
from tests.processes.violence.holders import Holder
from tests.processes.violence.paper import Paper, write_event

KEYS = 24
PAUSE_S_MAX = 0.008  # between two questions of one client: the machine is not ours alone
TIMEOUTS_MS = (300, 3_000, 20_000)  # short ones leave outcomes unknown
HOP_S_MAX = 2.0
RANGE_LIMIT = 1_000
WATCHES = ((b"", False), (b"", True), (b"k/0", True))  # prefix, hops
LAST_KEY = b"k/00"  # every watch sees it


class Client:
    """One process of the history: one question at a time."""

    def __init__(self, endpoints: str, paper: Paper, number: int) -> None:
        self._pump = Pump(parse_addresses(endpoints), f"violence-{number}")
        self._paper = paper
        self.number = number

    def ask(self, operation: ClientOperation, *, timeout_ms: int, request_id: str = "") -> Result | None:
        """None: it failed, or nobody knows."""
        function, argument = VOCABULARY.asked(operation, SessionId(0))
        write_event(self._paper, self.number, "invoke", function, argument)
        try:
            request: Request[Result | None] = Request(operation, lambda result: result, request_id=request_id)
            result = self._pump.call(request, timeout_ms)
        except CoordError as error:
            write_event(self._paper, self.number, "fail" if error.definite else "info", function, None)
            return None
        write_event(self._paper, self.number, "ok", function, VOCABULARY.answered(operation, result))
        return result

    def close(self) -> None:
        self._pump.close()


def _key(number: int) -> bytes:
    return b"k/%02d" % number


class Load:
    def __init__(self, client: Client, rng: random.Random) -> None:
        self._client = client
        self._rng = rng
        self._count = 0
        self._seen: dict[bytes, int] = {}  # key -> the newest revision that an answer showed

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self.step()
            stopping.wait(self._rng.uniform(0, PAUSE_S_MAX))
        self._client.close()

    def step(self) -> None:
        rng = self._rng
        key = _key(rng.randrange(KEYS))
        timeout_ms = rng.choice(TIMEOUTS_MS)
        self._count += 1
        value = b"%d-%d" % (self._client.number, self._count)
        request_id = value.decode() if rng.random() < 0.5 else ""
        draw = rng.random()
        if draw < 0.35:
            done = self._client.ask(Put(key, value), timeout_ms=timeout_ms, request_id=request_id)
            self._see(key, done)
        elif draw < 0.65:
            compare = Compare(key, MOD_REVISION, EQUAL, self._seen.get(key, 0))
            done = self._client.ask(Transaction([compare], [Put(key, value)], [Get(key)]), timeout_ms=timeout_ms, request_id=request_id)
            self._see(key, done)
        elif draw < 0.9:
            self._see(key, self._client.ask(Get(key), timeout_ms=timeout_ms))
        elif draw < 0.95:
            self._client.ask(Delete(key), timeout_ms=timeout_ms, request_id=request_id)
        else:
            self._client.ask(Range(_key(0), _key(KEYS), RANGE_LIMIT), timeout_ms=timeout_ms)

    def _see(self, key: bytes, result: Any) -> None:
        results = getattr(result, "results", None)
        if results is not None and not result.succeeded:
            result = results[0]
        item = getattr(result, "item", None)
        if item is not None:
            self._seen[key] = item.mod_revision
        elif result is not None and not hasattr(result, "item"):
            self._seen[key] = result.revision


class Watching:
    """One watch from the first revision on; one that hops goes on over another connection every now and then."""

    def __init__(self, endpoints: str, paper: Paper, number: int, prefix: bytes, rng: random.Random, *, hops: bool) -> None:
        self._endpoints = endpoints.split(",")
        self._paper = paper
        self._number = number
        self._prefix = prefix
        self._rng = rng
        self._hops = hops
        self._next = 1
        self.until = 0  # the last revision to wait for, and all see it; 0: not known yet

    def run(self) -> None:
        while not self._is_over():
            self._rng.shuffle(self._endpoints)
            with connect(self._endpoints) as cluster:
                self._watch(cluster, time.monotonic() + self._rng.uniform(0, HOP_S_MAX) if self._hops else float("inf"))

    def _is_over(self) -> bool:
        return bool(self.until) and self._next > self.until

    def _watch(self, cluster: Cluster, hop_at_s: float) -> None:
        self._write(opened=self._next, prefix=plain(self._prefix))
        try:
            with cluster.kv.watch(self._prefix, from_revision=self._next) as watch:
                while not self._is_over() and time.monotonic() < hop_at_s:
                    change = watch.take(timeout=0.1)
                    if change is not None:
                        events = [(one.kind, plain(one.key), plain(one.value), one.version, one.session) for one in change.events]
                        self._write(revision=change.revision, events=events, at=now_ms())
                        self._next = change.revision + 1
        except HistoryGone as gone:
            self._write(gap=gone.floor)
            self._next = gone.floor

    def _write(self, **fields: Any) -> None:
        self._paper.write({"watch": self._number, **fields})


def load(options: argparse.Namespace) -> None:
    paper = Paper(options.file)
    stopping = threading.Event()
    numbers = range(options.first_process, options.first_process + options.threads)
    loads = [Load(Client(options.endpoints, paper, number), random.Random(f"{options.seed}-{number}")) for number in numbers]
    holder = Holder(options.endpoints, paper, options.first_process + options.threads, random.Random(f"{options.seed}-holder"))
    threads = [threading.Thread(target=one.run, args=(stopping,)) for one in (*loads, holder)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stopping.set()
    for thread in threads:
        thread.join()


def watch(options: argparse.Namespace) -> None:
    paper = Paper(options.file)
    rng = random.Random(options.seed)
    watches = [
        Watching(options.endpoints, paper, number, prefix, random.Random(rng.random()), hops=hops)
        for number, (prefix, hops) in enumerate(WATCHES)
    ]
    threads = [threading.Thread(target=one.run) for one in watches]
    for thread in threads:
        thread.start()
    until = int(sys.stdin.readline() or "1")
    for one in watches:
        one.until = until
    for thread in threads:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("load", "watch"))
    parser.add_argument("endpoints")
    parser.add_argument("file", type=Path)
    parser.add_argument("--first-process", type=int, default=0)
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    (load if options.what == "load" else watch)(options)


if __name__ == "__main__":
    main()
