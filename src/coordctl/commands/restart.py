"""`coordctl restart`"""

import click

from coordctl.commands import confirming, options
from coordctl.commands.deploy import Progress, check_reason, reason_option, show_worked
from coordctl.commands.inventory import inventory_option
from coordctl.inventory import places
from coordctl.report.exits import EXPLAINED, REFUSED, Kind
from coordctl.report.running import output, run
from coordctl.results.deploy import Restarted


@click.command(epilog=EXPLAINED[Kind.ACTION])
@inventory_option
@click.option("--rolling", is_flag=True, help="One after the other, each healthy before the next, the leader last: no outage.")
@confirming.yes
@confirming.confirm
@reason_option
@options.quiet
@output
def command(cluster: str, rolling: bool, yes: bool, confirm: str, reason: str, quiet: bool, output: str) -> int:
    """Stop all members and start them again, or one after the other with --rolling."""
    from coordctl.operations.running import Running  # paramiko

    inventory = places.chosen(cluster)
    check_reason(inventory, reason)
    if not rolling and not confirming.is_confirmed(inventory, "Stop and start all members at once of", yes=yes, confirm=confirm):
        return REFUSED
    worked = Running(inventory, "restart", reason, Progress(quiet=quiet, output=output)).restart(rolling=rolling)
    return show_worked(Restarted, inventory, worked, quiet=quiet, output=output)


def main(argv: list[str]) -> int:
    return run(command, argv, "restart", Kind.ACTION)
