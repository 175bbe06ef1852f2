"""`coordctl up`"""

import os
import shlex

import click

from coordctl.commands import options
from coordctl.local import clusters
from coordctl.operations import local
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run
from coordctl.results.local import Up


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.option("--nodes", type=int, metavar="N", help="Members of a new cluster; default: 3. One is durable too, but survives no loss.")
@click.option(
    "--fault-injection/--no-fault-injection",
    default=None,
    help="Members may be harmed on purpose (`coordctl chaos faults`), and health says so. Default: as it was; of a new cluster, no.",
)
@click.option(
    "--engine",
    type=click.Choice(sorted(clusters.ROOMS)),
    default=None,
    help="Of which members; other engines (docs/engines.md) must be on this machine. Default: as it was; of a new cluster, coordnode.",
)
@click.option("--dir", "folder", metavar="DIR", default="", help="Where it lives, instead of the state folder; others then say -c DIR.")
@options.cluster
@options.timeout("30s")
@options.quiet
@output
def command(
    nodes: int | None,
    fault_injection: bool | None,
    engine: str | None,
    folder: str,
    cluster: str,
    timeout_seconds: float,
    quiet: bool,
    output: str,
) -> int:
    """Start a durable cluster on this machine, and return once it is ready.

    The first time it is made, later it goes on with its data. What runs already is left alone.
    Its ports are drawn from 20000 to 31999, or from those that COORD_LOCAL_PORTS names, such as 20000-25999.
    """
    name = cluster or os.environ.get("COORD_CLUSTER") or clusters.DEFAULT_NAME
    where = os.path.abspath(folder) if folder else clusters.folder_of(name)
    done = local.up(where, nodes, timeout_seconds, fault_injection=fault_injection, engine=engine or "")
    if output == "json":
        screen.json_line(done)
    elif not quiet:
        screen.lines(_lines_of(done, called=_called(done)))
    return done.exit_code


def _called(done: Up) -> str:
    """What other commands need to be told to find it: members call it by a plainer name, maybe. A shell takes it as it is."""
    parent, name = os.path.split(done.folder)
    if parent != clusters.state_folder():
        short = screen.short_path(done.folder)
        tilde = "~/" if short.startswith("~/") else ""
        return f" -c {tilde}{shlex.quote(short.removeprefix(tilde))}"
    return f" -c {shlex.quote(name)}" if len(clusters.names()) > 1 or name != clusters.DEFAULT_NAME else ""


def _lines_of(done: Up, called: str) -> list[str]:
    ready = len(done.members) - len(done.kept_down)
    count = "1 member" if ready == 1 else f"{ready} members"
    kept_down = f"{', '.join(done.kept_down)} stays down on purpose, as `coordctl chaos status{called}` says"
    return [
        f"{done.name}: {count} ready, durable, {done.leader} leads. Data in {screen.short_path(done.folder)}",
        *([kept_down] if done.kept_down else []),
        f"Try: coordctl status{called}    Stop: coordctl down{called} (keeps data), coordctl down{called} --purge",
    ]


def main(argv: list[str]) -> int:
    return run(command, argv, "up", Kind.ACTION)
