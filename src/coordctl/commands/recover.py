"""`coordctl recover`"""

import os

import click

from coordctl.commands import confirming, options
from coordctl.commands.deploy import Progress, check_reason, reason_option, show
from coordctl.inventory import places
from coordctl.local import clusters
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, REFUSED, Kind
from coordctl.report.running import output, run
from coordctl.results.backup import Recovered
from coordnode.errors import BadRequest


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.option("--accept", type=click.Choice(["data-loss"]), help="What may be lost, as it is said without this, may be lost.")
@confirming.yes
@confirming.confirm
@reason_option
@options.cluster
@options.timeout("60s")
@options.quiet
@output
def command(
    accept: str | None, yes: bool, confirm: str, reason: str, cluster: str, timeout_seconds: float, quiet: bool, output: str
) -> int:
    """The quorum is lost for good: make a new cluster of what the member that is left, or the best of several, has.

    Without --accept it ranks what is left, says what may be lost, and touches nothing (76). Old folders are put aside, never removed;
    what the best had is kept as a backup, too. As after `restore`, sessions are over and no old token counts.
    """
    from coordctl.operations import recovering

    name = cluster or os.environ.get("COORD_CLUSTER", "")
    say = Progress(quiet=quiet, output=output)
    is_accepted = accept is not None
    if is_accepted and not reason:
        raise BadRequest("--accept wants to know why: say so with --reason")
    known = None if name.endswith(places.SUFFIX) or name in places.names() else clusters.chosen_local(cluster)
    if known is None or known.inventory:
        from coordctl.operations.recovering_fleet import Recovery  # paramiko

        inventory = places.chosen(name if known is None else known.inventory)
        if is_accepted:
            check_reason(inventory, reason)
            if not confirming.is_confirmed(inventory, "Give up the quorum of", yes=yes, confirm=confirm):
                return REFUSED
        return _show(Recovery(inventory, reason, say).run(is_accepted=is_accepted), quiet=quiet, output=output)
    clusters.must_be_own(known.engine)
    if not is_accepted:
        return _show(recovering.refused_here(known), quiet=quiet, output=output)
    return _show(recovering.recover_here(known, reason, timeout_seconds=timeout_seconds, say=say), quiet=quiet, output=output)


def _show(done: Recovered, *, quiet: bool, output: str) -> int:
    if output != "json" and not quiet:
        headings = ("left", "term", "last entry", "committed", "trouble")
        rows = [[one.name, str(one.term), str(one.index), str(one.committed), "; ".join(one.troubles) or "-"] for one in done.survivors]
        screen.lines(screen.aligned(headings, rows, right=headings[1:4]))
        if done.lost:
            screen.line(f"nothing is left of {', '.join(done.lost)}")
        for name, why in done.unasked.items():
            screen.line(f"{name} was not asked, and may have more: {why}")
    return show(done, quiet=quiet, output=output)


def main(argv: list[str]) -> int:
    return run(command, argv, "recover", Kind.ACTION)
