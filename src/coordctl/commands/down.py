"""`coordctl down`"""

import click

from coordctl.commands import options
from coordctl.local import clusters
from coordctl.operations import local
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, REFUSED, Kind
from coordctl.report.running import output, run
from coordctl.results.local import Down


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.option("--purge", is_flag=True, help="Delete its data too; asks first.")
@click.option("--yes", is_flag=True, help="Answers that question.")
@options.cluster
@options.timeout("30s")
@options.quiet
@output
def command(purge: bool, yes: bool, cluster: str, timeout_seconds: float, quiet: bool, output: str) -> int:
    """Stop a cluster of this machine: its members end in order, and `coordctl up` continues where they were."""
    found = clusters.chosen_local(cluster)
    if purge and not yes and not screen.confirmed(f"Delete all data of the local cluster {found.name}, in {found.folder}?", "--yes"):
        screen.note("coordctl: nothing was done")
        return REFUSED
    done = local.down(found, purge=purge, timeout_seconds=timeout_seconds)
    if output == "json":
        screen.json_line(done)
    elif not quiet:
        screen.lines(_lines_of(done, cluster))
    return done.exit_code


def _lines_of(done: Down, called: str) -> list[str]:
    if done.stopped == 0:
        first = f"{done.name}: no member was running."
    else:
        first = f"{done.name}: {done.stopped} member{'' if done.stopped == 1 else 's'} stopped."
    again = f"coordctl up -c {called}" if called else "coordctl up"
    lines = [f"{first} Data deleted." if done.purged else f"{first} Data kept; `{again}` continues."]
    lines += [f"Not undone: {one}" for one in done.still_broken]
    if done.still_broken:
        lines.append(f"What only members can undo they undo after `{again}`; `coordctl chaos status` shows what is left.")
    if done.left_behind:
        lines.append(f"Left in the folder, not ours: {', '.join(done.left_behind)}")
    return lines


def main(argv: list[str]) -> int:
    return run(command, argv, "down", Kind.ACTION)
