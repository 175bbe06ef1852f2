"""Holds the packets of a link that is late or narrow, in a process of its own that reads until when, lets all of them pass, and ends.

    python -m coordctl.chaos.shaper FAULT ID BY DEADLINE_MS BOOT

Its id, in its command line, is that of the fault: by that it is found again, and ended early. However it ends, the link is as before.
"""

import heapq
import select
import signal
import sys
import time

from coordctl.chaos import holding, nfqueue
from coordctl.chaos.holding import Shape
from coordctl.chaos.nfqueue import Queue
from coordctl.chaos.workers import Work

LOOKS_SECONDS = 0.05  # between two looks whether its time is over


class Shaper:
    def __init__(self, queue: Queue, shape: Shape) -> None:
        self._queue = queue
        self._shape = shape
        self._held: list[tuple[float, int, int]] = []  # passes at, came as which, id
        self._came = 0

    def turn(self) -> None:
        """Waits until one comes, or is to pass; a moment at most."""
        now = time.monotonic()
        wait = min(LOOKS_SECONDS, max(0.0, self._held[0][0] - now)) if self._held else LOOKS_SECONDS
        if select.select([self._queue], [], [], wait)[0]:
            self._take()
        now, passing = time.monotonic(), []
        while self._held and self._held[0][0] <= now:
            passing.append(heapq.heappop(self._held)[2])
        self._queue.let_go(passing)

    def _take(self) -> None:
        now, lost = time.monotonic(), []
        for packet in self._queue.packets():
            passes_at = self._shape.passes_at(packet, now)
            if passes_at is None:
                lost.append(packet.id)
            else:
                self._came += 1
                heapq.heappush(self._held, (passes_at, self._came, packet.id))
        self._queue.let_go(lost, nfqueue.IS_LOST)

    def end(self) -> None:
        """All that is held passes now, as it came."""
        self._queue.let_go([number for _, _, number in sorted(self._held, key=lambda one: one[1])])
        self._held.clear()
        for _ in range(nfqueue.WAITING_MAX // nfqueue.BATCH):  # what had come by now, whatever comes meanwhile
            if not (late := self._queue.packets()):
                break
            self._queue.let_go([packet.id for packet in late])


def main(argv: list[str]) -> int:
    fault, number, by, deadline_ms, boot = argv
    told: list[str] = []
    signal.signal(signal.SIGTERM, lambda *_: told.append("end"))
    work = Work(0.0, int(deadline_ms), boot, [])
    queue = Queue(nfqueue.number_of(number), as_it_came=fault != "bandwidth")
    shaper = Shaper(queue, holding.shape_of(fault, by))
    looked = time.monotonic()
    while not told:
        shaper.turn()
        if time.monotonic() - looked >= LOOKS_SECONDS:
            looked = time.monotonic()
            if work.is_over():
                break
    shaper.end()
    queue.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
