"""`coordctl timeline`"""

from collections.abc import Sequence

import click

from coordctl.commands import logs_shown, options
from coordctl.commands.logs import SOURCES, cluster_for, window
from coordctl.operations import history
from coordctl.operations.windows import Asked
from coordctl.report import screen
from coordctl.report.exits import DONE, EXPLAINED, FAILED, Kind
from coordctl.report.running import output, run
from coordctl.results.history import TimelineLine

COLOURS = {"alarm": screen.RED, "restart": screen.YELLOW, "operator": screen.BOLD}


@click.command(epilog=f"{SOURCES}\n\n{EXPLAINED[Kind.QUERY]}")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path())
@window
@options.cluster
@output
def command(sources: Sequence[str], since: float | None, start: str, end: str, around: str, cluster: str, output: str) -> int:
    """Restarts, elections, membership, settings, alarms, surges of clients and, of a local cluster, what operators did and why: one stream.

    The last hour, unless told otherwise.
    """
    lines, left_out = history.timeline(sources, cluster_for(sources, cluster), Asked(since, start, end, around))
    for what in left_out:
        logs_shown.left_out(what)
    for line in lines:
        if output == "json":
            screen.json_line(line)
        else:
            screen.line(_line_of(line))
    return DONE if lines else FAILED


def _line_of(line: TimelineLine) -> str:
    sort = screen.coloured(f"{line.sort:<10}", COLOURS[line.sort]) if line.sort in COLOURS else f"{line.sort:<10}"
    words = f"{line.member} {line.what}".strip() + (f" ({line.who})" if line.who else "") + (f": {line.why}" if line.why else "")
    return f"{screen.clock_ms(line.at_ms)}  {sort}  {screen.visible(words)}"


def main(argv: list[str]) -> int:
    return run(command, argv, "timeline", Kind.QUERY)
