"""`coordctl bundle`"""

from collections.abc import Sequence

import click

from coordctl.commands import logs_page, logs_shown, options
from coordctl.commands.logs import SOURCES, cluster_for, window
from coordctl.operations import collecting
from coordctl.operations.windows import Asked
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run


@click.command(epilog=f"{SOURCES}\n\n{EXPLAINED[Kind.ACTION]}")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path())
@window
@click.option("--file", "archive", metavar="FILE", default="", help="Where to; default: a name with the time in it, here.")
@options.cluster
@output
def command(sources: Sequence[str], since: float | None, start: str, end: str, around: str, archive: str, cluster: str, output: str) -> int:
    """Everything that is needed to look into it elsewhere, in one archive: logs and flight recorders of a window, each member's status,
    metrics and the state of its log, and of each host its kernel log, the service's journal, pressure, memory, disks and network.

    report.html in it says what `logs explain` makes of it. Secrets are taken out. A manifest lists what is there and what is missing (then
    the code is 1).
    """
    chosen = cluster_for(sources, cluster)
    where = archive or collecting.name_for("bundle", chosen)
    made = collecting.collect(sources, chosen, Asked(since, start, end, around), where, with_facts=True, page=logs_page.explained)
    logs_shown.collected(made, output)
    return made.exit_code


def main(argv: list[str]) -> int:
    return run(command, argv, "bundle", Kind.ACTION)
