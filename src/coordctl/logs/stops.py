"""When a member was late although it neither waited for the CPU nor used it: it was stopped. Pure.

A pulse may be told in the midst of a stall, so what was waited may stand in the pulse before that of the late tick, or behind it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coordctl.logs.comparing import Side

STOPPED_MS = 250  # a tick that was late by so much
PULSES_APART_MAX = 3  # seconds
TICKS = "late_tick.late_ms"


class Stop(NamedTuple):
    at_ms: int  # by the cluster's middle clock
    late_ms: float


def of(side: Side, member: str) -> list[Stop]:
    series = side.summary.series
    ticks = series.get((member, TICKS), {})
    waited, used = (series.get((member, f"pulse.{name}"), {}) for name in ("waited_ms", "cpu_ms"))
    found = []
    for second, cell in side.within(member, ticks):
        late_ms = cell[2]
        following = min((other for other in waited if other > second), default=None)
        if late_ms < STOPPED_MS or following is None or following - second > PULSES_APART_MAX:
            continue  # without its pulse nobody knows what it waited
        began = second - 1 - int(late_ms // 1_000)
        explained_ms = _total(waited, began, following) + _total(used, began, following)
        if 2 * explained_ms < _total(ticks, began, following):
            found.append(Stop(second * 1_000 - side.offset(member).ms, late_ms))
    return found


def is_told_of(side: Side, member: str, from_ms: int, to_ms: int) -> bool:
    """Whether single ticks say how late they were."""
    shift_ms = side.offset(member).ms
    return any(from_ms <= second * 1_000 - shift_ms <= to_ms for second in side.summary.series.get((member, TICKS), {}))


def _total(cells: Mapping[int, Sequence[float]], first: int, last: int) -> float:
    return sum(cells[second][1] for second in range(first, last + 1) if second in cells)
