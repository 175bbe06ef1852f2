"""`coordctl start`"""

import click

from coordctl.commands import options
from coordctl.commands.deploy import Progress, check_reason, reason_option, show_worked
from coordctl.commands.inventory import inventory_option
from coordctl.inventory import places
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run
from coordctl.results.deploy import Started


@click.command(epilog=EXPLAINED[Kind.ACTION])
@inventory_option
@reason_option
@options.quiet
@output
def command(cluster: str, reason: str, quiet: bool, output: str) -> int:
    """Start the members that do not run, and wait until all are healthy."""
    from coordctl.operations.running import Running  # paramiko

    inventory = places.chosen(cluster)
    check_reason(inventory, reason)
    worked = Running(inventory, "start", reason, Progress(quiet=quiet, output=output)).start()
    return show_worked(Started, inventory, worked, quiet=quiet, output=output)


def main(argv: list[str]) -> int:
    return run(command, argv, "start", Kind.ACTION)
