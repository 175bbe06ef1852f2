"""coordnode, etcd and ZooKeeper side by side, in turn, in one run: three members each, fdatasync, loopback.

    python -m benchmarks.beside [--workloads put,get] [--shapes 1x1,100x1,100x10] [--rounds 3] [--seconds 4] [--out FOLDER]
    python -m benchmarks.beside --fetch

A shape is connections x outstanding requests of each; keys have 16 bytes, values 64. Each round runs every cluster at every thing, each
round in another order. After each run the cluster must have counted exactly the writes that succeeded, and its members must be
equal; a short run under strace counts the syncs. Of etcd and ZooKeeper, Debian's version and the newest take part as far as they are
here, with all clients at the leader, with clients spread over all members, and etcd's sharing a connection by tens, as gRPC's may;
ratios are to whichever did best. --fetch gets the newest with go and Maven into ~/.cache. Always needs cc, zlib and strace; etcd
needs h2load and for its locks libnghttp2-dev, ZooKeeper a JDK. The machine must be idle.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from . import coordnode, etcd, fanout, journal, latency, newest, recovery, report, rounds, sessions, zookeeper
from .clusters import KINDS, WRITES, Cluster, Entrant, needs, parse_shape, scratch
from .rounds import Sample, What
from .sections import Bench, Section

BEGAN = time.monotonic()
SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "latency": latency.measure,
    "fanout": fanout.measure,
    "sessions": sessions.measure,
    "journal": journal.measure,
    "recovery": recovery.measure,
}
ALONE = ("recovery",)  # starts what it needs itself
PRODUCTS = ("coordnode", "etcd", "zookeeper")


def find_entrants(products: list[str], folder: Path) -> tuple[list[Entrant], list[str]]:
    found = coordnode.entrants(coordnode.compile_load(folder)) if "coordnode" in products else []
    left_out: list[str] = []
    if "etcd" in products:
        theirs, missing = etcd.entrants(newest.etcd(), folder)
        found, left_out = found + theirs, left_out + missing
    if "zookeeper" in products:
        theirs, missing = zookeeper.entrants(newest.zookeeper(), folder)
        found, left_out = found + theirs, left_out + missing
    return found, left_out


def say(sample: Sample) -> None:
    load = sample.load
    found = f"{sample.what} {sample.who}: {load.per_second:,.0f}/s, p99 {load.p99_ms:.1f} ms"
    print(f"{time.monotonic() - BEGAN:5.1f} s, round {sample.round + 1}: {found}", file=sys.stderr)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.beside", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default="put,get", help=",".join([*KINDS, *SECTIONS]))
    parser.add_argument("--shapes", default="1x1,100x1,100x10")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each run")
    parser.add_argument("--keys", type=int, default=1_000_000, help="for recovery")
    parser.add_argument("--products", default=",".join(PRODUCTS))
    parser.add_argument("--versions", default="", help="only these of etcd's and ZooKeeper's")
    parser.add_argument("--layouts", default="leader,spread,shared", help="where clients are connected to")
    parser.add_argument("--folder", help="where the data is for the time being; a disk (default: the system's temporary folder)")
    parser.add_argument("--out", type=Path, help="a folder for the report, its JSON and plots")
    parser.add_argument("--bars", action="store_true", help="the exit code says whether every bar that was measured is reached")
    parser.add_argument("--fetch", action="store_true", help="get the newest releases of etcd and ZooKeeper, and nothing else")
    return parser.parse_args()


def workloads_of(text: str) -> tuple[list[str], list[str]]:
    """Those that every product does as fast as it can, and those with a section of their own."""
    asked = text.split(",")
    unknown = [one for one in asked if one not in KINDS and one not in SECTIONS]
    if unknown:
        raise SystemExit(f"no such workload: {', '.join(unknown)}")
    return [one for one in asked if one in KINDS], [one for one in asked if one in SECTIONS]


def compare(bench: Bench, kinds: list[str]) -> Section:
    whats = [What(kind, shape) for kind in kinds for shape in bench.shapes]
    samples = rounds.run(bench.clusters, whats, bench.rounds, bench.seconds, say)
    written = [(cluster, what) for cluster in bench.clusters for what in whats if what.kind in WRITES]
    syncs = [rounds.count_syncs(cluster, who, what) for cluster, what in written for who in rounds.entrants_of(cluster, what)[:1]]
    return report.section(samples, syncs)


def start(entrants: list[Entrant], layouts: list[str], folder: Path, stack: ExitStack) -> list[Cluster]:
    clusters = []
    for number, entrant in enumerate(entrants):
        (folder / f"c{number}").mkdir()
        cluster = stack.enter_context(entrant.start(folder / f"c{number}"))
        cluster.layouts = tuple(layout for layout in cluster.layouts if layout in layouts) or cluster.layouts
        clusters.append(cluster)
    return clusters


def write(folder: Path, sections: list[Section], left_out: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text("\n\n".join(section.lines for section in sections) + "\n")
    data = {"schema": "coordnode-beside/1", "left_out": left_out, **{section.name: section.data for section in sections}}
    (folder / "report.json").write_text(json.dumps(data, indent=1) + "\n")
    for section in sections:
        for name, drawn in section.plots.items():
            (folder / f"{name}.svg").write_text(drawn)


def main() -> None:
    arguments = parse_arguments()
    if arguments.fetch:
        newest.fetch()
        return
    needs("strace", "cc")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing is left behind then, either
    kinds, names = workloads_of(arguments.workloads)
    shapes = [parse_shape(shape) for shape in arguments.shapes.split(",")]
    versions = [version for version in arguments.versions.split(",") if version]
    with scratch(arguments.folder) as folder, ExitStack() as stack:
        entrants, left_out = find_entrants(arguments.products.split(","), folder)
        entrants = [one for one in entrants if not versions or one.product == report.OURS or one.version in versions]
        together = kinds or set(names) - set(ALONE)
        clusters = start(entrants if together else [], arguments.layouts.split(","), folder, stack)
        bench = Bench(entrants, clusters, shapes, arguments.rounds, arguments.seconds, arguments.keys, folder)
        sections = [compare(bench, kinds)] if kinds else []
        sections += [SECTIONS[name](bench) for name in names]
        states = [f"{cluster.product} {cluster.version}: {cluster.check()}" for cluster in clusters]
    sections.append(Section("states", "\n".join(["all members equal:", *states, *[f"left out: {remedy}" for remedy in left_out]]), states))
    print("\n\n".join(section.lines for section in sections))
    if arguments.out:
        write(arguments.out, sections, left_out)
    if arguments.bars and not all(section.is_kept for section in sections):
        sys.exit(1)


if __name__ == "__main__":
    main()
