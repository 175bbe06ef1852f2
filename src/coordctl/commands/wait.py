"""`coordctl wait`"""

import click

from coordctl.commands import options
from coordctl.local.clusters import chosen
from coordctl.operations.waiting import wait
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run


@click.command(epilog=EXPLAINED[Kind.QUERY])
@click.option(
    "--for", "condition", required=True, metavar="CONDITION", help="healthy, leader, leader=NAME, members=N, version=V or unlocked=NAME."
)
@options.cluster
@options.endpoints
@options.timeout("30s")
@options.quiet
@output
def command(condition: str, cluster: str, endpoints: str, timeout_seconds: float, quiet: bool, output: str) -> int:
    """Wait until the cluster is as CONDITION says: 0 when it is, 1 when it was not in time.

    members=N: so many are well. version=V: every member runs it. unlocked=NAME: nobody holds that lock, or waits for it.
    """
    found = wait(condition, chosen(endpoints, cluster), timeout_seconds)
    if output == "json":
        screen.json_line(found)
    elif found.exit_code:
        screen.error(f"{condition} was not reached in {timeout_seconds:g} s: {found.now}; see coordctl status")
    elif not quiet:
        screen.line(f"{condition} after {found.elapsed_ms / 1000:.2f} s: {found.now}")
    return found.exit_code


def main(argv: list[str]) -> int:
    return run(command, argv, "wait", Kind.QUERY)
