"""`coordctl deploy`"""

from typing import TYPE_CHECKING

import click

from coordctl.commands import options
from coordctl.commands.inventory import inventory_option
from coordctl.inventory import places
from coordctl.inventory.model import Inventory
from coordctl.report import screen
from coordctl.report.exits import Kind
from coordctl.report.running import output, run
from coordctl.results.deploy import FleetDone
from coordnode.errors import BadRequest

if TYPE_CHECKING:
    from coordctl.operations.running import Worked

EPILOG = (
    "Exit codes: 0 done, and the cluster is healthy; 1 failed, what was done is listed and running it again goes on from there; 64 usage; "
    "69 a host is unreachable; 76 refused, nothing was changed; 130 interrupted. With --dry-run: 0 nothing to do; 1 it would change "
    "something."
)
COLOURS = {"done": screen.GREEN, "unchanged": screen.GREEN, "would change": screen.YELLOW}

reason_option = click.option("--reason", metavar="TEXT", default="", help="Why; written down, and shown to other operators.")


@click.command(epilog=EPILOG)
@inventory_option
@click.option("--dry-run", is_flag=True, help="Ask the hosts, show what would be done on each, and change nothing.")
@reason_option
@options.quiet
@output
def command(cluster: str, dry_run: bool, reason: str, quiet: bool, output: str) -> int:
    """Make the hosts run the cluster as its inventory has it: from nothing, or from whatever is there.

    Hosts need Python 3.11 and sshd; the rest is sent. What runs is changed one member after the other, each healthy before the next.
    """
    from coordctl.operations.deploying import Deployment  # paramiko

    inventory = places.chosen(cluster)
    check_reason(inventory, reason)
    done = Deployment(inventory, reason, Progress(quiet=quiet, output=output)).run(dry_run=dry_run)
    return show(done, quiet=quiet, output=output)


def check_reason(inventory: Inventory, reason: str) -> None:
    if inventory.environment == "prod" and not reason:
        raise BadRequest(f"{inventory.name} is prod: say why with --reason")


class Progress:
    """A line for each thing that is begun; on standard error, for a person."""

    def __init__(self, *, quiet: bool, output: str) -> None:
        self._is_silent = quiet or output == "json"

    def __call__(self, text: str) -> None:
        if not self._is_silent:
            screen.note(text)


def show(done: FleetDone, *, quiet: bool, output: str) -> int:
    if output == "json":
        screen.json_line(done)
        return done.exit_code
    if not quiet:
        for host in done.hosts:
            mark = screen.coloured(host.outcome, COLOURS.get(host.outcome, screen.RED))
            screen.line(f"{host.name}  {mark}" + (f"  {'; '.join(host.steps)}" if host.steps else ""))
    for one in done.noted:
        screen.note(f"{'!!' if one.level == 'stops' else '!'} {one.host}: {one.sentence}: {one.remedy}")
    for host in done.hosts:
        if host.trouble:
            screen.error(host.trouble)
    if not quiet or done.exit_code:
        screen.line(f"{done.cluster}: {done.sentence} ({done.elapsed_ms / 1000:.1f} s)")
    return done.exit_code


def show_worked(kind: type[FleetDone], inventory: Inventory, worked: "Worked", *, quiet: bool, output: str) -> int:
    done = kind(
        outcome=worked.outcome,
        exit_code=worked.exit_code,
        cluster=inventory.name,
        sentence=worked.sentence,
        hosts=worked.hosts,
        noted=[],
        elapsed_ms=worked.elapsed_ms,
    )
    return show(done, quiet=quiet, output=output)


def main(argv: list[str]) -> int:
    kind = Kind.PROBE if "--dry-run" in argv else Kind.ACTION
    return run(command, argv, "deploy", kind)
