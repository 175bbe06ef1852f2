"""What members said of themselves before, at the beginning and at the end of a measurement, made evidence of where the time went."""

from coordctl.facts.members import COMMIT, SYNC, ClusterFacts, MemberFacts
from coordctl.facts.metrics import Histogram, Metrics
from coordctl.load.causes import Commit, Evidence, Host, Peer
from coordctl.load.tally import Tally
from coordctl.local.clusters import Endpoint
from coordctl.operations import statuses

ROUND_TRIP = "coordnode_peer_round_trip_seconds"
ACKNOWLEDGED = "coordnode_peer_acknowledged_seconds"
LATE = "coordnode_tick_late_seconds"
PARTS = ("queue", "log_wait", "log_sync", "replication", "apply")
UP = "coordnode_up_seconds"
LOOP_CPU = "coordnode_loop_cpu_seconds_total"
LOOP_WAIT = "coordnode_loop_cpu_wait_seconds_total"
UNHINDERED = 0.1  # so many of the round trips were kept waiting by nothing but the way


class Watched:
    """Looks at all members whenever it is told to."""

    def __init__(self, facts: ClusterFacts, seconds: float) -> None:
        self._endpoints = [Endpoint(one.address, one.member, one.name) for one in facts.members]
        self._seconds = seconds
        self._before: dict[int, Metrics] = {}
        self._quiet: dict[int, Metrics] = {}
        self._begin: dict[int, Metrics] = {}
        self._end: dict[int, Metrics] = {}
        self.facts = facts

    def before_quiet(self) -> None:
        self._before = self._look()

    def before_load(self) -> None:
        """What came since `before_quiet` was not ours."""
        quiet = self._look()
        self._quiet = {member: metrics.since(self._before.get(member, Metrics())) for member, metrics in quiet.items()}

    def begin(self) -> None:
        self._begin = self._look()

    def end(self) -> None:
        end = self._look()
        self._end = {member: metrics.since(self._begin.get(member, Metrics())) for member, metrics in end.items()}

    def _look(self) -> dict[int, Metrics]:
        self.facts = ClusterFacts(statuses.ask(self._endpoints, self._seconds, with_metrics=True))
        return {one.member: one.metrics for one in self.facts.answered}

    @property
    def leader(self) -> MemberFacts | None:
        return next((one for one in self.facts.answered if one.status is self.facts.leader_status), None)

    @property
    def commit_p99_ms(self) -> float | None:
        leader = self.leader
        return self._of(leader, COMMIT).quantile_ms(0.99) if leader is not None else None

    def evidence(self, tally: Tally, *, busy_share: float, way_ms: float, is_open: bool) -> Evidence | None:
        """None: too little was seen for any."""
        leader = self.leader
        steps = tally.writes if tally.writes.count else tally.reads
        asked_ms = steps.mean_ms()
        if leader is None or asked_ms is None:
            return None
        parts = [self._of(leader, f"coordnode_commit_{part}_seconds").mean_ms() for part in PARTS]
        commit = Commit(*[part or 0.0 for part in parts]) if tally.writes.count and parts[0] is not None else None
        return Evidence(
            asked_ms=asked_ms,
            late_ms=tally.late.mean_ms() or 0.0,
            busy_share=busy_share,
            is_open=is_open,
            way_ms=way_ms,
            commit=commit,
            leader=self._host(leader),
            peers=tuple(self._peer(leader, one) for one in self.facts.members if one is not leader and self.facts.role(one) != "learner"),
        )

    def _of(self, member: MemberFacts, name: str) -> Histogram:
        return self._end.get(member.member, Metrics()).histogram(name)

    def _peer(self, leader: MemberFacts, peer: MemberFacts) -> Peer:
        acknowledged = self._of(leader, f"{ACKNOWLEDGED}/{peer.member}")
        trips = self._quiet.get(leader.member, Metrics()).histogram(f"{ROUND_TRIP}/{peer.member}")
        if not trips.count:  # it did not lead yet
            trips = self._of(leader, f"{ROUND_TRIP}/{peer.member}")
        return Peer(self._host(peer), acknowledged.count, acknowledged.mean_ms() or 0.0, trips.least_ms(UNHINDERED))

    def _host(self, member: MemberFacts) -> Host:
        syncs, numbers = self._of(member, SYNC), self._end.get(member.member, Metrics()).numbers
        seconds = numbers.get(UP, 0.0)

        def share(name: str) -> float | None:
            return numbers[name] / seconds if name in numbers and seconds > 0 else None

        return Host(
            name=member.shown_name,
            sync_mean_ms=syncs.mean_ms(),
            sync_p99_ms=syncs.quantile_ms(0.99),
            late_p99_ms=self._of(member, LATE).quantile_ms(0.99),
            loop_share=share(LOOP_CPU),
            wait_share=share(LOOP_WAIT),
        )


class Unwatched(Watched):
    """Members of another engine do not say where time goes: it is the cluster's, or ours."""

    def __init__(self) -> None:
        super().__init__(ClusterFacts(()), 0.0)

    def _look(self) -> dict[int, Metrics]:
        return {}

    def evidence(self, tally: Tally, *, busy_share: float, way_ms: float, is_open: bool) -> Evidence | None:
        asked_ms = (tally.writes if tally.writes.count else tally.reads).mean_ms()
        if asked_ms is None:
            return None
        return Evidence(asked_ms, tally.late.mean_ms() or 0.0, busy_share, is_open, way_ms, None, None, ())
