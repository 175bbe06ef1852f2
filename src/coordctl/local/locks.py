"""A lock on a file: it goes with its process, however that ends. Whoever has it is written into it, so that he can be told to go on."""

import fcntl
import os
import signal
from contextlib import suppress

from coordctl.local import processes

PAUSE_SECONDS = 0.01  # from one try to the next
WAKES_SECONDS = 1.0  # that somebody may be suspended with a lock that healing waits for


def take(descriptor: int) -> bool:
    """False: somebody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    with suppress(OSError):  # on a full disk it is not known who has it
        os.pwrite(descriptor, f"{os.getpid()} {processes.started_mark(os.getpid())}\n".encode(), 0)
    return True


def wake(descriptor: int) -> None:
    """Whoever has it and was suspended goes on."""
    with suppress(ValueError):
        pid, mark = os.pread(descriptor, 256, 0).decode().split()[:2]
        if processes.is_stopped(int(pid), mark):
            processes.send(int(pid), mark, signal.SIGCONT)
