"""`coordctl health`"""

import click

from coordctl.commands import options
from coordctl.local.clusters import chosen
from coordctl.operations.engines import health
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run

COLOURS = {"ok": screen.GREEN, "warning": screen.YELLOW, "critical": screen.RED, "unknown": screen.YELLOW}


@click.command(epilog=EXPLAINED[Kind.PROBE])
@options.cluster
@options.endpoints
@options.timeout("5s")
@output
def command(cluster: str, endpoints: str, timeout_seconds: float, output: str) -> int:
    """One line and one code for monitoring. Critical only where a lost quorum or differing states are proved."""
    found = health(chosen(endpoints, cluster), timeout_seconds)
    if output == "json":
        screen.json_line(found)
    else:
        screen.line(f"{screen.coloured(found.outcome.upper(), COLOURS[found.outcome])}  {found.sentence}")
    return found.exit_code


def main(argv: list[str]) -> int:
    return run(command, argv, "health", Kind.PROBE)
