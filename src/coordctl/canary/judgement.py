"""Judges one round, and a run of rounds. "It is down" is only said where members themselves, or their hosts, prove it. Pure."""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from coordctl.canary.budget import Share, share
from coordctl.canary.samples import ANSWERS, CYCLES, DENIED, FAILED, OK, PROBES, REFUSES, UNREACHED, WRITE, WRONG, Round, Sample

WELL: Final = "well"
DEGRADED: Final = "degraded"  # some of it failed, but it was served
DOWN: Final = "down"  # nothing was served, and that is proved
BROKEN: Final = "broken"  # it answered what it must never answer
UNREACHABLE: Final = "unreachable"  # nothing was served, and nothing proved: it may be down, or only cut off from here

LEVELS: Final = {WELL: 0, DEGRADED: 1, DOWN: 2, BROKEN: 2, UNREACHABLE: 3}  # as Nagios has them
OUTCOMES: Final = ("ok", "degraded", "broken", "unknown")  # by level

LATENCIES_KEPT: Final = 1_000  # of each probe, the newest


class Judged(NamedTuple):
    kind: str
    sentence: str  # "": all is well


def judge_round(found: Round) -> Judged:
    wrong = [sample for sample in found.samples if sample.outcome == WRONG]
    if wrong:
        return Judged(BROKEN, told(wrong))
    missed = [sample for sample in found.samples if sample.outcome != OK]
    if any(sample.probe == WRITE and sample.outcome == OK for sample in found.samples):
        return Judged(DEGRADED, told(missed)) if missed else Judged(WELL, "")
    return _unserved(found)


def _unserved(found: Round) -> Judged:
    denied = [sample for sample in found.samples if sample.outcome == DENIED]
    if denied:
        return Judged(UNREACHABLE, f"what the canary does is not permitted to it ({told(denied)})")
    voters = [one for one in found.members if one.is_voter]
    answer = [one.member for one in found.members if one.how == ANSWERS]
    refuse = [one.member for one in found.members if one.how == REFUSES]
    troubles = "; ".join(f"{one.member}: {one.trouble}" for one in found.members if one.how != ANSWERS)
    if not answer:
        stopped = len(refuse) == len(found.members)
        looks = ", but their hosts answer: they look stopped" if stopped else ": they are down, or only cut off from here"
        return Judged(UNREACHABLE, f"no member can be reached from here{looks} ({troubles})")
    said = told([sample for sample in found.samples if sample.outcome == FAILED and sample.member in ("", *answer)])
    if 2 * sum(one.how in (ANSWERS, REFUSES) for one in voters) > len(voters):
        down = f"; {listed(refuse)} {'is' if len(refuse) == 1 else 'are'} down" if refuse else ""
        return Judged(DOWN, f"{listed(answer)} can be reached and cannot serve ({said}){down}")
    return Judged(UNREACHABLE, f"{listed(answer)} cannot serve ({said}); the others are down, or only cut off from here ({troubles})")


def listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)


def told(samples: Sequence[Sample]) -> str:
    """What went amiss, each sentence once."""
    by_sentence: dict[str, dict[str, list[str]]] = {}
    for sample in samples:
        by_sentence.setdefault(sample.sentence, {}).setdefault(sample.member, []).append(sample.probe)
    words = []
    for sentence, by_member in by_sentence.items():
        by_probes: dict[str, list[str]] = {}
        for member, probes in by_member.items():
            by_probes.setdefault(listed(probes), []).append(member)
        what = [probes + (f" through {listed(members)}" if any(members) else "") for probes, members in by_probes.items()]
        words.append(f"{', '.join(what)}: {sentence}")
    return "; ".join(words)


class Series:
    """All samples of one probe through one member."""

    def __init__(self) -> None:
        self.count = 0  # of those that could be tried
        self.failed = 0  # of these, WRONG included
        self.unreached = 0
        self.last_success_unix_ms: int | None = None
        self._latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)

    def add(self, sample: Sample, unix_ms: int) -> None:
        if sample.outcome in (UNREACHED, DENIED):
            self.unreached += 1
            return
        self.count += 1
        if sample.outcome == OK:
            self.last_success_unix_ms = unix_ms
            self._latencies.append(sample.milliseconds)
        else:
            self.failed += 1

    def latency_ms(self, part: float) -> float | None:
        """Of the newest that succeeded."""
        ordered = sorted(self._latencies)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None


