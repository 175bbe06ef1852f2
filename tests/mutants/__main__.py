"""The long run over all planted bugs; see plant.py."""

import argparse
import random
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.mutants.plant import Found, Planted, hunt, load

RANGE = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--seeds", action="append", metavar="A-B", help="may be repeated; default: three fresh ranges of 300")
    parser.add_argument("--only", action="append", metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    if asked.seeds:
        ranges = [(int(first), int(last)) for first, last in (text.split("-") for text in asked.seeds)]
    else:
        fresh = random.SystemRandom()
        ranges = [(first, first + RANGE - 1) for first in (fresh.randrange(10**6, 10**9) for _ in range(3))]
    bugs = [bug for bug in load() if not asked.only or bug.name in asked.only]
    print("seed ranges: " + ", ".join(f"{first}-{last}" for first, last in ranges), flush=True)
    missed = 0

    def run(job: tuple[Planted, tuple[int, int]]) -> Found:
        return hunt(job[0], *job[1])

    jobs = [(bug, seeds) for seeds in ranges for bug in bugs]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for (bug, seeds), found in zip(jobs, pool.map(run, jobs), strict=True):
            if found.is_named:
                print(f"found   {bug.name:40} after {found.seeds:3} seeds ({found.seed}): {found.check}: {found.sentence[:90]}", flush=True)
            else:
                missed += 1
                what = f"{found.check}: {found.sentence[:100]}" if found.check else f"green over {found.seeds} seeds"
                print(f"MISSED  {bug.name:40} in {seeds[0]}-{seeds[1]}: {what}", flush=True)
    print(f"{len(bugs)} planted bugs, {len(ranges)} ranges, {len(jobs) - missed} passed, {missed} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
