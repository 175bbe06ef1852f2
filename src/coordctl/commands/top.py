"""`coordctl top`"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import click

from coordctl.commands import options
from coordctl.commands.status import COLOURS, can_lose, show_findings
from coordctl.commands.units import DURATION
from coordctl.local.clusters import choose
from coordctl.operations.top import Watching
from coordctl.report import keys, screen
from coordctl.report.exits import DONE, EXPLAINED, INTERRUPTED, Kind
from coordctl.report.running import output, run
from coordctl.results.top import Top, TopMember

ONCE_SECONDS = 1.0  # between the two looks that figures are told from
HEADINGS = ("member", "role", "state", "lag", "asks/s", "commit99", "fsync99", "trip", "cpu", "conn", "free")
Sorting = Callable[[TopMember], float]
SORTS: dict[str, tuple[str, str, Sorting]] = {  # key → column, word, what is highest
    "l": ("lag", "lag", lambda one: one.lag or 0),
    "a": ("asks/s", "asks", lambda one: one.asks_per_s or 0),
    "c": ("commit99", "commit", lambda one: one.commit_p99_ms or 0),
    "f": ("fsync99", "fsync", lambda one: one.sync_p99_ms or 0),
    "t": ("trip", "trip", lambda one: one.round_trip_ms or 0),
    "u": ("cpu", "cpu", lambda one: one.cpu_percent or 0),
    "n": ("conn", "connections", lambda one: one.connections or 0),
    "d": ("free", "disk", lambda one: -(one.free_bytes or 0)),
}
WORDS = {word: key for key, (_, word, _) in SORTS.items()}


@click.command(epilog=EXPLAINED[Kind.QUERY])
@click.option("--every", "every_seconds", type=DURATION, default="1s", show_default=True, help="How often it is drawn anew.")
@click.option(
    "--sort", "word", type=click.Choice(["member", *WORDS]), default="member", show_default=True, help="What is highest comes first."
)
@click.option("--once", is_flag=True, help="Two looks, a second apart, and what happened in between; without keys.")
@options.cluster
@options.endpoints
@options.timeout("2s")
@output
def command(every_seconds: float, word: str, once: bool, cluster: str, endpoints: str, timeout_seconds: float, output: str) -> int:
    """`status`, drawn anew all the time, with what happened since the last look.

    Keys: m members' order, l lag, a asks, c commit, f fsync, t round trip, u CPU, n connections, d disk; q ends it. Without a terminal, or
    with `-o json`, one line or screen for each look.
    """
    name, asked = choose(endpoints, cluster)
    watching = Watching(name, asked, timeout_seconds)
    sort = WORDS.get(word, "")
    if once:
        watching.look()
        time.sleep(ONCE_SECONDS)
        found = watching.look()
        _print(found, sort, output)
        return found.exit_code
    try:
        if output == "json" or not keys.are_there():
            while True:
                _print(watching.look(), sort, output)
                screen.flush()
                time.sleep(every_seconds)
        return _redraw(watching, sort, every_seconds)
    except KeyboardInterrupt:
        return INTERRUPTED if output == "json" else DONE


def _redraw(watching: Watching, sort: str, every_seconds: float) -> int:
    with keys.redrawn():
        found = watching.look()
        until = time.monotonic() + every_seconds
        while True:
            keys.clear()
            _show(found, sort)
            screen.line("\nkeys: m l a c f t u n d sort, q ends it")
            screen.flush()
            key = keys.pressed(max(0.0, until - time.monotonic()))
            if key == "q":
                return DONE
            if key == "m" or key in SORTS:
                sort = key
            elif not key:
                found = watching.look()
                until = time.monotonic() + every_seconds


def _print(found: Top, sort: str, output: str) -> None:
    if output == "json":
        screen.json_line(found)
    else:
        _show(found, sort)


def _show(found: Top, sort: str) -> None:
    when = datetime.fromtimestamp(found.unix_ms // 1000, UTC).strftime("%H:%M:%SZ")
    leader = f"leader {found.leader}, term {found.term}" if found.leader else "no leader"
    head = f"{found.cluster or 'cluster'}  {screen.coloured(found.judgement, COLOURS[found.judgement])}"
    screen.line(f"{head}  {can_lose(found.can_lose, found.sources_answered)}  {leader}  {when}")
    screen.line()
    members = found.members
    if sort in SORTS:
        members = sorted(members, key=SORTS[sort][2], reverse=True)
    right = ("lag", "asks/s", "commit99", "fsync99", "trip", "cpu", "conn", "free")
    headings = [f"{heading}*" if sort in SORTS and SORTS[sort][0] == heading else heading for heading in HEADINGS]
    marked = tuple(shown for shown, heading in zip(headings, HEADINGS, strict=True) if heading in right)
    screen.lines(screen.aligned(headings, [_row(one) for one in members], right=marked))
    if found.findings:
        screen.line()
    show_findings(found.findings)
    screen.line(f"sources: API {found.sources_answered}/{found.sources_asked}, of {found.over_ms / 1000:.1f} s")


def _row(one: TopMember) -> list[str]:
    def shown(value: float | None, digits: int = 1) -> str:
        return "-" if value is None else f"{value:,.{digits}f}"

    return [
        one.name,
        one.role,
        one.state,
        "-" if one.lag is None else str(one.lag),
        shown(one.asks_per_s, 0),
        shown(one.commit_p99_ms),
        shown(one.sync_p99_ms),
        shown(one.round_trip_ms),
        "-" if one.cpu_percent is None else f"{one.cpu_percent:.0f}%",
        "-" if one.connections is None else str(one.connections),
        screen.short_bytes(one.free_bytes),
    ]


def main(argv: list[str]) -> int:
    return run(command, argv, "top", Kind.QUERY)
