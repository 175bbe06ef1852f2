"""`coordctl copy`"""

import os

import click

from coordctl.commands import options
from coordctl.local.clusters import Chosen, chosen
from coordctl.operations.copying import Copying
from coordctl.report import screen
from coordctl.report.exits import Kind
from coordctl.report.running import output, run
from coordctl.results.copy import Copied

EPILOG = (
    "Exit codes: 0 every key is at the target with its value; 1 some are not, each is named, or a dry run would write; 64 usage; "
    "69 unreachable, no quorum, or it took too long; 77 not permitted; 130 interrupted."
)
SHOWN_MAX = 20


@click.command(epilog=EPILOG)
@click.argument("prefix", default="")
@click.option("--to", "target", metavar="CLUSTER", required=True, help="A local cluster, or members as --endpoints takes them.")
@click.option("--overwrite", "overwrites", is_flag=True, help="Also keys that have another value there.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would be written, and write nothing.")
@options.cluster
@options.endpoints
@options.timeout("10m")
@output
def command(
    prefix: str, target: str, overwrites: bool, is_dry: bool, cluster: str, endpoints: str, timeout_seconds: float, output: str
) -> int:
    """Copy keys that begin with PREFIX to another cluster, of whichever engine, then compare both.

    Keys that are bound to a session stay where they are, and as they are at the target; nothing there is deleted. Run again, it goes on.
    """
    copying = Copying(chosen(endpoints, cluster), _target(target), os.fsencode(prefix), timeout_seconds)
    found = copying.run(overwrites=overwrites, is_dry=is_dry)
    if output == "json":
        screen.json_line(found)
    else:
        _show(found)
    return found.exit_code


def _target(text: str) -> Chosen:
    return chosen(text, "") if ":" in text else chosen("", text)


def _show(found: Copied) -> None:
    bound = f", {found.bound} more are bound to sessions" if found.bound else ""
    screen.line(f"{found.source} to {found.target}: {found.keys} keys{bound}")
    screen.line(f"{found.alike} were alike, {found.written} {'would be' if found.is_dry else 'were'} written")
    for one in found.unlike[:SHOWN_MAX]:
        screen.line(f"  {one.why}: {one.key}{f' ({one.sentence})' if one.sentence else ''}")
    if len(found.unlike) > SHOWN_MAX:
        screen.line(f"  and {len(found.unlike) - SHOWN_MAX} more: -o json names all")
    if not found.is_dry and not found.unlike:
        screen.line("compared: equal")


def main(argv: list[str]) -> int:
    return run(command, argv, "copy", Kind.ACTION)
