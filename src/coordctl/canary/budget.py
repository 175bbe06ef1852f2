"""How large a share of rounds fails, and how sure that is; and of the last minutes, how it went. Pure."""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

SURE_Z = 1.96  # 95 %


class Share(NamedTuple):
    failed: int
    seen: int
    low: float  # within these it lies, in 95 of 100 cases
    high: float

    @property
    def ratio(self) -> float:
        return self.failed / self.seen if self.seen else 0.0


def share(failed: int, seen: int) -> Share:
    """Wilson's interval: it holds for few rounds, and where none or all failed."""
    if not seen:
        return Share(0, 0, 0.0, 1.0)
    z2, ratio = SURE_Z**2, failed / seen
    middle = (ratio + z2 / (2 * seen)) / (1 + z2 / seen)
    half = SURE_Z / (1 + z2 / seen) * sqrt(ratio * (1 - ratio) / seen + z2 / (4 * seen**2))
    return Share(failed, seen, max(0.0, middle - half) if failed else 0.0, min(1.0, middle + half) if failed < seen else 1.0)


class Past(NamedTuple):
    """One round, as it is remembered."""

    unix_ms: int
    level: int  # as Nagios has it
    sentence: str


def of_window(rounds: Sequence[Past], now_ms: int, window_ms: int) -> Share:
    """Rounds that say something of the cluster."""
    seen = [one for one in rounds if now_ms - window_ms <= one.unix_ms and one.level < 3]
    return share(sum(one.level > 0 for one in seen), len(seen))
