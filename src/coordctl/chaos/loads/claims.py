"""What one has, or so many at a time, under tokens: locks of all kinds, and elections."""

import fcntl
import os
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

from coordctl.chaos.loads.clients import Client
from coordnode.client.elections import Leadership
from coordnode.client.locks import Lock
from coordnode.client.sync import Cluster
from coordnode.errors import CoordError, NotHeld

LEASE_SECONDS = 3.0
HOLDS_SECONDS_MAX, HOLDS_LONG_SECONDS = 0.1, 0.6
HOLDS_LONG_SHARE = 0.15  # of the times
PERMITS = 3
STANDS_SECONDS = 2.0  # for an election
DESERTS_SHARE = 0.15


class _LockClient(Client, ABC):
    """Takes it, does something, gives it back."""

    @abstractmethod
    def claim(self) -> tuple[object, Lock]:
        """(what it asks for, as `acquire` names it; the lock)"""

    def do(self, token: int) -> None:
        pass

    def turn(self, turn: int) -> None:
        wanted, lock = self.claim()
        asked_ns = time.monotonic_ns()  # the answer may have come when it was lost already
        token = int(self.ask("acquire", wanted, lambda: int(lock.acquire().token)))
        try:
            self.do(token)
            is_long = self.chance.random() < HOLDS_LONG_SHARE
            time.sleep(HOLDS_LONG_SECONDS if is_long else self.chance.uniform(0, HOLDS_SECONDS_MAX))
            self.ask("release", token, lambda: self._release(lock))
        except CoordError:
            self.lost(token, asked_ns)
            raise

    def _release(self, lock: Lock) -> bool:
        lock.release()
        return True


class LockClient(_LockClient):
    """Writes to what the lock guards, which looks at tokens."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._resource = Resource(os.path.join(self.folder, "resource"))

    def claim(self) -> tuple[object, Lock]:
        return None, self.cluster.lock(f"{self.prefix}lock", ttl=LEASE_SECONDS)

    def do(self, token: int) -> None:
        self.ask("write", [token, self.number], lambda: self._resource.take(token))


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


class ReaderWriterClient(_LockClient):
    def claim(self) -> tuple[object, Lock]:
        shared = self.chance.random() < 0.7
        return "read" if shared else "write", self.cluster.lock(f"{self.prefix}lock", ttl=LEASE_SECONDS, shared=shared)


class SemaphoreClient(_LockClient):
    def claim(self) -> tuple[object, Lock]:
        permits = self.chance.choice((1, 1, 2))
        return [permits, PERMITS], self.cluster.lock(f"{self.prefix}permits", ttl=LEASE_SECONDS, permits=permits, limit=PERMITS)


class ElectionClient(Client):
    def turn(self, turn: int) -> None:
        value = f"{self.number}-{turn}"
        if self.chance.random() < 0.6:
            self._observe(self.cluster)
        else:
            self._lead(value, self.cluster.election(self._election, ttl=LEASE_SECONDS).campaign(value, wait=STANDS_SECONDS))

    @property
    def _election(self) -> str:
        return f"{self.prefix}leader"

    def _observe(self, cluster: Cluster) -> None:
        def act() -> str | None:
            found = cluster.election(self._election).view().election
            return found.leader.value.decode() if found is not None else None

        self.ask("observe", None, act)

    def _lead(self, value: str, leadership: Leadership) -> None:
        asked_ns = time.monotonic_ns()
        try:
            token = int(self.ask("campaign", value, lambda: int(leadership.win().token), doubts=True))
        except CoordError:
            self.lost(None, asked_ns)  # if it won, it led for a moment
            raise
        try:
            for part in range(self.chance.randrange(3)):
                self.ask("proclaim", [token, f"{value}.{part}"], lambda part=part: self._proclaim(leadership, f"{value}.{part}"))  # type: ignore[misc]
                time.sleep(self.chance.uniform(0, HOLDS_SECONDS_MAX))
            if self.chance.random() < DESERTS_SHARE:
                self.come_again()
                self.lost(token, asked_ns)
                return
            self.ask("resign", token, lambda: self._resign(leadership))
        except CoordError:
            self.lost(token, asked_ns)
            raise

    def _proclaim(self, leadership: Leadership, value: str) -> bool:
        try:
            leadership.proclaim(value)
        except NotHeld:
            return False
        return True

    def _resign(self, leadership: Leadership) -> bool:
        leadership.resign()
        return True

    def finish(self) -> None:
        with self.with_patience() as cluster, suppress(CoordError):
            self._observe(cluster)
