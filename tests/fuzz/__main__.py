"""`python -m tests.fuzz --inputs 1000000 [--seed N] [DECODER …]`: the long run, with figures."""

import argparse
import resource
import sys
import time

from tests.fuzz.decoders import DECODERS
from tests.fuzz.feeding import feed_decoder

GROWTH_KIB_MAX = 64 * 1024


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each decoder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("decoder", nargs="*", default=[], help=", ".join(DECODERS))
    asked = parser.parse_args()
    failed = False
    for name in asked.decoder or DECODERS:
        peak = peak_kib()
        began = time.monotonic()
        try:
            fed = feed_decoder(name, asked.inputs, asked.seed)
        except AssertionError as error:
            failed = True
            print(f"{name:15} FAILED {error}")
            continue
        growth = peak_kib() - peak
        failed |= growth > GROWTH_KIB_MAX
        errors = ", ".join(f"{count} {error}" for error, count in sorted(fed.refused.items()))
        print(f"{name:15} {time.monotonic() - began:6.1f} s, peak +{growth} KiB: {fed.accepted} accepted, {errors}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
