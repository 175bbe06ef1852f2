"""Where the time of this leader's commits goes: each is followed from the first ask of its turn to its answers."""

from collections import deque

from coordnode.ids import MemberId
from coordnode.node.lanes import Committed
from coordnode.node.metrics import Durations
from coordnode.node.telemetry import Telemetry
from coordnode.raft.messages import AppendReply
from coordnode.replica.effects import Effects
from coordnode.replica.events import Events

MS = 1_000_000
WATCHED_MAX = 256  # under way at a time; more go unwatched

# The parts of a commit, in their order: together they are all of it.
QUEUE, LOG_WAIT, LOG_SYNC, REPLICATION, APPLY = "queue", "log_wait", "log_sync", "replication", "apply"
PARTS = {
    QUEUE: "from the first ask to the turn that proposes it",
    LOG_WAIT: "from there until the log's thread took it",
    LOG_SYNC: "write and fdatasync of our own log; 0 where others were a quorum without it",
    REPLICATION: "from there until the loop knew a quorum to have it",
    APPLY: "the turn that applies it and writes the answers",
}


class _Commit:
    """Entries that were proposed in one turn, on their way."""

    __slots__ = ("asked_ns", "began_ns", "durable_ns", "entry_bytes", "index", "peers_ns", "proposed_ns")

    def __init__(self, index: int, asked_ns: int, proposed_ns: int, entry_bytes: int) -> None:
        self.index = index
        self.asked_ns = asked_ns
        self.proposed_ns = proposed_ns
        self.entry_bytes = entry_bytes
        self.began_ns = 0  # when the log's thread took it
        self.durable_ns = 0
        self.peers_ns: dict[MemberId, int] = {}  # member -> from being proposed to its acknowledgement


class Commits:
    def __init__(self, telemetry: Telemetry, slow_commit_ms: int) -> None:
        self._telemetry = telemetry
        self._slow_ns = slow_commit_ms * MS
        self._under_way: deque[_Commit] = deque()
        self.total = Durations()
        self.parts = {part: Durations() for part in PARTS}
        self.acknowledged: dict[MemberId, Durations] = {}  # of each peer, when it came before the commit was answered

    def set_slow(self, slow_commit_ms: int) -> None:
        self._slow_ns = slow_commit_ms * MS

    def clear(self) -> None:
        """It leads no more: what becomes of them is not for us to see."""
        self._under_way.clear()

    def on_committed(self, committed: Committed) -> None:
        """Durable here, that is."""
        index = committed.writes[-1].last_index
        for commit in self._under_way:
            if commit.index > index:
                break
            if not commit.durable_ns:
                commit.began_ns = committed.began_ns
                commit.durable_ns = committed.ended_ns

    def turned(self, events: Events, effects: Effects, asked_ns: int, began_ns: int, ended_ns: int, applied: int) -> None:
        under_way = self._under_way
        if under_way:
            for message in events.messages:
                if type(message) is AppendReply and message.accepted:
                    self._on_acknowledged(message.source, message.match, began_ns)
        write = effects.write
        if write is not None and write.entries and len(under_way) < WATCHED_MAX:
            size = sum(len(entry.data) for entry in write.entries)
            under_way.append(_Commit(write.last_index, asked_ns or began_ns, began_ns, size))
        while under_way and under_way[0].index <= applied:
            self._on_answered(under_way.popleft(), began_ns, ended_ns)

    def _on_acknowledged(self, member: MemberId, match: int, now_ns: int) -> None:
        for commit in self._under_way:
            if commit.index > match:
                break
            if member not in commit.peers_ns:
                took_ns = commit.peers_ns[member] = now_ns - commit.proposed_ns
                durations = self.acknowledged.get(member)
                if durations is None:
                    durations = self.acknowledged[member] = Durations()
                durations.observe(took_ns)

    def _on_answered(self, commit: _Commit, began_ns: int, ended_ns: int) -> None:
        """In the turn that began and ended then."""
        total_ns = ended_ns - commit.asked_ns
        self.total.observe(total_ns)
        parts = self.parts
        proposed_ns = commit.proposed_ns
        durable_ns = commit.durable_ns or proposed_ns
        taken_ns = max(commit.began_ns, proposed_ns)  # a group that a full disk holds up takes in what comes meanwhile
        parts[QUEUE].observe(proposed_ns - commit.asked_ns)
        parts[LOG_WAIT].observe(taken_ns - proposed_ns)
        parts[LOG_SYNC].observe(durable_ns - taken_ns)
        parts[REPLICATION].observe(began_ns - durable_ns)
        parts[APPLY].observe(ended_ns - began_ns)
        if total_ns > self._slow_ns:
            self._tell_slow(commit, total_ns, ended_ns - began_ns)

    def _tell_slow(self, commit: _Commit, total_ns: int, apply_ns: int) -> None:
        durable = commit.durable_ns != 0
        self._telemetry.emit(
            "slow_commit",
            total_ms=total_ns // MS,
            queue_ms=(commit.proposed_ns - commit.asked_ns) // MS,
            wait_ms=(commit.began_ns - commit.proposed_ns) // MS if durable else -1,
            fsync_ms=(commit.durable_ns - commit.began_ns) // MS if durable else -1,
            peers_ms={str(member): ns // MS for member, ns in sorted(commit.peers_ns.items())},
            apply_ms=apply_ns // MS,
            commit_index=commit.index,
            commands_bytes=commit.entry_bytes,
        )
