"""Runs one parsed verb: whatever happens in it becomes one sentence and an exit code of the verb's kind."""

import sys
import traceback
from collections.abc import Sequence

import click

from coordctl.report import exits, screen
from coordnode.errors import CoordError


def run(command: click.Command, argv: Sequence[str], name: str, kind: exits.Kind) -> int:
    """The command returns its exit code; click's own codes for usage and abort never leave this function."""
    arguments, debug = _take_debug(argv)
    try:
        return int(command.main(arguments, prog_name=f"coordctl {name}", standalone_mode=False) or 0)
    except click.UsageError as error:
        screen.error(error.format_message())
        screen.note(f"          see coordctl {name} --help")
        return exits.USAGE
    except click.Abort:
        return exits.INTERRUPTED
    except BrokenPipeError:
        raise
    except (CoordError, OSError) as error:
        if debug:
            traceback.print_exc(file=sys.stderr)
        screen.error(error.sentence if isinstance(error, CoordError) else f"{error.filename or name}: {error.strerror or error}")
        return exits.of_error(kind, error)
    except Exception as error:
        if debug:
            traceback.print_exc(file=sys.stderr)
        screen.error(f"this is a bug of coordctl, not of yours: {type(error).__name__}: {error}")
        screen.note("          please report it with what --debug adds")
        return exits.BUG


def _take_debug(argv: Sequence[str]) -> tuple[list[str], bool]:
    end = argv.index("--") if "--" in argv else len(argv)
    debug = "--debug" in argv[:end]
    return [argument for at, argument in enumerate(argv) if at >= end or argument != "--debug"], debug


output = click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print the result.")
