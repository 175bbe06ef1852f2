"""What a member tells about itself: events of a closed catalogue, one JSON object a line. Nothing is logged per request.

Every event carries `at` (UTC), `hlc` (milliseconds and a counter that never go back on this member, whatever the wall clock does),
`term` and `index` (what was applied): by term and index, the logs of several members are put in order whatever their clocks say.
"""

import json
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

INFO, WARNING, ERROR = "info", "warning", "error"
WAITING_MAX = 10_000  # events that are not written yet; more are counted and dropped
REPEATS_PER_SECOND_MAX = 10  # of one kind; more are counted and dropped


class Kind(NamedTuple):
    level: str
    fields: tuple[str, ...]
    meaning: str


CATALOGUE: dict[str, Kind] = {
    # life
    "started": Kind(INFO, ("name", "build", "python", "pid", "boot", "loop", "entries", "snapshot_index"), "the folder is open and locked"),
    "folder": Kind(WARNING, ("report",), "what opening the folder found and did, one event for each sentence"),
    "listening": Kind(INFO, ("address", "http_address", "advertise"), "connections are accepted from now on"),
    "restored": Kind(INFO, ("took_ms", "revision"), "the state is rebuilt from the snapshot; entries behind it follow"),
    "leaving": Kind(INFO, ("reason",), "asked to stop: hands over if it leads, then goes"),
    "handed_over": Kind(INFO, ("target", "took_ms"), "another member leads now, because this one leaves"),
    "not_handed_over": Kind(WARNING, ("took_ms",), "nobody took over in time; the others will elect a leader by themselves"),
    "stopped": Kind(INFO, ("uptime_s",), "left in order"),
    "failed": Kind(ERROR, ("error", "trace"), "cannot go on; the process ends"),
    "diverged": Kind(ERROR, ("error",), "the state is not the majority's: it is set aside and rebuilt from the others"),
    "rotten": Kind(ERROR, ("error",), "stored bytes are damaged: the folder is opened anew and falls back to what is whole"),
    # consensus
    "role": Kind(INFO, ("role", "leader"), "this member's role, or the leader it follows, changed"),
    "elected": Kind(INFO, ("pre_vote_ms", "vote_ms", "first_commit_ms"), "this member leads and serves; how long each step took"),
    "config": Kind(INFO, ("voters", "outgoing", "learners"), "the membership in force changed"),
    "contact_unreadable": Kind(WARNING, ("peer", "contact"), "a member's contact is no host:port; it cannot be reached"),
    "lost_entries": Kind(WARNING, ("regain_index",), "log entries were lost here: no vote is granted until they are regained"),
    "regained": Kind(INFO, (), "what was lost is back; votes are granted again"),
    "writes_stopped": Kind(ERROR, ("at_index",), "the members' states differ and none has a majority: writes are refused"),
    # members
    "peer_up": Kind(INFO, ("peer", "build"), "our connection to a member stands"),
    "peer_lost": Kind(WARNING, ("peer", "reason"), "our connection to a member ended"),
    "peer_refused": Kind(ERROR, ("peer", "reason"), "a member will not have us, or is not who it should be"),
    # storage
    "space_low": Kind(ERROR, ("free_bytes",), "little disk is free: writes that add data are refused until there is more"),
    "space_back": Kind(INFO, ("free_bytes",), "there is room again"),
    "snapshot": Kind(INFO, ("of_index", "took_ms"), "a snapshot of our own is in place"),
    "snapshot_failed": Kind(WARNING, ("of_index",), "a snapshot could not be made or received, most likely because the disk is full"),
    "installed": Kind(INFO, ("of_index",), "the leader's snapshot replaced our state"),
    # being slow
    "slow_commit": Kind(
        WARNING,
        ("total_ms", "queue_ms", "wait_ms", "fsync_ms", "peers_ms", "apply_ms", "commit_index", "commands_bytes"),
        "a commit took long; from the first ask on: waiting for a turn, for the log's thread, in write and fsync, "
        "until each member acknowledged, and from commit to answers",
    ),
    "slow_turn": Kind(WARNING, ("took_ms", "messages", "asks"), "one turn of the loop took long"),
    "late_tick": Kind(WARNING, ("late_ms",), "the process was not scheduled, or the loop was busy, for so long"),
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
        "| event | level | its own fields | meaning |",
        "|---|---|---|---|",
    ]
    for name, kind in CATALOGUE.items():
        lines.append(f"| {name} | {kind.level} | {', '.join(kind.fields)} | {kind.meaning} |")
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
        self._write = write
        self._clock = HybridClock(wall_ms)
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._told_dropped = 0
        self._second: dict[str, tuple[int, int]] = {}  # kind -> (second, how many in it)
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def emit(self, event: str, **fields: Any) -> None:
        kind = CATALOGUE[event]
        assert tuple(fields) == kind.fields, f"{event} is {kind.fields}, not {tuple(fields)}"
        wall_ms, hlc = self._clock.now()
        if self._is_too_many(event, wall_ms):
            self.dropped += 1
            return
        if self.dropped > self._told_dropped and event != "events_dropped":
            count, self._told_dropped = self.dropped - self._told_dropped, self.dropped
            self.emit("events_dropped", count=count)
        term, index = self.place()
        values = (utc(wall_ms), hlc, kind.level, event, self.cluster, self.member, term, index)
        record = dict(zip(COMMON, values, strict=True)) | fields
        self._queue.put(json.dumps(record, separators=(",", ":")).encode() + b"\n")

    def _is_too_many(self, event: str, wall_ms: int) -> bool:
        second, count = self._second.get(event, (0, 0))
        if wall_ms // 1_000 != second:
            second, count = wall_ms // 1_000, 0
        self._second[event] = (second, count + 1)
        return count >= REPEATS_PER_SECOND_MAX or self._queue.qsize() >= WAITING_MAX

    def _run(self) -> None:
        while True:
            line = self._queue.get()
            if line is None:
                return
            try:
                self._write(line)
            except OSError:
                self.dropped += 1

    def close(self, seconds: float = 1.0) -> None:
        self._queue.put(None)
        self._thread.join(seconds)
