"""`python -m tests.processes.points [--stride N] [WAY …]`: each life of a way cut at each of its points, or at every N-th."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.processes.points.campaign import WAYS, Campaign, points_of
from tests.processes.points.story import OPERATIONS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.points")
    parser.add_argument("--stride", type=int, default=1, help="every so-manieth point")
    parser.add_argument("--first", type=int, default=1, help="from this point on")
    parser.add_argument("--last", type=int, default=1 << 30, help="to this one")
    parser.add_argument("--seed", type=int, default=1, help="of where the start after a cut is cut, and of what a disk forgets")
    parser.add_argument("way", nargs="*", default=[], help=", ".join(WAYS))
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="points-"))
    campaign = Campaign(folder, asked.seed)
    broken = 0
    try:
        calls = campaign.count()
        told = f"{sum(calls.values())} calls that touch its folder, {points_of('power', calls)} of them change it"
        print(f"a life of {OPERATIONS} operations: {told}", flush=True)
        for name in asked.way or WAYS:
            began = time.monotonic()
            of = points_of(name, calls)
            found = campaign.cut(name, range(asked.first, min(of, asked.last) + 1, asked.stride))
            broken += len(found.broken)
            told = f"{name:11} {found.cut} of {of} points in {time.monotonic() - began:.0f} s: {len(found.broken)} promises broken; "
            told += f"{found.ends} ends, {found.refusals} refusals"
            print(told + (f", {found.lost[0]} writes and {found.lost[1]} names lost" if WAYS[name].power else ""), flush=True)
            for hit, times in sorted(found.hits.items()):
                print(f"    {times:5} {hit or 'not reached'}")
            for one in found.broken:
                print(f"    BROKEN {one}", flush=True)
    finally:
        campaign.close()
        shutil.rmtree(folder)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
