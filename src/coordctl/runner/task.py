"""A task that was taken, as the runner wants to see it: extended while the command runs, acknowledged or returned at the end.

A thread of its own asks the cluster, so that neither signals nor the deadline wait for an answer. It begins once the guard is there: the
first `poll` starts it, and the guard forks before.
"""

from __future__ import annotations

import os
import select
from _queue import Empty, SimpleQueue  # queue and threading, around these, are loaded in 4 ms
from _thread import start_new_thread

from coordctl.hot import frames, queues
from coordctl.hot.asking import Asking
from coordctl.hot.bare import signal
from coordctl.runner import ending, outcome
from coordctl.runner.source import Closed, Granted, Lost, Renewed, Told
from coordnode.client.clock import now_ms
from coordnode.client.renewal import believed_ms
from coordnode.errors import ClusterReplaced, CoordError, NotHeld
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

FINISH_MS = 10_000  # to acknowledge or to return it; then its lease ends it
RETRY_MS_MIN = 20


class Early:
    """Until the runner listens itself: a signal is a KeyboardInterrupt, and since `defer` the first one is only noted."""

    def __init__(self) -> None:
        self.number = 0  # of the first one
        self._is_deferred = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_how: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def defer(self) -> None:
        self._is_deferred = True

    def _on_signal(self, number: int, _frame: object) -> None:
        is_first = not self.number
        self.number = self.number or number
        if not (self._is_deferred and is_first):
            raise KeyboardInterrupt


class HeldTask:
    """A Source. `ask` makes a question that is given up after so many milliseconds."""

    def __init__(self, ask: Callable[[int], Asking], queue: bytes, taken: queues.Taken, lease_ms: int, until_ms: int) -> None:
        self._ask = ask
        self._queue = queue
        self._token = taken.token
        self._lease_ms = lease_ms
        self._extend_at_ms = until_ms - lease_ms + lease_ms // 3
        self._is_lost = False
        self._is_begun = True
        environment = {
            "COORD_QUEUE": os.fsdecode(queue),
            "COORD_TASK": str(taken.task),
            "COORD_ATTEMPT": str(taken.attempts),
            "COORD_TOKEN": str(taken.token),
            "COORD_DEADLINE_MS": str(until_ms),
        }
        self._told: list[Told] = [Granted(taken.token, until_ms, environment)]
        self._finish: SimpleQueue[bool] = SimpleQueue()  # whether the command succeeded
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_working = False

    def descriptor(self) -> tuple[int, int]:
        return self._read, select.POLLIN

    def on_ready(self, now_ms: int) -> None:
        with suppress(BlockingIOError):
            os.read(self._read, 512)

    def poll(self, now_ms: int) -> list[Told]:
        if not self._is_working:
            self._is_working = True
            start_new_thread(self._work, ())
        told = []
        while self._told:
            told.append(self._told.pop(0))
        return told

    def wake_at_ms(self) -> int | None:
        return None

    def close(self, now_ms: int, *, succeeded: bool) -> None:
        self._is_begun = self._is_working  # else nobody has heard yet that it is granted
        self._finish.put(succeeded)

    def hang_up(self) -> None:
        """The thread may still wait for an answer that nobody needs any more; it ends with us."""

    # --- the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            left_ms = self._extend_at_ms - now_ms()
            try:
                succeeded = self._finish.get(timeout=min(1.0, max(0.0, left_ms / 1000)) if not self._is_lost else None)
            except Empty:
                if now_ms() >= self._extend_at_ms:
                    self._extend()
                continue
            self._tell(self._finished(succeeded))
            return

    def _extend(self) -> None:
        sent_ms = now_ms()
        try:
            lease_ms = queues.extend(self._ask(max(100, self._lease_ms // 3)), self._queue, self._token, self._lease_ms, "")
        except (NotHeld, ClusterReplaced) as error:
            self._is_lost = True
            self._tell(Lost(ending.LOST, error.sentence))
        except CoordError:
            self._extend_at_ms = now_ms() + max(RETRY_MS_MIN, self._lease_ms // 12)
        else:
            self._extend_at_ms = sent_ms + lease_ms // 3
            self._tell(Renewed(sent_ms + believed_ms(lease_ms)))

    def _finished(self, succeeded: bool) -> Closed:
        asking, request_id = self._ask(FINISH_MS), frames.new_request_id()
        try:
            if succeeded:
                queues.ack(asking, self._queue, self._token, request_id)
            elif not self._is_lost:
                note, delay_ms = ("its command failed, or was ended", -1) if self._is_begun else ("", 0)
                queues.nack(asking, self._queue, self._token, request_id, delay_ms=delay_ms, note=note, begun=self._is_begun)
        except CoordError as error:
            if succeeded:
                return Closed(f"{error.sentence}; the command succeeded, and its task may be given to somebody else", outcome.LOST)
            return Closed(f"the task could not be returned, its lease ends it: {error.sentence}")
        return Closed()

    def _tell(self, told: Told) -> None:
        self._told.append(told)
        with suppress(BlockingIOError):
            os.write(self._write, b"\0")
