"""The flags that every verb takes, and the parsing for those verbs that must start fast. Flags stand anywhere up to `--`."""

from __future__ import annotations

from coordnode.errors import BadRequest
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

TIMEOUT_MS = 10_000
GROUP_EXITS = "Exit codes: 0 done or answered; each verb explains the others."
DURATION_MS_MAX = 1 << 53
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


class Flag(NamedTuple):
    names: tuple[str, ...]
    help: str
    metavar: str = ""  # "": a switch
    convert: Callable[[str], Any] = str
    default: Any = None


class Verb(NamedTuple):
    name: str
    arguments: tuple[str, ...]  # "KEY"; in brackets: may be left out
    help: str
    exits: str
    flags: tuple[Flag, ...] = ()
    tail: str = ""  # what follows behind the flags, for a person: "-- COMMAND …"


def duration_ms(text: str) -> int:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzµ")
    unit = text[len(number) :]
    if unit not in UNITS_MS or not number.replace(".", "", 1).isdecimal():
        raise ValueError(f"a number above 0 with its unit is needed ({', '.join(UNITS_MS)}), such as 10s")
    amount = float(number) * UNITS_MS[unit]
    if amount > DURATION_MS_MAX:
        raise ValueError("that is longer than anything lasts")
    milliseconds = round(amount)
    if milliseconds < 1:
        raise ValueError("give more than 0ms")
    return milliseconds


def whole_number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("a whole number is needed")
    return int(text)


def one_of(*choices: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in choices:
            raise ValueError(f"choose from {', '.join(choices)}")
        return text

    return convert


GLOBAL = (
    Flag(("-c", "--cluster"), "a local cluster's name, or the folder that `up --dir` was given", "NAME", default=""),
    Flag(("--endpoints",), "members as host:port, with commas; one is enough", "LIST", default=""),
    Flag(("-o", "--output"), "table or json", "FORMAT", one_of("table", "json"), "table"),
    Flag(("--timeout",), "bound for the whole command", "10s", duration_ms),
    Flag(("-q", "--quiet"), "data and errors only"),
    Flag(("-v", "--verbose"), "say more on standard error"),
    Flag(("--debug",), "with an error, show where it arose"),
    Flag(("-h", "--help"), "show this"),
)


TAKES_VALUE = {name: bool(flag.metavar) for flag in GLOBAL for name in flag.names if name not in ("-h", "--help")}


def split_leading(argv: list[str]) -> tuple[list[str], list[str]]:
    """(the global flags it begins with, the rest)"""
    at = 0
    while at < len(argv):
        name, equals, _ = argv[at].partition("=")
        if name not in TAKES_VALUE:
            break
        at += 2 if TAKES_VALUE[name] and not equals else 1
    return argv[:at], argv[at:]


def without(argv: Sequence[str], names: Sequence[str]) -> list[str]:
    """Leaves out these global flags, with their values, up to `--`."""
    kept: list[str] = []
    at = 0
    while at < len(argv):
        name, equals, _ = argv[at].partition("=")
        if name == "--":
            return [*kept, *argv[at:]]
        if name in names:
            at += 2 if TAKES_VALUE[name] and not equals else 1
        else:
            kept.append(argv[at])
            at += 1
    return kept


class Given:
    """What the command line said: `given["request_id"]`, by the long name; arguments by theirs, in small letters."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def with_value(self, name: str, value: object) -> Given:
        return Given({**self._values, name: value})

    def is_json(self) -> bool:
        return bool(self._values["output"] == "json")

    def timeout_ms(self) -> int:
        return int(self._values["timeout"] or TIMEOUT_MS)


def field_of(flag: Flag) -> str:
    return flag.names[-1].lstrip("-").replace("-", "_")


def parse(verb: Verb, argv: Sequence[str]) -> Given:
    """Raises BadRequest."""
    by_name = {name: flag for flag in (*GLOBAL, *verb.flags) for name in flag.names}
    values: dict[str, Any] = {field_of(flag): flag.default for flag in by_name.values()}
    arguments: list[str] = []
    at = 0
    while at < len(argv):
        text = argv[at]
        at += 1
        if text == "--":
            arguments += argv[at:]
            break
        if not text.startswith("-") or text == "-":
            arguments.append(text)
            continue
        name, equals, value = text.partition("=")
        flag = by_name.get(name)
        if flag is None:
            raise BadRequest(f"no flag {name}{near(name, by_name)}")
        if not flag.metavar:
            if equals:
                raise BadRequest(f"{name} takes no value")
            values[field_of(flag)] = True
            continue
        if not equals:
            if at >= len(argv):
                raise BadRequest(f"{name} needs a value: {name} {flag.metavar}")
            value = argv[at]
            at += 1
        try:
            values[field_of(flag)] = flag.convert(value)
        except (ValueError, OverflowError) as error:
            raise BadRequest(f"{name} {value!r}: {error}") from None
    if not values["help"]:
        _take_arguments(verb, arguments, values)
    return Given(values)


def _take_arguments(verb: Verb, arguments: list[str], values: dict[str, Any]) -> None:
    for name in verb.arguments:
        field = name.strip("[]").lower()
        if arguments:
            values[field] = arguments.pop(0)
        elif name.startswith("["):
            values[field] = None
        else:
            raise BadRequest(f"{name} is missing: {_shape(verb)}")
    if arguments:
        raise BadRequest(f"{arguments[0]!r} is too much: {_shape(verb)}")


def _shape(verb: Verb) -> str:
    return " ".join(("coordctl", verb.name, *verb.arguments, *(("[FLAG …]", verb.tail) if verb.tail else ())))


def near(name: str, known: Iterable[str]) -> str:
    """What to add to "there is no such": the one that was meant, as far as that can be guessed."""
    from difflib import get_close_matches

    found = get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def usage(verb: Verb) -> str:
    lines = [f"usage: coordctl {' '.join((verb.name, *verb.arguments))} [FLAG …] {verb.tail}".rstrip(), "", verb.help, ""]
    for title, flags in (("Flags:", verb.flags), ("Global flags:", GLOBAL)):
        if flags:
            lines.append(title)
            names = [", ".join(flag.names) + (f" {flag.metavar}" if flag.metavar else "") for flag in flags]
            width = max(len(name) for name in names)
            lines += [f"  {name:{width}}  {flag.help}" for name, flag in zip(names, flags, strict=True)]
            lines.append("")
    lines.append(verb.exits)
    return "\n".join(lines) + "\n"


def group_usage(name: str, verbs: Sequence[Verb]) -> str:
    width = max(len(verb.name) for verb in verbs)
    lines = [f"  {verb.name:{width}}  {verb.help.splitlines()[0]}" for verb in verbs]
    return "\n".join([f"usage: coordctl {name} VERB …", "", *lines, "", f"coordctl {name} VERB --help explains the verb.", GROUP_EXITS, ""])
