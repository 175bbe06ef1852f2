"""`coordctl schema`"""

import click

from coordctl.report import screen
from coordctl.report.exits import DONE, EXPLAINED, Kind
from coordctl.report.running import output, run
from coordctl.results import SCHEMAS


@click.command(epilog=EXPLAINED[Kind.QUERY])
@click.argument("verb", type=click.Choice(sorted(SCHEMAS)))
@output
def command(verb: str, output: str) -> int:
    """Print the JSON schema of what VERB prints with -o json; of a stream, the schema of each line."""
    screen.json_schema(SCHEMAS[verb])
    return DONE


def main(argv: list[str]) -> int:
    return run(command, argv, "schema", Kind.QUERY)
