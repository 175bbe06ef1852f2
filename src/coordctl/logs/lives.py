"""Members' lives as their logs have them: when one was not there, how that began, and how it ended. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from coordctl.logs import comparing, told_lives
from coordctl.logs.comparing import Side, Sign
from coordctl.logs.foreign import ENGINE
from coordctl.logs.lines import is_host
from coordctl.logs.mining import PEER_MISSED, Act, belonging

STOPPED, FAILED, KILLED, PAUSED, UNKNOWN = "stopped", "failed", "killed", "paused", "unknown"
COMMON = frozenset({"at", "hlc", "level", "event", "cluster", "member", "term", "index"})
BEFORE_MS, AFTER_MS = 4_000, 15_000
NEXT_PULSE_SECONDS_MAX = 5


class Gap(NamedTuple):
    member: str
    from_ms: int
    to_ms: int
    is_over: bool  # it speaks again
    how: str
    reason: str
    last_words: str  # "": `around` has them
    around: list[Act]  # its own words at both ends


def gaps(side: Side, acts: Sequence[Act], signs: Sequence[Sign], name: Callable[[object], str]) -> list[Gap]:
    """From silences, from starts without a silence before them, and from members that others lost and that never spoke again."""
    quiet = {member for member in side.summary.spans if (member, ENGINE) in side.summary.facts}
    found = [_told(member, one) for member in sorted(quiet) for one in told_lives.stretches(side, acts, member, name)]
    silent = [sign for sign in signs if sign.what == comparing.SILENT]
    for sign in silent:
        is_over = sign.until_ms < side.window.to_ms - 2_000 and _speaks(side, sign.member, sign.until_ms)
        if not _was_there(side, acts, sign, name, is_over=is_over):
            found.append(_gap(side, acts, sign.member, sign.onset_ms, sign.until_ms, is_over))
    for act in acts:
        if act.kind == "started" and act.member not in quiet and side.window.from_ms <= act.at_ms and not _is_in(found, act):
            before = _last_line_ms(side, act.member, act.at_ms)
            if before:  # the first start of all is no restart
                found.append(_gap(side, acts, act.member, before, act.at_ms, True))
    newest_ms = side.heard_ms()
    missed = {name(act.fields.get("peer")) for act in acts if act.kind in PEER_MISSED}
    for member in sorted(missed & (set(side.summary.spans) - quiet)):
        last_ms = side.summary.spans[member][1] - side.offset(member).ms
        end_ms = min(newest_ms, side.window.to_ms)
        if end_ms - last_ms >= comparing.SILENCE_SECONDS_MIN * 1_000 and not any(gap.member == member and not gap.is_over for gap in found):
            found.append(_gap(side, acts, member, last_ms, end_ms, False))
    belong = {name(identity) for identity in belonging(side.summary).ids}
    found += _unheard(side, acts, missed & belong - set(side.summary.spans), end_ms=min(newest_ms, side.window.to_ms), name=name)
    return sorted(found, key=lambda gap: gap.from_ms)


def _unheard(side: Side, acts: Sequence[Act], missed: set[str], *, end_ms: int, name: Callable[[object], str]) -> list[Gap]:
    """Of members whose logs are not here: most of the others lost them, and they have not come back."""
    members = [member for member in side.summary.spans if not is_host(member)]
    found = []
    for member in sorted(missed):
        about = [act for act in acts if name(act.fields.get("peer")) == member]
        last = {act.member: act for act in about if act.kind in ("peer_lost", "peer_up")}
        lost = [act for act in last.values() if act.kind == "peer_lost"]
        if 2 * len(lost) > len(members):
            found.append(Gap(member, min(act.at_ms for act in lost), end_ms, False, UNKNOWN, "", "", []))
    return found


def is_early_end(side: Side, acts: Sequence[Act], gap: Gap, name: Callable[[object], str]) -> bool:
    """Of a log, not of a life: nothing says how its clock stands to the others', and of these, which go on, nobody misses it."""
    if gap.is_over or gap.how != UNKNOWN or side.offset(gap.member).places or (gap.member, ENGINE) in side.summary.facts:
        return False
    goes_on = any(
        last_ms - side.offset(member).ms >= gap.from_ms + comparing.SILENCE_SECONDS_MIN * 1_000
        for member, (_, last_ms, _) in side.summary.spans.items()
        if member != gap.member and not is_host(member)
    )
    return goes_on and not any(act.kind in PEER_MISSED and name(act.fields.get("peer")) == gap.member for act in acts)


def _was_there(side: Side, acts: Sequence[Act], silent: Sign, name: Callable[[object], str], *, is_over: bool) -> bool:
    """Only its recorder was silent, or it had not the CPU."""
    if _starts(acts, silent):
        return False
    if is_over and (_lost_pulses(side, silent) or _had_no_cpu(side, silent)):
        return True
    return _has_no_room(acts, silent) and not _is_missed(acts, silent, name)


