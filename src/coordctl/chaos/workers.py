"""What wears a host, a member or a cluster out, in a process of its own that reads until when, and then ends.

    python -m coordctl.chaos.workers KIND ID AMOUNT DEADLINE_MS BOOT ENDPOINT …

Its id, in its command line, is that of the fault: by that it is found again, and ended early.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from coordnode.client.clock import now_ms
from coordnode.errors import CoordError
from coordnode.harm.orders import boot_mark

CPU, MEMORY, HERD, TRANSFER = "cpu", "memory", "herd", "transfer"
PAGE_BYTES = 4096
PAUSE_SECONDS = 0.05
ASK_SECONDS = 5.0


class Work:
    def __init__(self, amount: float, deadline_ms: int, boot: str, endpoints: list[str]) -> None:
        self.amount = amount
        self.endpoints = endpoints
        self._deadline_ms = deadline_ms
        self._boot = boot

    def is_over(self) -> bool:
        return now_ms() >= self._deadline_ms or self._boot != boot_mark()


def cpu(work: Work) -> None:
    """So many cores, each kept busy by a process."""
    children = []
    for _ in range(max(0, int(work.amount) - 1)):
        child = os.fork()
        if child == 0:
            break
        children.append(child)
    while not work.is_over():
        until = time.monotonic() + PAUSE_SECONDS
        while time.monotonic() < until:
            sum(range(1_000))
    for child in children:
        os.waitpid(child, 0)


def memory(work: Work) -> None:
    """Touched again and again, so that it stays."""
    held = bytearray(int(work.amount))
    while not work.is_over():
        for start in range(0, len(held), PAGE_BYTES):
            held[start] = (held[start] + 1) % 256
        time.sleep(PAUSE_SECONDS)


def herd(work: Work) -> None:
    """So many clients that connect at once, ask for something, go away, and come again."""
    from coordnode.client.sync import connect  # no other work wants a client

    def come_and_go() -> None:
        while not work.is_over():
            with suppress(CoordError), connect(work.endpoints, identity="chaos herd", timeout=ASK_SECONDS) as cluster:
                cluster.kv.get("_chaos/herd")

    threads = [threading.Thread(target=come_and_go) for _ in range(int(work.amount))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def transfer(work: Work) -> None:
    """The leadership goes to the next member, and on, again and again."""
    from coordnode.client.sync import connect

    members = [int(one.partition("=")[0]) for one in work.endpoints]
    addresses = [one.partition("=")[2] for one in work.endpoints]
    turn = 0
    with connect(addresses, identity="chaos transfer", timeout=ASK_SECONDS) as cluster:
        while not work.is_over():
            turn += 1
            with suppress(CoordError):  # who leads already, or cannot now, is asked again in its turn
                cluster.members.lead(members[turn % len(members)], timeout=2.0)
            until = time.monotonic() + work.amount / 1000
            while time.monotonic() < until and not work.is_over():
                time.sleep(PAUSE_SECONDS)


WORKS: dict[str, Callable[[Work], None]] = {CPU: cpu, MEMORY: memory, HERD: herd, TRANSFER: transfer}


def main(argv: list[str]) -> int:
    kind, _, amount, deadline_ms, boot, *endpoints = argv
    WORKS[kind](Work(float(amount), int(deadline_ms), boot, endpoints))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
