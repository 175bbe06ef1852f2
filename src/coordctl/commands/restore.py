"""`coordctl restore`"""

import os
import time

import click

from coordctl.commands import options
from coordctl.local import clusters
from coordctl.operations import backups
from coordctl.operations.restoring import restore_here
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run
from coordctl.results.backup import Restored


@click.command(epilog=EXPLAINED[Kind.ACTION] + " With --dry-run: 1 it would restore.")
@click.argument("backup", default="")
@click.option("--nodes", type=int, metavar="N", default=3, show_default=True, help="Members.")
@click.option("--dry-run", is_flag=True, help="Rehearse, say what it would come to, and touch nothing.")
@options.cluster
@options.timeout("60s")
@options.quiet
@output
def command(backup: str, nodes: int, dry_run: bool, cluster: str, timeout_seconds: float, quiet: bool, output: str) -> int:
    """Make a cluster anew from BACKUP, a file or the name of one; default: the newest of that cluster.

    Every key, task, journal and counter is as it was then. It is another cluster: sessions are over, whatever they held is free, and tokens
    go on above all that was ever granted, so that what protects itself with tokens refuses every old one. Clients of the old cluster are
    told that it was replaced.
    """
    name = cluster or os.environ.get("COORD_CLUSTER") or clusters.DEFAULT_NAME
    say = (lambda text: None) if quiet or output == "json" else screen.note
    path = backups.chosen(backup, os.path.basename(name))
    done = restore_here(path, clusters.folder_of(name), nodes, dry_run=dry_run, timeout_seconds=timeout_seconds, say=say)
    return show(done, quiet=quiet, output=output)


def show(done: Restored, *, quiet: bool, output: str) -> int:
    if output == "json":
        screen.json_line(done)
    elif not quiet:
        when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(done.taken_unix_s))
        over = f"{done.sessions_over} session{' is' if done.sessions_over == 1 else 's are'} over"
        screen.line(f"{done.cluster}: {done.outcome} the state of {when}, revision {done.revision}, on {', '.join(done.members)}")
        screen.line(f"{over}; the first token will be {done.first_token}; cluster {done.cluster_id} in place of {done.replaces}")
    return done.exit_code


def main(argv: list[str]) -> int:
    return run(command, argv, "restore", Kind.PROBE if "--dry-run" in argv else Kind.ACTION)
