"""A load, as a process:

    python -m coordctl.chaos.loads KIND ENDPOINTS PREFIX FOLDER CLIENTS SEED READS

Each line that it writes is an event of a history, with Jepsen's field names. CLIENTS are numbers with commas. It ends with its standard
input, also when whoever started it is killed. KIND `keeper` has no clients: when all others of the run have ended, it removes what was
put below PREFIX, and the run's folder, too, unless it was told that the run came to its end. It ends with 1 when a client ended by itself.
"""

import fcntl
import os
import shutil
import sys
import time
from contextlib import suppress

from coordctl.chaos.loads.claims import ElectionClient, LockClient, ReaderWriterClient, SemaphoreClient
from coordctl.chaos.loads.clients import Client, Paper
from coordctl.chaos.loads.data import CounterClient, KvClient
from coordctl.chaos.loads.holding import BoundKeysClient, GroupClient, QueueClient
from coordctl.chaos.loads.journals import JournalClient
from coordctl.chaos.loads.watches import WatchClient
from coordctl.chaos.loads.words import ALIVE, ENDED, KEEPER
from coordctl.engines.clients import connect, is_foreign
from coordnode.client.sync import Cluster
from coordnode.errors import CoordError

CLEAN_SECONDS = 10.0

CLIENTS: dict[str, type[Client]] = {
    "kv": KvClient,
    "watch": WatchClient,
    "counter": CounterClient,
    "session": BoundKeysClient,
    "queue": QueueClient,
    "group": GroupClient,
    "journal": JournalClient,
    "election": ElectionClient,
    "lock": LockClient,
    "rwlock": ReaderWriterClient,
    "semaphore": SemaphoreClient,
}


def _remove(cluster: Cluster, prefix: str) -> None:
    """Locks, leaders and members of groups go with their sessions."""
    for item in reversed(list(cluster.kv.range(prefix, keys_only=True))):  # what is below another key first
        cluster.kv.delete(item.key)
    if is_foreign(cluster):
        return
    for counter in list(cluster.counters.list(prefix)):
        cluster.counters.delete(counter.name)
    for journal in list(cluster.journals.list(prefix)):
        cluster.journal(journal.name).delete()
    for found in list(cluster.queues.list(prefix)):
        queue = cluster.queue(found.name)
        queue.purge()
        queue.purge(dead=True)
        queue.delete()  # refused while a task is taken, which its lease ends


def clean(endpoints: list[str], prefix: str) -> None:
    """Also after a run in which nothing could be reached at the end: then it is tried for a while."""
    until = time.monotonic() + CLEAN_SECONDS
    while time.monotonic() < until:
        with suppress(CoordError), connect(endpoints, identity="chaos keeper", timeout=2.0) as cluster:
            _remove(cluster, prefix)
            return
        time.sleep(0.2)


def keep(endpoints: list[str], prefix: str, folder: str) -> int:
    """It is there before the folder is, so that there is never one that nobody would remove."""
    is_ended = sys.stdin.buffer.read() == ENDED
    with suppress(FileNotFoundError):
        alive = os.open(os.path.join(folder, ALIVE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(alive, fcntl.LOCK_EX)  # until no client reads any more what is removed here
    clean(endpoints, prefix)
    if not is_ended:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def main(argv: list[str]) -> int | str:
    """As `sys.exit` takes it: what went wrong is its last words, and 1 its code."""
    kind, endpoints_text, prefix, folder, numbers, seed, reads = argv
    endpoints = endpoints_text.split(",")
    if kind == KEEPER:
        return keep(endpoints, prefix, folder)
    alive = os.open(os.path.join(folder, ALIVE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(alive, fcntl.LOCK_SH)
    paper = Paper(os.path.join(folder, f"{kind}.events.jsonl"))
    clients = [CLIENTS[kind](int(number), endpoints, prefix, folder, paper, int(seed), reads) for number in numbers.split(",")]
    for client in clients:
        client.start()
    is_told_to_end = sys.stdin.buffer.read() == ENDED
    for client in clients:
        client.is_over.set()
    for client in clients:
        client.join()
    if is_told_to_end:
        with suppress(CoordError):
            clients[0].finish()
    troubles = [f"{kind}, {client.name}: {client.trouble}" for client in clients if client.trouble]
    return "\n".join(troubles) or 0  # behind all else: the last line is what the run tells


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