class Tally:
    """A run so far. Bounded, however long it goes on."""

    def __init__(self) -> None:
        self.rounds = dict.fromkeys(LEVELS, 0)
        self.series: dict[tuple[str, str], Series] = {}  # by probe and member
        self.trouble: dict[str, str] = {}  # of each kind of round, the newest

    def add(self, found: Round, unix_ms: int) -> Judged:
        judged = judge_round(found)
        self.rounds[judged.kind] += 1
        self.trouble[judged.kind] = judged.sentence
        for sample in found.samples:
            self.series.setdefault((sample.probe, sample.member), Series()).add(sample, unix_ms)
        return judged

    @property
    def seen(self) -> int:
        """Rounds that say something of the cluster."""
        return sum(self.rounds.values()) - self.rounds[UNREACHABLE]


class Verdict(NamedTuple):
    level: int
    sentence: str


def judge_run(tally: Tally, samples_min: int, tolerated: float | None = None) -> Verdict:
    """The worst that is proved: broken, then degraded, then too little seen, then well.

    `tolerated`: a share of rounds that may fail; more is only said where its 95 % interval lies above, and less where it lies below.
    """
    rounds, seen, total = tally.rounds, tally.seen, sum(tally.rounds.values())
    counted = f"{total} round{'' if total == 1 else 's'}"
    if rounds[BROKEN]:
        return Verdict(2, f"a promise was broken in {rounds[BROKEN]} of {counted}: {tally.trouble[BROKEN]}")
    if 2 * rounds[DOWN] >= max(1, seen):
        return Verdict(2, f"down in {rounds[DOWN]} of {counted}: {tally.trouble[DOWN]}")
    for cycle in CYCLES:
        series = tally.series.get((cycle, ""))
        if series is not None and 2 * series.failed >= max(1, series.count) and seen >= samples_min:
            return Verdict(2, f"the {cycle} cycle failed in {series.failed} of {counted}: {tally.trouble[DEGRADED]}")
    unknown = f"{rounds[UNREACHABLE]} of {counted} said nothing of the cluster"
    if tolerated is not None and seen >= samples_min:
        verdict = _by_share(tally, share(rounds[DOWN] + rounds[DEGRADED], seen), tolerated)
        if verdict.level != 1 and 2 * rounds[UNREACHABLE] >= total:
            return Verdict(3, f"{unknown}: {tally.trouble[UNREACHABLE]}; of the others, {verdict.sentence}")
        return verdict
    if rounds[DOWN] or rounds[DEGRADED]:
        last = tally.trouble[DOWN if rounds[DOWN] else DEGRADED]
        return Verdict(1, f"{rounds[DOWN] + rounds[DEGRADED]} of {counted} not well: {last}")
    if seen < samples_min:
        why = (
            f": {tally.trouble[UNREACHABLE]}"
            if rounds[UNREACHABLE]
            else "; run for longer, with a shorter --interval, or ask for less: --min-samples"
        )
        return Verdict(3, f"too little was seen, {seen} of at least {samples_min} rounds{why}")
    if rounds[UNREACHABLE]:
        level = 3 if 2 * rounds[UNREACHABLE] >= total else 1
        return Verdict(level, f"{unknown}: {tally.trouble[UNREACHABLE]}")
    return Verdict(0, f"{counted}, none failed; {_latencies(tally)}")


def _by_share(tally: Tally, found: Share, tolerated: float) -> Verdict:
    told_share = f"{found.failed} of {found.seen} rounds failed, {found.ratio:.2%} (95 %: {found.low:.2%} to {found.high:.2%})"
    if found.low > tolerated:
        return Verdict(1, f"{told_share}: more than {tolerated:.2%}: {tally.trouble[DOWN if tally.rounds[DOWN] else DEGRADED]}")
    if found.high > tolerated:
        return Verdict(3, f"{told_share}: too few to tell it from {tolerated:.2%}; run for longer")
    return Verdict(0, f"{told_share}: within {tolerated:.2%}; {_latencies(tally)}")


def _latencies(tally: Tally) -> str:
    slowest: dict[str, float] = {}
    for (probe, _), series in tally.series.items():
        slowest[probe] = max(slowest.get(probe, 0.0), series.latency_ms(0.99) or 0.0)
    return "p99 " + ", ".join(f"{probe} {slowest[probe]:.1f} ms" for probe in PROBES if probe in slowest)
