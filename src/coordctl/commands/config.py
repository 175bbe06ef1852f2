"""`coordctl config`: diff, push, reload"""

import click

from coordctl.commands import options
from coordctl.commands.deploy import EPILOG as PUSH_EPILOG
from coordctl.commands.deploy import Progress, check_reason, reason_option, show_worked
from coordctl.commands.inventory import inventory_option
from coordctl.inventory import places
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run, run_group
from coordctl.results.config import ConfigDiff, ConfigPushed, ConfigReloaded

ABOUT = "Settings and certificates of a fleet's members, beside its inventory."
EPILOG = "Exit codes: 0 done or alike; each verb explains the others."
DIFF_EPILOG = "Exit codes: 0 alike; 1 something differs; 3 a host could not be asked; 64 usage; 130 interrupted."


@click.command(epilog=DIFF_EPILOG)
@inventory_option
@output
def diff_command(cluster: str, output: str) -> int:
    """What hosts and members have that is not as the inventory has it, and what each difference needs to be gone."""
    from coordctl.operations.configuring import Configuring  # paramiko

    found = Configuring(places.chosen(cluster), "config diff", "", lambda _text: None).diff()
    if output == "json":
        screen.json_line(found)
    else:
        _show(found)
    return found.exit_code


def _show(found: ConfigDiff) -> None:
    rows = [[host.name, one.setting, one.inventory or "-", one.host or "-", one.needs] for host in found.hosts for one in host.drifts]
    if rows:
        screen.lines(screen.aligned(("host", "setting", "inventory", "is", "needs"), rows))
    for host in found.hosts:
        if host.trouble:
            screen.error(host.trouble)
    screen.line(f"{found.cluster}: {found.sentence}")
    screen.line(f"sources: SSH {found.sources_answered}/{found.sources_asked}")


@click.command(epilog=PUSH_EPILOG)
@inventory_option
@click.option("--dry-run", is_flag=True, help="Ask the hosts, show what would be done on each, and change nothing.")
@reason_option
@options.quiet
@output
def push_command(cluster: str, dry_run: bool, reason: str, quiet: bool, output: str) -> int:
    """Write the inventory's settings and the certificates to the hosts, and have members take them over.

    Without a restart where that is possible; else one member after the other is restarted, each healthy before the next.
    """
    from coordctl.operations.configuring import Configuring  # paramiko

    inventory = places.chosen(cluster)
    check_reason(inventory, reason)
    worked = Configuring(inventory, "config push", reason, Progress(quiet=quiet, output=output)).push(is_dry=dry_run)
    return show_worked(ConfigPushed, inventory, worked, quiet=quiet, output=output)


@click.command(epilog=EXPLAINED[Kind.ACTION])
@inventory_option
@reason_option
@options.quiet
@output
def reload_command(cluster: str, reason: str, quiet: bool, output: str) -> int:
    """Have members read anew what is on their hosts. None is restarted; what waits for that is named, and the exit code is 1."""
    from coordctl.operations.configuring import Configuring  # paramiko

    inventory = places.chosen(cluster)
    check_reason(inventory, reason)
    worked = Configuring(inventory, "config reload", reason, Progress(quiet=quiet, output=output)).reload()
    return show_worked(ConfigReloaded, inventory, worked, quiet=quiet, output=output)


VERBS = {
    "diff": (diff_command, Kind.PROBE),
    "push": (push_command, Kind.ACTION),
    "reload": (reload_command, Kind.ACTION),
}


def main(argv: list[str]) -> int:
    if argv[:1] == ["push"] and "--dry-run" in argv:
        return run(push_command, argv[1:], "config push", Kind.PROBE)
    return run_group(VERBS, argv, "config", ABOUT, EPILOG)
