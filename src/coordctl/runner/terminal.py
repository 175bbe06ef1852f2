"""The terminal while a job runs: its group in the foreground as long as it needs it, and everything as before afterwards."""

from __future__ import annotations

import os

from coordctl.hot.bare import signal
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Terminal:
    """Without a terminal of our own, all of this does nothing."""

    def __init__(self) -> None:
        try:
            self._terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            self._terminal = -1
        self._is_lent = False
        self._modes: list[Any] = []

    @property
    def is_there(self) -> bool:
        return self._terminal >= 0

    @property
    def is_lent(self) -> bool:
        return self._is_lent

    def lends_at_start(self) -> int:
        """The standard stream that is our terminal, for the command to take the foreground on; -1: it does not get it.

        In a pipeline others of our group want to hear Ctrl-C, too; and whoever is in the background has nothing to lend.
        """
        if not self._is_ours() or not (os.isatty(0) and os.isatty(1)):
            return -1
        self._remember()
        self._is_lent = True
        return 0

    def lend(self, group: int) -> bool:
        """Whether it could: the group is in the foreground now."""
        if not self._is_ours():
            return False
        self._remember()
        self._is_lent = self._set_foreground(group)
        return self._is_lent

    def take_back(self, *, with_modes: bool) -> None:
        """Modes are put right only after a command that could not do so itself: what `stty` did is meant to stay."""
        if not self._is_lent:
            return
        self._is_lent = False
        self._set_foreground(os.getpgrp())
        if with_modes and self._modes:
            import termios

            self._quietly(lambda: termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._modes))

    def on_continued(self, group: int) -> None:
        """While we were stopped, a shell may have taken what we lent to `group`: then it is not ours to take back any more."""
        self._is_lent = self._is_lent and self._foreground() in (group, os.getpgrp())

    def close(self) -> None:
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def _is_ours(self) -> bool:
        return self._foreground() == os.getpgrp()

    def _foreground(self) -> int:
        """-1: there is none."""
        try:
            return os.tcgetpgrp(self._terminal)
        except OSError:
            return -1

    def _remember(self) -> None:
        if not self._modes:
            import termios  # for a terminal only

            with suppress(termios.error):
                self._modes = termios.tcgetattr(self._terminal)

    def _set_foreground(self, group: int) -> bool:
        return self._quietly(lambda: os.tcsetpgrp(self._terminal, group))

    def _quietly(self, change: Callable[[], None]) -> bool:
        """From the background, too: whoever blocks TTOU is not stopped for it. False: the terminal is gone, or that group is."""
        import termios

        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
        try:
            change()
            return True
        except (OSError, termios.error):
            return False
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
