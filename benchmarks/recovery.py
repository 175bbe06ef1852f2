"""How long members are away that were killed with a million keys in their snapshot, and a million puts in the log since.

    PYTHONPATH=src:. python benchmarks/recovery.py --keys 1000000 --puts 1000000

Killed by SIGKILL: first all three at once, then one while the others go on. Ready: it applied everything that was committed, and a
leader answers. At the end all members must be equal, and the revision must count every put.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.million import Million, million, seconds_until

FLAGS = ("--snapshot-entries", "100000000", "--snapshot-log", "4GiB")  # all puts stay in the log


def recover(cluster: Million, count: int) -> None:
    killed = cluster.members[:count]
    for member in killed:
        member.kill()
    began_s = time.time()
    cluster.start()
    took_s = seconds_until(lambda: all(member.is_ready() for member in killed), "the members are ready")
    cluster.leader()
    for number, member in enumerate(killed, 1):
        said = {event["event"]: (event["at_s"] - began_s, event) for event in member.events(began_s)}
        began, started = said["started"]
        restored, _ = said["restored"]
        print(
            f"  n{number}: log read after {began:.1f} s ({started['entries']:,} entries), snapshot restored after {restored:.1f} s, "
            f"{member.cpu_seconds():.1f} s of CPU, {member.resident_mib():.0f} MiB"
        )
    print(f"{count} of {len(cluster.members)} killed: all ready again after {took_s:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--puts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--parent", help="folder for scratch")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recovery-", dir=given.parent) as folder, million(Path(folder), given.keys, FLAGS) as cluster:
        began = time.monotonic()
        cluster.start()
        cluster.leader()
        print(f"{given.keys:,} keys: three members ready after {time.monotonic() - began:.1f} s", flush=True)
        puts = 0
        while puts < given.puts:
            puts += cluster.load(10, 5)["done"]
        revision = cluster.wait_equal()
        assert revision == given.keys + puts, f"{given.keys} keys, {puts} puts, and revision {revision}"
        print(f"{puts:,} puts since the snapshot", flush=True)
        for _ in range(given.rounds):
            for count in (3, 1):
                recover(cluster, count)
        assert cluster.wait_equal() == revision
        print("all members are equal, and every put is there")


if __name__ == "__main__":
    main()
