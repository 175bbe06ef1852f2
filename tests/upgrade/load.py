"""Users of a cluster that is being upgraded: they put, read, compare and lock at a rate, and write down what they asked and were told.

    python -m tests.upgrade.load ENDPOINTS FOLDER --rate 200 --seed 7

Ends with its standard input, and prints what it counted as one JSON object. One lock is held all the while.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coordnode.client.locks import Lock
from coordnode.client.sync import Kv, connect
from coordnode.errors import CoordError
from tests.processes.violence.paper import Paper, write_event

WRITERS, LOCKERS = 6, 4
LOCKS = 3
KEYS = 24
PATIENCE_S = 60
HELD = "held/all/the/while"


class Counted:
    def __init__(self) -> None:
        self.asked = 0
        self.locked = 0
        self.failures: list[str] = []
        self.worst_ms = 0.0
        self._changing = threading.Lock()

    def add(self, began: float, *, asked: int, locked: int = 0, failure: str = "") -> None:
        with self._changing:
            self.asked += asked
            self.locked += locked
            self.worst_ms = max(self.worst_ms, (time.monotonic() - began) * 1000)
            if failure:
                self.failures.append(failure)


class Pace:
    """So many steps a second over the whole time: what was late is made up for."""

    def __init__(self, per_second: float, stopping: threading.Event) -> None:
        self._every = 1 / per_second
        self._stopping = stopping
        self._due = time.monotonic()

    def goes_on(self) -> bool:
        self._due += self._every
        return not self._stopping.wait(max(0.0, self._due - time.monotonic()))


class Writer:
    """Every write has a request id: the client may send it again as often as it must."""

    def __init__(self, endpoints: str, paper: Paper, number: int, rng: random.Random, counted: Counted) -> None:
        self._cluster = connect(endpoints, identity=f"writer-{number}", timeout=PATIENCE_S)
        self._paper = paper
        self._number = number
        self._rng = rng
        self._counted = counted
        self._count = 0
        self._seen: dict[str, str] = {}

    def run(self, pace: Pace) -> None:
        while pace.goes_on():
            self._step()
        self._cluster.close()

    def _step(self) -> None:
        self._count += 1
        key, value = f"k/{self._rng.randrange(KEYS):02d}", f"{self._number}-{self._count}"
        draw = self._rng.random()
        if draw < 0.5:
            self._ask("put", key, value, lambda kv: bool(kv.put(key, value, request_id=value)))
        elif draw < 0.75:
            seen = self._seen.get(key, "")
            condition: Any = {"prev_value": seen} if seen else {"absent": True}
            self._ask("cas", key, [seen, value], lambda kv: kv.compare_and_set(key, value, request_id=value, **condition) is not None)
        else:
            self._ask("get", key, None, lambda kv: self._get(kv, key))

    def _get(self, kv: Kv, key: str) -> list[str]:
        item = kv.get(key)
        self._seen[key] = item.value.decode() if item is not None else ""
        return [key, self._seen[key]]

    def _ask(self, function: str, key: str, argument: Any, ask: Callable[[Kv], Any]) -> None:
        write_event(self._paper, self._number, "invoke", function, (key, argument))
        began = time.monotonic()
        try:
            result = ask(self._cluster.kv)
        except CoordError as error:
            write_event(self._paper, self._number, "fail" if error.definite else "info", function, None)
            self._counted.add(began, asked=1, failure=f"{function}: {error.sentence}")
            return
        write_event(self._paper, self._number, "ok", function, result)
        self._counted.add(began, asked=1)


class Locker:
    """Takes a lock, and gives it back: with its session that is three requests and more."""

    def __init__(self, endpoints: str, papers: list[Paper], number: int, rng: random.Random, counted: Counted) -> None:
        self._cluster = connect(endpoints, identity=f"locker-{number}", timeout=PATIENCE_S)
        self._papers = papers
        self._number = number
        self._rng = rng
        self._counted = counted

    def run(self, pace: Pace) -> None:
        while pace.goes_on():
            self._step(self._rng.randrange(LOCKS))
        self._cluster.close()

    def _step(self, which: int) -> None:
        paper, began = self._papers[which], time.monotonic()
        lock = self._cluster.lock(f"lock/{which}", ttl=20)
        function = "acquire"
        write_event(paper, self._number, "invoke", function, None)
        try:
            lock.acquire()
            write_event(paper, self._number, "ok", function, int(lock.token))
            function = "release"
            write_event(paper, self._number, "invoke", function, int(lock.token))
            lock.release()
            write_event(paper, self._number, "ok", function, True)
        except CoordError as error:
            write_event(paper, self._number, "info", function, None)
            self._counted.add(began, asked=1, failure=f"{function} of a lock: {error.sentence}")
            return
        self._counted.add(began, asked=2, locked=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoints")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counted, stopping = Counted(), threading.Event()
    kv, locks = Paper(options.folder / "kv.jsonl"), [Paper(options.folder / f"lock-{which}.jsonl") for which in range(LOCKS)]
    per_lock = options.rate * 0.2 / 2 / LOCKERS  # a fifth of the requests are for locks, two for each
    per_write = options.rate * 0.8 / WRITERS
    endpoints, seed = options.endpoints, options.seed
    writers = [Writer(endpoints, kv, number, random.Random(f"{seed}-{number}"), counted) for number in range(WRITERS)]
    lockers = [Locker(endpoints, locks, number, random.Random(f"{seed}-l{number}"), counted) for number in range(LOCKERS)]
    with connect(endpoints, identity="holder", timeout=60) as cluster:
        held: Lock = cluster.lock(HELD, ttl=15).acquire()
        token, began = int(held.token), time.monotonic()
        threads = [threading.Thread(target=one.run, args=(Pace(per_write, stopping),)) for one in writers]
        threads += [threading.Thread(target=one.run, args=(Pace(per_lock, stopping),)) for one in lockers]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        stopping.set()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        held.check()
        still = [one.first.token for one in cluster.locks.list(HELD) if one.first is not None]
    told = {"asked": counted.asked, "locked": counted.locked, "failures": counted.failures, "worst_ms": counted.worst_ms}
    print(json.dumps({**told, "per_second": counted.asked / seconds, "seconds": seconds, "held": token, "held_at_the_end": still}))


if __name__ == "__main__":
    main()
