"""The catalogue of faults: what each does, how hard it can be asked for, by which mechanism, and how it ends. Pure."""

from collections.abc import Callable
from typing import Any, NamedTuple

from coordctl.chaos import values
from coordctl.chaos.values import Value

PROCESS, NETWORK, DISK, CLOCK = "process", "network", "disk", "clock"
HOST, CLUSTER, CLIENTS = "host", "cluster", "clients"
FILL_DISK, FDS, HERD = "fill-disk", "fds", "herd"
SNAPSHOT, SLOW_FSYNC = "snapshot", "slow-fsync"
DEMOTE, REMOVE, ADD, REPLACE = BELONGING = ("demote", "remove", "add", "replace")
KILLS = ("kill", "crash-loop")  # whoever runs it must be able to start it again
SIGNALLED = (*KILLS, "pause", FDS)  # its process is what is hit
KEEPS_DOWN = ("kill", "eio", "power-loss")  # its process is gone until the fault ends
BRINGS_NEWCOMER = (ADD, REPLACE)  # a member that takes part until the fault ends
HOLDERS = ("pause-holder", "kill-holder")  # of a run's own lock
ELSEWHERE = ("kill", "pause", "crash-loop", FDS, FILL_DISK, "cpu", "memory", *HOLDERS)  # on members of other engines, too


class Fault(NamedTuple):
    kind: str  # network: it hits links; all others hit members
    what: str
    mechanism: str
    ends: str  # how, and who sees to that
    by: Value | None = None  # how hard; None: there is no more or less of it
    by_example: str = ""
    takes_quorum: bool = True  # whom it hits does not serve meanwhile, however hard it is
    unseats: bool = True  # a leader that it hits does not stay it

    @property
    def hits_links(self) -> bool:
        return self.kind == NETWORK

    @property
    def needs_seam(self) -> bool:
        """The member does it to itself, where it was started so that it can."""
        return self.mechanism is _SEAM


_RATE = Value(values.bytes_each_second, {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,3})?(B|KiB|MiB|GiB)/s$"})
_PROXY = "embedded proxy, `coordctl chaos proxy install`"
_BY_ITSELF = "the toxic's own lifetime, kept by the proxy"
_WORKER = "a process of ours"
_OWN_DEADLINE = "that process, which reads until when"
_SEAM = "the member's own seam, `coordctl up --fault-injection`"
_OWN_TIME = "the member, which reads until when"
_CHANGE = "a change of members"
_ENDS = "started again by the reapers"

FAULTS: dict[str, Fault] = {
    "kill": Fault(PROCESS, "kill -9; what was not synced stays in the page cache", "SIGKILL", "started again by the reapers"),
    "pause": Fault(PROCESS, "stands still, with its sockets open", "SIGSTOP", "SIGCONT by the reapers"),
    "crash-loop": Fault(
        PROCESS, "killed with -9 again and again, also while it starts", "SIGKILL by the reapers", "left running by the reapers"
    ),
    FDS: Fault(PROCESS, "may open no more files and connections", "its own limit, lowered", "raised again by the reapers", unseats=False),
    "cut": Fault(NETWORK, "nothing passes, and nobody is told", f"timeout toxic, {_PROXY}", _BY_ITSELF),
    "delay": Fault(NETWORK, "all is late, in order", f"latency toxic, {_PROXY}", _BY_ITSELF, values.DURATION, "200ms", takes_quorum=False),
    "jitter": Fault(
        NETWORK,
        "all is late by up to so much, now more, now less",
        f"latency toxic, {_PROXY}",
        _BY_ITSELF,
        values.DURATION,
        "100ms",
        takes_quorum=False,
    ),
    "slow-close": Fault(
        NETWORK,
        "that a connection was closed is told so late",
        f"slow_close toxic, {_PROXY}",
        _BY_ITSELF,
        values.DURATION,
        "2s",
        takes_quorum=False,
    ),
    "bandwidth": Fault(NETWORK, "passes slowly", f"bandwidth toxic, {_PROXY}", _BY_ITSELF, _RATE, "64KiB/s", takes_quorum=False),
    "loss": Fault(
        NETWORK,
        "this share of pieces comes 200 ms late, as TCP sees a lost packet",
        f"loss toxic (ours), {_PROXY}",
        _BY_ITSELF,
        values.PERCENT,
        "5%",
        takes_quorum=False,
    ),
    "reset": Fault(NETWORK, "connections are reset as soon as they are made", f"reset_peer toxic, {_PROXY}", _BY_ITSELF),
    "disk-full": Fault(DISK, "no file can grow, and no byte is free", _SEAM, _OWN_TIME, unseats=False),
    SLOW_FSYNC: Fault(DISK, "each fsync takes so much longer", _SEAM, _OWN_TIME, values.DURATION, "200ms", takes_quorum=False),
    "eio": Fault(DISK, "reads, writes and syncs fail: the member ends", _SEAM, _ENDS),
    "rot": Fault(DISK, "a byte of its log comes back damaged; it is killed, and finds that when it starts", _SEAM, _ENDS),
    "power-loss": Fault(
        DISK, "in the midst of a sync it is gone, and of what was not synced, sectors are lost as chance has it", _SEAM, _ENDS
    ),
    FILL_DISK: Fault(
        DISK,
        "the file system that it is on is filled; whoever shares it suffers, too",
        "a file of ours in the member's folder",
        "taken away by the reapers",
        values.PERCENT,
        "98%",
        unseats=False,
    ),
    "clock-jump": Fault(
        CLOCK,
        "its clocks are so far ahead; with a minus the wall's is behind, and the monotonic one goes on",
        _SEAM,
        _OWN_TIME,
        values.SIGNED_DURATION,
        "30s",
        takes_quorum=False,
    ),
    "clock-drift": Fault(
        CLOCK, "its clocks go so much faster; with a minus, slower", _SEAM, _OWN_TIME, values.SIGNED_PERCENT, "10%", takes_quorum=False
    ),
    "clock-strobe": Fault(
        CLOCK, "its wall clock is now so far ahead, and now right", _SEAM, _OWN_TIME, values.DURATION, "10s", takes_quorum=False
    ),
    "cpu": Fault(HOST, "so many cores of the host are kept busy", _WORKER, _OWN_DEADLINE, values.whole(1, 1_024), "2", takes_quorum=False),
    "memory": Fault(HOST, "so much memory of the host is taken", _WORKER, _OWN_DEADLINE, values.SIZE, "256MiB", takes_quorum=False),
    HERD: Fault(
        CLIENTS,
        "so many clients connect at once, ask, go and come again",
        _WORKER,
        _OWN_DEADLINE,
        values.whole(1, 2_000),
        "50",
        takes_quorum=False,
    ),
    "pause-holder": Fault(
        CLIENTS, "the client of a run that holds the lock stands still", "SIGSTOP", "SIGCONT by the reapers", takes_quorum=False
    ),
    "kill-holder": Fault(
        CLIENTS,
        "the client of a run that holds the lock is killed",
        "SIGSTOP, SIGKILL",
        "with the run, which has one less",
        takes_quorum=False,
    ),
    "transfer": Fault(
        CLUSTER, "the leadership is handed on, again and again, so often", _WORKER, _OWN_DEADLINE, values.DURATION, "1s", takes_quorum=False
    ),
    SNAPSHOT: Fault(
        CLUSTER,
        "makes a snapshot after so many entries at the latest, and keeps none of them: who lags needs one",
        _SEAM,
        _OWN_TIME,
        values.whole(1, 100_000),
        "20",
        takes_quorum=False,
    ),
    DEMOTE: Fault(CLUSTER, "a voter is only a learner", _CHANGE, "a voter again by the reapers", unseats=False),
    REMOVE: Fault(CLUSTER, "a voter is no member any more", _CHANGE, "taken in again by the reapers", unseats=False),
    ADD: Fault(
        CLUSTER,
        "beside whom it hits there is a member more, as a learner until it has caught up, and then as a voter",
        _CHANGE,
        "taken out and ended by the reapers",
        takes_quorum=False,
    ),
    REPLACE: Fault(
        CLUSTER, "a new member becomes a voter in the place of whom it hits", _CHANGE, "the old one again by the reapers", unseats=False
    ),
}


