"""`coordctl doctor`"""

import os

import click

from coordctl.commands import options
from coordctl.commands.deploy import Progress
from coordctl.commands.status import show_findings
from coordctl.inventory import places
from coordctl.inventory.model import Inventory
from coordctl.local import clusters
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run
from coordctl.results.doctor import LOOKED_AT, Diagnosed


@click.command(epilog=EXPLAINED[Kind.PROBE])
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("--only", "checks", multiple=True, type=click.Choice(LOOKED_AT), metavar="CHECK", help=f"Only this: {', '.join(LOOKED_AT)}.")
@click.option(
    "--from-here", is_flag=True, help="Why can a client on this machine not use the cluster: DNS, TCP, TLS, clock, role, version."
)
@options.cluster
@options.endpoints
@options.timeout("5s")
@options.quiet
@output
def command(
    hosts: tuple[str, ...],
    checks: tuple[str, ...],
    from_here: bool,
    cluster: str,
    endpoints: str,
    timeout_seconds: float,
    quiet: bool,
    output: str,
) -> int:
    """What is wrong with a cluster and its hosts, or will be: each finding with the next command, and its page.

    Hosts of an inventory are examined over SSH, those of a cluster of this machine here. With HOST only what is about it is told; all are
    examined, since many a fault shows beside the others only. Nothing is changed. --timeout bounds each try of --from-here.
    """
    from coordctl.operations import doctoring

    say = Progress(quiet=quiet, output=output)
    name = cluster or ("" if endpoints else os.environ.get("COORD_CLUSTER", ""))
    if from_here or endpoints:
        found = _from_here(clusters.chosen(endpoints, cluster), timeout_seconds, say)
    elif name.endswith(places.SUFFIX) or name in places.names():
        found = _listed(places.of_any_engine(name), timeout_seconds, say)
    else:
        found = _known(clusters.chosen_local(cluster), timeout_seconds, say)
    found = doctoring.narrowed(found, hosts, checks)
    if output == "json":
        screen.json_line(found)
    else:
        _show(found)
    return found.exit_code


def _listed(inventory: Inventory, seconds: float, say: Progress) -> Diagnosed:
    from coordctl.operations import doctoring

    if inventory.engine != clusters.COORDNODE:
        return _known(clusters.chosen_local(inventory.path), seconds, say)
    return doctoring.of_fleet(inventory, say)


def _known(cluster: clusters.LocalCluster, seconds: float, say: Progress) -> Diagnosed:
    from coordctl.operations import doctoring

    if cluster.engine != clusters.COORDNODE:
        return _from_here(clusters.Chosen(cluster.engine, cluster.name, cluster.endpoints()), seconds, say)
    return doctoring.of_fleet(places.chosen(cluster.inventory), say) if cluster.inventory else doctoring.of_local(cluster, say)


def _from_here(chosen: clusters.Chosen, seconds: float, say: Progress) -> Diagnosed:
    from coordctl.operations import doctoring, doctoring_engines

    if chosen.engine != clusters.COORDNODE:
        return doctoring_engines.of_engine(chosen, seconds, say)
    return doctoring.from_here(chosen.name, chosen.endpoints, seconds, say)


def _show(found: Diagnosed) -> None:
    show_findings(found.findings)
    if not found.findings:
        screen.line(f"{screen.coloured('OK', screen.GREEN)}  nothing was found that is wrong with {found.about}")
    ssh = f", hosts {found.examined}/{found.hosts}" if found.hosts else ""
    screen.line(f"sources: API {found.answered}/{found.members}{ssh} ({found.elapsed_ms / 1000:.1f} s)")


def main(argv: list[str]) -> int:
    return run(command, argv, "doctor", Kind.PROBE)
