"""Does a fault to a member's process, looks whether it took, undoes it, and looks again. Each may be done twice: that changes nothing."""

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial

from coordctl.chaos import links
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.local import clusters, fleet, processes
from coordctl.local.clusters import LocalMember, host_and_port
from coordnode.errors import CoordError

TAKES_SECONDS_MAX = 5.0  # from a signal to its effect
SERVES_SECONDS_MAX = 30.0  # from a start to an answer
LOOP_LIVES_SECONDS = 1.5  # of a member in a crash loop, at most
PAUSE_SECONDS = 0.01

KILL, PAUSE, CRASH_LOOP = "kill", "pause", "crash-loop"
SIGNALS = {KILL: signal.SIGKILL, PAUSE: signal.SIGSTOP, CRASH_LOOP: signal.SIGKILL}


def strike(ledger: Ledger, entries: Sequence[Entry], for_ms: int) -> list[tuple[Entry, str]]:
    """All at once; with each what is wrong, or "": it was seen to have taken."""
    if entries[0].links:
        installation = links.read(ledger)
        return [
            (one, links.strike(installation, one, for_ms) if installation is not None else "no proxies are installed") for one in entries
        ]
    for entry in entries:
        processes.send(entry.pid, entry.mark, SIGNALS[entry.fault])
    return [(entry, _await(partial(_has_taken, entry), TAKES_SECONDS_MAX, _NOT_TAKEN[entry.fault])) for entry in entries]


_NOT_TAKEN = {KILL: "its process runs still", PAUSE: "its process does not stand still", CRASH_LOOP: "its process runs still"}


_MEASURED = {
    "cut": "nothing passes",
    "delay": "all is late",
    "bandwidth": "all is slow",
    "loss": "pieces come late",
    "reset": "connections are reset",
}


def seen(entry: Entry) -> str:
    """What was seen of it once it took."""
    if entry.links:
        count = f"{len(entry.links)} link" + ("s" if len(entry.links) > 1 else "")
        return f"{count} measured, {_MEASURED[entry.fault]}"
    return "process stopped" if entry.fault == PAUSE else "process gone"


def _has_taken(entry: Entry) -> bool:
    if entry.fault == PAUSE:
        return processes.is_stopped(entry.pid, entry.mark)
    return not processes.is_running(entry.pid, entry.mark)


def heal(ledger: Ledger, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """All of them begun before any is waited for; with each what is wrong, or "": it was seen to be over, and is out of the ledger."""
    if not entries:
        return []
    with ledger.locked():  # what is done again and again is under way no more, and never begins again
        for entry in entries:
            if not entry.is_due():
                ledger.end_now(entry)
    begun = [(entry, _undo(ledger, entry)) for entry in entries]
    healed = []
    for entry, trouble in begun:
        trouble = trouble or _await(partial(_is_over, ledger, entry), SERVES_SECONDS_MAX, "it does not answer yet")
        if not trouble and ledger.remove(entry):
            ledger.note("healed", entry, until_unix_ms=entry.until_unix_ms)
        healed.append((entry, trouble))
    return healed


def _undo(ledger: Ledger, entry: Entry) -> str:
    try:
        installation = links.read(ledger) if entry.links else None
        if installation is not None:
            links.cure(installation, entry)
        elif entry.links:
            pass  # the proxies went, and the fault with them
        elif entry.fault == PAUSE:
            processes.send(entry.pid, entry.mark, signal.SIGCONT)
        else:
            _start(ledger, entry)
    except (CoordError, OSError) as error:
        return error.sentence if isinstance(error, CoordError) else str(error)
    return ""


def _is_over(ledger: Ledger, entry: Entry) -> bool:
    if entry.links:
        installation = links.read(ledger)
        return installation is None or links.is_cured(installation, entry)
    if entry.fault == PAUSE:  # a process that is gone stands still no more
        return not processes.is_stopped(entry.pid, entry.mark)
    member = _member(ledger.cluster_folder, entry.member)
    return member is None or (processes.is_running(member.pid, member.started) and answers(member.address))


def tend(ledger: Ledger, entry: Entry) -> None:
    """A fault that is done again and again."""
    if entry.fault != CRASH_LOOP:
        return
    member = _member(ledger.cluster_folder, entry.member)
    if member is None or not processes.is_running(member.pid, member.started):
        _start(ledger, entry)
        return
    # How long this one may live is drawn by its pid: now it dies while it starts, now when it serves.
    if processes.age_seconds(member.pid) > LOOP_LIVES_SECONDS * (member.pid % 7 + 1) / 7:
        with ledger.locked():
            present = ledger.find(entry)
            if present is not None and not present.is_due():
                processes.send(member.pid, member.started, signal.SIGKILL)
                ledger.note("killed again", entry, pid=member.pid)


def _start(ledger: Ledger, entry: Entry) -> None:
    """The member runs when this returns, whoever started it; unless whoever healed or stopped the cluster meanwhile took the entry away."""
    with fleet.locked(ledger.cluster_folder, time.monotonic() + SERVES_SECONDS_MAX):
        cluster = clusters.read(ledger.cluster_folder)
        member = None if cluster is None else next((one for one in cluster.members if one.name == entry.member), None)
        if cluster is None or member is None or processes.is_running(member.pid, member.started) or ledger.find(entry) is None:
            return
        fresh = fleet.holder(cluster, member)
        if fresh is None:
            started = fleet.start_one(cluster, member)
            processes.let_go(started.process)
            fresh = started.member
        clusters.write(cluster._replace(members=tuple([fresh if one.name == entry.member else one for one in cluster.members])))


def drop(ledger: Ledger) -> None:
    """The cluster is being stopped: what stands still goes on, so that it can end, and nobody starts anything again."""
    if not os.path.isdir(ledger.folder):
        return
    with ledger.locked():
        for entry in ledger.entries():
            if entry.fault == PAUSE:
                processes.send(entry.pid, entry.mark, signal.SIGCONT)
            if ledger.remove(entry):
                ledger.note("dropped", entry)
        links.remove(ledger)
        links.stop(ledger)


def _member(cluster_folder: str, name: str) -> LocalMember | None:
    cluster = clusters.read(cluster_folder)
    return None if cluster is None else next((one for one in cluster.members if one.name == name), None)


def answers(address: str, seconds: float = 1.0) -> bool:
    """Its process serves: it need not be ready."""
    try:
        with socket.create_connection(host_and_port(address), seconds) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: coordnode\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _await(is_so: Callable[[], bool], seconds: float, otherwise: str) -> str:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() >= until:
            return otherwise
        time.sleep(PAUSE_SECONDS)
    return ""
