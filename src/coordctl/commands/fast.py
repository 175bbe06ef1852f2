"""What the verbs that must start fast share: from the command line to one question, and from its outcome to an exit code."""

from __future__ import annotations

from coordctl.flags import Given, Verb, group_usage, near, parse, usage
from coordctl.local.clusters import chosen, spoken
from coordctl.report import plain
from coordctl.report.exits import DONE, EXPLAINED, Kind
from coordnode import streams
from coordnode.errors import BadRequest
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from coordctl.hot.cluster import Cluster


QUERY = EXPLAINED[Kind.QUERY]
ACTION = EXPLAINED[Kind.ACTION]


class Command(NamedTuple):
    verb: Verb
    run: Callable[[Given], int]
    kind: Kind


def dispatch(name: str, commands: Mapping[str, Command], argv: list[str]) -> int:
    if not argv or argv[0] not in commands:
        if argv and argv[0] in ("-h", "--help", "help"):
            plain.text(group_usage(name, [command.verb for command in commands.values()]))
            return DONE
        return plain.wrong_usage(f"no verb {name} {argv[0]}{near(argv[0], commands)}" if argv else f"{name} what?", name)
    verb, run, kind = commands[argv[0]]
    debug = "--debug" in argv
    try:
        given = parse(verb, argv[1:])
    except BadRequest as error:
        return plain.wrong_usage(error.sentence, verb.name)
    if given["help"]:
        plain.text(usage(verb))
        return DONE
    if kind == Kind.ACTION:
        streams.outlive_reader()
    try:
        code = run(given)
        streams.flush()
        return code
    except BrokenPipeError:
        raise
    except Exception as error:
        return plain.failed(kind, error, name=verb.name, debug=debug)


def asking(given: Given) -> Cluster:
    say = plain.note if given["verbose"] else lambda _sentence: None
    engine, _, endpoints = chosen(given["endpoints"], given["cluster"])
    found: Cluster = spoken(engine, "asking").of(endpoints, given.timeout_ms(), say)
    return found


def head(schema: str, outcome: str, exit_code: int) -> dict[str, object]:
    return {"schema": f"coordctl.{schema}/1", "outcome": outcome, "exit_code": exit_code}
