"""`coordctl bench`"""

import re

import click

from coordctl.commands import options
from coordctl.commands.units import DURATION, SIZE
from coordctl.load.thresholds import EXAMPLES
from coordctl.load.workloads import ABOUT
from coordctl.local.clusters import chosen
from coordctl.operations import bench
from coordctl.report import screen
from coordctl.report.exits import REFUSED, Kind
from coordctl.report.running import output, run
from coordctl.results.bench import Bench, BenchSecond

COLOURS = {"measured": screen.GREEN, "crossed": screen.YELLOW, "broken": screen.RED, "unknown": screen.YELLOW}
EPILOG = (
    "Exit codes: 0 measured, and what --fail-on names was not crossed; 1 it was; 2 an answer broke a promise; 3 unknown: not to be "
    "reached, too little seen, or crossed by a generator that was the limit itself; 64 usage; 76 refused: somebody must confirm; "
    "130 interrupted."
)
PARTS = {
    "way": "to the leader's loop and back",
    "queue": "until its turn",
    "log_wait": "until the log's thread has it",
    "log_sync": "the leader's own write and fsync",
    "replication": "until a quorum has it, beyond that",
    "apply": "applied, and answered",
}


class _Rate(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.3 on
    name = "rate"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if value == "max":
            return 0.0
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/s", str(value))
        if match is None:
            self.fail(f"{value!r} is no rate: a number and its unit are needed, such as 500/s, or max", param, ctx)
        if not float(match[1]):
            self.fail("0/s asks for nothing: give more, or max", param, ctx)
        return float(match[1])


@click.command(epilog=EPILOG)
@click.argument("workload", type=click.Choice(list(ABOUT)), default="put")
@click.option("--rate", type=_Rate(), default="500/s", show_default=True, help="Sent whatever becomes of those before; max: below.")
@click.option("--connections", type=int, default=16, show_default=True, metavar="N")
@click.option("--outstanding", type=int, metavar="N", help="With --rate max: so many on each connection wait for answers at a time. [1]")
@click.option("--for", "for_seconds", type=DURATION, default="10s", show_default=True, help="Measured so long.")
@click.option("--value", "value_bytes", type=SIZE, default="64B", show_default=True, help="Size of each value, task or record.")
@click.option("--processes", type=int, metavar="N", help="That generate the load. Default: as the rate needs, of half the processors.")
@click.option("--fail-on", "fail_on", multiple=True, metavar="FIGURE", help=f"Exit with 1 where this is so: {EXAMPLES}. Several times.")
@click.option("--sweep", is_flag=True, help="Ask nothing; remove what runs that were killed have left.")
@click.option("--confirm", default="", metavar="NAME", help="The name of a cluster that is not on this machine.")
@options.cluster
@options.endpoints
@click.option("--timeout", "timeout_seconds", type=DURATION, default="5s", show_default=True, help="Bound for one request.")
@options.quiet
@output
def command(
    workload: str,
    rate: float,
    connections: int,
    outstanding: int | None,
    for_seconds: float,
    value_bytes: float,
    processes: int | None,
    fail_on: tuple[str, ...],
    sweep: bool,
    confirm: str,
    cluster: str,
    endpoints: str,
    timeout_seconds: float,
    quiet: bool,
    output: str,
) -> int:
    """How fast a cluster does what it is asked, where the time goes, and what is short: a disk, the network or CPU.

    WORKLOAD: put, get, lock (acquired and released), cas, queue (put, taken, acknowledged), journal, or mixed. Requests are sent at a
    fixed --rate, and a time is that from when each was meant to be sent. With --rate max each connection sends the next one as soon as
    one is answered: that finds the peak, and takes what the cluster has from everybody else.

    All names are below _bench/ and go at the end. Of a run that was killed keys and locks go by themselves; queues and journals with the
    next run, or with --sweep.
    """
    if outstanding is not None and rate:
        raise click.UsageError("--outstanding bounds what waits for answers, and a --rate is kept whatever waits: give --rate max with it")
    settings = bench.Settings(
        workload, rate or None, connections, outstanding or 1, for_seconds, int(value_bytes), processes, timeout_seconds, fail_on
    )
    settings.check()
    asked = chosen(endpoints, cluster)
    if not sweep:
        settings.check_for(asked.engine)
    target = bench.look(asked)
    if sweep:
        swept = bench.sweep(target, timeout_seconds)
        screen.json_line(swept) if output == "json" else screen.line(swept.sentence)
        return swept.exit_code
    if not _may(target, confirm):
        return REFUSED
    if not quiet:
        screen.note(_announced(target, settings))
    found = bench.bench(target, settings, _ignore if quiet else _tell)
    screen.progress_end()
    if output == "json":
        screen.json_line(found)
    else:
        _show(found)
    return found.exit_code


def _may(target: bench.Target, confirm: str) -> bool:
    """Load on a cluster that others may need is asked for by its name."""
    if target.is_here or confirm == target.name:
        return True
    if confirm:
        screen.error(f"--confirm {confirm}: this cluster is {target.name}; nothing was asked of it")
        return False
    return screen.named(f"This puts load on {target.name}, which is not on this machine.", target.name, f"--confirm {target.name}")


def _announced(target: bench.Target, settings: bench.Settings) -> str:
    rate = f"{settings.rate:g} a second" if settings.rate else f"as fast as it answers, {settings.outstanding} at a time on each"
    return (
        f"{target.name}, {len(target.asked.endpoints)} members: {settings.workload} ({ABOUT[settings.workload]}), {rate}, over "
        f"{settings.connections} connections for {settings.seconds:g} s, {settings.value_bytes} bytes each; names below _bench/, "
        "removed afterwards"
    )


def _tell(second: BenchSecond) -> None:
    times = f", p50 {second.p50_ms:.1f} ms, p99 {second.p99_ms:.1f} ms" if second.p50_ms is not None and second.p99_ms is not None else ""
    failed = f", {second.failed} failed" if second.failed else ""
    screen.progress(f"{second.second:4} s  {second.done}/s{times}{failed}")


def _ignore(second: BenchSecond) -> None:
    """Nobody looks."""


def _show(found: Bench) -> None:
    word = screen.coloured(found.outcome.upper(), COLOURS[found.outcome])
    failed = f", {sum(found.failed.values())} failed ({_counted(found.failed)})" if found.failed else ""
    screen.line(f"{word}  {found.cluster}: {found.rate:.0f} {found.workload}/s{failed}")
    rows = [
        [one.operation, str(one.done), *[f"{ms:.2f}" for ms in (one.mean_ms, one.p50_ms, one.p90_ms, one.p99_ms, one.p999_ms, one.max_ms)]]
        for one in found.operations
    ]
    headings = ("operation", "done", "mean", "p50", "p90", "p99", "p99.9", "max")
    if rows:
        screen.line()
        screen.lines(screen.aligned(headings, rows, right=headings[1:]))
        since = "each was meant to be sent" if found.loop == "open" else "each was sent, and the next one waited for its answer"
        screen.line(f"ms, from when {since}")
    if found.breakdown:
        screen.line()
        screen.lines(
            screen.aligned(("of a write", "ms"), [[PARTS[one.part], f"{one.mean_ms:.2f}"] for one in found.breakdown], right=("ms",))
        )
    screen.line()
    screen.lines(screen.wrapped(f"{found.verdict or 'not known'}: {found.sentence}", indent=2))
    for cause in found.causes:
        screen.lines(screen.wrapped(f"{cause.cause:<9} {cause.mean_ms:8.2f} ms  {cause.evidence}", first=2, indent=25))
    for words in (*found.wrong, *found.crossed):
        screen.lines(screen.wrapped(f"! {words}", indent=2))
    if not found.is_clean:
        screen.note(
            f"coordctl: what it wrote below _bench/ could not be seen gone: keys and locks go by themselves within "
            f"{found.clean_within_ms / 1000:g} s, queues and journals with coordctl bench --sweep"
        )
    screen.line(f"next: {found.next}")


def _counted(failed: dict[str, int]) -> str:
    return ", ".join(f"{count} {why}" for why, count in sorted(failed.items()))


def main(argv: list[str]) -> int:
    return run(command, argv, "bench", Kind.PROBE)
