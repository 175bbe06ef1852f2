"""Each rule looks for one cause, and tells it with the lines and numbers that speak for it. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence

from coordctl.logs import comparing, lives
from coordctl.logs.comparing import Sign
from coordctl.logs.evidence import (
    EVIDENCE_MAX,
    HIGH,
    LOW,
    MEDIUM,
    NEAR_MS,
    NO_RISK,
    RISK_ALONE,
    SURGE,
    WRONG_STATE,
    Evidence,
    Hypothesis,
    Line,
    told,
)
from coordctl.logs.lines import is_host
from coordctl.logs.lives import Gap
from coordctl.logs.mining import Act

CLOCK_OFF_MS = 500
STORM_ELECTIONS = 4
STARTING_MS = 3_500
INTERRUPTED_MS = 300
LASTS_SECONDS = 3  # a disk that was slow for a moment is no slow disk
STUCK_MS = 500
DAMAGE = re.compile(r"\brot\b|checksum|does not match|is lost|are lost|begins without state")
Rule = Callable[[Evidence], Iterator[Hypothesis]]


def _safe(evidence: Evidence) -> str:
    return RISK_ALONE if evidence.is_alone() else NO_RISK


# --- processes -----------------------------------------------------------------------------------------------------


def ended(evidence: Evidence) -> Iterator[Hypothesis]:
    """Members that were not there for a while: why."""
    oom = [sign for sign in evidence.compared.signs if is_host(sign.member) and "ut of memory" in sign.kind]
    for gap in evidence.gaps:
        others = [act for act in evidence.told("peer_lost", "peer_silent") if evidence.name(act.fields.get("peer")) == gap.member]
        near = [act for act in others if abs(act.at_ms - gap.from_ms) <= NEAR_MS]
        lines = [Line(gap.from_ms, gap.member, gap.last_words)] if gap.last_words else []
        lines += map(evidence.line, [*near, *gap.around])
        until = f", back after {(gap.to_ms - gap.from_ms) / 1_000:.0f} s" if gap.is_over else ", and has not come back"
        if gap.how == lives.STOPPED:
            cause = "restart" if gap.is_over else "stopped"
            sentence = f"{gap.member} was asked to stop and left in order{until}"
            yield told(cause, (gap.member,), gap.from_ms, HIGH, sentence, lines)
        elif gap.how == lives.FAILED:
            cause = "rotten record" if any(act.kind == "rotten" for act in gap.around) else "member failed"
            sentence = f"{gap.member} ended by itself: {gap.reason}{until}"
            yield told(cause, (gap.member,), gap.from_ms, HIGH, sentence, lines, _safe(evidence))
        elif gap.how == lives.PAUSED:
            sentence = f"{gap.member} did not run for {(gap.to_ms - gap.from_ms) / 1_000:.0f} s: its process was stopped, or its whole host"
            yield told("member paused", (gap.member,), gap.from_ms, HIGH, sentence, lines)
        elif gap.how == lives.KILLED:
            own = [sign for sign in oom if sign.member in ("host", f"{gap.member}-host")]
            killed = [sign for sign in own if abs(sign.onset_ms - gap.from_ms) <= 10 * NEAR_MS]
            cause = "out of memory" if killed else "member killed"
            why = "its host ran out of memory" if killed else "kill -9, the OOM killer, or its host's power"
            lines += [Line(sign.onset_ms, sign.member, sign.kind) for sign in killed]
            sentence = f"{gap.member} ended without a word ({why}){until}"
            sure = HIGH if gap.is_over or any(act.kind == "peer_lost" for act in near) or len(evidence.members) == 1 else MEDIUM
            yield told(cause, (gap.member,), gap.from_ms, sure, sentence, lines, _safe(evidence))
        else:
            yield _gone(evidence, gap, lines, near, others)


def _gone(evidence: Evidence, gap: Gap, lines: list[Line], near: Sequence[Act], others: Sequence[Act]) -> Hypothesis:
    """It has not spoken again: what the others say of it is all there is."""
    if any(act.kind == "peer_lost" for act in near):
        cause, sure = "member killed", HIGH
        sentence = f"{gap.member} says nothing any more, and its connections ended: it was killed, or its host went"
    elif others:
        cause, sure = "member paused", HIGH
        sentence = f"{gap.member} says nothing, while its connections stand: its process is stopped, or its host"
    else:
        cause, sure = "member killed", LOW
        sentence = f"{gap.member} says nothing any more, and nobody else says why: it ended, or its log was not all collected"
    return told(cause, (gap.member,), gap.from_ms, sure, sentence, lines, NO_RISK if cause == "member paused" else _safe(evidence))


def handed_over(evidence: Evidence) -> Iterator[Hypothesis]:
    for act in evidence.told("handed_over"):
        target = evidence.name(act.fields.get("target"))
        if not any(gap.member == act.member and gap.how == lives.STOPPED for gap in evidence.gaps):
            sentence = f"{act.member} handed the lead to {target}"
            yield told("hand-over", (act.member, target), act.at_ms, HIGH, sentence, [evidence.line(act)])


def rotten(evidence: Evidence) -> Iterator[Hypothesis]:
    for act in evidence.told("rotten", "folder"):
        text = str(act.fields.get("error", act.fields.get("report", "")))
        if act.kind == "folder" and DAMAGE.search(text) is None:
            continue  # a torn tail is what every crash leaves
        regained = evidence.told("regained", "installed", member=act.member)
        after = ", and regained what was lost" if any(one.at_ms >= act.at_ms for one in regained) else ""
        sentence = f"{act.member} found damaged bytes in its folder{after}"
        yield told(
            "rotten record", (act.member,), act.at_ms, HIGH, sentence, [evidence.line(act), *map(evidence.line, regained)], _safe(evidence)
        )


def states(evidence: Evidence) -> Iterator[Hypothesis]:
    for act in evidence.told("diverged", "writes_stopped"):
        sentence = f"{act.member} says that members' states differ"
        yield told("states differ", (act.member,), act.at_ms, HIGH, sentence, [evidence.line(act)], WRONG_STATE)
    for index, digests in sorted(evidence.summary.digests.items()):
        if len(set(digests.values())) > 1:
            odd = _minority({member: str(digest) for member, digest in digests.items()})
            sentence = f"at index {index} the digests differ" + (f": {', '.join(odd)} not as the others" if odd else "")
            lines = [
                Line(evidence.side.window.from_ms, member, f"digest {digest} at index {index}")
                for member, digest in sorted(digests.items())
            ]
            yield told("states differ", odd or tuple(sorted(digests)), evidence.side.window.from_ms, HIGH, sentence, lines, WRONG_STATE)
            return


# --- hosts ---------------------------------------------------------------------------------------------------------


def disk_full(evidence: Evidence) -> Iterator[Hypothesis]:
    for act in evidence.told("space_low"):
        back = any(one.at_ms >= act.at_ms for one in evidence.told("space_back", member=act.member))
        sentence = f"{act.member}'s disk became full" + (", and has room again" if back else "")
        risk = "nothing is lost: writes that add data are refused, releases and deletes still work"
        also = evidence.told("snapshot_failed", "space_back", member=act.member)
        yield told("disk full", (act.member,), act.at_ms, HIGH, sentence, [evidence.line(act), *map(evidence.line, also)], risk)


def _by_member(signs: Sequence[Sign]) -> dict[str, list[Sign]]:
    found: dict[str, list[Sign]] = {}
    for sign in signs:
        found.setdefault(sign.member, []).append(sign)
    return found


def slow_disk(evidence: Evidence) -> Iterator[Hypothesis]:
    slow = {
        member: signs
        for member, signs in _by_member(evidence.signs("pulse.sync_ms", "slow_commit.fsync_ms")).items()
        if any(sign.seconds >= LASTS_SECONDS or sign.now >= STUCK_MS for sign in signs) and not _is_starved(evidence, member, signs[0])
    }
    if not slow:
        return
    onset = min(signs[0].onset_ms for signs in slow.values())
    lines = [evidence.number(sign) for signs in slow.values() for sign in signs]
    worst = {member: max(sign.now for sign in signs) for member, signs in slow.items()}
    heaviest = max(worst.values())
    guilty = tuple(member for member, value in sorted(worst.items()) if value * 3 >= heaviest)
    first = max(slow[guilty[0]], key=lambda sign: sign.now)
    where = f"{guilty[0]}'s fsync" if len(guilty) == 1 else f"fsync of {', '.join(guilty)}"
    sentence = f"{where} slowed from {first.before:.1f} to {heaviest:.0f} ms"
    sure = HIGH if heaviest >= 5 * max(first.before, 1.0) and len(guilty) <= max(1, len(evidence.members) // 2) else MEDIUM
    lines += [evidence.number(sign) for sign in evidence.signs("pulse.commit_ms", "pulse.pressure.io")]
    yield told("slow disk", guilty, onset, sure, sentence, lines)


def _is_starved(evidence: Evidence, member: str, slow: Sign) -> bool:
    """Whether its threads did not get the CPU, so that everything took long, the disk or not."""
    waited = evidence.signs("pulse.waited_ms", member=member)
    return bool(waited) and abs(waited[0].onset_ms - slow.onset_ms) <= NEAR_MS and waited[0].now >= 400


def starved(evidence: Evidence) -> Iterator[Hypothesis]:
    waited = _by_member(evidence.signs("pulse.waited_ms"))
    pressed = evidence.signs("pulse.pressure.cpu")
    if not waited:
        return
    surge = evidence.signs(*SURGE)
    onset = min(signs[0].onset_ms for signs in waited.values())
    if any(abs(sign.onset_ms - onset) <= NEAR_MS for sign in surge):
        return
    worst = max(sign.now for signs in waited.values() for sign in signs)
    members = tuple(sorted(waited))
    sentence = f"other processes took the CPU from {', '.join(members)}: ready to run, and not run, for up to {worst:.0f} ms of a second"
    lines = [evidence.number(sign) for signs in waited.values() for sign in signs] + [evidence.number(sign) for sign in pressed]
    sure = HIGH if pressed or worst >= 500 else MEDIUM
    yield told("cpu taken by others", members, onset, sure, sentence, lines)


def interrupted(evidence: Evidence) -> Iterator[Hypothesis]:
    """Late again and again, though it was not ready to run, and did nothing long itself: somebody stops it, or freezes its group."""
    busy = evidence.signs("pulse.waited_ms", "pulse.turn_worst_ms", "slow_turn")
    for late in evidence.signs("pulse.late_worst_ms"):
        is_busy = any(
            sign.member == late.member and abs(sign.onset_ms - late.onset_ms) <= 2 * NEAR_MS and 2 * sign.now >= late.now for sign in busy
        )
        if late.now < INTERRUPTED_MS or is_busy or evidence.was_gone(late.member, late.onset_ms):
            continue
        sentence = f"{late.member} was stopped again and again, for up to {late.now:.0f} ms: it was not even ready to run"
        lines = [evidence.number(sign) for sign in (late, *evidence.signs("late_tick.late_ms", member=late.member))]
        yield told("member paused", (late.member,), late.onset_ms, MEDIUM, sentence, lines)


def memory(evidence: Evidence) -> Iterator[Hypothesis]:
    pressed = evidence.signs("pulse.pressure.memory")
    if pressed:
        members = tuple(sorted({sign.member for sign in pressed}))
        sentence = f"memory was short on the host of {', '.join(members)}"
        yield told(
            "memory pressure",
            members,
            pressed[0].onset_ms,
            MEDIUM,
            sentence,
            [evidence.number(sign) for sign in pressed],
        )


def clocks(evidence: Evidence) -> Iterator[Hypothesis]:
    moved: set[str] = set()
    for sign in evidence.compared.signs:
        if sign.what == comparing.MOVED_CLOCK and sign.member not in moved:
            moved.add(sign.member)
            sentence = f"{sign.member}'s wall clock was set by {sign.now / 1_000:+.1f} s while it ran"
            line = Line(sign.onset_ms, sign.member, f"wall clock moved {sign.now:+.0f} ms otherwise than uptime")
            risk = "none: leases are counted by the leader's monotonic clock; times that are shown are wrong"
            yield told("clock", (sign.member,), sign.onset_ms, HIGH, sentence, [line], risk)
    for member in evidence.members:
        offset = evidence.side.offset(member)
        if member not in moved and abs(offset.ms) > max(CLOCK_OFF_MS, 2 * offset.error_ms) and offset.places >= 3:
            sentence = f"{member}'s clock is {offset.ms / 1_000:+.1f} s off (+-{offset.error_ms} ms)"
            line = Line(evidence.side.window.from_ms, member, f"offset {offset.ms:+} ms from {offset.places} places of the log")
            risk = "none: no rule reads wall clocks; times that are shown are wrong"
            yield told("clock", (member,), evidence.side.window.from_ms, MEDIUM, sentence, [line], risk)


# --- network and clients -------------------------------------------------------------------------------------------


def links(evidence: Evidence) -> Iterator[Hypothesis]:
    """Between members that both run: silence, or connections that end."""
    pairs: dict[tuple[str, str], list[Act]] = {}
    for act in evidence.told("peer_silent", "peer_lost"):
        peer = evidence.name(act.fields.get("peer"))
        if evidence.was_gone(peer, act.at_ms) or evidence.was_gone(act.member, act.at_ms) or _is_starting(evidence, act, peer):
            continue
        if peer in evidence.members:
            pairs.setdefault((act.member, peer), []).append(act)
    if pairs:
        counts: dict[str, int] = {}
        for pair in pairs:
            for member in pair:
                counts[member] = counts.get(member, 0) + 1
        acts = sorted((act for some in pairs.values() for act in some), key=lambda act: act.at_ms)
        most = max(counts.values())
        centre = [member for member, count in counts.items() if count == most]
        members = tuple(sorted(centre)) if len(centre) == 1 else tuple(sorted(counts))
        shown = ", ".join(f"{one} -> {other}" for one, other in sorted(pairs))
        one_way = len(pairs) == 1 and not any((other, one) in pairs for one, other in pairs)
        sentence = f"the network between running members failed: {shown}" + (
            " (told by one side only: it may be one way)" if one_way else ""
        )
        sure = HIGH if any(act.kind == "peer_silent" for act in acts) else MEDIUM
        yield told("cut link", members, acts[0].at_ms, sure, sentence, list(map(evidence.line, acts[:EVIDENCE_MAX])))
    slow = [
        sign
        for sign in evidence.signs("pulse.round_trip_ms")
        if not any(
            abs(other.onset_ms - sign.onset_ms) <= NEAR_MS and sign.now < 3 * other.now
            for other in evidence.signs("pulse.waited_ms", "pulse.late_worst_ms", *SURGE)
        )
        and not evidence.was_gone(sign.kind.rpartition(".")[2], sign.onset_ms)
    ]
    if slow and not pairs:
        peers = tuple(sorted({sign.kind.rpartition(".")[2] for sign in slow}))
        sentence = f"the way from {slow[0].member} to {', '.join(peers)} and back slowed to {max(sign.now for sign in slow):.0f} ms"
        yield told("slow link", peers, slow[0].onset_ms, MEDIUM, sentence, [evidence.number(sign) for sign in slow])


def _is_starting(evidence: Evidence, act: Act, peer: str) -> bool:
    """Connections come and go when a member starts or leaves."""
    turns = [one for one in evidence.told("started", "stopped", "leaving") if one.member in (peer, act.member)]
    return any(-STARTING_MS <= one.at_ms - act.at_ms <= STARTING_MS for one in turns)


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


# --- settings ------------------------------------------------------------------------------------------------------


def _minority(values: dict[str, str]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for value in values.values():
        counts[value] = counts.get(value, 0) + 1
    most = max(counts, key=lambda value: counts[value])
    return tuple(sorted(member for member, value in values.items() if value != most)) if 2 * counts[most] > len(values) else ()


def settings(evidence: Evidence) -> Iterator[Hypothesis]:
    for what, cause, words in (("config_hash", "different settings", "settings"), ("build", "version mismatch", "versions")):
        now: dict[str, tuple[int, str]] = {}
        for member in evidence.members:
            values = [(at, str(value)) for at, value in evidence.summary.facts.get((member, what), ()) if at < evidence.side.window.to_ms]
            if values:
                now[member] = values[-1]
        if len({value for _, value in now.values()}) < 2:
            continue
        odd = _minority({member: value for member, (_, value) in now.items()})
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
        cause = "certificate" if reason.startswith("TLS:") else "name resolution" if "is not found" in reason else "version mismatch"
        by_cause.setdefault(cause, []).append(act)
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
        sure = MEDIUM if cause == "version mismatch" else HIGH
        yield told(cause, (guilty,), first.at_ms, sure, sentence, list(map(evidence.line, acts[:EVIDENCE_MAX])))


def crowded(evidence: Evidence) -> Iterator[Hypothesis]:
    for member, signs in _by_member(evidence.signs("pulse.refused")).items():
        sentence = f"{member} refuses clients: as many connections are open as it may have, or as its limit of open files allows"
        lines = [evidence.number(sign) for sign in (*signs, *evidence.signs("pulse.connections", "pulse.files", member=member))]
        yield told("connections full", (member,), signs[0].onset_ms, HIGH, sentence, lines)


def storm(evidence: Evidence) -> Iterator[Hypothesis]:
    elections = evidence.told("elected")
    if len(elections) >= STORM_ELECTIONS:
        members = tuple(sorted({act.member for act in elections}))
        sentence = f"{len(elections)} elections in the window"
        lines = list(map(evidence.line, elections[:EVIDENCE_MAX]))
        yield told("election storm", members, elections[0].at_ms, LOW, sentence, lines)


RULES: tuple[Rule, ...] = (
    ended, handed_over, rotten, states, disk_full, slow_disk, starved, interrupted, memory, clocks,
    links, crowded, surge, settings, refused, storm,
)  # fmt: skip
