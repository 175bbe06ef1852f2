"""What the interpreter and the system are set to before the first turn, and what the system grants since."""

import asyncio
import gc
import resource
import sys

from coordnode.config import NodeConfig
from coordnode.net.limits import MEMBERS_MAX, Limits

FILES_RESERVED = 256  # for the log, snapshots, listening sockets and our own connections: no client may take these
SWITCH_INTERVAL_S = 0.0002  # a thread whose fdatasync returned waits this long at most for a computing loop
CONNECTIONS_LEAST = 64
STRANGERS_MAX = 1_024
GC_THRESHOLDS = (50_000, 20, 1_000)  # what lives long is in gc=False structs; full collections happen in idle moments


def tune_interpreter() -> None:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)


def freeze() -> None:
    """What is loaded by now stays for the process's life: no collection looks at it again."""
    gc.collect()
    gc.freeze()


def raise_file_limit() -> int:
    """As many open files, connections above all, as the system lets us have; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1_048_576
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


def loop_waited_seconds() -> float | None:
    """So long the first thread, which is the loop's, was ready to run and did not; None: this system does not count it."""
    try:
        with open("/proc/self/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1_000_000_000
    except (OSError, ValueError, IndexError):
        return None


def limits(config: NodeConfig, files_max: int) -> Limits:
    """So many clients that a member whose every place is taken still writes its log, and is reached by other members."""
    spare = max(files_max - FILES_RESERVED - MEMBERS_MAX, CONNECTIONS_LEAST)
    strangers_max = min(STRANGERS_MAX, spare // 4)
    connections_max = min(config.connections_max, spare - strangers_max)
    return Limits(
        connections_max,
        strangers_max,
        config.pending_bytes_max,
        min(connections_max, config.client_connections_max or max(1, connections_max // 2)),
        config.client_requests_max,
        config.client_pending_bytes_max,
        config.client_watches_max,
    )


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # it does not exist for this system: asyncio's own loop does the same, slower
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
