"""Runs one parsed verb: whatever happens in it becomes one sentence and an exit code of the verb's kind."""

from collections.abc import Mapping, Sequence

import click

from coordctl.flags import TAKES_VALUE, without
from coordctl.report import exits, plain
from coordnode import streams

WORKING = (exits.Kind.ACTION, exits.Kind.PROBE)
ENDLESS = ("canary run",)  # a reader that has seen enough ends it, as it does a query


def run(command: click.Command, argv: Sequence[str], name: str, kind: exits.Kind) -> int:
    """The command returns its exit code; click's own codes for usage and abort never leave this function."""
    if kind in WORKING and name not in ENDLESS:
        streams.outlive_reader()
    arguments = without(argv, _undeclared(command))
    debug = "--debug" in (argv[: argv.index("--")] if "--" in argv else argv)
    try:
        # Not command.main(): that one ends the process with 1 when the reader closes the pipe.
        with command.make_context(f"coordctl {name}", arguments) as context:
            code = int(command.invoke(context) or 0)
        streams.flush()
    except click.exceptions.Exit as ended:  # --help
        return ended.exit_code
    except click.UsageError as error:
        return plain.wrong_usage(error.format_message(), name)
    except click.Abort:
        code = exits.INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        return plain.failed(kind, error, name=name, debug=debug)
    if code == exits.INTERRUPTED:
        raise KeyboardInterrupt  # whatever was to be done first is done
    return code


def run_group(verbs: Mapping[str, tuple[click.Command, exits.Kind]], argv: Sequence[str], name: str, about: str, ends: str = "") -> int:
    """A verb that has verbs of its own, each of its own kind."""
    if not argv:
        return plain.wrong_usage(f"{name} what?", name)
    if argv[0] in verbs:
        command, kind = verbs[argv[0]]
        return run(command, argv[1:], f"{name} {argv[0]}", kind)
    group = click.Group(name, {verb: command for verb, (command, _) in verbs.items()}, help=about, epilog=ends)
    return run(group, argv, name, exits.Kind.QUERY)


def _undeclared(command: click.Command) -> list[str]:
    """Global flags stand behind every verb, also where they have no meaning."""
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    declared = {name for each in commands for parameter in each.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return [name for name in TAKES_VALUE if name not in declared]


output = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print the result."
)
