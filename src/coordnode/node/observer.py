"""Looks at the replica after each turn and tells what changed: roles, elections, slow commits with their breakdown. Decides nothing."""

from collections import deque
from collections.abc import Callable

from coordnode.node.lanes import Committed
from coordnode.node.metrics import Durations
from coordnode.node.telemetry import Telemetry
from coordnode.raft.entry import Config
from coordnode.raft.messages import AppendReply
from coordnode.raft.state import CANDIDATE, LEADER, PRE_CANDIDATE, ROLE_NAMES
from coordnode.replica.effects import Effects
from coordnode.replica.events import Events
from coordnode.replica.replica import Replica

MS = 1_000_000
SLOW_TURN_NS = 50 * MS
COMMITS_WATCHED_MAX = 256  # under way at a time; more go unwatched


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
        self.peers_ns: dict[int, int] = {}  # member -> from being proposed to its acknowledgement


class Observer:
    def __init__(self, replica: Replica, telemetry: Telemetry, slow_commit_ms: int, on_config: Callable[[Config], None]) -> None:
        self._replica = replica
        self._telemetry = telemetry
        self._slow_commit_ns = slow_commit_ms * MS
        self._on_config = on_config
        self._config: Config | None = None
        self._role = -1
        self._leader = -1
        self._serving = False
        self._campaign_ns = 0
        self._candidate_ns = 0
        self._elected_ns = 0
        self._lost_entries = False
        self._stopped_at = 0
        self._commits: deque[_Commit] = deque()
        self.commits = Durations()  # from the first ask of a turn to its answers
        self.turns = Durations()
        self.syncs = Durations()
        self.elections = 0

    def on_committed(self, committed: Committed) -> None:
        self.syncs.observe(committed.ended_ns - committed.began_ns)
        if not self._commits:
            return
        index = committed.writes[-1].last_index
        for commit in self._commits:
            if commit.index > index:
                break
            if not commit.durable_ns:
                commit.began_ns = committed.began_ns
                commit.durable_ns = committed.ended_ns

    def turned(self, events: Events, effects: Effects, asked_ns: int, began_ns: int, ended_ns: int) -> None:
        took_ns = ended_ns - began_ns
        self.turns.observe(took_ns)
        if took_ns > SLOW_TURN_NS:
            self._telemetry.emit("slow_turn", took_ms=took_ns // MS, messages=len(events.messages), asks=len(events.asks))
        replica = self._replica
        raft = replica.raft
        if raft.role != self._role or raft.leader != self._leader:
            self._on_role(began_ns)
        if raft.config is not self._config:
            self._config = raft.config
            self._on_config(raft.config)
        if raft.role == LEADER:
            self._follow_commits(events, effects, asked_ns, began_ns, ended_ns)
            if not self._serving and replica.clients.serving:
                self._on_serving(ended_ns)
        if events.ticked:
            self._look_for_trouble()

    # --- roles -----------------------------------------------------------------------------------------------------

    def _on_role(self, now_ns: int) -> None:
        raft = self._replica.raft
        role = raft.role
        if role != self._role:
            if role == PRE_CANDIDATE:
                self._campaign_ns = now_ns
            elif role == CANDIDATE:
                self._candidate_ns = now_ns
                if self._role != PRE_CANDIDATE:
                    self._campaign_ns = now_ns
            elif role == LEADER:
                self._elected_ns = now_ns
            if role != LEADER:
                self._serving = False
                self._commits.clear()
        self._role = role
        self._leader = raft.leader
        self._telemetry.emit("role", role=ROLE_NAMES[role], leader=raft.leader)

    def _on_serving(self, now_ns: int) -> None:
        self._serving = True
        self.elections += 1
        # A single voter passes through all roles within one turn.
        elected_ns = self._elected_ns
        candidate_ns = self._candidate_ns or elected_ns
        campaign_ns = self._campaign_ns or candidate_ns
        self._campaign_ns = self._candidate_ns = 0
        self._telemetry.emit(
            "elected",
            pre_vote_ms=(candidate_ns - campaign_ns) // MS,
            vote_ms=(elected_ns - candidate_ns) // MS,
            first_commit_ms=(now_ns - elected_ns) // MS,
        )

    def _look_for_trouble(self) -> None:
        raft = self._replica.raft
        if raft.lost_entries != self._lost_entries:
            self._lost_entries = raft.lost_entries
            if raft.lost_entries:
                self._telemetry.emit("lost_entries", regain_index=raft.regain_target)
            else:
                self._telemetry.emit("regained")
        stopped_at = self._replica.clients.stopped_at
        if stopped_at != self._stopped_at:
            self._stopped_at = stopped_at
            if stopped_at:
                self._telemetry.emit("writes_stopped", at_index=stopped_at)

    # --- commits ---------------------------------------------------------------------------------------------------

    def _follow_commits(self, events: Events, effects: Effects, asked_ns: int, began_ns: int, ended_ns: int) -> None:
        commits = self._commits
        if commits:
            for message in events.messages:
                if type(message) is AppendReply and message.accepted:
                    match, source = message.match, message.source
                    for commit in commits:
                        if commit.index > match:
                            break
                        if source not in commit.peers_ns:
                            commit.peers_ns[source] = began_ns - commit.proposed_ns
        write = effects.write
        if write is not None and write.entries and len(commits) < COMMITS_WATCHED_MAX:
            size = sum(len(entry.data) for entry in write.entries)
            commits.append(_Commit(write.last_index, asked_ns or began_ns, began_ns, size))
        applied = self._replica.applied
        while commits and commits[0].index <= applied:
            commit = commits.popleft()
            total_ns = ended_ns - commit.asked_ns
            self.commits.observe(total_ns)
            if total_ns > self._slow_commit_ns:
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
