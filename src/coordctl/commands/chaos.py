"""`coordctl chaos`: ls, show, validate, schema"""

import click
import msgspec

from coordctl.chaos import grammar
from coordctl.chaos.values import shown_ms
from coordctl.operations import chaos_playbooks as playbooks
from coordctl.report import screen
from coordctl.report.exits import DONE, EXPLAINED, Kind
from coordctl.report.running import output, run_group
from coordctl.results.chaos import ChaosPlaybook, ChaosShow


@click.command(epilog=EXPLAINED[Kind.QUERY])
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
@output
def ls(folder: str | None, output: str) -> int:
    """The playbooks in FOLDER, or those that come with coordctl."""
    found = list(playbooks.list_them(folder or ""))
    if output == "json":
        for one in found:
            screen.json_line(one)
    else:
        screen.lines(line for one in found for line in _listed(one))
    return DONE if found else 1


@click.command(epilog=EXPLAINED[Kind.QUERY])
@click.argument("playbook")
@click.option("--source", is_flag=True, help="The file itself, to begin one's own from.")
@output
def show(playbook: str, source: bool, output: str) -> int:
    """PLAYBOOK, a name of `chaos ls` or a file, as one table."""
    if source:
        screen.line(playbooks.source(playbook).rstrip("\n"))
        return DONE
    found = playbooks.show(playbook)
    if output == "json":
        screen.json_line(found)
    else:
        screen.lines(_table(found))
    return found.exit_code


@click.command(epilog=EXPLAINED[Kind.PROBE])
@click.argument("playbook", nargs=-1, required=True)
@output
def validate(playbook: tuple[str, ...], output: str) -> int:
    """Is each PLAYBOOK one? Every mistake is named with its line and what to do."""
    found = [playbooks.validate(one) for one in playbook]
    for one in found:
        if output == "json":
            screen.json_line(one)
        elif one.mistakes:
            screen.lines(f"{one.path}:{mistake.line}: {mistake.sentence}" for mistake in one.mistakes)
        else:
            screen.line(f"{one.path}: valid")
    return max(one.exit_code for one in found)


@click.command(epilog=EXPLAINED[Kind.QUERY])
def schema() -> int:
    """The JSON Schema of a playbook, for editors and pipelines."""
    screen.line(msgspec.json.format(msgspec.json.encode(grammar.schema()), indent=2).decode())
    return DONE


def _listed(one: ChaosPlaybook) -> list[str]:
    if one.exit_code:
        return [f"{one.name}", f"    refused: see coordctl chaos validate {one.path}"]
    rows = "1 row" if one.rows == 1 else f"{one.rows} rows"
    return [f"{one.name}  ({shown_ms(one.lasts_ms)}, {rows}: {', '.join(one.faults)})", *screen.wrapped(one.proves, indent=4, first=4)]


def _table(found: ChaosShow) -> list[str]:
    rows = [[str(row.row), shown_ms(row.at_ms), shown_ms(row.for_ms), row.do, row.to, row.by] for row in found.rows]
    lines = [
        *screen.wrapped(f"{found.name}: {found.proves}", indent=4),
        "",
        *screen.aligned(["row", "at", "for", "do", "to", "by"], rows, right=["row", "at", "for"]),
        "",
    ]
    for title, told in (
        ("load", found.load),
        ("probe", found.probes),
        ("goal", found.goals),
        ("expect", found.expect),
        ("check", found.checks),
    ):
        lines += [f"{title:<8}{one}" for one in told]
    return [*lines, f"{'lasts':<8}{shown_ms(found.lasts_ms)}, seed {found.seed}, {found.members_min} members at least"]


VERBS = {"ls": (ls, Kind.QUERY), "show": (show, Kind.QUERY), "validate": (validate, Kind.PROBE), "schema": (schema, Kind.QUERY)}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "chaos", "Break a cluster on purpose, and heal it.", EXPLAINED[Kind.QUERY])
