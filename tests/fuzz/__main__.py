"""The long runs, with figures: `python -m tests.fuzz --inputs 1000000 [--seed N] [DECODER …]`, and the same with `--coverage-guided`."""

import argparse
import resource
import sys
import time
from collections.abc import Iterator

from tests.fuzz.coverage import guided
from tests.fuzz.decoders import DECODERS, SLOW
from tests.fuzz.feeding import feed_decoder

GROWTH_KIB_MAX = 64 * 1024


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def drawn(inputs: dict[str, int], seed: int) -> Iterator[tuple[str, bool, str]]:
    """Of each decoder, whether all is well, and what there is to tell."""
    for name, count in inputs.items():
        peak = peak_kib()
        try:
            fed = feed_decoder(name, count, seed)
        except AssertionError as error:
            yield name, False, f"FAILED {error}"
            continue
        growth = peak_kib() - peak
        errors = ", ".join(f"{times} {error}" for error, times in sorted(fed.refused.items()))
        yield name, growth <= GROWTH_KIB_MAX, f"peak +{growth} KiB: {fed.accepted} accepted, {errors}"


def led(inputs: dict[str, int], seed: int) -> Iterator[tuple[str, bool, str]]:
    for found in guided(inputs, seed):
        told = f"{found.executions} executions, {found.edges} edges reached, {found.kept} inputs kept"
        yield found.name, not found.trouble, f"FAILED {told}: {found.trouble}" if found.trouble else told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each decoder; less for the slow ones, unless they are named")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--coverage-guided", action="store_true", help="by atheris, towards what was not reached yet; the corpus grows")
    parser.add_argument("decoder", nargs="*", default=[], help=", ".join(DECODERS))
    asked = parser.parse_args()
    inputs = dict.fromkeys(asked.decoder, asked.inputs) or {name: asked.inputs // SLOW.get(name, 1) for name in DECODERS}
    run = led if asked.coverage_guided else drawn
    failed = False
    began = time.monotonic()
    for name, is_well, told in run(inputs, asked.seed):
        failed |= not is_well
        print(f"{name:17} {time.monotonic() - began:6.1f} s, {told}", flush=True)
        began = time.monotonic()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
