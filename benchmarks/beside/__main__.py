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
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from . import coordnode, etcd, newest, plots, report, rounds, zookeeper
from .clusters import KINDS, WRITES, Entrant, needs, parse_shape, scratch
from .rounds import Sample, What

BEGAN = time.monotonic()
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
    parser.add_argument("--workloads", default="put,get", help=",".join(KINDS))
    parser.add_argument("--shapes", default="1x1,100x1,100x10")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each run")
    parser.add_argument("--products", default=",".join(PRODUCTS))
    parser.add_argument("--versions", default="", help="only these of etcd's and ZooKeeper's")
    parser.add_argument("--layouts", default="leader,spread,shared", help="where clients are connected to")
    parser.add_argument("--folder", help="where the data is for the time being; a disk (default: the system's temporary folder)")
    parser.add_argument("--out", type=Path, help="a folder for the report, its JSON and plots")
    parser.add_argument("--bars", action="store_true", help="the exit code says whether every bar that was measured is reached")
    parser.add_argument("--fetch", action="store_true", help="get the newest releases of etcd and ZooKeeper, and nothing else")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.fetch:
        newest.fetch()
        return
    needs("strace", "cc")
    whats = [What(kind, parse_shape(shape)) for kind in arguments.workloads.split(",") for shape in arguments.shapes.split(",")]
    layouts = arguments.layouts.split(",")
    versions = [version for version in arguments.versions.split(",") if version]
    with scratch(arguments.folder) as folder, ExitStack() as stack:
        entrants, left_out = find_entrants(arguments.products.split(","), folder)
        entrants = [one for one in entrants if not versions or one.product == report.OURS or one.version in versions]
        clusters = []
        for number, entrant in enumerate(entrants):
            (folder / f"c{number}").mkdir()
            clusters.append(stack.enter_context(entrant.start(folder / f"c{number}")))
            clusters[-1].layouts = tuple(layout for layout in clusters[-1].layouts if layout in layouts) or clusters[-1].layouts
        samples = rounds.run(clusters, whats, arguments.rounds, arguments.seconds, say)
        syncs = [
            rounds.count_syncs(cluster, who, what)
            for cluster in clusters
            for what in whats
            if what.kind in WRITES
            for who in rounds.entrants_of(cluster, what)[:1]
        ]
        states = [f"{cluster.product} {cluster.version}: {cluster.check()}" for cluster in clusters]
    found = report.rows(samples)
    compared = report.ratios(found)
    parts = [report.table(found), report.ratio_table(compared), report.sync_lines(syncs), "\n".join(["all members equal:", *states])]
    parts += [f"left out: {remedy}" for remedy in left_out]
    print("\n\n".join(parts))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "report.md").write_text("\n\n".join(parts) + "\n")
        (arguments.out / "report.json").write_text(json.dumps(report.as_json(samples, compared, syncs, left_out), indent=1) + "\n")
        for kind in arguments.workloads.split(","):
            (arguments.out / f"{kind}.svg").write_text(plots.plot(f"{kind}, per second", [row for row in found if row.what.kind == kind]))
    if arguments.bars and not all(ratio.is_kept for ratio in compared):
        sys.exit(1)


if __name__ == "__main__":
    main()
