"""`coordctl logs`: collect, tail, search, diff, explain"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from coordctl.commands import logs_page, logs_shown, options
from coordctl.commands.units import DURATION
from coordctl.inventory import places
from coordctl.inventory.model import Inventory
from coordctl.local.clusters import chosen_local
from coordctl.operations import collecting, explaining, lines, logs
from coordctl.operations.logs import Whose
from coordctl.operations.windows import Asked
from coordctl.report import screen
from coordctl.report.exits import DONE, EXPLAINED, FAILED, Kind
from coordctl.report.running import output, run_group
from coordctl.results.logs import LogLine
from coordnode.errors import CoordError

F = TypeVar("F", bound=Callable[..., Any])
SOURCES = """SOURCE is a log file, a folder with logs in it, or a bundle; several are taken together as one cluster's. Without any, those
of the cluster: here, or fetched from the hosts of its inventory. Known are this project's events, etcd's lines, ZooKeeper's, and
text with a timestamp at the beginning of its lines; .gz and rotated files, too. All times are UTC."""


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


html_option = click.option("--html", "page", metavar="FILE", default="", help="The report as one HTML file, too.")


def cluster_for(sources: Sequence[str], cluster: str) -> Whose:
    """A cluster on this machine first; one that was deployed from here is known by its name, one that was not by its inventory."""
    if sources:
        return None
    try:
        found = chosen_local(cluster)
    except CoordError:
        wanted = cluster or os.environ.get("COORD_CLUSTER", "")
        if not (wanted.endswith(places.SUFFIX) or wanted in places.names() or (not wanted and len(places.names()) == 1)):
            raise
        return places.chosen(cluster)
    return places.of_any_engine(found.inventory) if found.inventory else found


@click.command(epilog=f"{SOURCES}\n\n{EXPLAINED[Kind.PROBE]}")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path())
@window
@click.option("--baseline", metavar="FROM..TO", default="", help="What to compare with; default: an hour before the window.")
@click.option("--against", multiple=True, metavar="SOURCE", type=click.Path(), help="Compare with another run instead.")
@html_option
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
    page: str,
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
    _write_page(page, logs_page.diff(found) if page else "")
    return found.exit_code


@click.command(epilog=f"{SOURCES}\n\n{EXPLAINED[Kind.QUERY]}")
@click.argument("pattern")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path())
@window
@click.option("-i", "--ignore-case", is_flag=True, help="Letters are found large and small.")
@click.option("--level", type=click.Choice(["info", "warning", "error"]), default="info", help="That or graver.")
@click.option("--member", metavar="NAME", default="", help="Lines of that member only.")
@options.cluster
@output
def search(
    pattern: str,
    sources: Sequence[str],
    since: float | None,
    start: str,
    end: str,
    around: str,
    ignore_case: bool,
    level: str,
    member: str,
    cluster: str,
    output: str,
) -> int:
    """Lines of all members in which the regular expression PATTERN is found, in the order of their times; none: 1."""
    asked, wanted = Asked(since, start, end, around), lines.Wanted(pattern, level, member, ignore_case)
    lines.Filter(wanted)  # whoever asks wrongly hears of it before any host is asked
    filtered = {"pattern": pattern, "ignore_case": ignore_case}
    with logs.gathered(sources, cluster_for(sources, cluster), logs.EVERYTHING if asked == Asked() else asked, **filtered) as found:
        _left_out(found)
        count = 0
        for one in lines.search(found, asked, wanted):
            count += 1
            logs_shown.line(one, output)
    return DONE if count else FAILED


@click.command(epilog=f"{SOURCES}\n\n{EXPLAINED[Kind.QUERY]}")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path())
@click.option("-n", "--lines", "count", type=click.IntRange(0), default=20, show_default=True, help="So many of the last lines first.")
@click.option("-f", "--follow", is_flag=True, help="Then those that come, until interrupted.")
@click.option("--level", type=click.Choice(["info", "warning", "error"]), default="info", help="That or graver.")
@click.option("--member", metavar="NAME", default="", help="Lines of that member only.")
@options.cluster
@output
def tail(sources: Sequence[str], count: int, follow: bool, level: str, member: str, cluster: str, output: str) -> int:
    """The last lines of all members, in the order of their times."""
    whose, wanted = cluster_for(sources, cluster), lines.Wanted("", level, member)
    if isinstance(whose, Inventory):
        _tailed(lines.tail_hosts(whose, count, wanted, logs_shown.left_out, follow=follow), output)
        return DONE
    with logs.gathered(sources, whose) as found:
        _left_out(found)
        _tailed(lines.tail(found, count, wanted, follow=follow), output)
    return DONE


def _left_out(found: logs.Gathered) -> None:
    for what in logs.left_out(found):
        logs_shown.left_out(what)


def _tailed(found: Iterable[LogLine], output: str) -> None:
    for one in found:
        logs_shown.line(one, output)
        screen.flush()


@click.command(epilog=f"{SOURCES}\n\n{EXPLAINED[Kind.ACTION]}")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path())
@window
@click.option("--file", "archive", metavar="FILE", default="", help="Where to; default: a name with the time in it, here.")
@options.cluster
@output
def collect(sources: Sequence[str], since: float | None, start: str, end: str, around: str, archive: str, cluster: str, output: str) -> int:
    """Logs and flight recorders of all members, cut to a window, into one compressed archive; secrets are taken out.

    A manifest in it lists what is there and what is missing (then the code is 1). `logs diff`, `logs explain` and `logs search` read it.
    """
    chosen = cluster_for(sources, cluster)
    where = archive or collecting.name_for("logs", chosen)
    made = collecting.collect(sources, chosen, Asked(since, start, end, around), where, with_facts=False)
    logs_shown.collected(made, output)
    return made.exit_code


@click.command(epilog=f"{SOURCES}\n\n{EXPLAINED[Kind.PROBE]}")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path())
@window
@click.option("--baseline", metavar="FROM..TO", default="", help="What to compare with; default: an hour before the window.")
@click.option("--evidence", type=click.IntRange(1), metavar="N", help="All lines that speak for hypothesis N.")
@html_option
@options.cluster
@output
def explain(
    sources: Sequence[str],
    since: float | None,
    start: str,
    end: str,
    around: str,
    baseline: str,
    evidence: int | None,
    page: str,
    cluster: str,
    output: str,
) -> int:
    """What most likely happened: hypotheses with the lines that speak for them, what was ruled out, what to do.

    Codes: 0 nothing, or only what was planned; 1 a cause was found; 2 members' states differ; 3 unknown.
    """
    asked = Asked(since, start, end, around, baseline)
    progress = screen.Progress("logs")
    found = explaining.explained(sources, cluster_for(sources, cluster), asked, progress.show)
    progress.end()
    if output == "json":
        screen.json_line(found)
    else:
        logs_shown.explained(found, evidence)
    _write_page(page, logs_page.explained(found) if page else "")
    return found.exit_code


def _write_page(path: str, text: str) -> None:
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


VERBS = {
    "collect": (collect, Kind.ACTION),
    "tail": (tail, Kind.QUERY),
    "search": (search, Kind.QUERY),
    "diff": (diff, Kind.PROBE),
    "explain": (explain, Kind.PROBE),
}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "logs", "What members say of themselves, brought together.", EXPLAINED[Kind.PROBE])
