"""The statistics of comparing: is this more than chance, and is it enough to matter? Pure."""

from collections.abc import Sequence
from math import erfc, log, sqrt
from typing import NamedTuple

PSEUDO = 0.5  # added to each count: what was never seen is rare, not impossible
RATIO_MIN = 2.0  # the effect floor: less of a change is nobody's cause
EXTRA_MIN = 3.0  # so many lines more than expected, or fewer
FALSE_DISCOVERIES_MAX = 0.01  # share of what is called different that may be chance


class Change(NamedTuple):
    ratio: float  # of the rates
    g2: float
    p: float


def change(now: float, now_seconds: float, before: float, before_seconds: float) -> Change:
    """Two counts over two lengths of time: log-likelihood ratio (G²) against one common rate, one degree of freedom."""
    now_seconds, before_seconds = max(now_seconds, 1.0), max(before_seconds, 1.0)
    a, b = now + PSEUDO, before + PSEUDO
    common = (a + b) / (now_seconds + before_seconds)
    g2 = 2 * (a * log(a / (common * now_seconds)) + b * log(b / (common * before_seconds)))
    return Change((a / now_seconds) / (b / before_seconds), max(0.0, g2), erfc(sqrt(max(0.0, g2) / 2)))


def is_enough(found: Change, now: float, now_seconds: float, before: float, before_seconds: float) -> bool:
    expected = before * now_seconds / max(before_seconds, 1.0)
    if abs(now - expected) < EXTRA_MIN:
        return False
    return found.ratio >= RATIO_MIN or found.ratio <= 1 / RATIO_MIN


def discoveries(ps: Sequence[float], share: float = FALSE_DISCOVERIES_MAX) -> list[bool]:
    """Benjamini and Hochberg: which of many comparisons stand when that share of wrong ones is borne."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    last = -1
    for rank, place in enumerate(order):
        if ps[place] <= share * (rank + 1) / len(ps):
            last = rank
    kept = [False] * len(ps)
    for place in order[: last + 1]:
        kept[place] = True
    return kept


def quantile(values: Sequence[float], part: float) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, int(part * len(values)))]
