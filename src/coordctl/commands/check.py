"""`coordctl check`"""

from pathlib import Path

import click

from coordctl.commands.units import DURATION, SIZE
from coordctl.operations import check as operation
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output as output_option
from coordctl.report.running import run
from coordctl.results.check import Check
from coordnode.checking import watch_model
from coordnode.checking.catalogue import MODELS
from coordnode.checking.judge import MODEL_NAMES

COLOURS = {"pass": screen.GREEN, "violation": screen.RED, "unknown": screen.YELLOW}


ASKED = "\n".join([f"  {name:<14}{', '.join(sorted(kind.functions))}" for name, kind in MODELS.items()])
ASKED += f"\n  {watch_model.NAME:<14}{', '.join(sorted(watch_model.FUNCTIONS))}"
MODELS_TOLD = f"""\b
Models, and the functions that their histories name; docs/checking.md says what each takes and answers:
  {"coordnode":<14}our own store, with revisions and sessions
{ASKED}
"""


@click.command(name="check", epilog=f"{MODELS_TOLD}\n{EXPLAINED[Kind.PROBE]}")
@click.argument("history", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True, metavar="MODEL", type=click.Choice(MODEL_NAMES), help="What the clients talked to; see below.")
@click.option("--initial", metavar="JSON", help="What the object held at first; default: nil, 0, or nothing.")
@click.option("--complete", is_flag=True, help="With coordnode: the history holds all that changed anything, with its place.")
@click.option("--timeout", "seconds_max", type=DURATION, default="5m", show_default=True, help="After this long the answer is unknown.")
@click.option("--memory-max", "bytes_max", type=SIZE, default="1GiB", show_default=True, help="If it grows by more: unknown.")
@output_option
def check(history: Path, model: str, initial: str | None, complete: bool, seconds_max: float, bytes_max: float, output: str) -> int:
    """Judge a recorded HISTORY: could an object of that model have answered so?

    HISTORY is Jepsen's log lines, EDN or JSON, or this project's JSON lines; the format is found out. Replies that name
    their place in the log are replayed in that order; without places every order that real time allows is searched.
    """
    found = operation.check(history, model, initial, complete, seconds_max, bytes_max)
    if output == "json":
        screen.json_line(found)
    else:
        _show(found)
    return found.exit_code


def _show(found: Check) -> None:
    screen.line(f"{screen.coloured(found.outcome, COLOURS[found.outcome])}: {found.reason}")
    evidence = found.evidence
    if evidence is not None:
        if evidence.key is not None:
            screen.line(f"key: {evidence.key}")
        if evidence.expected:
            screen.line(f"expected: {evidence.expected}")
        if evidence.other is not None:
            screen.line(f"together with: {evidence.other}")
        if evidence.prefix_last:
            left_out = evidence.prefix_operations - len(evidence.prefix_last)
            screen.line("shortest impossible beginning" + (f", without its first {left_out}:" if left_out else ":"))
            screen.lines(f"  {line}" for line in evidence.prefix_last)
    count = f"{found.operations} operations, {found.partitions} partitions, by {found.method}"
    screen.line(f"{count}; model {found.model}; {found.elapsed_ms / 1000:.2f} s; source: {found.history}")


def main(argv: list[str]) -> int:
    return run(check, argv, "check", Kind.PROBE)
