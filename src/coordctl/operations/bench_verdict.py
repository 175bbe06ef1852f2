"""A benchmark's result, from what was counted and what members said: figures, the verdict in words, and what to type next."""

from typing import NamedTuple

from coordctl.load.causes import BUSY_SHARE, CLUSTER, CPU, DISK, GENERATOR, NETWORK, Evidence, Host, Peer, Verdict, judge
from coordctl.load.latencies import MS
from coordctl.load.tally import Tally
from coordctl.load.thresholds import Threshold, crossed
from coordctl.local.clusters import host_and_port
from coordctl.operations.bench_evidence import Watched
from coordctl.results.bench import Bench, BenchCause, BenchMember, BenchOperation, BenchPart, BenchSecond

OUTCOMES = ("measured", "crossed", "broken", "unknown")
INTERRUPTED = 130
LATE_MS_MIN = 20.0
DONE_MIN = 20  # of fewer nothing is said


class Measured(NamedTuple):
    cluster: str
    workload: str
    rate: float | None
    connections: int
    outstanding: int
    processes: int
    value_bytes: int
    seconds: float
    tally: Tally
    busy_share: float
    way_ms: float
    series: list[BenchSecond]
    thresholds: tuple[Threshold, ...]
    is_cut: bool
    is_clean: bool
    clean_within_ms: int


def verdict(measured: Measured, watched: Watched) -> Bench:
    tally = measured.tally
    evidence = watched.evidence(tally, busy_share=measured.busy_share, way_ms=measured.way_ms, is_open=measured.rate is not None)
    if tally.count < DONE_MIN:
        evidence = None
    found = judge(evidence) if evidence is not None else None
    said = {one: crossed(one, tally, max(measured.seconds, 1e-9)) for one in measured.thresholds}
    how = {one: words for one, words in said.items() if words}
    level = _level(tally, found, list(how))
    return Bench(
        outcome=OUTCOMES[level],
        exit_code=INTERRUPTED if measured.is_cut else level,
        cluster=measured.cluster,
        workload=measured.workload,
        loop="closed" if measured.rate is None else "open",
        rate_asked=measured.rate,
        connections=measured.connections,
        outstanding=measured.outstanding if measured.rate is None else None,
        processes=measured.processes,
        value_bytes=measured.value_bytes,
        seconds=round(measured.seconds, 3),
        done=tally.count,
        failed=dict(tally.failed),
        rate=round(tally.count / measured.seconds, 1) if measured.seconds else 0.0,
        operations=[_operation(name, tally) for name in tally.done],
        commit_p99_ms=_rounded(watched.commit_p99_ms),
        breakdown=_breakdown(evidence),
        causes=_causes(evidence, found),
        verdict=found.cause if found is not None else "",
        share=round(found.share, 3) if found is not None else 0.0,
        is_clear=found.is_clear if found is not None else False,
        sentence=_sentence(measured, evidence, found),
        next=_next(measured, watched, evidence, found),
        members=_members(evidence),
        generator_busy_share=round(measured.busy_share, 3),
        generator_late_mean_ms=round(tally.late.mean_ms() or 0.0, 3),
        generator_late_p99_ms=round(tally.late.quantile_ms(0.99) or 0.0, 3),
        crossed=list(how.values()),
        wrong=list(tally.wrong),
        is_clean=measured.is_clean,
        clean_within_ms=measured.clean_within_ms,
        series=measured.series,
    )


def _level(tally: Tally, found: Verdict | None, how: list[Threshold]) -> int:
    """What is proved: where the generator is what was slow, that it was slow says nothing of the cluster."""
    if tally.wrong:
        return 2
    if found is None:
        return 3
    is_excuse = found.cause == GENERATOR and found.is_clear and all(one.figure != "errors" for one in how)
    return (3 if is_excuse else 1) if how else 0


def _operation(name: str, tally: Tally) -> BenchOperation:
    times = tally.done[name]
    p50, p90, p99, p999 = (round(times.quantile_ms(part) or 0.0, 3) for part in (0.5, 0.9, 0.99, 0.999))
    mean_ms, max_ms = round(times.mean_ms() or 0.0, 3), round(times.max_ns / MS, 3)
    return BenchOperation(operation=name, done=len(times), mean_ms=mean_ms, p50_ms=p50, p90_ms=p90, p99_ms=p99, p999_ms=p999, max_ms=max_ms)


def _breakdown(evidence: Evidence | None) -> list[BenchPart]:
    if evidence is None or evidence.commit is None:
        return []
    way = max(0.0, evidence.asked_ms - evidence.commit.total)
    return [BenchPart(part=part, mean_ms=round(ms, 3)) for part, ms in (("way", way), *evidence.commit._asdict().items())]


# --- in words ----------------------------------------------------------------------------------------------------------


