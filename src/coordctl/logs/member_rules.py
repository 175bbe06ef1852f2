"""Causes that lie in a member: its process, and what it has stored. Pure."""

import re
from collections.abc import Iterator, Sequence

from coordctl.logs import lives
from coordctl.logs.evidence import (
    HIGH,
    LOW,
    MEDIUM,
    NEAR_MS,
    NO_RISK,
    RISK_ALONE,
    RISK_FORGOT,
    WRONG_STATE,
    Evidence,
    Hypothesis,
    Line,
    minority,
    told,
)
from coordctl.logs.lines import KILLED_PID
from coordctl.logs.lives import Gap
from coordctl.logs.mining import OOM_KILLED, Act

UNDER_WAY_MS = 3_000
DAMAGE = re.compile(r"\brot\b|checksum|does not match|is lost|are lost|begins without state")
ENDED_BY = (
    (re.compile(r"MemoryError|[Cc]annot allocate memory"), "out of memory"),
    (re.compile(r"[Nn]o space left|ENOSPC"), "disk full"),
)


def _safe(evidence: Evidence) -> str:
    return RISK_ALONE if evidence.is_alone() else NO_RISK


def ended(evidence: Evidence) -> Iterator[Hypothesis]:
    """Members that were not there for a while: why."""
    for gap in evidence.gaps:
        if gap.is_over and gap.to_ms < evidence.side.window.from_ms:
            continue  # known, for what it had as a consequence
        others = [act for act in evidence.told("peer_lost", "peer_silent") if evidence.name(act.fields.get("peer")) == gap.member]
        near = [act for act in others if abs(act.at_ms - gap.from_ms) <= NEAR_MS]
        lines = [Line(gap.from_ms, gap.member, gap.last_words)] if gap.last_words else []
        lines += map(evidence.line, [*near, *(act for act in gap.around if act not in near)])
        until = f", back after {(gap.to_ms - gap.from_ms) / 1_000:.0f} s" if gap.is_over else ", and has not come back"
        shows_ms = (gap.from_ms, gap.to_ms) if gap.is_over else (gap.from_ms,)
        killed = _out_of_memory(evidence, gap)
        lines += [Line(act.at_ms, act.member, f"the kernel ended process {act.fields[KILLED_PID]} for want of memory") for act in killed]
        if gap.how == lives.STOPPED:
            cause = "restart" if gap.is_over else "stopped"
            sentence = f"{gap.member} was asked to stop and left in order{until}"
            yield told(cause, (gap.member,), gap.from_ms, HIGH, sentence, lines, shows_ms=shows_ms)
        elif gap.how == lives.FAILED:
            cause = "rotten record" if any(act.kind == "rotten" for act in gap.around) else _cause_of(gap.reason)
            sentence = f"{gap.member} ended by itself: {gap.reason}{until}"
            yield told(cause, (gap.member,), gap.from_ms, HIGH, sentence, lines, _safe(evidence), shows_ms=shows_ms)
        elif gap.how == lives.PAUSED:
            sentence = f"{gap.member} did not run for {(gap.to_ms - gap.from_ms) / 1_000:.0f} s: its process was stopped, or its whole host"
            yield told("member paused", (gap.member,), gap.from_ms, HIGH, sentence, lines)
        elif gap.how == lives.KILLED:
            cause = "out of memory" if killed else "member killed"
            why = (
                "its host or its group ran out of memory"
                if killed
                else f"kill -9, the OOM killer, or its host's power{_or_asked(evidence, gap)}"
            )
            sentence = f"{gap.member} ended without a word ({why}){until}"
            sure = (
                MEDIUM
                if _or_asked(evidence, gap) and not killed
                else HIGH
                if gap.is_over or any(act.kind == "peer_lost" for act in near) or len(evidence.members) == 1
                else MEDIUM
            )
            yield told(cause, (gap.member,), gap.from_ms, sure, sentence, lines, _safe(evidence), shows_ms=shows_ms)
        else:
            yield _gone(evidence, gap, lines, near, others, is_oom=bool(killed))


