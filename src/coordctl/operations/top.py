"""`top`: looks at all members again and again, and tells what happened between two looks."""

import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from coordctl.facts import judgement, verdicts
from coordctl.facts.members import COMMIT, SYNC, ClusterFacts, MemberFacts
from coordctl.facts.metrics import Metrics
from coordctl.facts.verdicts import TRIP, Recent, Sample
from coordctl.local.clusters import Endpoint
from coordctl.operations import statuses
from coordctl.operations.status import shown_findings
from coordctl.results.top import Top, TopMember

ASK_SECONDS_MAX = 2.0
KEPT = 120  # looks, for what is said of the last minutes


class _Look(NamedTuple):
    unix_s: float
    facts: ClusterFacts


class Watching:
    def __init__(self, name: str, endpoints: Sequence[Endpoint], timeout_seconds: float) -> None:
        self._name = name
        self._endpoints = endpoints
        self._timeout_seconds = min(timeout_seconds, ASK_SECONDS_MAX)
        self._looks: deque[_Look] = deque(maxlen=KEPT)

    def look(self) -> Top:
        """The first one knows of no time before it."""
        began = time.monotonic()
        facts = statuses.of_cluster(self._endpoints, self._timeout_seconds, with_metrics=True)
        error_ms = (time.monotonic() - began) * 1_000
        now = _Look(time.time(), facts)
        before = self._looks[-1] if self._looks else None
        self._looks.append(now)
        since = _since(self._looks[0], now)
        found = sorted([*judgement.findings(facts), *verdicts.of(facts, since, error_ms)], key=judgement.rank)
        slow = verdicts.slow_members(since, facts)
        trips = _trips(facts, before)
        return Top(
            outcome="answered" if facts.answered else "unreachable",
            exit_code=0 if facts.answered else 69,
            cluster=facts.cluster_name or self._name,
            judgement=judgement.WORDS[judgement.level(found)],
            can_lose=facts.can_lose(),
            leader=facts.leader_name,
            term=facts.term,
            over_ms=0 if before is None else round((now.unix_s - before.unix_s) * 1_000),
            members=[_member(one, now, before, trips, slow) for one in facts.members],
            findings=shown_findings(found),
            sources_answered=len(facts.answered),
            sources_asked=len(facts.members),
            unix_ms=round(now.unix_s * 1_000),
        )


def _since(first: _Look, now: _Look) -> dict[int, Recent]:
    found = {}
    earlier = {one.member: one for one in first.facts.answered}
    for one in now.facts.answered:
        then = earlier.get(one.member)
        sample = None
        if then is not None and then.status is not None:
            sample = Sample(first.unix_s, then.status["pid"], then.status["disk"]["free_bytes"], then.metrics)
        if (recent := verdicts.recent(one, sample, now.unix_s)) is not None:
            found[one.member] = recent
    return found


def _between(one: MemberFacts, before: _Look | None) -> Metrics | None:
    """None: this is the first look at it, or at this process of it."""
    then = next((other for other in before.facts.answered if other.member == one.member), None) if before is not None else None
    if then is None or then.status is None or one.status is None or then.status["pid"] != one.status["pid"]:
        return None
    return one.metrics.since(then.metrics)


def _trips(facts: ClusterFacts, before: _Look | None) -> dict[int, float]:
    for one in facts.answered:
        if one.status is facts.leader_status and (between := _between(one, before)) is not None:
            found = {
                name.partition("/")[2]: trips.quantile_ms(0.5) for name, trips in between.histograms.items() if name.startswith(f"{TRIP}/")
            }
            return {int(peer): trip for peer, trip in found.items() if trip is not None}
    return {}


def _member(one: MemberFacts, now: _Look, before: _Look | None, trips: dict[int, float], slow: set[int]) -> TopMember:
    between = _between(one, before)
    seconds = now.unix_s - before.unix_s if before is not None else 0.0
    state = now.facts.state(one)

    def rate(name: str, of: float = 1.0) -> float | None:
        if between is None or name not in between.numbers or not seconds:
            return None
        return round(between.numbers[name] / seconds * of, 1)

    def p99(name: str) -> float | None:
        found = between.histogram(name).quantile_ms(0.99) if between is not None else None
        return None if found is None else round(found, 3)

    commits = between.histogram(COMMIT).count if between is not None else 0
    return TopMember(
        name=one.shown_name,
        member=one.member,
        role=now.facts.role(one),
        state="SLOW" if state == "ok" and one.member in slow else state,
        lag=now.facts.lag(one),
        asks_per_s=rate("coordnode_client_asks_total"),
        commits_per_s=round(commits / seconds, 1) if seconds and one.status is now.facts.leader_status and between is not None else None,
        commit_p99_ms=p99(COMMIT),
        sync_p99_ms=p99(SYNC),
        round_trip_ms=round(trips[one.member], 3) if one.member in trips else None,
        cpu_percent=rate("coordnode_cpu_seconds_total", 100),
        cpu_wait_percent=rate("coordnode_loop_cpu_wait_seconds_total", 100),
        connections=one.status["clients"] if one.status is not None else None,
        free_bytes=one.status["disk"]["free_bytes"] if one.status is not None else None,
    )
