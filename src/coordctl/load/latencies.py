"""Times, counted in buckets so fine that a quantile is right within 1 %, and few enough to be sent around and added up. Pure."""

from typing import Final

import msgspec

SHIFT: Final = 7
STEPS: Final = 1 << SHIFT  # buckets for each doubling: a bucket is 1/128 of what it holds at most
MS: Final = 1_000_000


class Latencies(msgspec.Struct):
    """Of nanoseconds. Below 128 each has a bucket of its own."""

    buckets: dict[int, int] = {}
    sum_ns: int = 0
    max_ns: int = 0

    def __len__(self) -> int:
        return sum(self.buckets.values())

    def add(self, ns: int) -> None:
        shift = max(0, ns.bit_length() - SHIFT - 1)
        bucket = (shift << SHIFT) + (ns >> shift)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.sum_ns += ns
        if ns > self.max_ns:
            self.max_ns = ns

    def merge(self, other: "Latencies") -> None:
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.sum_ns += other.sum_ns
        self.max_ns = max(self.max_ns, other.max_ns)

    def mean_ms(self) -> float | None:
        count = len(self)
        return self.sum_ns / count / MS if count else None

    def quantile_ms(self, part: float) -> float | None:
        """So long or shorter did `part` of them take; None: there are none."""
        wanted = part * len(self)
        so_far = 0
        for bucket in sorted(self.buckets):
            so_far += self.buckets[bucket]
            if so_far >= wanted:
                return min(_upper_ns(bucket), self.max_ns) / MS
        return None


def _upper_ns(bucket: int) -> int:
    """The longest time that falls into it."""
    shift = max(0, (bucket >> SHIFT) - 1)
    return ((bucket - (shift << SHIFT) + 1) << shift) - 1
