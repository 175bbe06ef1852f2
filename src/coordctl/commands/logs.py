"""`coordctl logs`: diff"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from coordctl.commands import logs_shown, options
from coordctl.commands.units import DURATION
from coordctl.local.clusters import LocalCluster, chosen_local
from coordctl.operations import logs
from coordctl.operations.windows import Asked
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run_group

F = TypeVar("F", bound=Callable[..., Any])
SOURCES = """SOURCE is a log file, a folder with logs in it, or a bundle; several are taken together as one cluster's. Without any, those
of the local cluster. Known are this project's events, etcd's JSON, ZooKeeper's lines, and text with a timestamp at the beginning of
its lines; .gz and rotated files, too. All times are UTC."""


def window(command: F) -> F:
    for option in (
        click.option("--around", metavar="TIME", default="", help="Five minutes before and after it, such as 03:12."),
        click.option("--to", "end", metavar="TIME", default="", help="Its end; default: the newest line."),
        click.option("--from", "start", metavar="TIME", default="", help="Its beginning, such as 03:02 or 2026-11-20T03:02Z."),
        click.option(
            "--since", type=DURATION, metavar="DURATION", help="The window: so long before the newest line. Default: 10m at most."
        ),
    ):
        command = option(command)
    return command


def cluster_for(sources: Sequence[str], cluster: str) -> LocalCluster | None:
    return None if sources else chosen_local(cluster)


@click.command(epilog=f"{SOURCES}\n\n{EXPLAINED[Kind.PROBE]}")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path())
@window
@click.option("--baseline", metavar="FROM..TO", default="", help="What to compare with; default: an hour before the window.")
@click.option("--against", multiple=True, metavar="SOURCE", type=click.Path(), help="Compare with another run instead.")
@options.cluster
@output
def diff(
    sources: Sequence[str],
    since: float | None,
    start: str,
    end: str,
    around: str,
    baseline: str,
    against: Sequence[str],
    cluster: str,
    output: str,
) -> int:
    """What was different in a window of time, where it began, and what followed from it.

    Members' lines are put in order by the log's (term, index) that they name, whatever their clocks say; each clock's offset is shown
    with its error. Kinds of lines and numbers are compared with a healthy baseline, and with the other members.
    """
    asked = Asked(since, start, end, around, baseline)
    progress = screen.Progress("logs")
    found = logs.diff(sources, cluster_for(sources, cluster), asked, against, progress.show)
    progress.end()
    if output == "json":
        screen.json_line(found)
    else:
        logs_shown.diff(found)
    return found.exit_code


VERBS = {"diff": (diff, Kind.PROBE)}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "logs", "What members say of themselves, brought together.", EXPLAINED[Kind.PROBE])
