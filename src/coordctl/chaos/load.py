"""Clients that work on a cluster while it is broken, in a process of their own, and write down what they asked and were told.

    python -m coordctl.chaos.load KIND ENDPOINTS PREFIX FOLDER CLIENTS SEED

Each line is an event of a history, with Jepsen's field names. CLIENTS are numbers with commas. It ends with its standard input, also
when whoever started it is killed. KIND `keeper` has no clients: when all others of the run have ended, it removes what was put below
PREFIX, and the run's folder, too, unless it was told that the run came to its end.
"""

import fcntl
import json
import os
import random
import shutil
import sys
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

from coordnode.client.sync import Cluster, connect
from coordnode.errors import CoordError

TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS_MAX = 0.03  # between two questions of one client
KEYS = 4
LEASE_SECONDS = 3.0
HOLDS_SECONDS_MAX, HOLDS_LONG_SECONDS = 0.1, 0.6
HOLDS_LONG_SHARE = 0.15  # of the times
LOST = 1_000  # processes from here on: losses, noted when they are learnt
CLEAN_SECONDS = 10.0


class Paper:
    """One file for all clients of a process, a line at a time."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, process: int, kind: str, function: str, value: object, at_ns: int = 0) -> None:
        line = {"process": process, "type": kind, "f": function, "value": value, "time": at_ns or time.monotonic_ns()}
        os.write(self._descriptor, json.dumps(line, separators=(",", ":")).encode() + b"\n")


class Client(threading.Thread, ABC):
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

    @abstractmethod
    def turn(self, turn: int) -> None:
        """One thing that a client does. Raises what the cluster answers, once it is written down."""

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
            is_long = self.chance.random() < HOLDS_LONG_SHARE
            time.sleep(HOLDS_LONG_SECONDS if is_long else self.chance.uniform(0, HOLDS_SECONDS_MAX))
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
    """Takes no write with a token below one that it has seen; a file, for the clients of all processes."""

    def __init__(self, path: str) -> None:
        self._path = path

    def take(self, token: int) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            highest = int(os.pread(descriptor, 32, 0) or b"0")
            if token >= highest:
                os.pwrite(descriptor, b"%d" % token, 0)
            return token >= highest
        finally:
            os.close(descriptor)


KINDS: dict[str, type[Client]] = {"kv": KvClient, "lock": LockClient}
KEEPER = "keeper"
ENDED = b"ended"  # what a keeper is told by a run that came to its end
ALIVE = "alive.lock"  # in the run's folder: shared by its loads while they run


def clean(endpoints: list[str], prefix: str) -> None:
    """Also after a run in which nothing could be reached at the end: then it is tried for a while."""
    until = time.monotonic() + CLEAN_SECONDS
    while time.monotonic() < until:
        with suppress(CoordError), connect(endpoints, timeout=2.0) as cluster:
            for item in list(cluster.kv.range(prefix, keys_only=True)):
                cluster.kv.delete(item.key)
            return


def keep(endpoints: list[str], prefix: str, folder: str) -> int:
    is_ended = sys.stdin.buffer.read() == ENDED
    alive = os.open(os.path.join(folder, ALIVE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(alive, fcntl.LOCK_EX)  # until no client reads any more what is removed here
    clean(endpoints, prefix)
    if not is_ended:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def main(argv: list[str]) -> int:
    kind, endpoints_text, prefix, folder, numbers, seed = argv
    endpoints = endpoints_text.split(",")
    if kind == KEEPER:
        return keep(endpoints, prefix, folder)
    alive = os.open(os.path.join(folder, ALIVE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(alive, fcntl.LOCK_SH)
    is_over = threading.Event()
    paper = Paper(os.path.join(folder, f"{kind}.events.jsonl"))
    resource = Resource(os.path.join(folder, "resource"))
    threads = [KINDS[kind](int(number), endpoints, prefix, paper, int(seed), is_over) for number in numbers.split(",")]
    for thread in threads:
        if isinstance(thread, LockClient):
            thread.resource = resource
        thread.start()
    sys.stdin.buffer.read()
    is_over.set()
    for thread in threads:
        thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
