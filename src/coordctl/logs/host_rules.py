"""Causes that lie in a member's host: disk, memory, clock, and who stops it. Pure."""

from collections.abc import Iterator, Sequence

from coordctl.facts.judgement import FEW_FILES
from coordctl.logs import comparing, squeezes, stops
from coordctl.logs.align import PLACES_MIN
from coordctl.logs.comparing import LASTS_SECONDS, Sign
from coordctl.logs.evidence import (
    EVIDENCE_MAX,
    HIGH,
    LOW,
    MEDIUM,
    NEAR_MS,
    Evidence,
    Hypothesis,
    Line,
    by_member,
    shown_by,
    told,
)
from coordctl.logs.stops import Stop

CLOCK_OFF_MS = 500
INTERRUPTED_MS = 300
INTERRUPTED_SECONDS = 5  # or by less, for so long
LONG_STOP_MS = 500
LONG_STOPS_MIN = 2
STUCK_MS = 500
HANGS_MS = 1_500
STOOD_STILL_MS = 1_000  # as long as another leader is elected meanwhile
WAITED_MORE = 3
HARDLY_RUNS_MS = 850  # of a second, ready to run and not run
NOTHING = (0.0, 0.0, 0.0)


def disk_full(evidence: Evidence) -> Iterator[Hypothesis]:
    for act in evidence.told("space_low"):
        back = any(one.at_ms >= act.at_ms for one in evidence.told("space_back", member=act.member))
        files = act.fields.get("free_files")
        is_of_files = isinstance(files, int) and files < FEW_FILES
        became = "took no more files, whatever room it had" if is_of_files else "became full"
        sentence = f"{act.member}'s disk {became}" + (", and has room again" if back else "")
        risk = "nothing is lost: writes that add data are refused, releases and deletes still work"
        also = evidence.told("snapshot_failed", "space_back", member=act.member)
        yield told("disk full", (act.member,), act.at_ms, HIGH, sentence, [evidence.line(act), *map(evidence.line, also)], risk)


def quota(evidence: Evidence) -> Iterator[Hypothesis]:
    """Each member tells whose database it is."""
    told_of: set[str] = set()
    for act in evidence.told("quota_full"):
        member = evidence.name(act.fields.get("peer"))
        if member in told_of:
            continue
        told_of.add(member)
        back = [one for one in evidence.told("quota_back") if one.at_ms >= act.at_ms and evidence.name(one.fields.get("peer")) == member]
        sentence = f"{member}'s database reached its quota, so the whole cluster refuses writes" + (
            ", until the alarm was disarmed" if back else ""
        )
        risk = "nothing is lost: writes that add data are refused until there is room and the alarm is disarmed"
        yield told("database full", (member,), act.at_ms, HIGH, sentence, [evidence.line(one) for one in (act, *back[:1])], risk)


