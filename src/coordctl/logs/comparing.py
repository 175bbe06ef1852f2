"""What is different, since when, and what follows from what: one summary of logs, two stretches of time in it, or two runs. Pure.

Each (member, kind of line) and each (member, number that members tell of themselves) is compared with its own baseline. What stands
the statistics becomes a sign with the moment at which it began, corrected by its member's clock; signs that the table of `causal`
knows as consequences hang below the earliest that can explain them. What is left over are roots, in the order in which they began.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from coordctl.logs import causal, rates
from coordctl.logs.align import UNKNOWN, Offset
from coordctl.logs.foreign import ENGINE
from coordctl.logs.lines import ERROR, INFO, WARNING
from coordctl.logs.mining import MOVED, Summary

NEW, MORE, FEWER, SLOWER, SILENT, MOVED_CLOCK = "new", "more", "fewer", "higher", "silent", "clock set"
BIN_SECONDS = 10
STEADY_SECONDS_MIN = 20  # a baseline shorter than this says little
SILENCE_SECONDS_MIN = 4
FOLLOWS_WITHIN_MS = 120_000
SIGNS_MAX = 1_000
MISSING_FACTOR = 4.0
MISSING_EXPECTED = 8.0
HICCUPS = frozenset({"slow_commit", "slow_turn", "late_tick", "slow_commit.total_ms", "late_tick.late_ms"})
HICCUPS_MIN = 5
LASTS_SECONDS = 3  # what was slow for a moment is not slow


class Window(NamedTuple):
    """[from, to), by the cluster's middle clock."""

    from_ms: int
    to_ms: int

    def seconds(self) -> float:
        return max(0, self.to_ms - self.from_ms) / 1_000


# Numbers of a pulse that are looked at, and from which value on they matter at all; "below": what falls is bad.
LONG_SECONDS = 100  # of a baseline
OFTENER = 3  # seconds beyond the bound, in parts of the time, than before
FLOORS: Mapping[str, float] = {
    "pulse.sync_ms": 8,
    "pulse.sync_worst_ms": 100,
    "pulse.commit_ms": 20,
    "pulse.commit_worst_ms": 200,
    "pulse.turn_worst_ms": 200,
    "pulse.late_worst_ms": 200,
    "pulse.took_ms": 1_800,
    "pulse.round_trip_ms": 20,
    "pulse.behind": 500,
    "pulse.connections": 100,
    "pulse.refused": 3,
    "pulse.asks": 200,
    "pulse.asked_kib": 1_000,
    "pulse.opened": 50,
    "pulse.expired": 20,
    "pulse.waited_ms": 250,
    "pulse.cpu_ms": 500,
    "pulse.rss_kib": 200_000,
    "pulse.files": 200,
    "pulse.pressure.cpu": 40,
    "pulse.pressure.io": 30,
    "pulse.pressure.memory": 10,
}
RATIO_OF = {"pulse.rss_kib": 1.5, "pulse.files": 2.0}


@dataclass(slots=True, eq=False)
class Sign:
    """One thing that is different."""

    member: str
    kind: str  # of lines, or the name of a number
    what: str
    level: int
    onset_ms: int  # by the cluster's middle clock
    error_ms: int
    until_ms: int
    now: float  # lines in the window, or the highest value
    before: float  # lines to be expected, or the usual value
    p: float
    place: int = -1  # of the first line; -1: there is none to show
    beyond_ms: Sequence[int] = ()  # of a number: the seconds in which it was beyond its bound
    cause: "Sign | None" = field(default=None, repr=False)
    consequences: list["Sign"] = field(default_factory=list, repr=False)
    concurrent: list["Sign"] = field(default_factory=list, repr=False)  # roots whose order cannot be told

    @property
    def seconds(self) -> int:
        return len(self.beyond_ms)

    @property
    def weight(self) -> float:
        """A hiccup that every busy machine has now and then counts little until it comes again."""
        if self.kind in HICCUPS and self.now < HICCUPS_MIN:
            return 1.0
        return {INFO: 1.0, WARNING: 3.0, ERROR: 5.0}[self.level] * (2.0 if self.what in (NEW, SILENT, MOVED_CLOCK) else 1.0)


class Compared(NamedTuple):
    window: Window
    baseline: Window | None
    roots: list[Sign]  # ranked
    signs: list[Sign]
    first: Sign | None  # the first divergence
    compared: int  # how many comparisons there were


