"""When a member got less of the CPU, though nothing stood still. Pure.

Where the scheduler shares fairly a crowd of other processes takes no second away from anybody: members wait several times as long as they
did, with no more work of their own, and the host says that there is too much to run.
"""

from statistics import median
from typing import NamedTuple

from coordctl.logs.comparing import Side

PRESSED = 40.0  # per cent of the time in which something on the host was ready to run and did not
PRESSED_FACTOR = 2.0  # than usual
WAITED_FACTOR, WAITED_MS_MIN = 3.0, 15.0  # of a second
SECONDS_MIN = 4
OWN_WORK_FACTOR = 1.5  # who uses so much more of the CPU has itself to thank


class Squeeze(NamedTuple):
    shows_ms: list[int]  # the seconds in which it waited so long, by the cluster's middle clock
    worst_ms: float  # waited of a second
    usual_ms: float
    pressed: float


def of(side: Side, before: Side, member: str) -> Squeeze | None:
    usual, used, host = (_values(before, member, name) for name in ("waited_ms", "cpu_ms", "pressure.cpu"))
    if not (usual and used and host):
        return None
    pressed = max(_values(side, member, "pressure.cpu"), default=0.0)
    bound_ms = max(WAITED_MS_MIN, WAITED_FACTOR * median(usual))
    cells = side.summary.series.get((member, "pulse.waited_ms"), {})
    long = [(second, cell[1] / cell[0]) for second, cell in side.within(member, cells) if cell[0] and cell[1] >= bound_ms * cell[0]]
    if pressed < max(PRESSED, PRESSED_FACTOR * median(host)) or len(long) < SECONDS_MIN:
        return None
    own = side.summary.series.get((member, "pulse.cpu_ms"), {})
    if median([own[second][1] / own[second][0] for second, _ in long if second in own] or [0.0]) > OWN_WORK_FACTOR * median(used):
        return None
    shows_ms = [second * 1_000 - side.offset(member).ms for second, _ in long]
    return Squeeze(shows_ms, max(ms for _, ms in long), median(usual), pressed)


def _values(side: Side, member: str, name: str) -> list[float]:
    return [cell[1] / cell[0] for _, cell in side.within(member, side.summary.series.get((member, f"pulse.{name}"), {})) if cell[0]]
