"""coordnode beside etcd, in one run on one machine: three members each, fdatasync, loopback, 16-byte keys, 64-byte values.

    python benchmarks/beside_etcd.py [--shapes 1x1,100x1,100x10] [--gets] [--seconds 6] [--folder DIR] [--floor 100x1=3,100x10=5]

A shape is connections x outstanding requests of each. First all of etcd's, then all of coordnode's, so that neither disturbs the
other. Afterwards the revision must equal the puts that succeeded and all members must be equal; strace counts the syncs of
a short run of its own. With --floor the exit code says whether puts reached so many times etcd's. Needs etcd, h2load, strace and cc.
"""

import argparse
import sys
import time

import harness
from harness import Cluster, Load

COUNTED_SECONDS = 1.0
COUNTED_SHAPE = (100, 1)


def measure(cluster: Cluster, shapes: list[tuple[int, int]], kinds: list[str], seconds: float) -> dict[str, Load]:
    found: dict[str, Load] = {}
    print(f"\n{cluster.name:<10} {'':<12} {'per second':>10} {'ms':>14} {'leader us':>10} {'follower us':>12} {'generator us':>13}")
    for kind in kinds:
        for connections, outstanding in shapes:
            cluster.check()  # what the last load left under way is over
            before, cpu_before = cluster.revision(), [member.cpu_seconds() for member in cluster.members]
            load = cluster.load(connections, outstanding, seconds, kind)
            cpu = [(member.cpu_seconds() - earlier) / load.done * 1e6 for member, earlier in zip(cluster.members, cpu_before, strict=True)]
            shape = f"{connections}x{outstanding}"
            found[f"{kind} {shape}"] = load
            said = f"{kind:<10} {shape:<12} {load.per_second:>10,.0f} {f'{load.typical_ms:.2f} / {load.long_ms:.1f}':>14}"
            print(f"{said} {cpu[0]:>10.1f} {sum(cpu[1:]) / len(cpu[1:]):>12.1f} {load.generator_us:>13.1f}", flush=True)
            check_revision(cluster, before, load if kind == "put" else None, connections * outstanding)
    syncs(cluster)
    print(f"all members equal: {cluster.check()}; memory {max(member.memory_mib() for member in cluster.members):.0f} MiB")
    return found


def check_revision(cluster: Cluster, before: int, puts: Load | None, under_way: int) -> None:
    """Each put that succeeded is one revision. h2load ends with requests under way, which may have happened; ours does not."""
    changed = cluster.revision() - before
    wanted = puts.done if puts is not None else 0
    surplus = under_way if cluster.name == harness.Etcd.name and puts is not None else 0
    if not wanted <= changed <= wanted + surplus:
        raise SystemExit(f"{cluster.name}: {wanted} puts succeeded, but the revision went on by {changed}")


def syncs(cluster: Cluster) -> None:
    before = cluster.revision()
    with harness.counted_syncs(cluster.members) as counts:
        cluster.load(*COUNTED_SHAPE, COUNTED_SECONDS, "put")
    puts = cluster.revision() - before
    shown = ", ".join(f"{counts[member.process.pid]}" for member in cluster.members)
    print(f"syncs under strace, the leader's first: {shown} for {puts} puts at {COUNTED_SHAPE[0]}x{COUNTED_SHAPE[1]}")
    if not all(counts.values()):
        raise SystemExit(f"{cluster.name}: a member never synced")


def parse_shape(text: str) -> tuple[int, int]:
    connections, _, outstanding = text.partition("x")
    return int(connections), int(outstanding)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="1x1,100x1,100x10")
    parser.add_argument("--gets", action="store_true", help="linearizable gets, too")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each shape")
    parser.add_argument("--folder", help="where the data is for the time being; a disk (default: the system's temporary folder)")
    parser.add_argument("--floor", default="", help="shape=ratio,…: fail when puts are fewer than so many times etcd's")
    arguments = parser.parse_args()
    harness.needs("etcd", "h2load", "strace", "cc")
    shapes = [parse_shape(text) for text in arguments.shapes.split(",")]
    floors = {f"put {shape}": float(ratio) for shape, _, ratio in (text.partition("=") for text in arguments.floor.split(",") if text)}
    kinds = ["put", "get"] if arguments.gets else ["put"]
    with harness.scratch(arguments.folder) as folder:
        program = harness.compile_load(folder)
        with harness.etcd(folder) as cluster:
            theirs = measure(cluster, shapes, kinds, arguments.seconds)
        time.sleep(1)  # what etcd wrote and did not sync is the disk's business, not ours
        with harness.coordnode(folder, program) as cluster:
            ours = measure(cluster, shapes, kinds, arguments.seconds)
    print()
    ratios = {what: ours[what].per_second / theirs[what].per_second for what in ours}
    for what, ratio in ratios.items():
        print(f"{what:<12} {ratio:5.2f} x etcd")
    missed = [what for what, floor in floors.items() if ratios[what] < floor]
    if missed:
        sys.exit(f"below the floor: {', '.join(missed)}")


if __name__ == "__main__":
    main()
