"""Causes that lie between members, in their settings, or in what clients do. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from coordctl.logs.evidence import (
    EVIDENCE_MAX,
    HIGH,
    LOW,
    MEDIUM,
    NEAR_MS,
    ORDER,
    SURGE,
    Evidence,
    Hypothesis,
    Line,
    by_member,
    minority,
    shown_by,
    told,
)
from coordctl.logs.host_rules import hangs, hardly_runs
from coordctl.logs.mining import Act

STORM_ELECTIONS = 4
LEADERLESS_MS = 10_000
EXPIRIES_MIN = 5
STARTING_MS = 3_500
JOINING_MS_MAX = 60_000
JOINED = ("leader_found", "elected")
REFUSED_FOR = (
    (re.compile(r"^TLS:|\bcertificate\b"), "certificate"),
    (re.compile(r"^its name .* is not found"), "name resolution"),
    (re.compile(r"should be member|^this is (member|cluster)|a copied folder"), "wrong address"),
)
MEMBER = re.compile(r"(?:member|it is|not) (\d+)")
LOCK_WAIT = "pulse.lock_wait_ms."
LOCK_WAIT_MS = 5_000
LONGER = 4
WAITERS_MIN = 3


def links(evidence: Evidence) -> Iterator[Hypothesis]:
    """Between members that both run: silence, or connections that end."""
    between: dict[tuple[str, str], list[Act]] = {}  # by who does not hear from whom
    for act in evidence.told("peer_silent", "peer_lost"):
        peer = evidence.name(act.fields.get("peer"))
        if evidence.was_gone(peer, act.at_ms) or evidence.was_gone(act.member, act.at_ms) or _is_starting(evidence, act, peer):
            continue
        if act.kind == "peer_silent" and (hangs(evidence, peer) or hardly_runs(evidence, peer, act.at_ms)):
            continue
        if peer in evidence.members:
            between.setdefault((act.member, peer), []).append(act)
    for way, acts in between.items():
        sure = HIGH if any(act.kind == "peer_silent" for act in acts) else MEDIUM
        yield _cut((way,), acts[0].at_ms, sure, list(map(evidence.line, acts[:EVIDENCE_MAX])))
    slow = [
        sign
        for sign in evidence.signs("pulse.round_trip_ms")
        if not any(
            abs(other.onset_ms - sign.onset_ms) <= NEAR_MS and sign.now < 3 * other.now
            for other in evidence.signs("pulse.waited_ms", "pulse.late_worst_ms", *SURGE)
        )
        and not evidence.was_gone(sign.kind.rpartition(".")[2], sign.onset_ms)
    ]
    if slow and not between:
        peers = tuple(sorted({sign.kind.rpartition(".")[2] for sign in slow}))
        sentence = f"the way from {slow[0].member} to {', '.join(peers)} and back slowed to {max(sign.now for sign in slow):.0f} ms"
        lines = [evidence.number(sign) for sign in slow]
        yield told("slow link", peers, slow[0].onset_ms, MEDIUM, sentence, lines, shows_ms=shown_by(*slow))


def _cut(ways: Sequence[tuple[str, str]], since_ms: int, sure: str, lines: list[Line]) -> Hypothesis:
    members = centre(ways)
    shown = ", ".join(f"{source} -> {target}" for source, target in sorted(ways))
    one_way = " (told by one side only: it may be one way)" if len(ways) == 1 else ""
    sentence = f"the network between running members failed: {shown}{one_way}"
    return told("cut link", members, since_ms, sure, sentence, lines, ways=tuple(ways))


def centre(ways: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The member that most of them have in common; all, if there is no such one."""
    counts = Counter(member for way in ways for member in way)
    most = max(counts.values())
    found = tuple(sorted(member for member, count in counts.items() if count == most))
    return found if len(found) == 1 else tuple(sorted(counts))


