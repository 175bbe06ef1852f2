"""Ctrl-C, TERM and HUP as something that work is told of: it ends where it may, and cleans up."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While it is entered, in the main thread, the first of these signals is only noted where that was asked for, and is a
    KeyboardInterrupt elsewhere; so is every later one, but while things are cleaned up."""

    def __init__(self) -> None:
        self.is_asked = False
        self.number = 0  # of the first one
        self._deferrals = 0
        self._ignores = False
        self._before: dict[signal.Signals, Any] = {}
        self._read = self._write = -1

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = {number: signal.signal(number, self._on_signal) for number in ENDING if signal.getsignal(number) != signal.SIG_IGN}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        is_first, self.is_asked = not self.is_asked, True
        self.number = self.number or number
        with suppress(BlockingIOError):
            os.write(self._write, b"\0")
        if not self._ignores and not (self._deferrals and is_first):
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """The first one is only noted; whoever asked for this looks at `is_asked`."""
        self._deferrals += 1
        try:
            yield
        finally:
            self._deferrals -= 1

    @contextmanager
    def ignored(self) -> Iterator[None]:
        """Meanwhile something is cleaned up: each is only noted."""
        before, self._ignores = self._ignores, True
        try:
            yield
        finally:
            self._ignores = before

    def defer(self) -> None:
        """As `deferred`, from here on."""
        self._deferrals += 1

    def ignore(self) -> None:
        """From here on only cleaning up is left to do."""
        self._ignores = True

    def wait(self, seconds: float) -> bool:
        """Sleeps; whether it was asked to end meanwhile, or before."""
        return bool(select.select([self._read], [], [], max(0.0, seconds))[0])
