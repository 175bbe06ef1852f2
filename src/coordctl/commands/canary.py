"""`coordctl canary`: run, install, status"""

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from coordctl.commands import options
from coordctl.commands.units import DURATION
from coordctl.local.clusters import addressed, chosen
from coordctl.operations import canary, canary_service, canary_status
from coordctl.report import screen
from coordctl.report.exits import DONE, EXPLAINED, Kind
from coordctl.report.junit import junit
from coordctl.report.running import output, run_group
from coordctl.results.canary import CanaryRound, CanaryRun
from coordnode.errors import BadRequest

COLOURS = {
    **{"ok": screen.GREEN, "degraded": screen.YELLOW, "broken": screen.RED, "unknown": screen.YELLOW},
    **{"well": screen.GREEN, "down": screen.RED, "unreachable": screen.YELLOW},
}
EPILOG = (
    "Exit codes: 0 ok; 1 degraded: some of it failed; 2 broken: proved to be down, or to have broken a promise; 3 unknown: not to be "
    "reached from here, or too little seen; 64 usage; 130 interrupted."
)


fail_on_option = click.option(
    "--fail-on",
    metavar="WHAT",
    default="degraded",
    show_default=True,
    help="degraded; broken: then degraded is 0; or a share of rounds that may fail, such as 1%.",
)
metrics_option = click.option("--metrics", metavar="HOST:PORT", default="", help="Answer Prometheus there, at /metrics.")


@click.command(epilog=EPILOG)
@click.option("--interval", type=DURATION, default="10s", show_default=True, help="From the begin of one round to the next.")
@click.option("--for", "for_seconds", type=DURATION, help="Begin no round after so long; default: for ever.")
@click.option("--count", type=int, metavar="N", help="End after so many rounds.")
@click.option("--min-samples", "samples_min", type=int, metavar="N", help="Of fewer rounds nothing is said; default: 3, or --count.")
@fail_on_option
@click.option("--junit", "junit_path", metavar="FILE", default="", help="What came of each probe as JUnit XML, too.")
@metrics_option
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
    fail_on: str,
    junit_path: str,
    metrics: str,
    cluster: str,
    endpoints: str,
    timeout_seconds: float,
    quiet: bool,
    output: str,
) -> int:
    """Do in small what users do, round after round: a lock acquired, a write that wants its token, released; an election won, announced,
    resigned; a task put, taken once, acknowledged; a write through each member; a read and a watch through each that must see all of them.

    What it writes is below _canary/, and goes with each round, or by itself soon after it was killed.
    """
    asked = chosen(endpoints, cluster)
    if junit_path:
        _check_writable(junit_path)
    settings = canary.Settings(interval, timeout_seconds, for_seconds, count, samples_min, fail_on, metrics)
    return _show(canary.run(asked, settings), quiet=quiet, is_json=output == "json", junit_path=junit_path)


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.option("--interval", metavar="DURATION", default="10s", show_default=True, help="From the begin of one round to the next.")
@metrics_option
@click.option("--print", "is_printed", is_flag=True, help="Only show the service.")
@click.option("--remove", "is_removed", is_flag=True, help="Stop it and take it away.")
@options.cluster
@options.endpoints
@output
def install_command(interval: str, metrics: str, is_printed: bool, is_removed: bool, cluster: str, endpoints: str, output: str) -> int:
    """Keep a canary running on this machine, as a service of systemd: the system's for root, else the user's own."""
    engine, name, asked = chosen(endpoints, cluster)
    DURATION.convert(interval, None, None)
    words = ["--interval", interval, *(["--metrics", metrics] if metrics else [])]
    words += ["--endpoints", ",".join(addressed(engine, asked))] if not name else ["--cluster", cluster or name]
    called = name or asked[0].address.replace(":", "-")
    made = canary_service.remove(called) if is_removed else canary_service.install(called, words, is_printed=is_printed)
    if output == "json":
        screen.json_line(made)
    elif is_printed:
        screen.lines([f"# {made.path}", made.unit.rstrip()])
    else:
        screen.line(f"{made.path}: {made.outcome}")
    return made.exit_code


@click.command(epilog=EPILOG)
@options.cluster
@options.endpoints
@output
def status_command(cluster: str, endpoints: str, output: str) -> int:
    """What the canary that runs on this machine has found lately; no member is asked."""
    _, name, asked = chosen(endpoints, cluster)
    found = canary_status.status(name or asked[0].address)
    if output == "json":
        screen.json_line(found)
        return found.exit_code
    screen.lines(screen.wrapped(f"{screen.coloured(found.outcome.upper(), COLOURS[found.outcome])}  {found.sentence}", indent=2))
    for one in found.windows:
        interval = f"{one.ratio_low:.2%} to {one.ratio_high:.2%}"
        used = f"{one.budget_used:.0%}" if one.budget_used < 10 else f"{one.budget_used:,.0f} times"
        screen.line(f"{one.window:<4} {one.rounds} rounds, {one.failed} failed ({interval}), budget of 99.9% used {used}")
    if found.last_failure_unix_ms is not None:
        when = datetime.fromtimestamp(found.last_failure_unix_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        screen.lines(screen.wrapped(f"last failure {when}: {found.last_failure}", indent=2))
    return found.exit_code


def _check_writable(path: str) -> None:
    """Before the run, whose verdict would be lost."""
    try:
        open(path, "a", encoding="utf-8").close()
    except OSError as error:
        raise BadRequest(f"--junit {path} cannot be written: {error.strerror}") from None


def _show(found: Iterator[CanaryRound | CanaryRun], *, quiet: bool, is_json: bool, junit_path: str) -> int:
    code = DONE
    for one in found:
        code = one.exit_code
        if junit_path and isinstance(one, CanaryRun):
            with open(junit_path, "w", encoding="utf-8") as file:
                file.write(junit(f"canary {one.cluster}", one.elapsed_ms / 1000, _cases(one)))
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


def _cases(one: CanaryRun) -> list[tuple[str, bool, bool, str]]:
    """The verdict, and each probe through each member."""
    cases = [("verdict", one.exit_code in (1, 2), one.exit_code not in (0, 1, 2), one.sentence)]
    for probe in one.probes:
        name = probe.probe + (f" through {probe.member}" if probe.member else "")
        sentence = f"{probe.failed} of {probe.samples} failed, {probe.unreached} could not be tried"
        cases.append((name, bool(probe.failed) and one.exit_code in (1, 2), not probe.samples, sentence))
    return cases


def _line(one: CanaryRound) -> str:
    when = datetime.fromtimestamp(one.unix_ms // 1000, UTC).strftime("%H:%M:%SZ")
    if one.sentence:
        return f"{when}  {screen.coloured(one.outcome, COLOURS[one.outcome])}  {one.sentence}"
    slowest: dict[str, float] = {}
    for sample in one.samples:
        slowest[sample.probe] = max(sample.ms, slowest.get(sample.probe, 0.0))
    times = ", ".join(f"{probe} {milliseconds:.1f} ms" for probe, milliseconds in slowest.items())
    return f"{when}  {screen.coloured(one.outcome, COLOURS[one.outcome])}  {times}"


VERBS = {
    "run": (run_command, Kind.PROBE),
    "install": (install_command, Kind.ACTION),
    "status": (status_command, Kind.PROBE),
}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "canary", "Does the cluster do what users need?", EPILOG)
