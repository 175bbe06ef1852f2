"""Of which times a member's flight recorder has all that its log has, and more. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

Covered = dict[str, tuple[tuple[int, int], ...]]  # member -> from when to when another file has all of its lines and more


def joined(stretches: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """In order, none within another."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def covers(stretches: Sequence[tuple[int, int]], at_ms: int) -> bool:
    place = bisect_right(stretches, at_ms, key=lambda stretch: stretch[0])
    return place > 0 and at_ms <= stretches[place - 1][1]
