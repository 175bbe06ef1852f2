"""`coordctl schema`"""

import click

from coordctl.report import screen
from coordctl.report.exits import DONE, EXPLAINED, Kind
from coordctl.report.running import output, run
from coordctl.results.schemas import SCHEMAS


@click.command(epilog=EXPLAINED[Kind.QUERY])
@click.argument("verb", nargs=-1, required=True)
@output
def command(verb: tuple[str, ...], output: str) -> int:
    """Print the JSON schema of what VERB prints with -o json; of a stream, the schema of each line."""
    name = "-".join(verb)
    if name not in SCHEMAS:
        raise click.UsageError(f"no schema of {' '.join(verb)!r}; there are: {', '.join(sorted(SCHEMAS))}")
    screen.json_schema(SCHEMAS[name])
    return DONE


def main(argv: list[str]) -> int:
    return run(command, argv, "schema", Kind.QUERY)