def _lost_pulses(side: Side, silent: Sign) -> bool:
    """Who was not run has a long second behind it, and tells so at once. Whoever has not ran, and what it told was lost."""
    until = (silent.until_ms + side.offset(silent.member).ms) // 1_000
    took = side.summary.series.get((silent.member, "pulse.took_ms"), {})
    following = min((second for second in took if second >= until), default=_seconds(side, silent.member)[-1])
    if following - until > NEXT_PULSE_SECONDS_MAX:
        return True
    return following in took and 2 * took[following][2] < silent.until_ms - silent.onset_ms


def _had_no_cpu(side: Side, silent: Sign) -> bool:
    """Ready to run, and not run: its next pulse says for how long."""
    waited = side.summary.series.get((silent.member, "pulse.waited_ms"), {})
    shift_ms = side.offset(silent.member).ms
    first, until = (silent.onset_ms + shift_ms) // 1_000, (silent.until_ms + shift_ms) // 1_000
    following = min((second for second in waited if second >= until), default=until)
    waited_ms = sum(cell[1] for second, cell in waited.items() if first < second <= following)
    return 2 * waited_ms >= silent.until_ms - silent.onset_ms


def _has_no_room(acts: Sequence[Act], silent: Sign) -> bool:
    """On a full disk nothing is recorded."""
    mine = [act for act in acts if act.member == silent.member and act.kind in ("space_low", "space_back")]
    before = [act.kind for act in mine if act.at_ms <= silent.onset_ms + BEFORE_MS]
    return before[-1:] == ["space_low"] or any(act.kind == "space_low" and silent.onset_ms <= act.at_ms <= silent.until_ms for act in mine)


def _is_missed(acts: Sequence[Act], silent: Sign, name: Callable[[object], str]) -> bool:
    return any(
        act.kind in PEER_MISSED
        and name(act.fields.get("peer")) == silent.member
        and silent.onset_ms - BEFORE_MS <= act.at_ms <= silent.until_ms
        for act in acts
    )


def _starts(acts: Sequence[Act], silent: Sign) -> bool:
    return any(act.kind == "started" and act.member == silent.member and abs(act.at_ms - silent.until_ms) <= AFTER_MS for act in acts)


def _told(member: str, one: told_lives.Stretch) -> Gap:
    how, reason = UNKNOWN, ""
    if one.is_still:
        how = PAUSED
    elif one.ended is not None:
        how = STOPPED if one.ended.kind in ("leaving", "stopped") else FAILED
        reason = str(one.ended.fields.get("error", ""))[:200] if how == FAILED else ""
    elif one.started is not None or one.around:
        how = KILLED
    around = [act for act in (one.ended, one.started) if act is not None]
    return Gap(member, one.from_ms, one.to_ms, one.is_over, how, reason, "", [*around, *one.around])


def _is_in(found: Sequence[Gap], act: Act) -> bool:
    """Where a gap ended with a start, the next start is of another one."""
    for gap in [gap for gap in found if gap.member == act.member]:
        is_told = any(one.kind == "started" for one in gap.around)
        if gap.from_ms - BEFORE_MS <= act.at_ms <= gap.to_ms + (0 if is_told else AFTER_MS):
            return True
    return False


def _seconds(side: Side, member: str) -> list[int]:
    shift = side.offset(member).ms // 1_000
    return sorted({second - shift for (whose, _), cells in side.summary.cells.items() if whose == member for second in cells})


def _speaks(side: Side, member: str, at_ms: int) -> bool:
    return any(second * 1_000 >= at_ms - 1_000 for second in _seconds(side, member))


def _last_line_ms(side: Side, member: str, before_ms: int) -> int:
    earlier = [second for second in _seconds(side, member) if second * 1_000 + 999 < before_ms]
    return earlier[-1] * 1_000 + 999 if earlier else 0


def _gap(side: Side, acts: Sequence[Act], member: str, from_ms: int, to_ms: int, is_over: bool) -> Gap:
    mine = [act for act in acts if act.member == member]
    after = [act for act in mine if to_ms - 1_500 <= act.at_ms <= to_ms + AFTER_MS]
    started = next((act for act in after if act.kind == "started" and act.at_ms > from_ms), None)
    # How the life before this one ended says nothing: a member that was killed just after a restart was not asked to stop.
    end_ms = started.at_ms if started is not None else from_ms + 1_500
    born_ms = max((act.at_ms for act in mine if act.kind == "started" and act.at_ms < end_ms), default=0)
    before = [
        act
        for act in mine
        if max(from_ms - BEFORE_MS, born_ms) <= act.at_ms <= from_ms + 1_500 and act.kind not in ("started", "listening")
    ]
    ended = next((act for act in reversed(before) if act.kind in ("stopped", "failed", "rotten", "diverged")), None)
    leaving = next((act for act in before if act.kind == "leaving"), None)
    reason = ""
    if ended is not None and ended.kind == "stopped":
        how = STOPPED
    elif ended is not None:
        how, reason = FAILED, str(ended.fields.get("error", ""))[:200]
    elif started is not None:
        how = STOPPED if leaving is not None else KILLED
    elif is_over:
        how = PAUSED
    else:
        how = UNKNOWN
    if ended is not None:
        from_ms = ended.at_ms
    if started is not None:
        to_ms = started.at_ms
    kept = [act for act in (leaving, ended, started) if act is not None]
    return Gap(member, from_ms, to_ms, is_over, how, reason, "" if leaving or ended else "its last line", kept)
