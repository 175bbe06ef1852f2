"""A clock for tests of what takes how long, or may: it stands still while the machine does."""

import threading
import time
from typing import Self

STEP_SECONDS = 0.005
STEP_NS_MAX = 20_000_000  # what takes longer than this, from one step to the next, was no time in which anybody here could do anything


class Unstalled:
    """Goes on with the machine's clock as long as a thread of its own is let run."""

    def __init__(self) -> None:
        self._shown_ns = self._looked_ns = time.monotonic_ns()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="unstalled", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(STEP_SECONDS):
            self.now_ns()

    def now_ns(self) -> int:
        with self._lock:
            now_ns = time.monotonic_ns()
            self._shown_ns += min(now_ns - self._looked_ns, STEP_NS_MAX)
            self._looked_ns = now_ns
            return self._shown_ns

    def clock_gettime_ns(self, _which: int) -> int:
        """As `time` has it."""
        return self.now_ns()