def joined_cuts(found: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Each way was told by itself, as one may be cut when another only ended with a member that left; what is left is one network's."""
    cuts = sorted((one for one in found if one.ways), key=lambda one: one.since_ms)
    if not cuts:
        return [*found]
    sure = min((one.confidence for one in cuts), key=ORDER.__getitem__)
    lines = sorted((line for one in cuts for line in one.evidence), key=lambda line: line.at_ms)
    joined = _cut([way for one in cuts for way in one.ways], cuts[0].since_ms, sure, lines[:EVIDENCE_MAX])
    return [*(one for one in found if not one.ways), joined]


def _is_starting(evidence: Evidence, act: Act, peer: str) -> bool:
    """Connections come and go when a member starts or leaves, and until it follows somebody."""
    if any(_is_joining(evidence, member, act.at_ms) for member in (peer, act.member)):
        return True
    if _is_to_come(evidence, peer, act.at_ms):
        return True
    turns = [one for one in evidence.told("started", "stopped", "leaving") if one.member in (peer, act.member)]
    return any(-STARTING_MS <= one.at_ms - act.at_ms <= STARTING_MS for one in turns)


def _is_to_come(evidence: Evidence, member: str, at_ms: int) -> bool:
    """It was taken in as a member, and has not started for the first time; whoever lost its folder spoke before."""
    first = [one.at_ms for one in evidence.told("started") if one.member == member and one.fields.get("boot") == 1]
    spoke_ms = evidence.summary.spans[member][0] - evidence.side.offset(member).ms if first else 0
    return bool(first) and at_ms < first[0] <= spoke_ms


def _is_joining(evidence: Evidence, member: str, at_ms: int) -> bool:
    """Of another engine: two that dial each other at once keep one of their connections, and how long a start takes is the machine's."""
    mine = [act for act in evidence.everything if act.member == member and evidence.engine(member)]
    started = max((act.at_ms for act in mine if act.kind == "started" and act.at_ms <= at_ms), default=0)
    joined = min((act.at_ms for act in mine if act.kind in JOINED and act.at_ms > started), default=started + JOINING_MS_MAX)
    return bool(started) and at_ms <= min(joined, started + JOINING_MS_MAX) + STARTING_MS


def surge(evidence: Evidence) -> Iterator[Hypothesis]:
    grown = evidence.signs(*SURGE)
    # A new leader has the old one's clients: that is no surge.
    changed = [act.at_ms for act in evidence.told("elected")]
    grown = [sign for sign in grown if not any(-NEAR_MS <= sign.onset_ms - at_ms <= 3 * NEAR_MS for at_ms in changed)]
    if grown:
        first = min(grown, key=lambda sign: sign.onset_ms)
        members = tuple(sorted({sign.member for sign in grown}))
        sentence = f"clients came in a surge: {'; '.join(f'{sign.member} {evidence.number(sign).text}' for sign in grown[:3])}"
        yield told("client surge", members, first.onset_ms, MEDIUM, sentence, [evidence.number(sign) for sign in grown])


def settings(evidence: Evidence) -> Iterator[Hypothesis]:
    for what, cause, words in (("config_hash", "different settings", "settings"), ("build", "version mismatch", "versions")):
        now: dict[str, tuple[int, str]] = {}
        for member in evidence.members:
            values = [(at, str(value)) for at, value in evidence.summary.facts.get((member, what), ()) if at < evidence.side.window.to_ms]
            if values:
                now[member] = values[-1]
        if len({value for _, value in now.values()}) < 2:
            continue
        odd = minority({member: value for member, (_, value) in now.items()})
        lines = [Line(at, member, f"{what} {value}") for member, (at, value) in sorted(now.items())]
        lines += [evidence.line(act) for member in odd for act in evidence.told("started", member=member)]
        since = max((now[member][0] for member in odd), default=evidence.side.window.from_ms)
        sentence = f"{', '.join(odd)} runs with other {words} than the others" if odd else f"members differ in their {words}"
        yield told(cause, odd or tuple(sorted(now)), since, HIGH, sentence, lines)


def refused(evidence: Evidence) -> Iterator[Hypothesis]:
    """Members that will not have each other: whose name, certificate or version most of them complain of."""
    by_cause: dict[str, list[Act]] = {}
    for act in evidence.told("peer_refused"):
        reason = str(act.fields.get("reason"))
        by_cause.setdefault(next((cause for pattern, cause in REFUSED_FOR if pattern.search(reason)), "version mismatch"), []).append(act)
    for cause, acts in by_cause.items():
        named = [(act.member, evidence.name(act.fields.get("peer"))) for act in acts]
        accused = [peer for _, peer in named] if cause != "version mismatch" else [member for member, _ in named]
        guilty = max(sorted(set(accused)), key=accused.count)
        first = acts[0]
        sentence = f"{first.member} and {evidence.name(first.fields.get('peer'))} do not get together: {first.fields.get('reason')}"
        if cause == "certificate":
            sentence = f"the certificate of {guilty} is refused: {first.fields.get('reason')}"
        elif cause == "name resolution":
            sentence = f"the name of {guilty} is not found by {', '.join(sorted({member for member, _ in named}))}"
        elif cause == "wrong address":
            sentence = f"where {guilty} should be, somebody else answers: {first.fields.get('reason')}"
        sure = MEDIUM if cause == "version mismatch" else HIGH
        members = _exchanged(evidence, acts) if cause == "wrong address" else ()
        yield told(cause, members or (guilty,), first.at_ms, sure, sentence, list(map(evidence.line, acts[:EVIDENCE_MAX])))


def _exchanged(evidence: Evidence, acts: Sequence[Act]) -> tuple[str, ...]:
    """Those who should be there, and those who answer in their place."""
    ids = {number for act in acts for number in MEMBER.findall(str(act.fields.get("reason")))}
    return tuple(sorted({evidence.name(number) for number in ids} & set(evidence.members)))


def crowded(evidence: Evidence) -> Iterator[Hypothesis]:
    for member, signs in by_member(evidence.signs("pulse.refused")).items():
        sentence = f"{member} refuses clients: as many connections are open as it may have, or as its limit of open files allows"
        lines = [evidence.number(sign) for sign in (*signs, *evidence.signs("pulse.connections", "pulse.files", member=member))]
        yield told("connections full", (member,), signs[0].onset_ms, HIGH, sentence, lines)


def crowded_address(evidence: Evidence) -> Iterator[Hypothesis]:
    """ZooKeeper counts the connections of each address."""
    first: dict[tuple[str, str], Act] = {}
    for act in evidence.told("refused_client"):
        first.setdefault((act.member, str(act.fields.get("address"))), act)
    for (member, address), act in first.items():
        sentence = (
            f"{member} refuses clients of {address}: {act.fields.get('most')} connections of one address are open, as many as it may have"
        )
        yield told("connections full", (member,), act.at_ms, HIGH, sentence, [evidence.line(act)])


def leaderless(evidence: Evidence) -> Iterator[Hypothesis]:
    """Who lost the leader and finds no other."""
    for lost in evidence.told("leader_lost"):
        found = [act.at_ms for act in evidence.told("leader_found", "elected") if act.at_ms >= lost.at_ms]
        until_ms = min([*found, min(evidence.side.heard_ms(), evidence.side.window.to_ms)])
        if until_ms - lost.at_ms >= LEADERLESS_MS:
            sentence = f"nobody led for {(until_ms - lost.at_ms) / 1_000:.0f} s" + ("" if found else ", and nobody leads")
            refused = [act for act in evidence.told("not_serving") if lost.at_ms <= act.at_ms <= until_ms]
            lines = list(map(evidence.line, [lost, *refused[:EVIDENCE_MAX]]))
            shows_ms = tuple(range(lost.at_ms, until_ms, 1_000))
            yield told("no leader", tuple(evidence.members), lost.at_ms, MEDIUM, sentence, lines, shows_ms=shows_ms)
            return


def expiries(evidence: Evidence) -> Iterator[Hypothesis]:
    """By the leader's count, or by the lines of engines that write one for each."""
    for expired in evidence.signs("pulse.expired"):
        total = sum(cell[1] for _, cell in evidence.side.within(expired.member, evidence.summary.series[expired.member, expired.kind]))
        churn = evidence.signs("pulse.opened", member=expired.member)
        how = "clients open sessions and go without closing them" if churn else "their clients went, or could not reach it"
        sentence = f"{total:,.0f} sessions expired, up to {expired.now:,.0f} a second: {how}"
        lines = [evidence.number(sign) for sign in (expired, *churn)]
        yield told("sessions expired", (expired.member,), expired.onset_ms, MEDIUM if churn else LOW, sentence, lines)
    yield from _told_expiries(evidence)


def _told_expiries(evidence: Evidence) -> Iterator[Hypothesis]:
    """Of one alone no more is known than that its client went."""
    acts = evidence.told("session_expired")
    for first, last in zip(acts, acts[EXPIRIES_MIN - 1 :], strict=False):
        if last.at_ms - first.at_ms <= NEAR_MS:
            some = [act for act in acts if first.at_ms <= act.at_ms <= first.at_ms + NEAR_MS]
            sentence = f"{len(some)} sessions expired within {NEAR_MS // 1_000} s: their clients went, or could not reach it"
            members = tuple(sorted({act.member for act in some}))
            yield told("sessions expired", members, first.at_ms, LOW, sentence, list(map(evidence.line, some[:EVIDENCE_MAX])))
            return


def lock_held(evidence: Evidence) -> Iterator[Hypothesis]:
    """Whoever waits for a lock waits far longer than was usual; where nobody ever waited for it, only a whole line of them tells."""
    for (member, name), values in evidence.summary.series.items():
        if not name.startswith(LOCK_WAIT):
            continue
        now = evidence.side.within(member, values)
        before = evidence.baseline.within(member, values) if evidence.baseline is not None else []
        longest, usual = (max((cell[2] for _, cell in cells), default=0.0) for cells in (now, before))
        line = evidence.side.within(member, evidence.summary.series.get((member, "pulse.lock_waiters"), {}))
        waiters = round(max((cell[2] for _, cell in line), default=0.0))
        if longest < LOCK_WAIT_MS or longest < LONGER * usual or not (usual or waiters >= WAITERS_MIN):
            continue
        lock = name.removeprefix(LOCK_WAIT)
        since_ms = now[0][0] * 1_000 - evidence.side.offset(member).ms
        sentence = f"{waiters} wait for {lock}, the first for {longest / 1_000:.0f} s" + (
            f", usually {usual / 1_000:.1f} s" if usual else ""
        )
        lines = [Line(since_ms, member, f"lock_wait_ms of {lock} up to {longest:,.0f}, before up to {usual:,.0f}; {waiters} in line")]
        yield told("lock held", (member,), since_ms, MEDIUM if usual else LOW, sentence, lines)


def storm(evidence: Evidence) -> Iterator[Hypothesis]:
    elections = evidence.told("elected")
    if len(elections) >= STORM_ELECTIONS:
        members = tuple(sorted({act.member for act in elections}))
        sentence = f"{len(elections)} elections in the window"
        lines = list(map(evidence.line, elections[:EVIDENCE_MAX]))
        yield told("election storm", members, elections[0].at_ms, LOW, sentence, lines)
