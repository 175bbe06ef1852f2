"""`coordctl version`"""

import click

from coordctl.operations.version import version
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run


@click.command(epilog=EXPLAINED[Kind.QUERY])
@output
def command(output: str) -> int:
    """Print the version."""
    found = version()
    if output == "json":
        screen.json_line(found)
    else:
        screen.line(f"coordctl {found.version} (Python {found.python}, {found.platform})")
    return found.exit_code


def main(argv: list[str]) -> int:
    return run(command, argv, "version", Kind.QUERY)
