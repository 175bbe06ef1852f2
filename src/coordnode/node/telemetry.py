"""What a member tells about itself: events of a closed catalogue, one JSON object a line. Nothing is logged per request.

Every event carries `at` (UTC), `hlc` (milliseconds and a counter that never go back on this member, whatever the wall clock does),
`term` and `index` (what was applied): by term and index, the logs of several members are put in order whatever their clocks say.
"""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple

INFO, WARNING, ERROR = "info", "warning", "error"
WAITING_MAX = 10_000  # events that are not written yet; more are counted and dropped
REPEATS_PER_SECOND_MAX = 10  # of one kind in the log; more are counted and dropped
RECORDED_PER_SECOND_MAX = 1_000  # of one kind in the flight recorder
FLIGHT_FILE = "flight.log"  # in the member's folder
FLIGHT_BYTES_MAX = 2 * 1024 * 1024  # of each of its two files: an hour and more of an ordinary day


class Kind(NamedTuple):
    level: str
    fields: tuple[str, ...]
    meaning: str
    is_detail: bool = False  # for the flight recorder alone


PULSE: dict[str, str] = {
    "build": "version",
    "config_hash": "as in started",
    "role": "of this member",
    "leader": "that it knows",
    "uptime_ms": "since the process began, by the monotonic clock",
    "took_ms": "length of this second; longer when the process was not run",
    "commits": "answered by this leader",
    "commit_ms": "their mean",
    "commit_worst_ms": "upper bound of the slowest",
    "syncs": "groups of log writes",
    "sync_ms": "mean of write and fdatasync",
    "sync_worst_ms": "upper bound of the slowest",
    "turns": "of the loop",
    "turn_ms": "their mean",
    "turn_worst_ms": "upper bound of the slowest",
    "late_worst_ms": "how late a tick was",
    "round_trip_ms": "from a heartbeat to its answer, by peer, on the leader",
    "behind": "log entries that a peer has not acknowledged, by peer, on the leader",
    "lock_wait_ms": "how long whoever waits longest for a lock has waited, by the lock's name, on the leader",
    "lock_waiters": "in line for locks, on the leader",
    "connections": "clients",
    "refused": "connections, because as many are open as may be",
    "asks": "from clients",
    "asked_kib": "what clients sent",
    "sessions": "open now, on the leader",
    "opened": "sessions, on the leader",
    "expired": "sessions whose client said nothing for their TTL, on the leader",
    "cpu_ms": "used by this process",
    "waited_ms": "its loop could have run, and others had the CPU",
    "rss_kib": "memory",
    "files": "open descriptors",
    "pressure": "share of the last 10 s in which something on this host waited for cpu, io, memory, in percent",
    "host_free_kib": "memory that is available on this host",
    "digest_index": "where members compare their states",
    "digest": "of this member's state there; null: not reached since its start",
}
PULSE_FIELDS = tuple(PULSE)