class Side(NamedTuple):
    """One stretch of one summary."""

    summary: Summary
    window: Window
    offsets: Mapping[str, Offset]
    looked_ms: int = 0  # whoever was there until then would have spoken; 0: that is only known of the newest line

    def heard_ms(self) -> int:
        newest = max((span[1] - self.offset(member).ms for member, span in self.summary.spans.items()), default=0)
        return max(newest, self.looked_ms)

    def seconds_of(self, member: str) -> float:
        span = self.summary.spans.get(member)
        if span is None:
            return 0.0
        shift = self.offset(member).ms
        return max(0.0, min(self.window.to_ms, span[1] - shift + 1_000) - max(self.window.from_ms, span[0] - shift)) / 1_000

    def offset(self, member: str) -> Offset:
        return self.offsets.get(member, UNKNOWN)

    def seconds_range(self, member: str) -> tuple[int, int]:
        """Of its own clock."""
        shift = self.offset(member).ms
        return (self.window.from_ms + shift) // 1_000, -(-(self.window.to_ms + shift) // 1_000)

    def within(self, member: str, cells: Mapping[int, Sequence[float]]) -> list[tuple[int, Sequence[float]]]:
        low, high = self.seconds_range(member)
        return sorted((second, cell) for second, cell in cells.items() if low <= second < high)


def compare(now: Side, before: Side | None) -> Compared:
    """`before`: the healthy side; None: there is none, and only what is grave or odd beside the other members is told."""
    signs: list[Sign] = []
    compared = 0
    for (member, kind), cells in now.summary.cells.items():
        compared += 1
        old = before.summary.cells.get((member, kind), {}) if before is not None else {}
        sign = _lines_sign(now, before, member, kind, cells, old)
        if sign is not None:
            signs.append(sign)
    if before is not None:
        for (member, kind), old in before.summary.cells.items():
            sign = _missing_sign(now, before, member, kind, old)
            if sign is not None:
                signs.append(sign)
    for (member, name), values in now.summary.series.items():
        if name == MOVED:
            signs += _clock_signs(now, member, values)
            continue
        base = before.summary.series.get((member, name), {}) if before is not None else {}
        compared += 1
        sign = _number_sign(now, before, member, name, values, base)
        if sign is not None:
            signs.append(sign)
    for member in now.summary.spans:
        signs += _silences(now, member)
    stands = rates.discoveries([sign.p for sign in signs])
    signs = [sign for sign, is_kept in zip(signs, stands, strict=True) if is_kept]
    signs.sort(key=lambda sign: (sign.onset_ms, -sign.weight, sign.member, sign.kind))
    roots = grouped(signs[:SIGNS_MAX])
    first = min((root for root in roots if root.level > INFO or root.consequences), key=lambda root: root.onset_ms, default=None)
    return Compared(
        now.window, before.window if before is not None else None, ranked(roots), signs, first or (roots[0] if roots else None), compared
    )


# --- single signs --------------------------------------------------------------------------------------------------


def _sign(
    side: Side, member: str, kind: str, what: str, level: int, at_ms: int, until_ms: int, now: float, before: float, p: float, place: int
) -> Sign:
    offset = side.offset(member)
    return Sign(member, kind, what, level, at_ms - offset.ms, offset.error_ms, until_ms - offset.ms, now, before, p, place)


def _lines_sign(
    now: Side, before: Side | None, member: str, kind: str, cells: Mapping[int, list[int]], old_cells: Mapping[int, list[int]]
) -> Sign | None:
    if kind == "pulse":
        return None
    mine = now.within(member, cells)
    count = sum(cell[0] for _, cell in mine)
    if not count:
        return None
    level = now.summary.levels.get(kind, INFO)
    now_seconds = now.seconds_of(member)
    old_seconds = before.seconds_of(member) if before is not None else 0.0
    old = sum(cell[0] for _, cell in before.within(member, old_cells)) if before is not None else 0
    expected = old * now_seconds / old_seconds if old_seconds else 0.0
    found = rates.change(count, now_seconds, old, old_seconds) if old_seconds else rates.Change(float("inf"), 0.0, 0.0)
    if old == 0:
        if before is None and level == INFO:
            return None
        # Once is enough for what was never seen: a baseline says how surely, the level how much it matters.
        p = 1 / (2 + old_seconds) ** 2 if old_seconds else 0.001
        onset = mine[0]
        return _sign(now, member, kind, NEW, level, int(onset[1][2]), mine[-1][0] * 1_000, count, 0, min(p, found.p or p), int(onset[1][1]))
    if found.ratio < 1 or not rates.is_enough(found, count, now_seconds, old, old_seconds):
        return None
    onset = _first_burst(mine, old / max(old_seconds, 1.0))
    return _sign(now, member, kind, MORE, level, int(onset[1][2]), mine[-1][0] * 1_000, count, expected, found.p, int(onset[1][1]))


