"""`coordctl life`"""

import click

from coordctl.commands import options
from coordctl.commands.logs import cluster_for
from coordctl.operations import history
from coordctl.operations.folders import folders_of
from coordctl.report import screen
from coordctl.report.exits import DONE, EXPLAINED, FAILED, Kind
from coordctl.report.running import output, run
from coordctl.results.history import LifeLine


@click.command(epilog=EXPLAINED[Kind.QUERY])
@click.argument("name")
@click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=click.Path(exists=True, file_okay=False))
@options.cluster
@output
def command(name: str, folders: tuple[str, ...], cluster: str, output: str) -> int:
    """Who held the lock NAME, led the election, owned shards of the assignment, took tasks of the queue; when, which token, why it ended.

    Told from members' data folders, the FOLDERs or those of the cluster, also on hosts: from their newest snapshot on; members may run or
    be gone. The last lines may not be committed yet.
    """
    with folders_of(folders, cluster_for(folders, cluster)) as found:
        for one in found:
            if one.trouble:
                screen.error(f"{one.called}: {one.trouble}")
        lines = history.life(name, found)
    for line in lines:
        if output == "json":
            screen.json_line(line)
        else:
            screen.line(_line_of(line))
    return DONE if lines else FAILED


def _line_of(line: LifeLine) -> str:
    token = f"token {line.token}" if line.token else ""
    parts = [line.service, line.what, token, line.who, f"session {line.session}" if line.session else "", line.why]
    return f"{screen.clock_ms(line.at_ms)}  {screen.visible('  '.join(part for part in parts if part))}"


def main(argv: list[str]) -> int:
    return run(command, argv, "life", Kind.QUERY)
