"""`coordctl upgrade`: run, status, pause, resume, abort"""

import time
from typing import TYPE_CHECKING

import click

from coordctl.commands import options
from coordctl.commands.deploy import Progress, check_reason, reason_option
from coordctl.commands.inventory import inventory_option
from coordctl.commands.units import DURATION
from coordctl.inventory import places
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run_group
from coordctl.results.upgrade import UpgradeAborted, Upgraded, UpgradePaused, UpgradeResumed, UpgradeRun, UpgradeStatus

if TYPE_CHECKING:
    from coordctl.operations.upgrading import Upgrading

RISKS = ("no-backup", "outage", "dead-operator")
EPILOG = (
    "Exit codes: 0 done, and all is healthy; 1 a gate failed: it was rolled back, or stands still, and why is said; 64 usage; 69 a host is "
    "unreachable; 76 refused, nothing was changed; 130 interrupted. With --dry-run: 0 nothing to do; 1 it would change something."
)
COLOURS = {"upgraded": screen.GREEN, "back": screen.GREEN, "unchanged": screen.GREEN, "left": screen.RED}

to_option = click.option(
    "--to", "to", metavar="FILE|VERSION", multiple=True, help="A build in a file, or a version that lies on the hosts. Default: our own."
)
accept_option = click.option(
    "--accept", "accepted", type=click.Choice(RISKS), multiple=True, help="Pass this gate although it is shut, once; with --reason."
)


@click.command(epilog=EPILOG)
@inventory_option
@to_option
@click.option("--bake", "bake_seconds", type=DURATION, default="30s", show_default=True, help="How long each leads under the canary.")
@click.option("--healthy-within", "healthy_seconds", type=DURATION, default="60s", show_default=True, help="So long a member may take.")
@click.option("--hold-level", is_flag=True, help="Leave the feature level as it is: only so there is a way back later.")
@click.option("--dry-run", is_flag=True, help="Ask the hosts and show what would be done, and change nothing.")
@accept_option
@reason_option
@options.quiet
@output
def run_command(
    cluster: str,
    to: tuple[str, ...],
    bake_seconds: float,
    healthy_seconds: float,
    hold_level: bool,
    dry_run: bool,
    accepted: tuple[str, ...],
    reason: str,
    quiet: bool,
    output: str,
) -> int:
    """Bring all members to another version, up or down, one after the other, with gates and a way back.

    Each member is switched, probed beside the others, and leads for a while under the canary before the next is touched. Where one does
    not stand this, all are switched back.
    """
    from coordctl.operations.upgrading import Wanted  # paramiko

    upgrading = _upgrading("upgrade run", cluster, reason, accepted, quiet=quiet, output=output)
    wanted = Wanted(to, round(bake_seconds * 1000), round(healthy_seconds * 1000), hold_level)
    return _show(upgrading.run(UpgradeRun, wanted, dry_run=dry_run), quiet=quiet, output=output)


@click.command(epilog=EXPLAINED[Kind.QUERY])
@inventory_option
@click.option("--history", is_flag=True, help="Every step that was begun, and by whom.")
@output
def status_command(cluster: str, history: bool, output: str) -> int:
    """How far it is, as the hosts and the cluster have it written down."""
    found = _upgrading("upgrade status", cluster, "", (), quiet=True, output=output, is_change=False).status(UpgradeStatus)
    if history and output != "json":
        screen.lines(f"{screen.clock_ms(one.unix_ms)}  {one.who}  {one.what}" for one in found.history)
    return _show(found, quiet=False, output=output)


@click.command(epilog=EXPLAINED[Kind.ACTION])
@inventory_option
@accept_option
@reason_option
@options.quiet
@output
def pause_command(cluster: str, accepted: tuple[str, ...], reason: str, quiet: bool, output: str) -> int:
    """Let it stand still after the step that is under way; done once it does."""
    upgrading = _upgrading("upgrade pause", cluster, reason, accepted, quiet=quiet, output=output)
    return _show(upgrading.pause(UpgradePaused), quiet=quiet, output=output)


@click.command(epilog=EPILOG)
@inventory_option
@to_option
@accept_option
@reason_option
@options.quiet
@output
def resume_command(cluster: str, to: tuple[str, ...], accepted: tuple[str, ...], reason: str, quiet: bool, output: str) -> int:
    """Go on with one that stands still, or whose command was killed; from any machine that has the inventory."""
    upgrading = _upgrading("upgrade resume", cluster, reason, accepted, quiet=quiet, output=output)
    return _show(upgrading.resume(UpgradeResumed, to), quiet=quiet, output=output)


@click.command(epilog=EPILOG)
@inventory_option
@accept_option
@reason_option
@options.quiet
@output
def abort_command(cluster: str, accepted: tuple[str, ...], reason: str, quiet: bool, output: str) -> int:
    """Switch every member back that was switched; also without a quorum, and from any machine that has the inventory."""
    upgrading = _upgrading("upgrade abort", cluster, reason, accepted, quiet=quiet, output=output)
    return _show(upgrading.abort(UpgradeAborted), quiet=quiet, output=output)


def _upgrading(
    verb: str, cluster: str, reason: str, accepted: tuple[str, ...], *, quiet: bool, output: str, is_change: bool = True
) -> "Upgrading":
    from coordctl.operations.upgrading import Upgrading

    inventory = places.chosen(cluster)
    if is_change:
        check_reason(inventory, reason)
    return Upgrading(inventory, verb, reason, accepted, Progress(quiet=quiet, output=output))


def _show(found: Upgraded, *, quiet: bool, output: str) -> int:
    if output == "json":
        screen.json_line(found)
        return found.exit_code
    if not quiet and found.hosts:
        rows = [[one.name, one.current or "-", screen.coloured(one.state, COLOURS.get(one.state, screen.YELLOW))] for one in found.hosts]
        screen.lines(screen.aligned(("host", "version", "state"), rows))
    for one in found.noted:
        screen.note(f"{'!!' if one.level == 'stops' else '!'} {one.host}: {one.sentence}: {one.remedy}")
    for host in found.hosts:
        if host.trouble:
            screen.error(host.trouble)
    if not quiet and found.next:
        screen.line(f"next: {found.next}{_noted_last(found)}")
    if not quiet or found.exit_code:
        screen.line(f"{found.cluster}: {found.sentence} ({found.elapsed_ms / 1000:.1f} s)")
    return found.exit_code


def _noted_last(found: Upgraded) -> str:
    """A driver that is gone says nothing of it: but it notes nothing any more, either."""
    if not found.history:
        return ""
    newest = found.history[-1]
    return f" (noted {screen.short_seconds(max(0, int(time.time() - newest.unix_ms / 1000)))} ago by {newest.who})"


VERBS = {
    "run": (run_command, Kind.ACTION),
    "status": (status_command, Kind.QUERY),
    "pause": (pause_command, Kind.ACTION),
    "resume": (resume_command, Kind.ACTION),
    "abort": (abort_command, Kind.ACTION),
}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "upgrade", "Another version on every member, one after the other, with gates and a way back.", EPILOG)
