"""What Linux offers beyond the standard library: adopting orphans, and a timer that goes on while the machine sleeps."""

import ctypes
import os
from contextlib import suppress

PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
CLOCK_BOOTTIME = 7
TFD_CLOEXEC, TFD_NONBLOCK = 0o2000000, 0o4000
TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> bool:
    """Whatever a descendant leaves behind becomes our child, not that of init. False: this kernel does not do that."""
    return hasattr(_libc, "prctl") and _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def call_us(name: str) -> None:
    """In the lists of processes, where fifteen letters are shown."""
    if hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


class BootTimer:
    """Readable once CLOCK_BOOTTIME has passed a moment: right after a suspend, too, when poll would still be waiting."""

    def __init__(self) -> None:
        self.descriptor = _libc.timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK) if hasattr(_libc, "timerfd_create") else -1

    def set(self, at_ms: int) -> None:
        """0: never."""
        if self.descriptor >= 0:
            value = _Timer(_Timespec(0, 0), _Timespec(at_ms // 1000, at_ms % 1000 * 1_000_000))
            _libc.timerfd_settime(self.descriptor, TFD_TIMER_ABSTIME, ctypes.byref(value), None)

    def clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.descriptor, 8)
