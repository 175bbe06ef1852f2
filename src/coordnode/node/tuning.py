"""What the interpreter and the system are set to before the first turn."""

import asyncio
import gc
import resource
import sys

SWITCH_INTERVAL_S = 0.0002  # a thread whose fdatasync returned waits this long at most for a computing loop
GC_THRESHOLDS = (50_000, 20, 1_000)  # what lives long is in gc=False structs; full collections happen in idle moments


def tune_interpreter() -> None:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)


def freeze() -> None:
    """What is loaded by now stays for the process's life: no collection looks at it again."""
    gc.collect()
    gc.freeze()


def raise_file_limit() -> int:
    """As many connections as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1_048_576
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # it does not exist for this system: asyncio's own loop does the same, slower
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
