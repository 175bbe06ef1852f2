"""What the samples say: medians, ratios round by round, and whether the bars are reached. Pure."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from . import plots
from .clusters import Load
from .rounds import Row, Sample, Syncs, What, Who
from .sections import Section, verdict

OURS = "coordnode"


class Bar(NamedTuple):
    """So many times as many a second as the other product's best."""

    what: str
    product: str
    times: float


BARS = (
    Bar("put 1x1", "etcd", 1.5),
    Bar("put 100x1", "etcd", 4),
    Bar("put 100x10", "etcd", 5),
    Bar("put 100x1", "zookeeper", 5),
    Bar("put 100x10", "zookeeper", 5),
    Bar("pair 1x1", "etcd", 4),
    Bar("pair 10x1", "etcd", 4),
    Bar("pair 100x1", "etcd", 4),
    Bar("pair 100x10", "etcd", 4),
    Bar("get 1x1", "etcd", 5),
    Bar("get 10x1", "etcd", 5),
    Bar("get 100x1", "etcd", 5),
    Bar("get 100x10", "etcd", 5),
)


class Ratio(NamedTuple):
    what: What
    them: Who
    each: list[float]  # round by round
    median: float
    wanted: float | None

    @property
    def is_kept(self) -> bool:
        return self.wanted is None or self.median >= self.wanted


def median_load(loads: Sequence[Load]) -> Load:
    return Load(*(statistics.median(values) for values in zip(*loads, strict=True)))


def rows(samples: Sequence[Sample]) -> list[Row]:
    grouped: dict[tuple[What, Who], list[Sample]] = {}
    for sample in samples:
        grouped.setdefault((sample.what, sample.who), []).append(sample)
    middle = {key: statistics.median(one.load.per_second for one in those) for key, those in grouped.items()}
    best: dict[tuple[What, str], float] = {}
    for (what, who), per_second in middle.items():
        best[what, who.product] = max(per_second, best.get((what, who.product), 0.0))
    return [
        Row(
            what,
            who,
            median_load([one.load for one in those]),
            statistics.median(one.leader_us for one in those),
            statistics.median(one.follower_us for one in those),
            [one.load.per_second for one in those],
            middle[what, who] == best[what, who.product],
        )
        for (what, who), those in grouped.items()
    ]


def ratios(found: Sequence[Row]) -> list[Ratio]:
    """Ours to the best of each other product."""
    wanted = {(bar.what, bar.product): bar.times for bar in BARS}
    best = {(row.what, row.who.product): row for row in found if row.is_best}
    made = []
    for (what, product), them in best.items():
        ours = best.get((what, OURS))
        if product == OURS or ours is None:
            continue
        each = [our / their for our, their in zip(ours.per_second_each, them.per_second_each, strict=True)]
        made.append(Ratio(what, them.who, each, statistics.median(each), wanted.get((str(what), product))))
    return made


def table(found: Sequence[Row]) -> str:
    lines = [
        "| | who | per second | mean ms | p50 ms | p99 ms | leader µs | follower µs | generator µs, of a core |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        load = row.load
        times = f"{load.mean_ms:.2f} | {load.p50_ms:.2f} | {load.p99_ms:.1f}"
        cpu = f"{row.leader_us:.0f} | {row.follower_us:.0f} | {load.generator_us:.1f}, {load.generator_share:.0%}"
        lines.append(f"| {row.what} | {row.who} | {load.per_second:,.0f} | {times} | {cpu} |")
    return "\n".join(lines)


def ratio_table(found: Sequence[Ratio]) -> str:
    lines = ["| | times as many as | median | round by round | wanted | kept |", "|---|---|---|---|---|---|"]
    for ratio in found:
        each = " ".join(f"{one:.1f}" for one in ratio.each)
        bar = "- | -" if ratio.wanted is None else f"{ratio.wanted:g} | {verdict(ratio.is_kept)}"
        lines.append(f"| {ratio.what} | {ratio.them} | {ratio.median:.2f} | {each} | {bar} |")
    return "\n".join(lines)


def sync_lines(found: Sequence[Syncs]) -> str:
    said = ["syncs under strace, the leader's first:"]
    said += [f"  {one.who}: {', '.join(map(str, one.counts))} for {one.done:,} done, {one.what}" for one in found]
    return "\n".join(said)


def section(samples: Sequence[Sample], syncs: Sequence[Syncs]) -> Section:
    found = rows(samples)
    compared = ratios(found)
    kinds = dict.fromkeys(row.what.kind for row in found)
    drawn = {kind: plots.plot(f"{kind}, per second", [row for row in found if row.what.kind == kind]) for kind in kinds}
    lines = "\n\n".join([table(found), ratio_table(compared), sync_lines(syncs)])
    return Section("requests", lines, as_json(samples, compared, syncs), all(ratio.is_kept for ratio in compared), drawn)


def as_json(samples: Sequence[Sample], found: Sequence[Ratio], syncs: Sequence[Syncs]) -> dict[str, Any]:
    return {
        "samples": [
            {"round": one.round, **one.who._asdict(), "kind": one.what.kind, "shape": str(one.what.shape), **one.load._asdict()}
            | {"leader_us": one.leader_us, "follower_us": one.follower_us}
            for one in samples
        ],
        "ratios": [
            {"what": str(one.what), "them": one.them._asdict(), "each": one.each, "median": one.median, "wanted": one.wanted}
            for one in found
        ],
        "syncs": [{**one.who._asdict(), "what": str(one.what), "done": one.done, "counts": one.counts} for one in syncs],
    }
