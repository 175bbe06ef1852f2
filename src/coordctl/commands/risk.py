"""`coordctl risk`: ls, clear"""

import time

import click

from coordctl.commands import options
from coordctl.local.clusters import choose
from coordctl.operations import risks
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run_group

EPILOG = "Exit codes: 0 done or answered; each verb explains the others."


@click.command("ls", epilog=EXPLAINED[Kind.QUERY])
@options.cluster
@options.endpoints
@options.timeout("5s")
@output
def list_command(cluster: str, endpoints: str, timeout_seconds: float, output: str) -> int:
    """Which risks were taken with --accept, by whom and why, and not cleared since. Exits with 1 if there are none."""
    name, asked = choose(endpoints, cluster)
    found = risks.listed(name, asked, timeout_seconds)
    if output == "json":
        screen.json_line(found)
    elif found.risks:
        rows = [
            [one.risk, time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(one.unix_s)), one.by, f"{one.verb}: {one.reason}"]
            for one in found.risks
        ]
        screen.lines(screen.aligned(("risk", "accepted", "by", "for"), rows))
    else:
        screen.error("no member answers" if found.exit_code == 69 else "no risk was accepted that was not cleared")
    return found.exit_code


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.argument("risk")
@options.cluster
@options.endpoints
@options.timeout("5s")
@options.quiet
@output
def clear(risk: str, cluster: str, endpoints: str, timeout_seconds: float, quiet: bool, output: str) -> int:
    """What was accepted with RISK is over, or has been seen to: health shows it no more."""
    name, asked = choose(endpoints, cluster)
    done = risks.cleared(name, asked, risk, timeout_seconds)
    if output == "json":
        screen.json_line(done)
    elif not quiet:
        screen.line(f"{done.cluster}: {done.sentence}")
    return done.exit_code


VERBS = {"ls": (list_command, Kind.QUERY), "clear": (clear, Kind.ACTION)}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "risk", "Risks that were taken with --accept, until they are cleared.", EPILOG)
