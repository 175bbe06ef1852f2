"""`coordctl version`"""

import click

from coordctl.commands import options
from coordctl.local.clusters import choose
from coordctl.operations.version import version
from coordctl.report import screen
from coordctl.report.exits import Kind
from coordctl.report.running import output, run
from coordctl.results.version import Version

EPILOG = "Exit codes: 0 answered; 1 a pair of those asked for does not work together; 64 usage; 69 unreachable; 130 interrupted."


@click.command(epilog=EPILOG)
@options.cluster
@options.endpoints
@options.timeout("5s")
@output
def command(cluster: str, endpoints: str, timeout_seconds: float, output: str) -> int:
    """Print the version. With -c or --endpoints also what the members of a cluster are, and which pairs work together."""
    found = version(choose(endpoints, cluster)[1] if cluster or endpoints else (), timeout_seconds)
    if output == "json":
        screen.json_line(found)
    else:
        _show(found)
    return found.exit_code


def _show(found: Version) -> None:
    screen.line(f"coordctl {found.version} (Python {found.python}, {found.platform})")
    if not found.members:
        return
    screen.line(f"wire version {found.wire}, storage format {found.storage_format}, feature levels up to {found.level_max}")
    screen.line()
    rows = [
        [one.name, one.version or f"({one.trouble})", *(str(part or "-") for part in (one.level, one.level_max))] for one in found.members
    ]
    screen.lines(screen.aligned(("member", "version", "level", "knows"), rows, right=("level", "knows")))
    screen.line()
    for pair in found.pairs:
        screen.line(f"{pair.kind}  {pair.one} with {pair.other}: {pair.why or 'work together'}")


def main(argv: list[str]) -> int:
    return run(command, argv, "version", Kind.QUERY)
