"""`coordctl lock run x -- true` beside `etcdctl lock x true`, in turn, against three members each of coordnode, etcd and ZooKeeper here.

    pip install . && python benchmarks/lock_command.py [--rounds 40]

The installed commands are measured, those beside the Python that runs this unless --coordctl names another. Only the ratio travels between
machines; on one that is busy with other things even that does not, and --first puts clusters and commands before all else
(as root). Without ZooKeeper on this machine its line is left out.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from beside.clusters import Cluster, missing, needs, scratch
from beside.coordnode import coordnode
from beside.etcd import etcd
from beside.zookeeper import DEBIANS, zookeeper

OURS, THEIRS = "coordctl lock run", "etcdctl lock"
ON_ETCD, ON_ZOOKEEPER = "… on etcd", "… on ZooKeeper"


def once(command: Sequence[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    took = (time.perf_counter() - begun) * 1000
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return took


def on(scheme: str, cluster: Cluster) -> list[str]:
    return ["--endpoints", ",".join(scheme + member.address for member in cluster.members)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--coordctl", default=str(Path(sys.executable).parent / "coordctl"))
    parser.add_argument("--first", action="store_true")
    given = parser.parse_args()
    needs("etcd", "etcdctl", given.coordctl)
    interpreter = Path(given.coordctl).read_text(encoding="utf-8").partition("\n")[0].removeprefix("#!")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"ETCDCTL_API": "3"}
    if given.first:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
    with scratch(None) as folder, ExitStack() as clusters:
        for name in ("ours", "theirs"):
            (folder / name).mkdir()
        ours = clusters.enter_context(coordnode(folder / "ours", folder))
        theirs = clusters.enter_context(etcd(folder / "theirs"))
        etcdctl = [str(shutil.which("etcdctl")), "--endpoints", ",".join(member.address for member in theirs.members)]
        locked = [given.coordctl, "lock", "run", "x"]
        commands = {
            OURS: [*locked, *on("", ours), "--", "true"],
            THEIRS: [*etcdctl, "lock", "x", "true"],
            ON_ETCD: [*locked, *on("etcd://", theirs), "--", "true"],
            "coordctl kv put": [given.coordctl, "kv", "put", "x", "y", *on("", ours)],
            "etcdctl put": [*etcdctl, "put", "x", "y"],
            "coordctl kv get": [given.coordctl, "kv", "get", "x", *on("", ours)],
            "etcdctl get": [*etcdctl, "get", "x"],
            "coordctl --help": [given.coordctl, "--help"],
            "python -c pass": [interpreter, "-c", "pass"],
        }
        if DEBIANS.exists() and not missing("java"):
            keeper = clusters.enter_context(zookeeper(folder / "keeper", str(DEBIANS), "", folder))
            commands[ON_ZOOKEEPER] = [*locked, *on("zk://", keeper), "--", "true"]
        took: dict[str, list[float]] = {name: [] for name in commands}
        for command in commands.values():
            once(command, environment)
        for _ in range(given.rounds):
            for name, command in commands.items():
                took[name].append(once(command, environment))
    for name, times in took.items():
        print(f"{name:18} median {statistics.median(times):6.1f} ms   least {min(times):6.1f} ms")
    for name in [name for name in (OURS, ON_ETCD, ON_ZOOKEEPER) if name in took]:
        ratios = [ours / theirs for ours, theirs in zip(took[name], took[THEIRS], strict=True)]
        least = min(took[name]) / min(took[THEIRS])
        print(f"{name:18} / {THEIRS}: median of ratios {statistics.median(ratios):.2f}, ratio of least {least:.2f}")


if __name__ == "__main__":
    main()
