"""For how long this machine ran: what a bound in seconds is about. While it stands still nobody works, and nothing is late."""

import threading
import time

TURN_SECONDS, TURN_SECONDS_MAX = 0.05, 0.5


class Running:
    """Seconds, from the beginning of the block on. A turn that took longer than any should counts for no more."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _count(self) -> None:
        before = time.monotonic()
        while not self._is_over.wait(TURN_SECONDS):
            now = time.monotonic()
            self.seconds += min(now - before, TURN_SECONDS_MAX)
            before = now
