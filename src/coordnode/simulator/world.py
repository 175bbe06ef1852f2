"""Virtual time: one heap of callbacks, named random streams, and a running hash of everything that happened."""

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

TRACE_FACTOR = 1_000_003
TRACE_MASK = 2**64 - 1

_Event = tuple[int, int, Callable[..., None], tuple[Any, ...]]


class World:
    __slots__ = ("_heap", "_sequence", "events", "now_ns", "seed", "trace")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_ns = 0
        self.events = 0  # callbacks run so far
        self.trace = 0  # the same seed must give the same number, whatever the process
        self._heap: list[_Event] = []
        self._sequence = 0  # orders what falls due in the same nanosecond

    def stream(self, name: str) -> random.Random:
        """Chance of its own for each purpose: one more draw here never shifts what happens there."""
        return random.Random(f"{self.seed}/{name}")

    def at(self, time_ns: int, callback: Callable[..., None], *arguments: Any) -> None:
        assert time_ns >= self.now_ns, "nothing can be made to happen in the past"
        self._sequence += 1
        heappush(self._heap, (time_ns, self._sequence, callback, arguments))

    def after(self, delay_ns: int, callback: Callable[..., None], *arguments: Any) -> None:
        assert delay_ns >= 0, "nothing can be made to happen in the past"
        self._sequence += 1
        heappush(self._heap, (self.now_ns + delay_ns, self._sequence, callback, arguments))

    def run_until(self, until_ns: int) -> None:
        heap = self._heap
        events, trace = self.events, self.trace
        try:
            while heap and heap[0][0] <= until_ns:
                time_ns, sequence, callback, arguments = heappop(heap)
                self.now_ns = time_ns
                events += 1
                trace = (trace * TRACE_FACTOR + time_ns + sequence) & TRACE_MASK
                callback(*arguments)
        finally:
            self.events, self.trace = events, trace
        self.now_ns = max(self.now_ns, until_ns)
