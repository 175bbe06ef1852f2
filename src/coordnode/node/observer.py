"""Looks at the replica after each turn and tells what changed: roles, elections, what commits and members take. Decides nothing."""

from collections.abc import Callable

from coordnode.node.commits import Commits
from coordnode.node.lanes import Committed
from coordnode.node.metrics import Durations
from coordnode.node.pulse import Pulse
from coordnode.node.round_trips import RoundTrips
from coordnode.node.telemetry import Telemetry
from coordnode.raft.entry import Config
from coordnode.raft.state import CANDIDATE, LEADER, PRE_CANDIDATE, ROLE_NAMES
from coordnode.replica.effects import Effects
from coordnode.replica.events import Events
from coordnode.replica.replica import Replica

MS = 1_000_000
SLOW_TURN_NS = 50 * MS


class Observer:
    def __init__(self, replica: Replica, telemetry: Telemetry, slow_commit_ms: int, on_config: Callable[[Config], None]) -> None:
        self._replica = replica
        self._telemetry = telemetry
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
        self.commits = Commits(telemetry, slow_commit_ms)
        self.round_trips = RoundTrips()
        self.turns = Durations()
        self.syncs = Durations()
        self.late_ticks = Durations()  # how late each was: the loop was busy, or the process not run
        self.elections = 0
        self.pulse = Pulse(replica, telemetry, self)

    def on_committed(self, committed: Committed) -> None:
        self.syncs.observe(committed.ended_ns - committed.began_ns)
        self.commits.on_committed(committed)

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
            self.commits.turned(events, effects, asked_ns, began_ns, ended_ns, replica.applied)
            self.round_trips.turned(events, effects, began_ns)
            if not self._serving and replica.clients.serving:
                self._on_serving(ended_ns)
        denied = replica.clients.authority.denied
        while denied:
            denial = denied.popleft()
            self._telemetry.emit("denied", by=denial.by, place=denial.place, asked=denial.what, why=denial.sentence)
        if events.ticked:
            self._look_for_trouble()
            self.pulse.maybe_tell(ended_ns)

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
                self.commits.clear()
                self.round_trips.clear()
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
