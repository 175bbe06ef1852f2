"""`coordctl build`"""

import click

from coordctl.operations import building
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.option("--for", "target", metavar="TARGET", default="", help="Python and machine, such as cp312-linux-aarch64; default: those here.")
@click.option("--dir", "folder", type=click.Path(exists=True, file_okay=False), default=".", help="Where to put it; default: here.")
@output
def command(target: str, folder: str, output: str) -> int:
    """Pack what a host needs beside Python and sshd into one archive, as `deploy` does by itself.

    What is installed here is packed for the same Python and machine. For others pip downloads wheels of the same versions from its index.
    """
    made = building.built(target, folder)
    if output == "json":
        screen.json_line(made)
    else:
        screen.line(f"{screen.short_path(made.path)}: version {made.version} for {made.target}, {screen.short_bytes(made.bytes)}")
    return made.exit_code


def main(argv: list[str]) -> int:
    return run(command, argv, "build", Kind.ACTION)
