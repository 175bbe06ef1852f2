"""A member that may open no more files: its own limit, lowered below the next one, and raised again to what it was."""

import os
import resource
from collections.abc import Sequence
from contextlib import suppress

from coordctl.chaos import lives, premises
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.local import processes
from coordctl.local.fleet import Failed

TAKES_SECONDS_MAX = 20.0


def before(pid: int) -> str:
    """What undoes it, to be written down first."""
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        soft, hard = next(line.split()[3:5] for line in file if line.startswith("Max open files"))
    return f"{soft}:{hard}"


def seen(entry: Entry) -> str:
    return "it answers no new connection"


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    return [_strike(ledger, entry) for entry in entries]


def _strike(ledger: Ledger, entry: Entry) -> str:
    cluster = premises.of(ledger.cluster_folder).cluster()
    member = None if cluster is None else lives.of(cluster, entry.member)
    if cluster is None or member is None or not processes.is_running(entry.pid, entry.mark):
        return "its process is gone"

    def is_deaf() -> bool:
        """What it closes meanwhile would be a place for one more: so the limit is set anew before each look."""
        with ledger.striking([entry]):
            _set(entry, _lowest_free(entry.pid))
        return not lives.serves(cluster, member)

    return lives.wait_until(is_deaf, TAKES_SECONDS_MAX, "it answers new connections still")


def _lowest_free(pid: int) -> int:
    """The limit is one of numbers, and a new file gets the lowest that is free."""
    used = {int(number) for number in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(len(used) + 1) if number not in used)


def _set(entry: Entry, soft: int) -> None:
    """Of this very process: between the look and the act it may be gone, but its pid is not given away so soon."""
    if processes.is_running(entry.pid, entry.mark):
        with suppress(ProcessLookupError):
            _limit(entry.pid, (soft, int(entry.undo.partition(":")[2])))


def _limit(pid: int, limits: tuple[int, int]) -> None:
    """As its user, who always may; root without CAP_SYS_RESOURCE may not."""
    owner = os.stat(f"/proc/{pid}")
    if owner.st_uid == os.getuid():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        return
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(owner.st_gid)
            os.setuid(owner.st_uid)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            code = 0
        finally:
            os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) and processes.started_mark(pid):
        raise Failed(f"the limits of process {pid} cannot be changed, neither as root nor as its user")


def cure(ledger: Ledger, entry: Entry) -> None:
    """A member that could not bear it ended, and is started again."""
    _set(entry, int(entry.undo.partition(":")[0]))
    lives.start(ledger, entry)


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    is_raised = not processes.is_running(entry.pid, entry.mark) or before(entry.pid) == entry.undo
    return is_raised and lives.is_back(ledger, entry)


def drop(ledger: Ledger, entry: Entry) -> None:
    _set(entry, int(entry.undo.partition(":")[0]))
