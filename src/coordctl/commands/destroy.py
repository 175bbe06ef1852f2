"""`coordctl destroy`"""

import click

from coordctl.commands import confirming, options
from coordctl.commands.deploy import Progress, check_reason, reason_option, show_worked
from coordctl.commands.inventory import inventory_option
from coordctl.inventory import places
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, REFUSED, Kind
from coordctl.report.running import output, run
from coordctl.results.deploy import Destroyed


@click.command(epilog=EXPLAINED[Kind.ACTION])
@inventory_option
@click.option("--purge", is_flag=True, help="Also what the members have stored: nobody gets it back.")
@confirming.yes
@confirming.confirm
@reason_option
@options.quiet
@output
def command(cluster: str, purge: bool, yes: bool, confirm: str, reason: str, quiet: bool, output: str) -> int:
    """List what `deploy` has put on the hosts, and remove it; what the members have stored stays unless --purge is given."""
    from coordctl.operations.running import Running  # paramiko

    inventory = places.chosen(cluster)
    check_reason(inventory, reason)
    progress = Progress(quiet=quiet, output=output)
    lines, failed = Running(inventory, "destroy", reason, progress).removal(purge=purge)
    if failed is not None:
        return show_worked(Destroyed, inventory, failed, quiet=quiet, output=output)
    for line in lines:
        screen.note(line)
    what = "Remove this and all data of" if purge else "Remove this of"
    if lines and not confirming.is_confirmed(inventory, what, yes=yes, confirm=confirm):
        return REFUSED
    worked = Running(inventory, "destroy", reason, Progress(quiet=True, output=output)).destroy(purge=purge)
    return show_worked(Destroyed, inventory, worked, quiet=quiet, output=output)


def main(argv: list[str]) -> int:
    return run(command, argv, "destroy", Kind.ACTION)
