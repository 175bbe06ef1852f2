"""`coordctl lock run x -- true` beside `etcdctl lock x true`, in pairs, each against three members of its own on this machine.

    python benchmarks/lock_command.py [--pairs 40]

Compiled as an installed command is. Only the ratio travels between machines.
"""

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from harness import SOURCE, coordnode, etcd, needs, scratch


def once(command: Sequence[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    needs("etcd", "etcdctl")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(SOURCE, quiet=1)
    with scratch(None) as folder:
        (folder / "ours").mkdir()
        (folder / "theirs").mkdir()
        with coordnode(folder / "ours", folder) as ours, etcd(folder / "theirs") as theirs:
            endpoints = ",".join(member.address for member in ours.members)
            run = [given.python, "-m", "coordctl", "lock", "run", "x", "--endpoints", endpoints, "--", "true"]
            lock = ["etcdctl", "--endpoints", ",".join(member.address for member in theirs.members), "lock", "x", "true"]
            bare = [given.python, "-c", "pass"]
            took: dict[str, list[float]] = {"coordctl lock run": [], "etcdctl lock": [], "bare python": []}
            for command in (run, lock, bare):
                once(command, environment)
            for _ in range(given.pairs):
                for name, command in zip(took, (run, lock, bare), strict=True):
                    took[name].append(once(command, environment))
    for name, times in took.items():
        print(f"{name:18} median {statistics.median(times):6.1f} ms   least {min(times):6.1f} ms")
    pairs = zip(took["coordctl lock run"], took["etcdctl lock"], strict=True)
    print(f"ratio of medians   {statistics.median(took['coordctl lock run']) / statistics.median(took['etcdctl lock']):.2f}")
    print(f"median of ratios   {statistics.median(ours / theirs for ours, theirs in pairs):.2f}")


if __name__ == "__main__":
    main()