def _first_burst(cells: Sequence[tuple[int, Sequence[float]]], rate: float) -> tuple[int, Sequence[float]]:
    """The first line of the first few seconds that had more than its usual rate brings."""
    usual = rate * BIN_SECONDS
    bound = usual + 3 * (usual + rates.PSEUDO) ** 0.5
    total = 0.0
    first = 0
    for second, cell in cells:
        total += cell[0]
        while cells[first][0] <= second - BIN_SECONDS:
            total -= cells[first][1][0]
            first += 1
        if total > bound:
            return cells[first]
    return cells[0]


def _missing_sign(now: Side, before: Side, member: str, kind: str, old_cells: Mapping[int, list[int]]) -> Sign | None:
    if kind == "pulse":  # its absence is a silence
        return None
    if (member, ENGINE) in now.summary.facts:  # what happens less often is no trouble of who only tells what happens
        return None
    old = sum(cell[0] for _, cell in before.within(member, old_cells))
    now_seconds, old_seconds = now.seconds_of(member), before.seconds_of(member)
    if not old_seconds or not now_seconds:
        return None
    expected = old * now_seconds / old_seconds
    mine = now.within(member, now.summary.cells.get((member, kind), {}))
    count = sum(cell[0] for _, cell in mine)
    if expected < MISSING_EXPECTED or count * MISSING_FACTOR > expected:
        return None
    found = rates.change(count, now_seconds, old, old_seconds)
    at_ms = (mine[-1][0] + 1) * 1_000 if mine else now.seconds_range(member)[0] * 1_000
    return _sign(now, member, kind, FEWER, INFO, at_ms, now.window.to_ms + now.offset(member).ms, count, expected, found.p, -1)


def floor_of(name: str) -> float | None:
    found = FLOORS.get(name) or FLOORS.get(causal.family(name))
    if found is None and name.endswith("_ms") and not name.startswith("pulse."):
        return 20.0
    return found


def _number_sign(
    now: Side, before: Side | None, member: str, name: str, values: Mapping[int, list[float]], base: Mapping[int, list[float]]
) -> Sign | None:
    """More seconds than in the baseline in which it was far above its usual value."""
    floor = floor_of(name)
    if floor is None:
        return None
    mine = now.within(member, values)
    if not mine:
        return None
    usual = sorted(cell[1] / cell[0] for _, cell in before.within(member, base)) if before is not None else []
    if len(usual) >= STEADY_SECONDS_MIN / 2:
        # Of a short time the 98th is its very worst second: one hiccup would hide all that comes.
        middle, high = rates.quantile(usual, 0.5), rates.quantile(usual, 0.98 if len(usual) >= LONG_SECONDS else 0.9)
        bound = max(middle * RATIO_OF.get(causal.family(name), rates.RATIO_MIN), high * 1.2, floor)
    elif before is None or not usual:
        middle, bound = 0.0, floor * 2.5
    else:
        middle = rates.quantile(usual, 0.5)
        bound = max(usual[-1] * 2, floor * 1.5)
    over = [(second, cell) for second, cell in mine if cell[1] / cell[0] > bound]
    if not over:
        return None
    over_before = sum(value > bound for value in usual)
    found = rates.change(len(over), len(mine), over_before, max(len(usual), STEADY_SECONDS_MIN))
    if over_before and len(over) * len(usual) < OFTENER * over_before * len(mine):
        return None
    highest = max(cell[1] / cell[0] for _, cell in over)
    if len(over) < 3 and highest < 5 * bound:
        return None
    onset = next((second for second, _ in over if sum(second <= other < second + 5 for other, _ in over) >= 2), over[0][0])
    level = WARNING if highest > 2 * bound or len(over) >= 5 else INFO
    sign = _sign(now, member, name, SLOWER, level, onset * 1_000, over[-1][0] * 1_000, highest, middle, min(found.p, 0.001), -1)
    sign.beyond_ms = [second * 1_000 - now.offset(member).ms for second, _ in over]
    return sign


