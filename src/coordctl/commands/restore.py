"""`coordctl restore`"""

import os

import click

from coordctl.commands import confirming, options
from coordctl.commands.deploy import Progress, check_reason, reason_option, show
from coordctl.inventory import places
from coordctl.local import clusters
from coordctl.operations import backups
from coordctl.report.exits import EXPLAINED, REFUSED, Kind
from coordctl.report.running import output, run


@click.command(epilog=EXPLAINED[Kind.ACTION] + " With --dry-run: 1 it would restore.")
@click.argument("backup", default="")
@click.option("--nodes", type=int, metavar="N", default=3, show_default=True, help="Members, on this machine.")
@click.option("--dry-run", is_flag=True, help="Rehearse, say what it would come to, and touch nothing.")
@confirming.yes
@confirming.confirm
@reason_option
@options.cluster
@options.timeout("60s")
@options.quiet
@output
def command(
    backup: str,
    nodes: int,
    dry_run: bool,
    yes: bool,
    confirm: str,
    reason: str,
    cluster: str,
    timeout_seconds: float,
    quiet: bool,
    output: str,
) -> int:
    """Make a cluster anew from BACKUP, a file or the name of one; default: the newest of that cluster.

    Every key, task, journal and counter is as it was then. It is another cluster: sessions are over, whatever they held is free, and tokens
    go on above all that was ever granted, so that what protects itself with tokens refuses every old one. Clients of the old cluster are
    told that it was replaced. Where an inventory has that name, its hosts get the members; else this machine.
    """
    name = cluster or os.environ.get("COORD_CLUSTER") or clusters.DEFAULT_NAME
    say = Progress(quiet=quiet, output=output)
    if name.endswith(places.SUFFIX) or name in places.names():
        from coordctl.operations.restoring_fleet import Restoration  # paramiko

        inventory = places.chosen(name)
        check_reason(inventory, reason)
        path = backups.chosen(backup, inventory.name)
        if not dry_run and not confirming.is_confirmed(
            inventory, f"Make a new cluster from {path} on the hosts of", yes=yes, confirm=confirm
        ):
            return REFUSED
        return show(Restoration(inventory, path, reason, say).restore(dry_run=dry_run), quiet=quiet, output=output)
    from coordctl.operations.restoring import restore_here

    path = backups.chosen(backup, os.path.basename(name))
    done = restore_here(path, clusters.folder_of(name), nodes, dry_run=dry_run, timeout_seconds=timeout_seconds, say=say)
    return show(done, quiet=quiet, output=output)


def main(argv: list[str]) -> int:
    return run(command, argv, "restore", Kind.PROBE if "--dry-run" in argv else Kind.ACTION)