CATALOGUE: dict[str, Kind] = {
    # life
    "started": Kind(
        INFO,
        ("name", "build", "config_hash", "settings", "python", "pid", "boot", "loop", "entries", "snapshot_index"),
        "the folder is open and locked; the hash is of all settings that members share, and those that are no defaults are listed",
    ),
    "folder": Kind(WARNING, ("report",), "what opening the folder found and did, one event for each sentence"),
    "listening": Kind(INFO, ("address", "http_address", "advertise"), "connections are accepted from now on"),
    "restored": Kind(INFO, ("took_ms", "revision"), "the state is rebuilt from the snapshot; entries behind it follow"),
    "leaving": Kind(INFO, ("reason",), "asked to stop: hands over if it leads, then goes"),
    "handed_over": Kind(INFO, ("target", "took_ms"), "another member leads now, because this one leaves"),
    "not_handed_over": Kind(WARNING, ("took_ms",), "nobody took over in time; the others will elect a leader by themselves"),
    "reloaded": Kind(INFO, ("changed", "needs_restart"), "settings were read anew (SIGHUP): taken over, or to wait for the next start"),
    "not_reloaded": Kind(ERROR, ("error",), "settings could not be read anew: it goes on with those it has"),
    "stopped": Kind(INFO, ("uptime_s",), "left in order"),
    "failed": Kind(ERROR, ("error", "trace"), "cannot go on; the process ends"),
    "diverged": Kind(ERROR, ("error",), "the state is not the majority's: it is set aside and rebuilt from the others"),
    "rotten": Kind(ERROR, ("error",), "stored bytes are damaged: the folder is opened anew and falls back to what is whole"),
    # consensus
    "role": Kind(INFO, ("role", "leader"), "this member's role, or the leader it follows, changed"),
    "elected": Kind(INFO, ("pre_vote_ms", "vote_ms", "first_commit_ms"), "this member leads and serves; how long each step took"),
    "yielded": Kind(INFO, ("target",), "this member led although it is drained, and hands the leadership on"),
    "stood_in": Kind(WARNING, ("voter", "learner", "silent_ms"), "a learner takes the place of a voter that was silent for too long"),
    "config": Kind(INFO, ("voters", "outgoing", "learners"), "the membership in force changed"),
    "contact_unreadable": Kind(WARNING, ("peer", "contact"), "a member's contact is no host:port; it cannot be reached"),
    "lost_entries": Kind(WARNING, ("regain_index",), "log entries were lost here: no vote is granted until they are regained"),
    "regained": Kind(INFO, (), "what was lost is back; votes are granted again"),
    "writes_stopped": Kind(ERROR, ("at_index",), "the members' states differ and none has a majority: writes are refused"),
    # members
    "peer_up": Kind(INFO, ("peer", "build"), "our connection to a member stands"),
    "peer_lost": Kind(WARNING, ("peer", "reason"), "our connection to a member ended"),
    "peer_refused": Kind(ERROR, ("peer", "reason"), "a member will not have us, is not who it should be, or is not found by its name"),
    "peer_silent": Kind(WARNING, ("peer",), "a member does not answer the leader's heartbeats, whether or not a connection stands"),
    "peer_heard": Kind(INFO, ("peer", "silent_ms"), "it answers again"),
    # storage
    "space_low": Kind(
        ERROR,
        ("free_bytes", "free_files"),
        "little disk is free, or hardly any file can be made: writes that add data are refused until there is more",
    ),
    "space_back": Kind(INFO, ("free_bytes", "free_files"), "there is room again"),
    "snapshot": Kind(INFO, ("of_index", "took_ms"), "a snapshot of our own is in place"),
    "snapshot_failed": Kind(WARNING, ("of_index",), "a snapshot could not be made or received, most likely because the disk is full"),
    "installed": Kind(INFO, ("of_index",), "the leader's snapshot replaced our state"),
    # who may not
    "denied": Kind(WARNING, ("by", "place", "asked", "why"), "somebody asked for what no role of theirs allows; nothing was done"),
    # being slow
    "slow_commit": Kind(
        WARNING,
        ("total_ms", "queue_ms", "wait_ms", "fsync_ms", "peers_ms", "apply_ms", "commit_index", "commands_bytes"),
        "a commit took long; from the first ask on: waiting for a turn, for the log's thread, in write and fsync, "
        "until each member acknowledged, and from commit to answers",
    ),
    "slow_turn": Kind(WARNING, ("took_ms", "messages", "asks"), "one turn of the loop took long"),
    "late_tick": Kind(WARNING, ("late_ms",), "the process was not scheduled, or the loop was busy, for so long"),
    # every second
    "pulse": Kind(INFO, PULSE_FIELDS, "how the last second was", is_detail=True),
    # bugs
    "bug": Kind(ERROR, ("error", "trace"), "an unexpected error was met while serving one connection, which was closed"),
    "events_dropped": Kind(WARNING, ("count",), "so many events could not be written"),
}

COMMON = ("at", "hlc", "level", "event", "cluster", "member", "term", "index")


