"""What is slow, and why: figures of the last minutes against what is usual for each member. The lines below `status` and `health`. Pure.

Medians, and not the worst of a hundred: one stall of a machine is no slow disk, and alerts watch the tail (monitoring/alerts.yml).
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from coordctl.facts.judgement import OK, WARNING, Finding
from coordctl.facts.members import COMMIT, SYNC, ClusterFacts, MemberFacts
from coordctl.facts.metrics import Histogram, Metrics

SECONDS_MIN = 20.0  # less says little
SEEN_MIN = 20  # of whatever is judged by its median
BUSY_SHARE = 0.5  # of the time: a disk that syncs for so long is slow, however few syncs it came to
SLOW_SYNC_MS = 10.0
SLOW_COMMIT_MS = 25.0
SLOW_TRIP_MS = 10.0
TIMES_USUAL = 5.0
STORM_ELECTIONS = 5
CPU_SHARE_MAX = 0.3
CLOCK_MS_MAX = 500.0
FULL_SECONDS_MAX = 4 * 3_600.0
RATE_SECONDS_MIN = 60.0  # a disk's pace is told from no less
TRIP = "coordnode_peer_round_trip_seconds"
REPLICATION = "replication"
PARTS = {  # as members call them
    "queue": "waiting for a turn",
    "log_wait": "waiting for the log's thread",
    "log_sync": "the leader's disk",
    REPLICATION: "the other members",
    "apply": "applying",
}


class Sample(NamedTuple):
    """What a member said of itself earlier."""

    unix_s: float
    pid: int
    free_bytes: int
    metrics: Metrics


class Recent(NamedTuple):
    """Of one member, since its sample."""

    seconds: float
    metrics: Metrics
    free_bytes: int  # more than then; below 0: less


def recent(one: MemberFacts, before: Sample | None, now_s: float) -> Recent | None:
    """None: too short a time, or another process."""
    if one.status is None or before is None or before.pid != one.status["pid"] or now_s - before.unix_s < SECONDS_MIN:
        return None
    return Recent(now_s - before.unix_s, one.metrics.since(before.metrics), one.status["disk"]["free_bytes"] - before.free_bytes)


def of(facts: ClusterFacts, since: Mapping[int, Recent], error_ms: float) -> list[Finding]:
    """`since`: by member. `error_ms`: how far apart the moments are at which members told their clocks."""
    members = [(one, since[one.member]) for one in facts.answered if one.member in since]
    found = [*_commits(facts, members), *_disks(members), *_elections(members), *_clients(members), *_cpu(members)]
    return [*found, *_space(members), *_clocks(facts.answered, error_ms)]


def slow_members(since: Mapping[int, Recent], facts: ClusterFacts) -> set[int]:
    return {one.member for one in facts.answered if one.member in since and _slowed(one, since[one.member], SYNC, SLOW_SYNC_MS)}


def _slowed(one: MemberFacts, since: Recent, name: str, bound_ms: float) -> tuple[float, float] | None:
    """(median of late, usual median), when the first is beyond all that is usual."""
    late, usual = since.metrics.histogram(name), _usual(one.metrics.histogram(name), since.metrics.histogram(name))
    late_ms, usual_ms = late.quantile_ms(0.5), usual.quantile_ms(0.5)
    if name == SYNC and late.sum_seconds > BUSY_SHARE * since.seconds:
        late_ms = late.mean_ms()
    elif late.count < SEEN_MIN:
        return None
    if late_ms is None or late_ms < bound_ms:
        return None
    if usual_ms is None or usual.count < SEEN_MIN:
        return late_ms, 0.0
    return (late_ms, usual_ms) if late_ms >= TIMES_USUAL * usual_ms else None


def _usual(everything: Histogram, late: Histogram) -> Histogram:
    return everything.since(late) if everything.count > late.count else Histogram()


def _times(late_ms: float, usual_ms: float) -> str:
    return f"{_ms(late_ms)}, {late_ms / usual_ms:.0f} x its usual" if usual_ms else _ms(late_ms)


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def _commits(facts: ClusterFacts, members: Sequence[tuple[MemberFacts, Recent]]) -> list[Finding]:
    """Disk or network?"""
    for one, since in members:
        if one.status is not facts.leader_status or (slow := _slowed(one, since, COMMIT, SLOW_COMMIT_MS)) is None:
            continue
        means = {part: since.metrics.histogram(f"coordnode_commit_{part}_seconds").mean_ms() or 0.0 for part in PARTS}
        most = max(means, key=lambda part: means[part])
        why = f"most of it is {PARTS[most]} ({_ms(means[most])})"
        if most == REPLICATION:
            why = _peers(one, since, members, facts)
        sentence = f"commits take {_times(*slow)}: {why}"
        return [Finding(WARNING, sentence, "runbooks/slow-commits.md")]
    return []


def _peers(leader: MemberFacts, since: Recent, members: Sequence[tuple[MemberFacts, Recent]], facts: ClusterFacts) -> str:
    """The others were slow to acknowledge: their disks, or the way to them."""
    names = {one.member: one.shown_name for one, _ in members}
    trips = {
        name.partition("/")[2]: found.quantile_ms(0.5) or 0.0
        for name, found in since.metrics.histograms.items()
        if "/" in name and name.startswith(TRIP)
    }
    disks = {one.shown_name: since.metrics.histogram(SYNC).quantile_ms(0.5) or 0.0 for one, since in members if one is not leader}
    slowest_trip = max(trips.values(), default=0.0)
    slowest_disk = max(disks.values(), default=0.0)
    if slowest_trip >= max(SLOW_TRIP_MS, slowest_disk):
        peer = max(trips, key=lambda name: trips[name])
        return f"it is the network: round trips to {names.get(int(peer), peer)} take {_ms(slowest_trip)}, disks {_ms(slowest_disk)}"
    name = max(disks, key=lambda name: disks[name], default="the others")
    return f"it is the disk of {name} (fsync {_ms(slowest_disk)}), not the network (round trips {_ms(slowest_trip)})"


def _disks(members: Sequence[tuple[MemberFacts, Recent]]) -> list[Finding]:
    found = []
    for one, since in members:
        slow = _slowed(one, since, SYNC, SLOW_SYNC_MS)
        if slow is not None:
            sentence = f"{one.shown_name} fsync {_times(*slow)}, in the last {since.seconds:.0f} s"
            found.append(Finding(WARNING, sentence, "runbooks/slow-commits.md"))
    return found


def _elections(members: Sequence[tuple[MemberFacts, Recent]]) -> list[Finding]:
    won = elections(members)
    if won < STORM_ELECTIONS:
        return []
    seconds = max(since.seconds for _, since in members)
    return [Finding(WARNING, f"{won} elections in the last {seconds:.0f} s", "runbooks/election-storm.md")]


def elections(members: Sequence[tuple[MemberFacts, Recent]]) -> int:
    return round(sum(max(0.0, since.metrics.numbers.get("coordnode_elections_won_total", 0.0)) for _, since in members))


def _clients(members: Sequence[tuple[MemberFacts, Recent]]) -> list[Finding]:
    """Work that piles up, and leases that are renewed too late: clients whose patience ended before their turn came."""
    found = []
    for one, since in members:
        late = since.metrics.numbers.get("coordnode_asks_too_late_total", 0.0)
        asks = since.metrics.numbers.get("coordnode_client_asks_total", 0.0)
        pauses = since.metrics.numbers.get("coordnode_client_pauses_total", 0.0)
        if late >= 10 and late >= asks / 100:
            sentence = f"{late:.0f} of {asks:.0f} asks waited at {one.shown_name} longer than their clients: leases are renewed late, too"
            found.append(Finding(WARNING, sentence, "runbooks/session-churn.md"))
        elif pauses >= 10:
            pending = one.metrics.numbers.get("coordnode_client_pending_bytes", 0.0)
            sentence = f"work piles up at {one.shown_name}: clients were paused {pauses:.0f} times, {pending / 1_048_576:.1f} MiB wait"
            found.append(Finding(OK, sentence, "runbooks/slow-commits.md"))
    return found


def cpu_wait_share(since: Recent) -> float:
    return since.metrics.numbers.get("coordnode_loop_cpu_wait_seconds_total", 0.0) / since.seconds


def _cpu(members: Sequence[tuple[MemberFacts, Recent]]) -> list[Finding]:
    shares = {one.shown_name: cpu_wait_share(since) for one, since in members}
    return [
        Finding(OK, f"others had the CPU while {name} could have run, {share:.0%} of the time", "top on that host")
        for name, share in shares.items()
        if share > CPU_SHARE_MAX
    ]


def _space(members: Sequence[tuple[MemberFacts, Recent]]) -> list[Finding]:
    found = []
    for one, since in members:
        assert one.status is not None
        if since.seconds < RATE_SECONDS_MIN or since.free_bytes >= 0:
            continue
        left_s = one.status["disk"]["free_bytes"] / (-since.free_bytes / since.seconds)
        if left_s < FULL_SECONDS_MAX:
            sentence = f"{one.shown_name}'s disk is full in {left_s / 60:.0f} min, if it goes on like the last {since.seconds:.0f} s"
            found.append(Finding(OK, sentence, "runbooks/disk-filling.md"))
    return found


def _clocks(members: Sequence[MemberFacts], error_ms: float) -> list[Finding]:
    """Wall clocks decide nothing, but logs and certificates are read by them."""
    walls = {one.shown_name: one.status["clock"]["wall_ms"] for one in members if one.status is not None and "clock" in one.status}
    if len(walls) < 2:
        return []
    middle = median(walls.values())
    apart = {name: wall - middle for name, wall in walls.items()}
    return [
        Finding(OK, f"{name}'s clock is {ms / 1_000:+.1f} s from the others'", "runbooks/clock-offset.md")
        for name, ms in apart.items()
        if abs(ms) - error_ms > CLOCK_MS_MAX
    ]