def _clock_signs(now: Side, member: str, values: Mapping[int, list[float]]) -> list[Sign]:
    return [
        _sign(now, member, MOVED, MOVED_CLOCK, WARNING, second * 1_000, second * 1_000, cell[1], 0, 0.0, -1)
        for second, cell in now.within(member, values)
    ]


def _silences(now: Side, member: str) -> list[Sign]:
    """A member with a flight recorder says something each second."""
    pulses = now.summary.cells.get((member, "pulse"))
    if not pulses:
        return []
    low, high = now.seconds_range(member)
    # From the last word before the window on, if there is one.
    seconds = sorted(
        {second for (whose, _), cells in now.summary.cells.items() if whose == member for second in cells if low - 60 <= second < high}
    )
    if not seconds:
        return []
    found = []
    end = min(high, (now.heard_ms() + now.offset(member).ms) // 1_000)
    for this, following in zip(seconds, [*seconds[1:], end], strict=True):
        gap = following - this
        if gap >= SILENCE_SECONDS_MIN and following > low:
            found.append(_sign(now, member, "silence", SILENT, WARNING, this * 1_000 + 999, following * 1_000, gap, 1, 0.0, -1))
    return found


# --- bringing them together ----------------------------------------------------------------------------------------


def can_precede(cause: Sign, effect: Sign) -> bool:
    """Within what their clocks allow; times are whole seconds, and one that came in the same second may have been first."""
    slack = 1_000 + (0 if cause.member == effect.member else cause.error_ms + effect.error_ms)
    return cause.onset_ms <= effect.onset_ms + slack


def grouped(signs: Sequence[Sign]) -> list[Sign]:
    """Each below the earliest sign that can explain it; what nothing explains is a root."""
    roots = []
    for effect in signs:
        causes = [
            cause
            for cause in signs
            if cause is not effect
            and causal.can_follow(effect.kind, effect.member, cause.kind, cause.member)
            and can_precede(cause, effect)
            and effect.onset_ms - cause.onset_ms <= FOLLOWS_WITHIN_MS + max(0, cause.until_ms - cause.onset_ms)
            and not _is_below(cause, effect)
        ]
        # What was surely before it, rather than what may have been; then what is nearest to the start of it all.
        best = min(causes, key=lambda cause: (cause.onset_ms > effect.onset_ms, cause.onset_ms, -cause.weight), default=None)
        if best is None:
            roots.append(effect)
        else:
            effect.cause = best
            best.consequences.append(effect)
    for root in roots:
        root.concurrent = [
            other for other in roots if other is not root and abs(other.onset_ms - root.onset_ms) <= 1_000 + other.error_ms + root.error_ms
        ]
    return roots


def _is_below(sign: Sign | None, root: Sign) -> bool:
    while sign is not None:
        if sign is root:
            return True
        sign = sign.cause
    return False


def all_consequences(root: Sign) -> list[Sign]:
    found: list[Sign] = []
    waiting = list(root.consequences)
    while waiting:
        sign = waiting.pop()
        found.append(sign)
        waiting += sign.consequences
    return sorted(found, key=lambda sign: sign.onset_ms)


def ranked(roots: Sequence[Sign]) -> list[Sign]:
    """By how much they matter with all that follows from them; among those that matter, by when they began."""

    def weight(root: Sign) -> float:
        following = all_consequences(root)
        return root.weight + min(6.0, sum(0.5 * sign.weight for sign in following))

    weighed = [(weight(root), root) for root in roots]
    heaviest = max((heavy for heavy, _ in weighed), default=0.0)
    return [root for heavy, root in sorted(weighed, key=lambda one: (one[0] < heaviest / 3, one[1].onset_ms, -one[0]))]


def odd_members(side: Side) -> list[tuple[str, str, float, float]]:
    """(member, kind or name, its value, the others' middle) where one member differs from all others in the same time. For want of a
    baseline, or beside it."""
    members = sorted(side.summary.spans)
    if len(members) < 3:
        return []
    found = []
    for name in sorted({name for _, name in side.summary.series if name in FLOORS}):
        values: dict[str, float] = {}
        for member in members:
            cells = side.within(member, side.summary.series.get((member, name), {}))
            if cells:
                values[member] = rates.quantile(sorted(cell[1] / cell[0] for _, cell in cells), 0.9)
        if len(values) < 3:
            continue
        for member, value in values.items():
            others = sorted(other for whose, other in values.items() if whose != member)
            middle = others[len(others) // 2]
            if value > FLOORS[name] and value > 3 * max(middle, others[-1] / 1.5):
                found.append((member, name, value, middle))
    return found
