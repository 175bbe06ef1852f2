"""Large files whose names are gone give their room back bit by bit: all of it at once would stall every sync on the same disk."""

import os
import threading
import time
from collections import deque
from contextlib import suppress

FREED_BYTES_MAX = 4 * 1024 * 1024  # at once
FREED_PAUSE_SECONDS = 0.01
FREEING_FILES_MAX = 64


class Freeing:
    """Files that nobody can find any more, shortened from their ends, one after the other. What is left undone when the process ends, or
    is too much to wait here, is done by the system at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, int, str]] = deque()  # (descriptor, size, the folder it was in)
        self._runs = False

    def add(self, descriptor: int, size: int, folder: str) -> None:
        with self._lock:
            if len(self._waiting) >= FREEING_FILES_MAX:
                os.close(descriptor)
                return
            if not self._runs:
                try:
                    threading.Thread(target=self._run, name="discard", daemon=True).start()
                except RuntimeError:  # no thread is to be had: no reason for a member to end
                    os.close(descriptor)
                    return
                self._runs = True
            self._waiting.append((descriptor, size, folder))

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._runs = False
                    return
                descriptor, size, folder = self._waiting.popleft()
            try:
                with suppress(OSError):
                    # No power loss may bring the name back, with half a file behind it.
                    sync_directory(folder)
                    for end in range(size - FREED_BYTES_MAX, 0, -FREED_BYTES_MAX):
                        os.ftruncate(descriptor, end)
                        time.sleep(FREED_PAUSE_SECONDS)
            finally:
                os.close(descriptor)


def sync_directory(full: str) -> None:
    descriptor = os.open(full, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
