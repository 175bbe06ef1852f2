"""`coordctl counter`: get, add, ls, del. Starts fast, like kv."""

from coordctl.commands import fast
from coordctl.commands.asked import REQUEST_ID, STALE, name_of, request_id, shown, surely, text
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.flags import Given, Verb
from coordctl.hot import counters
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, Kind
from coordnode.errors import BadRequest

GET = Verb("counter get", ("NAME",), "Print a counter's value; 0 if there is none.", QUERY, (STALE,))
ADD = Verb(
    "counter add",
    ("NAME", "[DELTA]"),
    "Add DELTA (default 1; may be negative) and print the sum.\nA counter that does not exist begins at 0.",
    ACTION,
    (REQUEST_ID,),
)
LIST = Verb("counter ls", ("[PREFIX]",), "List the counters whose names begin with PREFIX, in order.", QUERY, (STALE,))
DELETE = Verb("counter del", ("NAME",), "Delete a counter.\nIt is no error if it was not there.", ACTION, (REQUEST_ID,))


def main(argv: list[str]) -> int:
    return fast.dispatch("counter", COMMANDS, _minus_as_argument(argv))


def _minus_as_argument(argv: list[str]) -> list[str]:
    """`-3` is a number here, and no flag."""
    if argv[:1] == ["add"] and "--" not in argv:
        for at, word in enumerate(argv):
            if word[:1] == "-" and word[1:].isascii() and word[1:].isdigit():
                return [*argv[:at], *argv[at + 1 :], "--", word]
    return argv


def _delta(given: Given) -> int:
    said = given["delta"] or "1"
    if not (said.isascii() and said.removeprefix("-").isdigit()):
        raise BadRequest(f"{said!r} cannot be added: give a whole number, such as 5 or -5")
    return int(said)


def _get(given: Given) -> int:
    name = name_of(given, "name")
    value = counters.get(fast.asking(given), name, stale=bool(given["stale"]))
    if given.is_json():
        plain.json_line({**fast.head("counter-get", "found", DONE), **shown("name", name), "value": value})
    else:
        plain.line(str(value))
    return DONE


def _add(given: Given) -> int:
    name, said = name_of(given, "name"), request_id(given)
    delta = _delta(given)
    value = surely(said, lambda: counters.add(fast.asking(given), name, delta, said))
    if given.is_json():
        plain.json_line({**fast.head("counter-add", "done", DONE), **shown("name", name), "value": value, "request_id": said})
    elif not given["quiet"]:
        plain.line(str(value))
    return DONE


def _list(given: Given) -> int:
    asking, after, more, count = fast.asking(given), b"", True, 0
    while more:
        found, more = counters.page(asking, name_of(given, "prefix"), after, stale=bool(given["stale"]))
        for name, value in found:
            if given.is_json():
                plain.json_line({**fast.head("counter-ls", "found", DONE), **shown("name", name), "value": value})
            else:
                plain.line(f"{value:>16}  {text(name)}")
            count += 1
            after = name
    return DONE if count else FAILED


def _delete(given: Given) -> int:
    name, said = name_of(given, "name"), request_id(given)
    existed = surely(said, lambda: counters.delete(fast.asking(given), name, said))
    if given.is_json():
        plain.json_line({**fast.head("counter-del", "deleted" if existed else "absent", DONE), **shown("name", name), "request_id": said})
    elif not given["quiet"]:
        plain.line("deleted" if existed else "was not there")
    return DONE


COMMANDS = {
    "get": Command(GET, _get, Kind.QUERY),
    "add": Command(ADD, _add, Kind.ACTION),
    "ls": Command(LIST, _list, Kind.QUERY),
    "del": Command(DELETE, _delete, Kind.ACTION),
}
