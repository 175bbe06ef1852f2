"""`coordctl demo`"""

import click

from coordctl.commands import options
from coordctl.operations.demo import demo
from coordctl.report import screen
from coordctl.report.exits import Kind
from coordctl.report.running import output, run
from coordctl.results.demo import DemoTold

EPILOG = (
    "Exit codes: 0 all was as told; 1 something was not, and is said; 64 usage; 130 interrupted. Nothing is left behind, however it ends."
)


@click.command(epilog=EPILOG)
@options.timeout("60s")
@output
def command(timeout_seconds: float, output: str) -> int:
    """Half a minute at most: a lock and its queue while the leader is killed, on real members in a temporary cluster.

    Each sentence was seen to be so before it is printed. Clusters of yours are not touched.
    """
    is_json = output == "json"
    done = demo(_ignore if is_json else _tell, timeout_seconds)
    if is_json:
        screen.json_line(done)
    elif done.exit_code == 0:
        screen.line(
            f"{screen.coloured('All as told', screen.GREEN)}, in {done.elapsed_ms / 1000:.1f} s. A cluster of your own: coordctl up"
        )
    else:
        screen.error(f"{done.outcome}: {done.not_as_told}" if done.exit_code == 1 else done.outcome)
    if done.left_behind:
        screen.note(f"          left behind: {', '.join(done.left_behind)}")
    return done.exit_code


def _tell(told: DemoTold) -> None:
    screen.line(f"{told.at_ms / 1000:5.1f} s  {told.sentence}")
    screen.flush()


def _ignore(told: DemoTold) -> None:
    """JSON comes at the end, in one line."""


def main(argv: list[str]) -> int:
    return run(command, argv, "demo", Kind.ACTION)
