"""The names of benchmarks, all below one prefix, and how they go: with the session of their run, or swept once that is over.

Keys and locks are bound to sessions and go with them. Queues and journals are not: a key that is bound to the run's session says
whether the run goes on, and whoever finds it gone removes what the run has left. Other engines have neither, so nothing is swept there.
"""

import os
import socket
from collections.abc import Iterator

from coordctl.engines.clients import is_foreign
from coordnode.client.sync import Cluster, Session
from coordnode.errors import Busy, Full, Missing

PREFIX = "_bench/"
ALIVE = "alive"


class Run:
    """One run's names, and its mark in the cluster."""

    def __init__(self, cluster: Cluster, ttl_seconds: float) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
        self.prefix = f"{PREFIX}{self.name}/"
        self._cluster = cluster
        self._session: Session | None = None
        if not is_foreign(cluster):
            self._session = cluster.session(ttl_seconds)
            self._session.kv.put(f"{self.prefix}{ALIVE}", str(os.getpid()), bound=True)

    def end(self) -> bool:
        """Whether nothing of it is there any more: seen, not assumed."""
        if self._session is not None:
            remove(self._cluster, self.prefix)
            self._session.close()
        return not any(left(self._cluster, self.prefix))


def left(cluster: Cluster, prefix: str) -> Iterator[str]:
    for item in cluster.kv.range(prefix, keys_only=True):
        yield item.key.decode()
    for lock in cluster.locks.list(prefix):
        yield lock.name.decode()
    if is_foreign(cluster):
        return
    for queue in cluster.queues.list(prefix):
        yield queue.name.decode()
    for journal in cluster.journals.list(prefix):
        yield journal.name.decode()


def remove(cluster: Cluster, prefix: str) -> int:
    """Queues and journals; how many. What is taken goes back when its session ends: a queue of which that is not over stays."""
    removed = 0
    for journal in list(cluster.journals.list(prefix)):
        removed += cluster.journal(journal.name).delete()
    for queue in list(cluster.queues.list(prefix)):
        found = cluster.queue(queue.name)
        try:
            found.purge()
            found.purge(dead=True)
            found.delete()
            removed += 1
        except (Busy, Full, Missing):
            continue
    return removed


def sweep(cluster: Cluster) -> tuple[int, list[str]]:
    """(how many queues and journals were removed, runs that go on)"""
    if is_foreign(cluster):
        return 0, []
    # A run's mark is there before anything else of it: what is found without one, looked for later, is of a run that is over.
    found = [queue.name for queue in cluster.queues.list(PREFIX)] + [journal.name for journal in cluster.journals.list(PREFIX)]
    running = [run for run, what in map(_split, (item.key for item in cluster.kv.range(PREFIX, keys_only=True))) if what == ALIVE]
    over = sorted({run for run, _ in map(_split, found)} - set(running))
    return sum(remove(cluster, f"{PREFIX}{run}/") for run in over), running


def _split(name: bytes) -> tuple[str, str]:
    """(of which run, what)"""
    run, _, what = name.decode(errors="replace").removeprefix(PREFIX).partition("/")
    return run, what
