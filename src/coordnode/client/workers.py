"""A blocking worker: one task after the other, each extended by a thread of its own while the body of the loop runs."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from coordnode.client.clock import now_ms
from coordnode.client.queue_words import note_of
from coordnode.errors import CoordError, NotHeld, SessionExpired

if TYPE_CHECKING:
    from coordnode.client.queues import Queue, Task

WAIT_MS = 60_000  # between two looks at whether the line still has this worker
SLEEP_SECONDS_MAX = 1.0  # a thread's time stands still while the machine sleeps; leases do not


class Worker:
    """`for task in worker:` acknowledges each when its turn of the loop ends. A turn that raises, breaks or returns puts its task back;
    say `task.ack()` before a break. A task that was lost meanwhile raises NotHeld at the end of its turn: impossible to miss."""

    def __init__(self, queue: "Queue", lease_ms: int, ttl_ms: int) -> None:
        self._queue = queue
        self._lease_ms = lease_ms
        self._ttl_ms = ttl_ms
        self._task: Task | None = None  # being worked on
        self._changed = threading.Condition()
        self._extender: threading.Thread | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """From any thread: the loop ends after the task at hand, or soon if there is none."""
        self._is_stopped = True

    def __iter__(self) -> "Iterator[Task]":
        self._is_stopped = False
        queue = self._queue.in_session(self._ttl_ms)
        try:
            while not self._is_stopped:
                try:
                    task = queue.next_task(self._lease_ms, WAIT_MS, lambda: self._is_stopped)
                except SessionExpired:
                    if queue is self._queue:
                        raise  # it is the caller's
                    queue = self._queue.in_session(self._ttl_ms)
                    continue
                if task is not None:
                    yield from self._work_on(task)
        finally:
            self._hold(None)
            with suppress(CoordError):  # its lease ends it
                self._queue.end_session_of(queue)

    def _work_on(self, task: "Task") -> "Iterator[Task]":
        self._hold(task)
        try:
            yield task
        except BaseException as error:  # the loop was left: GeneratorExit
            self._hold(None)
            self._put_back(task, error)
            raise
        self._hold(None)
        if not task.hold.is_finished:
            task.ack()

    def _put_back(self, task: "Task", error: BaseException) -> None:
        if task.hold.is_finished:
            return
        with suppress(CoordError):  # its lease ends it
            task.nack(note="the worker left its loop" if isinstance(error, GeneratorExit) else note_of(error))

    def _hold(self, task: "Task | None") -> None:
        with self._changed:
            self._task = task
            if task is not None and self._extender is None:
                self._extender = threading.Thread(target=self._extend, name="coordnode task", daemon=True)
                self._extender.start()
            self._changed.notify_all()

    def _extend(self) -> None:
        """Ends as soon as there is nothing to extend."""
        while True:
            with self._changed:
                task = self._task
                at_ms = task.hold.extend_at_ms() if task is not None else None
                if task is None or at_ms is None:
                    self._extender = None
                    return
                left_ms = at_ms - now_ms()
                if left_ms > 0:
                    self._changed.wait(min(left_ms / 1000, SLEEP_SECONDS_MAX))
                    continue
            try:
                task._extend(self._lease_ms, max(0.05, task.hold.lease_ms / 3000))
            except (NotHeld, SessionExpired):
                pass  # the task knows
            except CoordError:
                task.hold.on_failed(now_ms())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
