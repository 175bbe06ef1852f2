"""What Linux offers beyond the standard library: adopting orphans, and a timer that goes on while the machine sleeps.

Called through what is below ctypes: ctypes itself is loaded in 2 ms, and no command would start before that is done.
"""

from __future__ import annotations

import _ctypes
import os
import sys

from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
CLOCK_BOOTTIME = 7
TFD_CLOEXEC, TFD_NONBLOCK = 0o2000000, 0o4000
TFD_TIMER_ABSTIME = 1
LONG_BYTES = (sys.maxsize.bit_length() + 1) // 8
FAILED = -1  # what each function here answers then


class _Function(_ctypes.CFuncPtr):
    """Returns an int, as C has it where nothing else is said."""

    _flags_ = _ctypes.FUNCFLAG_CDECL


def _found(name: str) -> Callable[..., int]:
    """One that only fails, where the C library has none of this name."""
    try:
        return _Function(_ctypes.dlsym(_LIBRARY, name))
    except OSError:
        return lambda *_arguments: FAILED


_LIBRARY = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None: what this process has loaded
_prctl, _timerfd_create, _timerfd_settime = map(_found, ("prctl", "timerfd_create", "timerfd_settime"))


def adopt_orphans() -> bool:
    """Whatever a descendant leaves behind becomes our child, not that of init. False: this kernel does not do that."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def call_us(name: str) -> None:
    """In the lists of processes, where fifteen letters are shown."""
    _prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


class BootTimer:
    """Readable once CLOCK_BOOTTIME has passed a moment: right after a suspend, too, when poll would still be waiting."""

    def __init__(self) -> None:
        self.descriptor = _timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)

    def set(self, at_ms: int) -> None:
        """0: never."""
        if self.descriptor >= 0:
            numbers = (0, 0, at_ms // 1000, at_ms % 1000 * 1_000_000)  # an interval of none; seconds and nanoseconds
            value = b"".join(number.to_bytes(LONG_BYTES, sys.byteorder) for number in numbers)
            _timerfd_settime(self.descriptor, TFD_TIMER_ABSTIME, value, None)

    def clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.descriptor, 8)