def _or_asked(evidence: Evidence, gap: Gap) -> str:
    """Who leaves in silence also when it is asked to may have been."""
    return "; or it was asked to: ZooKeeper says nothing of that" if evidence.engine(gap.member) == "zookeeper" else ""


def _out_of_memory(evidence: Evidence, gap: Gap) -> list[Act]:
    """What the kernel says of its end: by its process id; where that is of another namespace, by the time."""
    told = [act for act in evidence.told(OOM_KILLED) if act.member in ("host", f"{gap.member}-host")]
    ids = {member: {pid for _, pid in evidence.summary.facts.get((member, "pid"), ())} for member in evidence.members}
    others = {pid for member, some in ids.items() if member != gap.member for pid in some}
    found = []
    for act in told:
        pid, away_ms = act.fields[KILLED_PID], abs(act.at_ms - gap.from_ms)
        if (pid in ids.get(gap.member, ()) and away_ms <= 10 * NEAR_MS) or (pid not in others and away_ms <= NEAR_MS):
            found.append(act)
    return found


def _cause_of(error: str) -> str:
    """A member that says why it ended."""
    return next((cause for pattern, cause in ENDED_BY if pattern.search(error)), "member failed")


def _gone(evidence: Evidence, gap: Gap, lines: list[Line], near: Sequence[Act], others: Sequence[Act], *, is_oom: bool) -> Hypothesis:
    """It has not spoken again: what the others, and the kernel, say of it is all there is."""
    if is_oom:
        cause, sure = "out of memory", HIGH
        sentence = f"{gap.member} ended without a word: the kernel killed it for want of memory"
    elif gap.member not in evidence.members:
        cause, sure = "member killed", MEDIUM
        sentence = f"{gap.member} is gone: its connections ended, and its log is not here to say whether it was asked to"
    elif any(act.kind == "peer_lost" for act in near):
        cause, sure = "member killed", MEDIUM if _or_asked(evidence, gap) else HIGH
        sentence = (
            f"{gap.member} says nothing any more, and its connections ended: it was killed, or its host went{_or_asked(evidence, gap)}"
        )
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


def old_folder(evidence: Evidence) -> Iterator[Hypothesis]:
    """Whoever starts with less than it had is no longer on its own folder."""
    for act in evidence.told("started"):
        entries, snapshot = act.fields.get("entries"), act.fields.get("snapshot_index") or 0
        if not entries or not isinstance(entries, int) or not isinstance(snapshot, int):
            continue  # a folder with nothing in it is a new member's
        newest = entries + snapshot  # or less: some entries may be kept behind a snapshot
        shift_ms = evidence.side.offset(act.member).ms
        passed = [(at_ms - shift_ms, index) for _, index, at_ms in evidence.summary.anchors.get(act.member, ())]
        before = [(at_ms, index) for at_ms, index in passed if at_ms < act.at_ms]
        # What was under way when it ended may not have reached its disk.
        had = max((index for at_ms, index in before if at_ms < before[-1][0] - UNDER_WAY_MS), default=0)
        damaged = any(DAMAGE.search(str(one.fields)) for one in evidence.told("rotten", "folder", "lost_entries", member=act.member))
        if newest < had and not damaged:
            sentence = f"{act.member} came back on an older copy of its folder: it had applied entry {had:,}, and has {newest:,}"
            yield told("old folder", (act.member,), act.at_ms, HIGH, sentence, [evidence.line(act)], RISK_FORGOT)


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
            odd = minority({member: str(digest) for member, digest in digests.items()})
            sentence = f"at index {index} the digests differ" + (f": {', '.join(odd)} not as the others" if odd else "")
            lines = [
                Line(evidence.side.window.from_ms, member, f"digest {digest} at index {index}")
                for member, digest in sorted(digests.items())
            ]
            yield told("states differ", odd or tuple(sorted(digests)), evidence.side.window.from_ms, HIGH, sentence, lines, WRONG_STATE)
            return
