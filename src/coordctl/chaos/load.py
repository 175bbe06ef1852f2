"""Clients that work on a cluster while it is broken, in a process of their own, and write down what they asked and were told.

    python -m coordctl.chaos.load KIND ENDPOINTS PREFIX FOLDER CLIENTS SEED

Each line is an event of a history, with Jepsen's field names. It ends with its standard input, also when whoever started it is killed,
and removes what was put below the run's part of PREFIX, _chaos/RUN/. KIND `none` does nothing but that.
"""

import json
import os
import random
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from coordnode.client.sync import Cluster, connect
from coordnode.errors import CoordError

TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS_MAX = 0.03  # between two questions of one client
KEYS = 4
LEASE_SECONDS = 3.0
HOLDS_SECONDS_MAX = 0.1
LOST = 1_000  # processes from here on: losses, noted when they are learnt
CLEAN_SECONDS = 10.0


class Paper:
    """One file for all clients of a process, a line at a time."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, process: int, kind: str, function: str, value: object, at_ns: int = 0) -> None:
        line = {"process": process, "type": kind, "f": function, "value": value, "time": at_ns or time.monotonic_ns()}
        os.write(self._descriptor, json.dumps(line, separators=(",", ":")).encode() + b"\n")


class Client(threading.Thread):
    def __init__(self, number: int, endpoints: list[str], prefix: str, paper: Paper, seed: int, is_over: threading.Event) -> None:
        super().__init__(name=f"client {number}")
        self.number = number
        self.prefix = prefix
        self.paper = paper
        self.chance = random.Random(f"{seed}/{number}")
        self.cluster: Cluster = connect(endpoints, identity=f"chaos load {number}", timeout=TIMEOUT_SECONDS)
        self._is_over = is_over

    def run(self) -> None:
        turn = 0
        while not self._is_over.wait(self.chance.uniform(0, PAUSE_SECONDS_MAX)):
            turn += 1
            with suppress(CoordError):  # it is written down
                self.turn(turn)
        self.cluster.close()

    def turn(self, turn: int) -> None:
        raise NotImplementedError

    def ask(self, function: str, argument: object, act: Any) -> Any:
        self.paper.write(self.number, "invoke", function, argument)
        try:
            value = act()
        except CoordError as error:
            self.paper.write(self.number, "fail" if error.definite else "info", function, None)
            raise
        self.paper.write(self.number, "ok", function, value)
        return value


class KvClient(Client):
    def turn(self, turn: int) -> None:
        key = f"{self.prefix}k{self.chance.randrange(KEYS)}"
        draw = self.chance.random()
        value = f"{self.number}-{turn}"
        if draw < 0.45:
            request_id = f"{self.prefix}{value}" if self.chance.random() < 0.5 else ""
            self.ask("put", [key, value], lambda: self._put(key, value, request_id))
        elif draw < 0.95:
            self.ask("get", [key, None], lambda: self._get(key))
        else:
            self.ask("delete", [key, None], lambda: [key, self.cluster.kv.delete(key)])

    def _put(self, key: str, value: str, request_id: str) -> list[str]:
        self.cluster.kv.put(key, value, request_id=request_id)
        return [key, value]

    def _get(self, key: str) -> list[str]:
        item = self.cluster.kv.get(key)
        return [key, item.value.decode() if item is not None else ""]


class LockClient(Client):
    """Takes the lock, writes to what it guards, gives it back. What it guards looks at tokens."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.resource: Resource | None = None
        self._losses = LOST * self.number

    def turn(self, turn: int) -> None:
        resource = self.resource
        assert resource is not None
        lock = self.cluster.lock(f"{self.prefix}lock", ttl=LEASE_SECONDS)
        token = int(self.ask("acquire", None, lambda: int(lock.acquire().token)))
        had_ns = time.monotonic_ns()
        try:
            self.ask("write", [token, self.number], lambda: resource.take(token))
            time.sleep(self.chance.uniform(0, HOLDS_SECONDS_MAX))
            self.ask("release", token, lambda: self._release(lock))
        except CoordError:
            self._losses += 1
            self.paper.write(self._losses, "invoke", "lost", token, had_ns)
            self.paper.write(self._losses, "info", "lost", None)
            raise

    def _release(self, lock: Any) -> bool:
        lock.release()
        return True


class Resource:
    """Takes no write with a token below one that it has seen; one for all clients of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._highest = 0

    def take(self, token: int) -> bool:
        with self._lock:
            is_taken = token >= self._highest
            self._highest = max(token, self._highest)
            return is_taken


KINDS: dict[str, type[Client]] = {"kv": KvClient, "lock": LockClient}
NONE = "none"


def clean(endpoints: list[str], prefix: str) -> None:
    """Also after a run in which nothing could be reached at the end: then it is tried for a while."""
    until = time.monotonic() + CLEAN_SECONDS
    while time.monotonic() < until:
        with suppress(CoordError), connect(endpoints, timeout=2.0) as cluster:
            for item in list(cluster.kv.range(prefix, keys_only=True)):
                cluster.kv.delete(item.key)
            return


def main(argv: list[str]) -> int:
    kind, endpoints_text, prefix, folder, clients, seed = argv
    endpoints = endpoints_text.split(",")
    is_over = threading.Event()
    paper = Paper(os.path.join(folder, f"{kind}.events.jsonl"))
    resource = Resource()
    threads = [KINDS[kind](number, endpoints, prefix, paper, int(seed), is_over) for number in range(1, int(clients) + 1)]
    for thread in threads:
        if isinstance(thread, LockClient):
            thread.resource = resource
        thread.start()
    sys.stdin.buffer.read()
    is_over.set()
    for thread in threads:
        thread.join()
    clean(endpoints, prefix[: prefix.index("/", prefix.index("/") + 1) + 1])  # of the whole run: what probes put, too
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
