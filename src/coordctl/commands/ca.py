"""`coordctl ca`: init, issue, renew, rotate, revoke, show"""

import click

from coordctl.commands import options
from coordctl.commands.deploy import EPILOG as PUSH_EPILOG
from coordctl.commands.deploy import Progress, check_reason, reason_option
from coordctl.commands.inventory import inventory_option
from coordctl.inventory import places
from coordctl.operations import certificates
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run_group
from coordctl.results.ca import ShownCertificate

EPILOG = "Exit codes: 0 done or answered; each verb explains the others."
SOON_DAYS = 30


@click.command(epilog=EXPLAINED[Kind.ACTION])
@inventory_option
@options.quiet
@output
def init_command(cluster: str, quiet: bool, output: str) -> int:
    """Make the authority of a cluster, in NAME.ca beside its inventory. `deploy` does so by itself."""
    made = certificates.init(places.chosen(cluster))
    if output == "json":
        screen.json_line(made)
    elif not quiet:
        screen.line(f"{made.cluster}: authority in {screen.short_path(made.folder)}; who has ca.key there can let anybody in")
    return made.exit_code


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.argument("name")
@inventory_option
@click.option("--days", type=click.IntRange(1, 3_650), help="How long it lives; one that exists is made anew. Default: the inventory's.")
@options.quiet
@output
def issue_command(name: str, cluster: str, days: int | None, quiet: bool, output: str) -> int:
    """Make a certificate for the client NAME, and say in which folder it is. It can never stand in for a member."""
    made = certificates.issue(places.chosen(cluster), name, days)
    if output == "json":
        screen.json_line(made)
    elif not quiet:
        screen.line(f"COORD_TLS={made.folder}")
    return made.exit_code


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.argument("names", nargs=-1)
@inventory_option
@output
def renew_command(names: tuple[str, ...], cluster: str, output: str) -> int:
    """Make the certificates of NAMES anew, or all of them. Members have theirs once `deploy` has run."""
    made = certificates.renew(places.chosen(cluster), names)
    if output == "json":
        screen.json_line(made)
    else:
        _table(made.certificates)
    return made.exit_code


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.argument("name")
@inventory_option
@reason_option
@options.quiet
@output
def revoke_command(name: str, cluster: str, reason: str, quiet: bool, output: str) -> int:
    """Put the certificate of a member or client on the list of those that nobody believes; `config push` brings it to the members."""
    inventory = places.chosen(cluster)
    check_reason(inventory, reason)
    made = certificates.revoke(inventory, name, reason)
    if output == "json":
        screen.json_line(made)
    elif not quiet:
        screen.line(f"{name}: {made.fingerprint[:16]} is revoked; members know it after: coordctl config push -c {cluster}")
    return made.exit_code


@click.command(epilog=PUSH_EPILOG)
@inventory_option
@click.option("--through", is_flag=True, help="All stages at once, although there are clients whose folders were copied elsewhere.")
@reason_option
@options.quiet
@output
def rotate_command(cluster: str, through: bool, reason: str, quiet: bool, output: str) -> int:
    """Replace the authority and every certificate, while all members serve.

    In three stages: both authorities are believed; the new one signs, and everything is issued anew; the old one is forgotten. Members are
    brought each at once. Where clients have folders of their own it stops after each: copy NAME.ca/clients to where they are
    used, then run it again. Whoever lives for long reads its folder anew.
    """
    from coordctl.operations.rotating import rotate  # paramiko

    inventory = places.chosen(cluster)
    check_reason(inventory, reason)
    done = rotate(inventory, reason, through, Progress(quiet=quiet, output=output))
    if output == "json":
        screen.json_line(done)
    elif not quiet or done.exit_code:
        screen.line(f"{done.cluster}: {done.sentence}")
    return done.exit_code


@click.command(epilog=EXPLAINED[Kind.QUERY])
@inventory_option
@output
def show_command(cluster: str, output: str) -> int:
    """What was issued, and until when it holds."""
    found = certificates.show(places.chosen(cluster))
    if output == "json":
        screen.json_line(found)
    else:
        _table(found.certificates)
        screen.line(f"source: {screen.short_path(found.folder)}")
    return found.exit_code


def _table(found: list[ShownCertificate]) -> None:
    rows = [
        [one.kind, one.name, screen.coloured(f"{one.days_left}d", screen.YELLOW) if one.days_left < SOON_DAYS else f"{one.days_left}d",
         one.fingerprint[:16]]
        for one in found
    ]  # fmt: skip
    screen.lines(screen.aligned(("kind", "name", "left", "sha256"), rows))


VERBS = {
    "init": (init_command, Kind.ACTION),
    "issue": (issue_command, Kind.ACTION),
    "renew": (renew_command, Kind.ACTION),
    "rotate": (rotate_command, Kind.ACTION),
    "revoke": (revoke_command, Kind.ACTION),
    "show": (show_command, Kind.QUERY),
}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "ca", "The certificates of a cluster's members and clients.", EPILOG)
