"""Histograms out of a member's /metrics (Prometheus text), and what can be said from them. Pure."""

import re

_BUCKET = re.compile(rb'^([a-z_]+)_bucket\{le="([^"]+)"\} ([0-9]+)', re.MULTILINE)


class Histogram:
    def __init__(self) -> None:
        self._buckets: list[tuple[float, int]] = []  # (upper bound in seconds, how many at or below it), ascending

    def add(self, bound: float, count: int) -> None:
        self._buckets.append((bound, count))

    def quantile_ms(self, part: float) -> float | None:
        """Interpolated within its bucket; None when nothing was observed."""
        total = self._buckets[-1][1] if self._buckets else 0
        if not total:
            return None
        wanted, below_bound, below_count = part * total, 0.0, 0
        for bound, count in self._buckets:
            if count >= wanted:
                if bound == float("inf"):
                    return below_bound * 1000
                share = (wanted - below_count) / (count - below_count)
                return (below_bound + share * (bound - below_bound)) * 1000
            below_bound, below_count = bound, count
        return below_bound * 1000


def parse_metrics(text: bytes) -> dict[str, Histogram]:
    found: dict[str, Histogram] = {}
    for name, bound, count in _BUCKET.findall(text):
        found.setdefault(name.decode(), Histogram()).add(float(bound), int(count))
    return found
