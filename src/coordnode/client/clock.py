"""The clock that leases are counted on: it goes on while the machine sleeps, as the cluster's clocks do."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # MONOTONIC stops in suspend, where BOOTTIME does not exist


def now_ms() -> int:
    return time.clock_gettime_ns(_CLOCK) // 1_000_000