def _causes(evidence: Evidence | None, found: Verdict | None) -> list[BenchCause]:
    if evidence is None or found is None:
        return []
    said = {
        CLUSTER: "its members do not say where",
        DISK: _each("fsync p99", [(host.name, host.sync_p99_ms) for host in _hosts(evidence)], " ms"),
        NETWORK: _each("to the leader", [("", evidence.way_ms)], " ms")
        + _each("; heartbeat and back", [(peer.host.name, peer.round_trip_ms) for peer in evidence.peers], " ms"),
        CPU: "; ".join(_of_cpu(host, is_leader=host is evidence.leader) for host in _hosts(evidence)),
        GENERATOR: f"{evidence.busy_share:.0%} of a core, {evidence.late_ms:.2f} ms late",
    }
    return [BenchCause(cause=cause, mean_ms=round(ms, 3), evidence=said[cause]) for cause, ms in found.milliseconds.items()]


def _hosts(evidence: Evidence) -> list[Host]:
    return [] if evidence.leader is None else [evidence.leader, *[peer.host for peer in evidence.peers]]


def _each(what: str, figures: list[tuple[str, float | None]], unit: str) -> str:
    said = [f"{name} {figure:.2f}{unit}".strip() if figure is not None else f"{name} -" for name, figure in figures]
    return f"{what} {', '.join(said)}" if said else ""


def _of_cpu(host: Host, *, is_leader: bool) -> str:
    words = [f"{host.loop_share:.0%} of a core" if host.loop_share is not None else "-"]
    if host.wait_share is not None:
        words.append(f"kept waiting {host.wait_share:.0%}")
    if host.late_p99_ms is not None:
        words.append(f"ticks {host.late_p99_ms:.0f} ms late")
    return f"{host.name}{' (leader)' if is_leader else ''} {', '.join(words)}"


def _sentence(measured: Measured, evidence: Evidence | None, found: Verdict | None) -> str:
    if evidence is None or found is None:
        failed = f", {measured.tally.failures} failed" if measured.tally.failures else ""
        return f"too little was answered to say anything: {measured.tally.count} requests{failed}"
    total = sum(found.milliseconds.values())
    what = "write" if measured.tally.writes.count else "read"
    if measured.busy_share >= BUSY_SHARE:
        return f"the generator is the limit, not the cluster: its busiest process computed {found.share:.0%} of the time"
    whose = {
        DISK: "fsync",
        NETWORK: "the way between members, and to the leader",
        CPU: "computing, and waiting for a processor",
        GENERATOR: "sending late, which is ours",
        CLUSTER: "the cluster's and the way's, and its members do not say where",
    }[found.cause]
    lead = "" if found.is_clear else ", which is the most"
    return f"{found.share:.0%} of a {what}'s {total:.1f} ms {'is' if found.cause == DISK else 'are'} {whose}{lead}"


def _next(measured: Measured, watched: Watched, evidence: Evidence | None, found: Verdict | None) -> str:
    if evidence is None or found is None:
        return "coordctl status"
    if found.cause == GENERATOR:
        return f"coordctl bench {measured.workload} --processes {2 * measured.processes}   # or from another machine"
    if evidence.leader is None:
        return "coordctl status"
    if found.cause == DISK:
        return "coordctl status   # whose FSYNC99 stands out?"
    if found.cause == NETWORK:
        far = max(evidence.peers, key=_distance, default=None)
        address = next((one.address for one in watched.facts.members if far is not None and one.shown_name == far.host.name), "")
        return f"ping -c 20 {host_and_port(address)[0]}   # from {evidence.leader.name}'s host" if address else "coordctl status"
    busiest = max(_hosts(evidence), key=_hurry)
    pid = next((one.status["pid"] for one in watched.facts.answered if one.status is not None and one.shown_name == busiest.name), 0)
    return f"top -H -p {pid}   # on {busiest.name}'s host"


def _hurry(host: Host) -> tuple[float, float]:
    """Ticks that are a little late say nothing."""
    late_ms = host.late_p99_ms or 0.0
    return (late_ms if late_ms >= LATE_MS_MIN else 0.0, (host.loop_share or 0.0) + (host.wait_share or 0.0))


def _distance(peer: Peer) -> float:
    return peer.round_trip_ms or 0.0


def _members(evidence: Evidence | None) -> list[BenchMember]:
    if evidence is None or evidence.leader is None:
        return []
    return [_member(evidence.leader, None), *[_member(peer.host, peer) for peer in evidence.peers]]


def _member(host: Host, peer: Peer | None) -> BenchMember:
    return BenchMember(
        name=host.name,
        is_leader=peer is None,
        sync_mean_ms=_rounded(host.sync_mean_ms),
        sync_p99_ms=_rounded(host.sync_p99_ms),
        round_trip_ms=_rounded(peer.round_trip_ms) if peer is not None else None,
        acknowledged_mean_ms=_rounded(peer.acknowledged_mean_ms) if peer is not None and peer.decided else None,
        late_p99_ms=_rounded(host.late_p99_ms),
        loop_share=_rounded(host.loop_share),
        wait_share=_rounded(host.wait_share),
    )


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)