def document() -> str:
    """docs/events.md, from the catalogue itself."""
    lines = [
        "# What a member tells about itself",
        "",
        "One JSON object a line, to standard error or to `--log-file`, which never grows beyond `--log-max`: then it becomes FILE.1, in",
        "place of an older one. The catalogue is closed: there are no other events, and nothing is logged per request. Every event has",
        "these fields:",
        "",
        "| field | what |",
        "|---|---|",
        "| at | wall clock, UTC |",
        "| hlc | milliseconds and a counter that never go back on this member, whatever its wall clock does |",
        "| level | info, warning or error |",
        "| event | its name, from the table below |",
        "| cluster, member | who tells |",
        "| term, index | Raft term and newest applied entry at that moment: by them, events of several members are put in order |",
        "",
        f"More than {REPEATS_PER_SECOND_MAX} of one kind in a second are counted instead of written. Times are in milliseconds; -1: not",
        "known yet.",
        "",
        "## The flight recorder",
        "",
        f"The same events, up to {RECORDED_PER_SECOND_MAX} of one kind in a second, and a `pulse` each second are also written to",
        f"`{FLIGHT_FILE}` in the member's folder: two files of {FLIGHT_BYTES_MAX >> 20} MiB at most, an hour and more of an ordinary",
        "day. What was written is in the kernel's hands: it survives `kill -9`. Nothing is synced for it.",
        "",
        "| field of a pulse | what |",
        "|---|---|",
        *[f"| {name} | {meaning} |" for name, meaning in PULSE.items()],
        "",
        "## The catalogue",
        "",
        "| event | level | its own fields | meaning |",
        "|---|---|---|---|",
    ]
    for name, kind in CATALOGUE.items():
        fields = "above" if kind.fields is PULSE_FIELDS else ", ".join(kind.fields)
        lines.append(f"| {name} | {kind.level} | {fields} | {kind.meaning} |")
    return "\n".join(lines) + "\n"


class HybridClock:
    """Follows the wall clock, and never goes back."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self._last_ms = 0
        self._counter = 0

    def now(self) -> tuple[int, str]:
        wall_ms = self._wall_ms()
        if wall_ms > self._last_ms:
            self._last_ms, self._counter = wall_ms, 0
        else:
            self._counter += 1
        return wall_ms, f"{self._last_ms}.{self._counter}"


def utc(wall_ms: int) -> str:
    seconds, ms = divmod(wall_ms, 1_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{ms:03d}Z"


class Telemetry:
    """Formats in the caller's thread, writes in its own: a reader that hangs does not stop the member."""

    def __init__(self, write: Callable[[bytes], object], wall_ms: Callable[[], int]) -> None:
        self.cluster = 0
        self.member = 0
        self.place: Callable[[], tuple[int, int]] = lambda: (0, 0)  # (term, applied index) at this moment
        self.dropped = 0
        self.record: Callable[[bytes], object] | None = None  # the flight recorder
        self._write = write
        self._clock = HybridClock(wall_ms)
        self._queue: SimpleQueue[tuple[bytes, bool] | None] = SimpleQueue()  # (line, whether it is for the log, too)
        self._told_dropped = 0
        self._second: dict[str, tuple[int, int]] = {}  # kind -> (second, how many in it)
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def emit(self, event: str, **fields: Any) -> None:
        kind = CATALOGUE[event]
        assert tuple(fields) == kind.fields, f"{event} is {kind.fields}, not {tuple(fields)}"
        wall_ms, hlc = self._clock.now()
        count = self._count(event, wall_ms)
        has_room = self._queue.qsize() < WAITING_MAX
        for_log = has_room and not kind.is_detail and count <= REPEATS_PER_SECOND_MAX
        if not for_log and not kind.is_detail:
            self.dropped += 1
        if not for_log and not (has_room and self.record is not None and count <= RECORDED_PER_SECOND_MAX):
            return
        if for_log and self.dropped > self._told_dropped and event != "events_dropped":
            dropped, self._told_dropped = self.dropped - self._told_dropped, self.dropped
            self.emit("events_dropped", count=dropped)
        term, index = self.place()
        values = (utc(wall_ms), hlc, kind.level, event, self.cluster, self.member, term, index)
        record = dict(zip(COMMON, values, strict=True)) | fields
        self._queue.put((json.dumps(record, separators=(",", ":")).encode() + b"\n", for_log))

    def _count(self, event: str, wall_ms: int) -> int:
        """How many of this kind there were in this second, with this one."""
        second, count = self._second.get(event, (0, 0))
        if wall_ms // 1_000 != second:
            second, count = wall_ms // 1_000, 0
        self._second[event] = (second, count + 1)
        return count + 1

    def _run(self) -> None:
        while True:
            found = self._queue.get()
            if found is None:
                return
            line, for_log = found
            if self.record is not None:
                with suppress(OSError):  # where the disk is full the log says so
                    self.record(line)
            if for_log:
                try:
                    self._write(line)
                except OSError:
                    self.dropped += 1

    def close(self, seconds: float = 1.0) -> None:
        self._queue.put(None)
        self._thread.join(seconds)
