"""Counters and histograms of one process, and their Prometheus text. Cheap to feed: no locks, no labels to look up."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from coordnode.ids import MemberId

NS = 1_000_000_000
DURATION_BOUNDS_NS = tuple(
    int(bound * 1_000_000) for bound in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Durations:
    """A histogram of nanoseconds."""

    __slots__ = ("count", "counts", "max_ns", "sum_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(DURATION_BOUNDS_NS) + 1)
        self.count = 0
        self.sum_ns = 0
        self.max_ns = 0

    def observe(self, ns: int) -> None:
        self.counts[bisect_left(DURATION_BOUNDS_NS, ns)] += 1
        self.count += 1
        self.sum_ns += ns
        if ns > self.max_ns:
            self.max_ns = ns


class Text:
    """Prometheus' exposition format."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def encode(self) -> bytes:
        return ("\n".join(self._lines) + "\n").encode()

    def counter(self, name: str, help_text: str, value: int | float) -> None:
        assert name.endswith("_total")
        self._one(name, "counter", help_text, value)

    def gauge(self, name: str, help_text: str, value: int | float) -> None:
        self._one(name, "gauge", help_text, value)

    def labelled(self, name: str, kind: str, help_text: str, label: str, values: Sequence[tuple[str, int | float]]) -> None:
        self._head(name, kind, help_text)
        for text, value in values:
            escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            self._lines.append(f'{name}{{{label}="{escaped}"}} {value}')

    def durations(self, name: str, help_text: str, durations: Durations) -> None:
        self._head(name, "histogram", help_text)
        self._buckets(name, "", durations)

    def durations_by_peer(self, name: str, help_text: str, by_peer: Mapping[MemberId, Durations]) -> None:
        self._head(name, "histogram", help_text)
        for peer, durations in sorted(by_peer.items()):
            self._buckets(name, f'peer="{peer}"', durations)

    def _buckets(self, name: str, label: str, durations: Durations) -> None:
        assert name.endswith("_seconds")
        before, alone = (f"{label},", f"{{{label}}}") if label else ("", "")
        so_far = 0
        for bound_ns, count in zip(DURATION_BOUNDS_NS, durations.counts, strict=False):
            so_far += count
            self._lines.append(f'{name}_bucket{{{before}le="{bound_ns / NS:g}"}} {so_far}')
        self._lines.append(f'{name}_bucket{{{before}le="+Inf"}} {durations.count}')
        self._lines.append(f"{name}_sum{alone} {durations.sum_ns / NS:.9f}")
        self._lines.append(f"{name}_count{alone} {durations.count}")

    def _head(self, name: str, kind: str, help_text: str) -> None:
        assert name.startswith("coordnode_")
        self._lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]

    def _one(self, name: str, kind: str, help_text: str, value: int | float) -> None:
        self._head(name, kind, help_text)
        self._lines.append(f"{name} {value}")
