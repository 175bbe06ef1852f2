"""`coordctl stop`"""

import click

from coordctl.commands import confirming, options
from coordctl.commands.deploy import Progress, check_reason, reason_option, show_worked
from coordctl.commands.inventory import inventory_option
from coordctl.inventory import places
from coordctl.report.exits import EXPLAINED, REFUSED, Kind
from coordctl.report.running import output, run
from coordctl.results.deploy import Stopped


@click.command(epilog=EXPLAINED[Kind.ACTION])
@inventory_option
@confirming.yes
@confirming.confirm
@reason_option
@options.quiet
@output
def command(cluster: str, yes: bool, confirm: str, reason: str, quiet: bool, output: str) -> int:
    """Stop all members: an outage until `coordctl start`. Their data is kept."""
    from coordctl.operations.running import Running  # paramiko

    inventory = places.chosen(cluster)
    check_reason(inventory, reason)
    if not confirming.is_confirmed(inventory, "Stop all members of", yes=yes, confirm=confirm):
        return REFUSED
    worked = Running(inventory, "stop", reason, Progress(quiet=quiet, output=output)).stop()
    return show_worked(Stopped, inventory, worked, quiet=quiet, output=output)


def main(argv: list[str]) -> int:
    return run(command, argv, "stop", Kind.ACTION)
