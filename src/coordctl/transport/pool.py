"""The same on many hosts at once: a bounded number of threads, a deadline for each host, and what came of each under its name."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from coordctl.transport.base import HostFailed

PARALLEL_MAX = 16
GRACE_SECONDS = 2.0  # whoever keeps its own deadline ends before it is given up

A = TypeVar("A")
R = TypeVar("R")


def on_all(items: Sequence[tuple[str, A]], work: Callable[[A], R], seconds: float) -> dict[str, R | HostFailed]:
    """`items`: host's name and what `work` is told. `seconds` are each host's own; one that hangs holds up nobody else.

    What is no HostFailed is a bug, and is raised once all hosts are done.
    """
    waiting: queue.SimpleQueue[tuple[str, A]] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    done: queue.SimpleQueue[tuple[str, R | BaseException]] = queue.SimpleQueue()
    began: dict[str, float] = {}

    def serve() -> None:
        while True:
            try:
                name, item = waiting.get_nowait()
            except queue.Empty:
                return
            began[name] = time.monotonic()
            try:
                done.put((name, work(item)))
            except BaseException as error:
                done.put((name, error))

    def hire() -> None:
        threading.Thread(target=serve, name="hosts", daemon=True).start()

    for _ in range(min(PARALLEL_MAX, len(items))):
        hire()
    results: dict[str, R | HostFailed] = {}
    bugs: list[BaseException] = []
    left = {name for name, _ in items}
    while left:
        try:
            name, result = done.get(timeout=0.2)
        except queue.Empty:
            for name in sorted(left):
                if name in began and time.monotonic() - began[name] > seconds + GRACE_SECONDS:
                    results[name] = HostFailed(name, "late", f"it was not done after {seconds:g} s")
                    left.discard(name)
                    hire()  # in the place of the one that hangs
            continue
        if name not in left:  # given up before
            continue
        left.discard(name)
        if isinstance(result, BaseException):
            if isinstance(result, HostFailed):
                results[name] = result
            else:
                bugs.append(result)
        else:
            results[name] = result
    if bugs:
        raise bugs[0]
    return {name: results[name] for name, _ in items}
