"""Seeds in several processes. None of them outlives the one that asked, however that ended."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from coordnode.simulator.report import Options, SeedReport
from coordnode.simulator.run import run_seed


def in_workers(seeds: Iterator[int], options: Options, deadline: float, jobs: int) -> Iterator[SeedReport]:
    """A few seeds ahead per worker, so that stopping early costs little."""
    ends, lives = Pipe(duplex=False)  # nobody writes to it: once only we hold `lives`, its end is ours
    with ProcessPoolExecutor(max_workers=jobs, initializer=_end_with_parent, initargs=(ends, lives)) as pool:
        running: set[Future[SeedReport]] = set()
        is_done = False
        try:
            while True:
                while len(running) < jobs * 2 and time.monotonic() < deadline:
                    seed = next(seeds, None)
                    if seed is None:
                        break
                    with _undisturbed():
                        running.add(pool.submit(run_seed, seed, options))
                if not running:
                    is_done = True
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            # The pool waits for its workers, and they would finish what they have, be it known here or not yet. Nothing is cancelled:
            # a pool that finds its workers gone tells so each future that is not done, and chokes on one that is cancelled meanwhile.
            if not is_done:
                lives.close()
    lives.close()
    ends.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A pool that is interrupted while it starts its workers and its thread can neither go on nor end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent(ends: Connection, lives: Connection) -> None:
    """In a worker. Ctrl-C in a terminal reaches it too, but it is the parent that decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lives.close()
    threading.Thread(target=_wait_for_end, args=(ends,), daemon=True).start()


def _wait_for_end(ends: Connection) -> None:
    ends.poll(None)
    os._exit(1)