def slow_disk(evidence: Evidence) -> Iterator[Hypothesis]:
    slow = {
        member: signs
        for member, signs in by_member(evidence.signs("pulse.sync_ms", "slow_commit.fsync_ms")).items()
        if any(sign.seconds >= LASTS_SECONDS or sign.now >= STUCK_MS for sign in signs)
        and not _is_starved(evidence, member, signs[0])
        and not _is_flooded(evidence, signs[0])
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
    how = f"slowed from {first.before:.1f} to {heaviest:.0f} ms" if first.before else f"took up to {heaviest:,.0f} ms"
    sentence = f"{where} {how}"
    sure = HIGH if heaviest >= 5 * max(first.before, 1.0) and len(guilty) <= max(1, len(evidence.members) // 2) else MEDIUM
    lines += [evidence.number(sign) for sign in evidence.signs("pulse.commit_ms", "pulse.pressure.io")]
    yield told("slow disk", guilty, onset, sure, sentence, lines, shows_ms=shown_by(*(sign for member in guilty for sign in slow[member])))


def hangs(evidence: Evidence, member: str) -> bool:
    """Whether its disk takes so long that it neither answers nor moves on with the others."""
    return any(sign.now >= HANGS_MS for sign in evidence.signs("pulse.sync_ms", member=member))


def hardly_runs(evidence: Evidence, member: str, at_ms: int) -> bool:
    """Whether it gets so little of the CPU that it does not answer for seconds."""
    waited = evidence.signs("pulse.waited_ms", member=member)
    return any(sign.now >= HARDLY_RUNS_MS and sign.onset_ms - NEAR_MS <= at_ms <= sign.until_ms + NEAR_MS for sign in waited)


def _is_starved(evidence: Evidence, member: str, slow: Sign) -> bool:
    """Whether its threads did not get the CPU, so that everything took long, the disk or not."""
    waited = evidence.signs("pulse.waited_ms", member=member)
    if waited and abs(waited[0].onset_ms - slow.onset_ms) <= NEAR_MS and waited[0].now >= 400:
        return True
    # On a host that is always busy nothing stands out: what its fsyncs took longer is then little beside what it waited meanwhile.
    longer_ms = waited_ms = 0.0
    shift_ms = evidence.side.offset(member).ms
    syncs, waits = (evidence.summary.series.get((member, f"pulse.{name}"), {}) for name in ("syncs", "waited_ms"))
    for second, cell in evidence.side.within(member, evidence.summary.series.get((member, "pulse.sync_ms"), {})):
        if slow.onset_ms - 1_000 <= second * 1_000 - shift_ms <= slow.until_ms + 1_000:
            longer_ms += max(0.0, cell[1] / cell[0] - slow.before) * syncs.get(second, NOTHING)[1]
            waited_ms += waits.get(second, NOTHING)[1]
    if evidence.baseline is not None and squeezes.of(evidence.side, evidence.baseline, member) is not None:
        more = 1 / WAITED_MORE  # the log's thread waits, too, and nobody counts that
    else:
        more = WAITED_MORE if slow.seconds >= LASTS_SECONDS else 1  # a moment's fsync and a moment without the CPU are one stall
    return 0 < more * longer_ms <= waited_ms


def _is_flooded(evidence: Evidence, slow: Sign) -> bool:
    """Whether there is so much more to write that it takes longer, on whichever disk."""
    return any(abs(sign.onset_ms - slow.onset_ms) <= NEAR_MS for sign in evidence.signs("pulse.asked_kib"))


def interrupted(evidence: Evidence) -> Iterator[Hypothesis]:
    """Late again and again, though it was not ready to run, and did not work itself: somebody stops it, or freezes its group."""
    for member in evidence.members:
        stopped = [stop for stop in stops.of(evidence.side, member) if not evidence.was_gone(member, stop.at_ms)]
        late = next((sign for sign in evidence.signs("pulse.late_worst_ms", member=member) if _was_stopped(evidence, sign, stopped)), None)
        long = [stop for stop in stopped if stop.late_ms >= LONG_STOP_MS]
        if late is None and not _is_more_often(evidence, member, long):
            continue
        worst_ms = max([stop.late_ms for stop in long] + ([late.now] if late is not None else []))
        sentence = f"{member} was stopped again and again, for up to {worst_ms:.0f} ms: it was not even ready to run"
        lines = [Line(stop.at_ms, member, f"a tick was late by {stop.late_ms:.0f} ms") for stop in long[:EVIDENCE_MAX]]
        if late is not None:
            lines += [evidence.number(sign) for sign in (late, *evidence.signs("late_tick.late_ms", member=member))]
        since_ms = min([stop.at_ms for stop in long] + ([late.onset_ms] if late is not None else []))
        yield told("member paused", (member,), since_ms, HIGH if len(long) >= LONG_STOPS_MIN else MEDIUM, sentence, lines)


def _was_stopped(evidence: Evidence, late: Sign, stopped: Sequence[Stop]) -> bool:
    # Who is stopped in the midst of a turn has a long one, too: only what it took of the CPU tells that it worked.
    waited = evidence.signs("pulse.waited_ms", member=late.member)
    is_busy = any(abs(sign.onset_ms - late.onset_ms) <= 2 * NEAR_MS and 2 * sign.now >= late.now for sign in waited)
    is_busy = is_busy or 2 * _highest(evidence, late, "pulse.cpu_ms") >= late.now
    is_little = late.now < INTERRUPTED_MS and late.seconds < INTERRUPTED_SECONDS
    if is_little or is_busy or evidence.was_gone(late.member, late.onset_ms):
        return False
    from_ms, to_ms = late.onset_ms - 1_000, late.until_ms + 1_000
    return any(from_ms <= stop.at_ms <= to_ms for stop in stopped) or not stops.is_told_of(evidence.side, late.member, from_ms, to_ms)


def _is_more_often(evidence: Evidence, member: str, long: Sequence[Stop]) -> bool:
    """Than before; once alone may happen to every host."""
    before = evidence.baseline
    usual = [stop for stop in stops.of(before, member) if stop.late_ms >= LONG_STOP_MS] if before is not None else []
    usual_seconds = before.seconds_of(member) if before is not None else 0.0
    return len(long) >= LONG_STOPS_MIN and len(long) * usual_seconds >= WAITED_MORE * len(usual) * evidence.side.seconds_of(member)


def stood_still(evidence: Evidence) -> Iterator[Hypothesis]:
    """A leader that says of itself that it was late, and nothing of its disk."""
    for act in evidence.told("late_tick"):
        late_ms = float(act.fields.get("late_ms") or 0)
        slow = [one for one in evidence.told("slow_commit", member=act.member) if abs(one.at_ms - act.at_ms) <= 2 * NEAR_MS]
        if evidence.engine(act.member) and late_ms >= STOOD_STILL_MS and not slow:
            sentence = f"{act.member}, which led, sent nothing for {late_ms / 1_000:.1f} s: it was stopped, or got no CPU"
            yield told("member paused", (act.member,), act.at_ms - round(late_ms), MEDIUM, sentence, [evidence.line(act)])


def _highest(evidence: Evidence, sign: Sign, name: str) -> float:
    """Of another number of that member, while the sign lasted."""
    shift_ms = evidence.side.offset(sign.member).ms
    cells = evidence.side.within(sign.member, evidence.summary.series.get((sign.member, name), {}))
    return max((cell[2] for second, cell in cells if sign.onset_ms <= second * 1_000 - shift_ms <= sign.until_ms), default=0.0)


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
    moved = by_member([sign for sign in evidence.compared.signs if sign.what == comparing.MOVED_CLOCK])
    for member, signs in moved.items():
        total_ms = sum(sign.now for sign in signs)
        how = "was set" if len(signs) == 1 else f"moved {len(signs)} times, in all"
        lines = [Line(sign.onset_ms, member, f"wall clock moved {sign.now:+.0f} ms otherwise than uptime") for sign in signs[:EVIDENCE_MAX]]
        risk = "none: leases are counted by the leader's monotonic clock; times that are shown are wrong"
        sentence = f"{member}'s wall clock {how} by {total_ms / 1_000:+.1f} s while it ran"
        yield told("clock", (member,), signs[0].onset_ms, HIGH, sentence, lines, risk)
    for member in evidence.members:
        offset = evidence.side.offset(member)
        if (
            member not in moved
            and not hangs(evidence, member)
            and abs(offset.ms) > max(CLOCK_OFF_MS, 2 * offset.error_ms)
            and offset.places
        ):
            sentence = f"{member}'s clock is {offset.ms / 1_000:+.1f} s off (+-{offset.error_ms} ms)"
            source = f"from {offset.places} places of the log" if offset.places >= PLACES_MIN else "by what it said when it was asked"
            line = Line(evidence.side.window.from_ms, member, f"offset {offset.ms:+} ms {source}")
            risk = "none: no rule reads wall clocks; times that are shown are wrong"
            yield told("clock", (member,), evidence.side.window.from_ms, MEDIUM, sentence, [line], risk)


def ends_apart(evidence: Evidence) -> Iterator[Hypothesis]:
    """Where no place in the log moves nothing tells a clock that is off from a log that was not read to its end."""
    early = {gap.member: gap for gap in evidence.early_ends}
    if not early:
        return
    others = [member for member in evidence.members if member not in early]
    first = min(early.values(), key=lambda gap: gap.from_ms)
    is_behind = len(early) <= len(others)
    odd, where = (sorted(early), "before") if is_behind else (others, "after")
    apart_s = (first.to_ms - first.from_ms) / 1_000
    whose = "they end" if len(odd) > 1 else "it ends"
    sentence = f"the log of {', '.join(odd)} ends {apart_s:.0f} s {where} the others', and nobody misses anybody: "
    sentence += f"clocks are off, or {whose if is_behind else 'the others end'} earlier for want of lines"
    lines = [Line(gap.from_ms, gap.member, gap.last_words or "its last line") for gap in early.values()]
    risk = "none: no rule reads wall clocks; times that are shown are wrong"
    yield told("clock", tuple(odd), first.from_ms, LOW, sentence, lines, risk)


def drifts(evidence: Evidence) -> Iterator[Hypothesis]:
    """Of two that find their clocks apart, each blames the other: whom most of them name is off."""
    acts = evidence.told("clock_drift")
    named = [evidence.name(act.fields.get("peer")) for act in acts]
    accusers = {member: {act.member for act, one in zip(acts, named, strict=True) if one == member} for member in named}
    most = max((len(some) for some in accusers.values()), default=0)
    guilty = tuple(sorted(member for member, some in accusers.items() if len(some) == most))
    if guilty:
        apart_ms = max(abs(float(act.fields.get("drift_ms", 0))) for act in acts)
        sentence = f"the clocks of {', '.join(guilty)} and of the others are {apart_ms / 1_000:.1f} s apart"
        lines = [evidence.line(act) for act, one in zip(acts, named, strict=True) if one in guilty]
        risk = "none: no rule reads wall clocks; times that are shown are wrong"
        yield told("clock", guilty, acts[0].at_ms, HIGH if len(guilty) == 1 and most > 1 else MEDIUM, sentence, lines[:EVIDENCE_MAX], risk)
