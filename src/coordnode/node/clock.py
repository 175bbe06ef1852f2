"""The two clocks of a member: one that only goes on, for its own time, and the one on the wall."""

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int: ...

    def wall_ms(self) -> int: ...


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class RealClock:
    now_ms = staticmethod(now_ms)
    wall_ms = staticmethod(wall_ms)
