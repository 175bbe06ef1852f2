"""Where the time of requests went, and so what is short: a disk, the network, CPU, or who generates the load. Pure.

A commit's mean time is divided by what members measured of themselves; what nobody else can answer for is CPU: threads that wait for
the interpreter or the processor, and wake each other.

    own log's fsync                                           disk
    until a quorum had it, beyond that                        disk, network, CPU, as the acknowledgement of those that decided divides:
                                                              their fsync, a round trip that nobody kept waiting, the rest
    queue, waiting for the log's thread, apply                CPU
    from being sent to the leader's hearing of it, and back   network, as long as the way took before the load; the rest CPU
    from being meant to be sent to being sent                 the generator, which reads answers as late as it sends
"""

from typing import Final, NamedTuple

DISK, NETWORK, CPU, GENERATOR = "disk", "network", "CPU", "generator"
CAUSES: Final = (DISK, NETWORK, CPU, GENERATOR)
CLUSTER: Final = "cluster"  # all of these but the generator, where members do not say more
BUSY_SHARE: Final = 0.85  # of one core: whoever computes so much of the time is what others wait for
CLEAR_SHARE: Final = 0.5
HAND_OVERS_MS: Final = 0.5  # of any way there and back, in threads that wake each other: CPU, not network


class Host(NamedTuple):
    """What one member said of the time in question. None: it did not."""

    name: str
    sync_mean_ms: float | None = None
    sync_p99_ms: float | None = None
    late_p99_ms: float | None = None  # of its ticks
    loop_share: float | None = None  # of one core, that its loop used
    wait_share: float | None = None  # of the time, that its loop could have run and others had the CPU


class Peer(NamedTuple):
    """Another member, as the leader saw it."""

    host: Host
    decided: int = 0  # acknowledgements that came before the answers
    acknowledged_mean_ms: float = 0.0
    round_trip_ms: float | None = None  # of a heartbeat, when nothing kept it waiting


class Commit(NamedTuple):
    """Means, in ms: as the leader divides its commits."""

    queue: float
    log_wait: float
    log_sync: float
    replication: float
    apply: float

    @property
    def total(self) -> float:
        return sum(self)


class Evidence(NamedTuple):
    asked_ms: float  # mean of a write, or of a read if there were only those, from being sent to its answer
    late_ms: float  # mean of how late the generator came to do something
    busy_share: float  # of one core, that the busiest generator used
    is_open: bool  # the loop: only then what is sent late has waited
    way_ms: float  # to the leader and back, when nothing kept it waiting
    commit: Commit | None  # None: there were none
    leader: Host | None  # None: members do not say where time goes
    peers: tuple[Peer, ...]


class Verdict(NamedTuple):
    cause: str
    share: float  # of the mean time
    is_clear: bool
    milliseconds: dict[str, float]  # by cause; together they are all of the mean time


def divide(evidence: Evidence) -> dict[str, float]:
    waited_ms = evidence.late_ms if evidence.is_open else 0.0
    if evidence.leader is None:
        late = min(evidence.asked_ms, evidence.late_ms)
        return {CLUSTER: evidence.asked_ms - late, GENERATOR: waited_ms + late}
    found = dict.fromkeys(CAUSES, 0.0)
    found[GENERATOR] = waited_ms
    rest = evidence.asked_ms
    commit = evidence.commit
    if commit is not None:
        # A commit is many requests', and its time that of the first of them.
        scale = min(1.0, rest / commit.total) if commit.total else 0.0
        found[DISK] += commit.log_sync * scale
        found[CPU] += (commit.queue + commit.log_wait + commit.apply) * scale
        for cause, part in _of_peers(evidence.peers).items():
            found[cause] += commit.replication * part * scale
        rest -= commit.total * scale
    else:
        # A read waits until a quorum confirmed that its leader leads: for the nearest ones.
        trips = sorted(_way_ms(peer.round_trip_ms) for peer in evidence.peers if peer.round_trip_ms is not None)
        needed = (len(evidence.peers) + 1) // 2
        trip = min(rest, trips[needed - 1] if 0 < needed <= len(trips) else 0.0)
        found[NETWORK] += trip
        rest -= trip
    way = min(rest, _way_ms(evidence.way_ms))
    late = min(rest - way, evidence.late_ms)
    found[NETWORK] += way
    found[GENERATOR] += late
    found[CPU] += rest - way - late
    return found


def _way_ms(round_trip_ms: float) -> float:
    return max(0.0, round_trip_ms - HAND_OVERS_MS)


def _of_peers(peers: tuple[Peer, ...]) -> dict[str, float]:
    """What the acknowledgements that were waited for were made of, as parts of 1."""
    parts = dict.fromkeys((DISK, NETWORK, CPU), 0.0)
    decided = sum(peer.decided for peer in peers)
    for peer in peers:
        if not peer.decided:
            continue
        weight = peer.decided / decided
        took = peer.acknowledged_mean_ms
        disk = min(took, peer.host.sync_mean_ms or 0.0)
        network = min(took - disk, _way_ms(peer.round_trip_ms or 0.0))
        for cause, ms in ((DISK, disk), (NETWORK, network), (CPU, took - disk - network)):
            parts[cause] += weight * (ms / took if took else 0.0)
    if not decided:
        parts[CPU] = 1.0
    return parts


def judge(evidence: Evidence) -> Verdict:
    milliseconds = divide(evidence)
    total = sum(milliseconds.values())
    if evidence.busy_share >= BUSY_SHARE:
        # Whoever computes all the time sends late and reads late: nothing else can be told from it.
        return Verdict(GENERATOR, evidence.busy_share, True, milliseconds)
    cause = max(milliseconds, key=lambda one: milliseconds[one])
    share = milliseconds[cause] / total if total else 0.0
    return Verdict(cause, share, share >= CLEAR_SHARE, milliseconds)
