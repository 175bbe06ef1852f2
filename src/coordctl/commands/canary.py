"""`coordctl canary`: run"""

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from coordctl.commands import options
from coordctl.commands.units import DURATION
from coordctl.local.clusters import choose
from coordctl.operations import canary
from coordctl.report import screen
from coordctl.report.exits import DONE, Kind
from coordctl.report.running import output, run_group
from coordctl.results.canary import CanaryRound, CanaryRun

COLOURS = {
    **{"ok": screen.GREEN, "degraded": screen.YELLOW, "broken": screen.RED, "unknown": screen.YELLOW},
    **{"well": screen.GREEN, "down": screen.RED, "unreachable": screen.YELLOW},
}
EPILOG = (
    "Exit codes: 0 ok; 1 degraded: some of it failed; 2 broken: proved to be down, or to have broken a promise; 3 unknown: not to be "
    "reached from here, or too little seen; 64 usage; 130 interrupted."
)


@click.command(epilog=EPILOG)
@click.option("--interval", type=DURATION, default="10s", show_default=True, help="From the begin of one round to the next.")
@click.option("--for", "for_seconds", type=DURATION, help="Begin no round after so long; default: for ever.")
@click.option("--count", type=int, metavar="N", help="End after so many rounds.")
@click.option("--min-samples", "samples_min", type=int, metavar="N", help="Of fewer rounds nothing is said; default: 3, or --count.")
@options.cluster
@options.endpoints
@click.option("--timeout", "timeout_seconds", type=DURATION, default="2s", show_default=True, help="Bound for one question.")
@options.quiet
@output
def run_command(
    interval: float,
    for_seconds: float | None,
    count: int | None,
    samples_min: int | None,
    cluster: str,
    endpoints: str,
    timeout_seconds: float,
    quiet: bool,
    output: str,
) -> int:
    """Do in small what users do, round after round: a lock acquired, a write that wants its token, released; a write through each
    member; a read through each that must see all of them.

    What it writes is below _canary/, and goes with each round, or by itself soon after it was killed.
    """
    name, asked = choose(endpoints, cluster)
    settings = canary.Settings(interval, timeout_seconds, for_seconds, count, samples_min)
    return _show(canary.run(name, asked, settings), quiet=quiet, is_json=output == "json")


def _show(found: Iterator[CanaryRound | CanaryRun], *, quiet: bool, is_json: bool) -> int:
    code = DONE
    for one in found:
        code = one.exit_code
        if is_json:
            screen.json_line(one)
        elif isinstance(one, CanaryRun):
            screen.line(f"{screen.coloured(one.outcome.upper(), COLOURS[one.outcome])}  {one.sentence}")
            if not one.is_clean and one.rounds:
                screen.note(
                    f"coordctl: what it wrote below _canary/ could not be seen gone; it goes by itself in {one.clean_within_ms / 1000:g} s"
                )
        elif not quiet:
            screen.line(_line(one))
        screen.flush()
    return code


def _line(one: CanaryRound) -> str:
    when = datetime.fromtimestamp(one.unix_ms // 1000, UTC).strftime("%H:%M:%SZ")
    if one.sentence:
        return f"{when}  {screen.coloured(one.outcome, COLOURS[one.outcome])}  {one.sentence}"
    slowest = {probe: max(sample.ms for sample in one.samples if sample.probe == probe) for probe in ("lock", "write", "read")}
    times = ", ".join(f"{probe} {slowest[probe]:.1f} ms" for probe in slowest)
    return f"{when}  {screen.coloured(one.outcome, COLOURS[one.outcome])}  {times}"


VERBS = {"run": (run_command, Kind.PROBE)}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "canary", "Does the cluster do what users need?", EPILOG)