# So hard that whom it hits does not serve, or what it hits lets nobody lead: with the timing that members have unless they are told other.
SILENCE_MS = 520  # of its leader a member bears at least: 13 ticks of 40 ms; nobody is elected when there and back takes so long
STUCK_MS = 1_600  # a leader whose disk hangs for so long steps down: 40 ticks
HEARTBEATS_BYTES = 1 << 10  # in each second, of a leader that has nothing else to say; an estimate: 12 of some 80 bytes
_IS_HARD: dict[str, Callable[[Any], bool]] = {
    "delay": lambda milliseconds: 2 * milliseconds >= SILENCE_MS,
    "jitter": lambda milliseconds: 2 * milliseconds >= SILENCE_MS,
    "loss": lambda percent: percent >= 50,
    "bandwidth": lambda each_second: each_second < HEARTBEATS_BYTES,
    "slow-fsync": lambda milliseconds: milliseconds >= STUCK_MS,
}


def takes_quorum(name: str, by: str) -> bool:
    """Whether whom it hits counts as lost for as long as it lasts; links, as cut."""
    fault = FAULTS[name]
    return fault.takes_quorum or (name in _IS_HARD and fault.by is not None and bool(by) and _IS_HARD[name](fault.by.parse(by)))


def exclude_each_other(one: str, other: str) -> bool:
    """On one member: it may suffer from its disk and its clock at once, and then be killed; but from each of these once."""
    if FAULTS[one].kind == CLUSTER:
        return one == other or {one, other} <= {*BELONGING}
    return FAULTS[one].kind == FAULTS[other].kind


def trouble_with_time(name: str, by: str, for_ms: int) -> str:
    """Of a fault that lasts: what is wrong with how long; "": nothing."""
    if name == SLOW_FSYNC and values.duration_ms(by) > for_ms:
        return f"an fsync that takes longer by {by} would outlast {values.shown_ms(for_ms)}: give by less, or for longer"
    return "every fault ends: give 24h at most" if for_ms > values.DURATION_MS_MAX else ""


def trouble_with_by(name: str, by: str) -> str:
    """What is wrong with how hard a fault is asked for, and what to give instead; "": nothing."""
    fault = FAULTS[name]
    if fault.by is None:
        return f"{name} knows no more or less: leave out by" if by else ""
    try:
        if not by:
            return f"say how hard, such as {fault.by_example}"
        return "" if fault.by.parse(by) else f"that does nothing: give more, such as {fault.by_example}"
    except ValueError as error:
        return str(error)
