"""Members of which only one has reached the other since a restart: whoever refuses new connections keeps those that stood before. Pure."""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from coordctl.logs.cluster_rules import STARTING_MS, centre
from coordctl.logs.evidence import EVIDENCE_MAX, HIGH, MEDIUM, Evidence, Hypothesis, told
from coordctl.logs.mining import Act

CONNECTS_MS = 5_000  # in healthy restarts all connections stand long before, on a busy machine, too
MOST_CONNECT_MS = 2_000
CLOCKS_MS = 1_000  # by which two members' times may differ where little is known of them


class Half(NamedTuple):
    source: str  # has no connection
    target: str
    start: Act  # of one of them
    back: Act  # the other way stands
    is_overdue: bool


def half_links(evidence: Evidence) -> Iterator[Hypothesis]:
    halves = [half for pair in combinations(evidence.members, 2) for half in _halves(evidence, *pair)]
    if not any(half.is_overdue for half in halves):
        return  # who has just started may still connect
    members = centre([(half.source, half.target) for half in halves])
    shown = ", ".join(f"{half.source} -> {half.target}" for half in halves)
    sentence = f"connections came back in one direction only after a restart: {shown} is missing, though the other side connects"
    silent = [act for half in halves for act in _silent(evidence, half)]
    acts = {id(act): act for half in halves for act in (half.start, half.back)} | {id(act): act for act in silent}
    shown_acts = sorted(acts.values(), key=lambda act: act.at_ms)[:EVIDENCE_MAX]
    sure = HIGH if len(halves) > 1 or silent else MEDIUM
    since_ms = min(half.start.at_ms for half in halves)
    yield told("cut link", members, since_ms, sure, sentence, list(map(evidence.line, shown_acts)), lasts=True)


def _halves(evidence: Evidence, one: str, other: str) -> Iterator[Half]:
    starts = [act for act in evidence.told("started") if act.member in (one, other)]
    if not starts or evidence.engine(one) or evidence.engine(other):
        return
    start = starts[-1]
    ups = {source: _up(evidence, source, target, start) for source, target in ((one, other), (other, one))}
    for source, target in ((one, other), (other, one)):
        back = ups[target]
        if ups[source] is None and back is not None:
            since_ms = max(start.at_ms, back.at_ms)
            due_ms = since_ms + CONNECTS_MS + _waited_ms(evidence, source, since_ms)
            if _is_unexplained(evidence, source, target, start.at_ms, since_ms + MOST_CONNECT_MS):
                yield Half(source, target, start, back, _is_unexplained(evidence, source, target, start.at_ms, due_ms))


def _up(evidence: Evidence, source: str, target: str, start: Act) -> Act | None:
    from_ms = start.at_ms - CLOCKS_MS - evidence.side.offset(source).error_ms - evidence.side.offset(target).error_ms
    told = (act for act in evidence.told("peer_up", member=source) if act.at_ms >= from_ms)
    return next((act for act in told if evidence.name(act.fields.get("peer")) == target), None)


def _is_unexplained(evidence: Evidence, source: str, target: str, from_ms: int, until_ms: int) -> bool:
    """Both were there until then, and nothing says otherwise why there is no connection."""
    pair = (source, target)
    heard_ms = min(evidence.side.summary.spans[member][1] - evidence.side.offset(member).ms for member in pair)
    is_gone = any(gap.member in pair and gap.from_ms < until_ms and gap.to_ms > from_ms for gap in evidence.gaps)
    refused = any(evidence.name(act.fields.get("peer")) == target for act in evidence.told("peer_refused", member=source))
    return heard_ms >= until_ms and not is_gone and not refused


def _waited_ms(evidence: Evidence, source: str, since_ms: int) -> int:
    """Who has not the CPU takes so much longer to connect."""
    second = (since_ms + evidence.side.offset(source).ms) // 1_000
    waited = evidence.summary.series.get((source, "pulse.waited_ms"), {})
    return round(sum(cell[1] for at, cell in waited.items() if second <= at <= second + CONNECTS_MS // 1_000))


def _silent(evidence: Evidence, half: Half) -> list[Act]:
    told = (act for act in evidence.told("peer_silent") if act.at_ms > half.start.at_ms + STARTING_MS)
    return [act for act in told if {act.member, evidence.name(act.fields.get("peer"))} == {half.source, half.target}]
