"""A member's /metrics (Prometheus text): numbers and histograms, and what can be said from them. Pure."""

import re

_BUCKET = re.compile(rb'^([a-z_]+)_bucket\{(?:peer="([0-9]+)",)?le="([^"]+)"\} ([0-9]+)', re.MULTILINE)
_NUMBER = re.compile(rb'^([a-z_]+)(?:\{peer="([0-9]+)"\})? ([0-9.e+-]+)$', re.MULTILINE)


class Histogram:
    def __init__(self) -> None:
        self.sum_seconds = 0.0
        self._buckets: list[tuple[float, int]] = []  # (upper bound in seconds, how many at or below it), ascending

    def add(self, bound: float, count: int) -> None:
        self._buckets.append((bound, count))

    @property
    def count(self) -> int:
        return self._buckets[-1][1] if self._buckets else 0

    def mean_ms(self) -> float | None:
        return self.sum_seconds / self.count * 1000 if self.count else None

    def quantile_ms(self, part: float) -> float | None:
        """Interpolated within its bucket; None when nothing was observed."""
        total = self.count
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

    def least_ms(self, part: float) -> float | None:
        """What the quickest `part` of them took at most. Where all took about as long, their mean is truer than a place in a bucket."""
        found, mean_ms = self.quantile_ms(part), self.mean_ms()
        if found is None or mean_ms is None:
            return found
        below = max((bound for bound, _ in self._buckets if bound * 1000 < found), default=0.0)
        above = min(bound for bound, _ in self._buckets if bound * 1000 >= found)
        return mean_ms if below < mean_ms / 1000 <= above else found

    def since(self, before: "Histogram") -> "Histogram":
        """What came after that. It is all of it where the member began to count anew meanwhile."""
        if before.count > self.count or not before.count:
            return self
        found = Histogram()
        found.sum_seconds = max(0.0, self.sum_seconds - before.sum_seconds)
        for (bound, count), (_, count_before) in zip(self._buckets, before._buckets, strict=True):
            found.add(bound, count - count_before)
        return found


class Metrics:
    """A histogram that a member keeps for each of its peers has the name NAME/PEER."""

    def __init__(self) -> None:
        self.histograms: dict[str, Histogram] = {}
        self.numbers: dict[str, float] = {}

    def histogram(self, name: str) -> Histogram:
        return self.histograms.get(name) or Histogram()

    def since(self, before: "Metrics") -> "Metrics":
        found = Metrics()
        found.histograms = {name: histogram.since(before.histogram(name)) for name, histogram in self.histograms.items()}
        found.numbers = {name: number - before.numbers.get(name, 0.0) for name, number in self.numbers.items()}
        return found


def parse_metrics(text: bytes) -> Metrics:
    found = Metrics()
    for name, peer, bound, count in _BUCKET.findall(text):
        found.histograms.setdefault(_key(name, peer), Histogram()).add(float(bound), int(count))
    for name, peer, number in _NUMBER.findall(text):
        histogram = found.histograms.get(_key(name.removesuffix(b"_sum").removesuffix(b"_count"), peer))
        if histogram is None:
            found.numbers[_key(name, peer)] = float(number)
        elif name.endswith(b"_sum"):
            histogram.sum_seconds = float(number)
    return found


def _key(name: bytes, peer: bytes) -> str:
    return name.decode() + (f"/{peer.decode()}" if peer else "")
