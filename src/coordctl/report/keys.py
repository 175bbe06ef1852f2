"""Single keys of a terminal, while it is redrawn."""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

CLEAR = "\x1b[H\x1b[J"
ALTERNATE_ON, ALTERNATE_OFF = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"

LEAVING = (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)


def are_there() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


@contextmanager
def redrawn() -> Iterator[None]:
    """What was on the screen before is there again afterwards, and keys are not shown. Afterwards: also when it is suspended, or ended."""
    before = termios.tcgetattr(sys.stdin)

    def show() -> None:
        tty.setcbreak(sys.stdin.fileno())
        _write(ALTERNATE_ON)

    def hide() -> None:
        with suppress(termios.error, OSError):  # the terminal may be gone
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
            _write(ALTERNATE_OFF)

    def leave(number: int, _frame: FrameType | None) -> None:
        hide()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, leave)  # it was suspended, and goes on
        show()

    handled = [number for number in LEAVING if signal.getsignal(number) is signal.SIG_DFL]
    show()
    try:
        for number in handled:
            signal.signal(number, leave)
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
        sys.stdout.flush()
        hide()


def _write(text: str) -> None:
    """Past the buffer, in which a signal may have come between two halves."""
    os.write(sys.stdout.fileno(), text.encode())


def clear() -> None:
    sys.stdout.write(CLEAR)


def pressed(seconds: float) -> str:
    """The key, or nothing when none came in time; the end of the input is as good as q."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    if not ready:
        return ""
    return os.read(sys.stdin.fileno(), 1).decode(errors="replace") or "q"
