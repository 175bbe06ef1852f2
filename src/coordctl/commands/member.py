"""`coordctl member`: ls, add, remove, replace, promote, demote, lead, drain, undrain"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coordctl.commands import confirming, options
from coordctl.commands.deploy import Progress, check_reason, reason_option
from coordctl.commands.inventory import inventory_option
from coordctl.commands.units import DURATION
from coordctl.inventory import places
from coordctl.operations import identities, members
from coordctl.operations.members import Changed
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, REFUSED, UNREACHABLE, Kind
from coordctl.report.running import output, run, run_group
from coordctl.results.member import (
    LeaderMoved,
    MemberDrained,
    MemberReplaced,
    MemberRow,
    MembersAdded,
    MembersChanged,
    MembersDemoted,
    MembersPromoted,
    MembersRemoved,
    MemberUndrained,
)

if TYPE_CHECKING:
    from coordctl.operations.changing import Changing
    from coordctl.operations.steering import Steering

ABOUT = "Who belongs to a cluster, and who leads it."
EPILOG = "Exit codes: 0 done or answered; each verb explains the others."
CHANGE_EPILOG = (
    "Exit codes: 0 done, and seen to be so; 1 failed, what was done is said and running it again goes on from there; 64 usage; 69 a host "
    "or the quorum is not reached; 76 refused: one more failure would then be an outage, or another operator is at work; 130 interrupted. "
    "With --dry-run: 0 nothing to do; 1 it would change something; 76 it would be refused."
)
COLOURS = {"ok": screen.GREEN, "UNREACHABLE": screen.RED, "NOT READY": screen.YELLOW, "BEHIND": screen.YELLOW}
RISKS = ("no-spare", "one-zone")

F = TypeVar("F", bound=Callable[..., Any])


def _change_options(command: F) -> F:
    for option in reversed(
        [
            inventory_option,
            click.option("--dry-run", is_flag=True, help="Ask hosts and members, show the steps, and change nothing."),
            click.option("--accept", type=click.Choice(RISKS), default=None, help="One more failure may be an outage; needs --reason."),
            reason_option,
            options.quiet,
            output,
        ]
    ):
        command = option(command)
    return command


# --- ls ------------------------------------------------------------------------------------------------------------


@click.command(epilog=EXPLAINED[Kind.QUERY])
@options.cluster
@options.endpoints
@options.timeout("5s")
@output
def ls_command(cluster: str, endpoints: str, timeout_seconds: float, output: str) -> int:
    """Who belongs to the cluster, as its members say, and which hosts of its inventory do not."""
    target = members.target(endpoints, cluster)
    hosts = target.inventory.hosts if target.inventory is not None else ()
    found = members.listed(target.name, target.endpoints, hosts, identities.names(target.inventory), timeout_seconds)
    if output == "json":
        screen.json_line(found)
        return found.exit_code
    _table(found.members)
    for row in found.members:
        if row.drained:
            screen.line(f"{row.name} is {row.drained}")
    if found.is_changing:
        screen.line("a change of voters is under way")
    screen.line(f"can lose: {found.can_lose} more voter{'' if found.can_lose == 1 else 's'}")
    screen.line(f"sources: API {found.sources_answered}/{found.sources_asked}")
    return found.exit_code


def _table(rows: list[MemberRow]) -> None:
    shown = [
        [
            row.name,
            row.role,
            screen.coloured(row.state, COLOURS.get(row.state, "0")) if row.state else "-",
            "-" if row.lag is None else str(row.lag),
            row.zone or "-",
            row.address,
        ]
        for row in rows
    ]
    screen.lines(screen.aligned(("member", "role", "state", "lag", "zone", "address"), shown, right=("lag",)))


# --- changes -------------------------------------------------------------------------------------------------------


@click.command(epilog=CHANGE_EPILOG)
@click.argument("names", nargs=-1, required=True)
@click.option("--learner", is_flag=True, help="Leave them learners: they have all that is stored, and no vote.")
@_change_options
def add_command(names: tuple[str, ...], learner: bool, **said: Any) -> int:
    """Make hosts of the inventory members: learners until they have caught up, then voters, all in one change."""
    return _change("add", MembersAdded, lambda changing: changing.add(_once(names), as_learners=learner), **said)


@click.command(epilog=CHANGE_EPILOG)
@click.argument("names", nargs=-1, required=True)
@click.option("--purge", is_flag=True, help="Also remove what they have stored; else it is put aside on the host.")
@confirming.yes
@confirming.confirm
@_change_options
def remove_command(names: tuple[str, ...], purge: bool, yes: bool, confirm: str, **said: Any) -> int:
    """Take members out of the cluster, the leadership away from them first, and stop them for good."""
    what = f"Take {', '.join(names)} out of"
    confirmed = (yes, confirm, what)
    return _change("remove", MembersRemoved, lambda changing: changing.remove(_once(names)), purge=purge, confirmed=confirmed, **said)


@click.command(epilog=CHANGE_EPILOG)
@click.argument("name")
@click.option("--with", "by", metavar="HOST", default="", help="Default: the same host if it is reached, else the spare that fits best.")
@click.option("--purge", is_flag=True, help="Also remove what the old member has stored; else it is put aside on the host.")
@_change_options
def replace_command(name: str, by: str, purge: bool, **said: Any) -> int:
    """Put a new member in the place of NAME, whether that runs, is dead, or has lost its data: one change of voters."""
    return _change("replace", MemberReplaced, lambda changing: changing.replace(name, by), purge=purge, **said)


@click.command(epilog=CHANGE_EPILOG)
@click.argument("names", nargs=-1, required=True)
@_change_options
def promote_command(names: tuple[str, ...], **said: Any) -> int:
    """Make learners voters, once they have caught up."""
    return _change("promote", MembersPromoted, lambda changing: changing.promote(_once(names)), **said)


@click.command(epilog=CHANGE_EPILOG)
@click.argument("names", nargs=-1, required=True)
@_change_options
def demote_command(names: tuple[str, ...], **said: Any) -> int:
    """Make voters learners: they keep all that is stored, and have no vote."""
    return _change("demote", MembersDemoted, lambda changing: changing.demote(_once(names)), **said)


# --- who leads, and whom to leave alone -----------------------------------------------------------------------------


def _steer_options(command: F) -> F:
    for option in reversed([options.cluster, options.endpoints, reason_option, options.quiet, output]):
        command = option(command)
    return command


@click.command(epilog=CHANGE_EPILOG)
@click.argument("name")
@_steer_options
def lead_command(name: str, **said: Any) -> int:
    """Hand the leadership to a voter."""
    return _steer("lead", LeaderMoved, lambda steering: steering.lead(name), **said)


@click.command(epilog=CHANGE_EPILOG)
@click.argument("name")
@click.option("--for", "for_seconds", type=DURATION, required=True, help="How long you are at work on it: up to 24h.")
@click.option("--accept", type=click.Choice(["no-spare"]), default=None, help="Without it there may be an outage; needs --reason.")
@_steer_options
def drain_command(name: str, for_seconds: float, accept: str | None, **said: Any) -> int:
    """Move the leadership away from a member that you are about to work on, and silence canary, health and alerts about it for so long.

    It ends by itself, or with undrain. Should it be elected meanwhile, it hands the leadership on.
    """
    return _steer("drain", MemberDrained, lambda steering: steering.drain(name, for_seconds), accept=accept or "", **said)


@click.command(epilog=CHANGE_EPILOG)
@click.argument("name")
@_steer_options
def undrain_command(name: str, **said: Any) -> int:
    """The work on it is done: it may lead again, and is missed when it is gone."""
    return _steer("undrain", MemberUndrained, lambda steering: steering.undrain(name), **said)


def _steer(
    verb: str,
    kind: type[MembersChanged],
    work: "Callable[[Steering], Changed]",
    *,
    cluster: str,
    endpoints: str,
    reason: str,
    quiet: bool,
    output: str,
    accept: str = "",
) -> int:
    from coordctl.operations.steering import Steering  # the client

    target = members.target(endpoints, cluster)
    if target.inventory is not None:
        check_reason(target.inventory, reason)
    found = work(Steering(target, f"member {verb}", reason, accept, Progress(quiet=quiet, output=output)))
    return _show(kind(cluster=target.name, **found._asdict()), quiet=quiet, output=output)


def _once(names: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(names))


def _change(
    verb: str,
    kind: type[MembersChanged],
    work: "Callable[[Changing], Changed]",
    *,
    cluster: str,
    dry_run: bool,
    accept: str | None,
    reason: str,
    quiet: bool,
    output: str,
    purge: bool = False,
    confirmed: tuple[bool, str, str] | None = None,
) -> int:
    from coordctl.operations.changing import Asked, Changing  # paramiko

    inventory = places.chosen(cluster)
    check_reason(inventory, reason)
    if confirmed is not None and not dry_run:
        yes, confirm, what = confirmed
        if not confirming.is_confirmed(inventory, what, yes=yes, confirm=confirm):
            return REFUSED
    asked = Asked(reason, accept or "", dry_run, purge)
    found = work(Changing(inventory, f"member {verb}", asked, Progress(quiet=quiet, output=output)))
    return _show(kind(cluster=inventory.name, **found._asdict()), quiet=quiet, output=output)


def _show(changed: MembersChanged, *, quiet: bool, output: str) -> int:
    if output == "json":
        screen.json_line(changed)
        return changed.exit_code
    if changed.exit_code in (REFUSED, UNREACHABLE) or changed.outcome == "failed":
        screen.error(changed.sentence)
        return changed.exit_code
    if not quiet:
        screen.lines(changed.steps)
        screen.line(f"{changed.cluster}: {changed.sentence} ({changed.elapsed_ms / 1000:.1f} s)")
    return changed.exit_code


VERBS = {
    "ls": (ls_command, Kind.QUERY),
    "add": (add_command, Kind.ACTION),
    "remove": (remove_command, Kind.ACTION),
    "replace": (replace_command, Kind.ACTION),
    "promote": (promote_command, Kind.ACTION),
    "demote": (demote_command, Kind.ACTION),
    "lead": (lead_command, Kind.ACTION),
    "drain": (drain_command, Kind.ACTION),
    "undrain": (undrain_command, Kind.ACTION),
}


def main(argv: list[str]) -> int:
    if "--dry-run" in argv and argv[0] in VERBS:
        return run(VERBS[argv[0]][0], argv[1:], f"member {argv[0]}", Kind.PROBE)
    return run_group(VERBS, argv, "member", ABOUT, EPILOG)
