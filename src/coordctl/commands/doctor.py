"""`coordctl doctor`"""

import os

import click

from coordctl.commands import options
from coordctl.commands.deploy import Progress
from coordctl.commands.status import show_findings
from coordctl.inventory import places
from coordctl.local import clusters
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run
from coordctl.results.doctor import Diagnosed


@click.command(epilog=EXPLAINED[Kind.PROBE])
@click.option(
    "--from-here", is_flag=True, help="Why can a client on this machine not use the cluster: DNS, TCP, TLS, clock, role, version."
)
@options.cluster
@options.endpoints
@options.timeout("5s")
@options.quiet
@output
def command(from_here: bool, cluster: str, endpoints: str, timeout_seconds: float, quiet: bool, output: str) -> int:
    """What is wrong with a cluster and its hosts, or will be: each finding with the next command, and its page.

    Hosts of an inventory are examined over SSH, those of a cluster of this machine here. Nothing is changed. --timeout bounds each try
    of --from-here.
    """
    from coordctl.operations import doctoring

    say = Progress(quiet=quiet, output=output)
    name = cluster or ("" if endpoints else os.environ.get("COORD_CLUSTER", ""))
    if from_here or endpoints:
        called, asked = clusters.choose(endpoints, cluster)
        found = doctoring.from_here(called, asked, timeout_seconds, say)
    elif name.endswith(places.SUFFIX) or name in places.names():
        found = doctoring.of_fleet(places.chosen(name), say)
    else:
        known = clusters.chosen_local(cluster)
        found = doctoring.of_fleet(places.chosen(known.inventory), say) if known.inventory else doctoring.of_local(known, say)
    if output == "json":
        screen.json_line(found)
    else:
        _show(found)
    return found.exit_code


def _show(found: Diagnosed) -> None:
    show_findings(found.findings)
    if not found.findings:
        screen.line(f"{screen.coloured('OK', screen.GREEN)}  nothing was found that is wrong with {found.cluster}")
    ssh = f", hosts {found.examined}/{found.hosts}" if found.hosts else ""
    screen.line(f"sources: API {found.answered}/{found.members}{ssh} ({found.elapsed_ms / 1000:.1f} s)")


def main(argv: list[str]) -> int:
    return run(command, argv, "doctor", Kind.PROBE)
