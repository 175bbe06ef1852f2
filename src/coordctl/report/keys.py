"""Single keys of a terminal, while it is redrawn."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

CLEAR = "\x1b[H\x1b[J"
ALTERNATE_ON, ALTERNATE_OFF = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def are_there() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


@contextmanager
def redrawn() -> Iterator[None]:
    """What was on the screen before is there again afterwards, and keys are not shown."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin.fileno())
    sys.stdout.write(ALTERNATE_ON)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        sys.stdout.write(ALTERNATE_OFF)
        sys.stdout.flush()


def clear() -> None:
    sys.stdout.write(CLEAR)


def pressed(seconds: float) -> str:
    """The key, or nothing when none came in time; the end of the input is as good as q."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    if not ready:
        return ""
    return os.read(sys.stdin.fileno(), 1).decode(errors="replace") or "q"
