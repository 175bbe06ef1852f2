"""`coordctl journal`: durable logs by name. Appending starts fast; read and tail run for longer and load the client."""

import os
import sys
from collections.abc import Iterable, Iterator

from coordctl.commands import fast
from coordctl.commands.asked import COUNT, REQUEST_ID, STALE, endpoints, request_id, shown, surely, text
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.flags import Flag, Given, Verb, whole_number
from coordctl.hot import journals
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, REFUSED, Kind
from coordnode.errors import BadRequest, CoordError

BATCH_RECORDS_MAX = 1_000
BATCH_BYTES_MAX = 512 * 1024  # the cluster takes a little less than twice as much at a time
READ_BYTES = 256 * 1024
LAST = 10

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _size(said: str) -> int:
    number = said.rstrip("BKMGi")
    unit = said[len(number) :]
    if unit not in _UNITS or not number.isascii() or not number.isdigit():
        raise ValueError(f"a number with its unit is needed ({', '.join(_UNITS)}), such as 64MiB")
    return int(number) * _UNITS[unit]


FROM = Flag(("--from",), "offset of the first record (default: the oldest that is there)", "OFFSET", whole_number)

APPEND = Verb(
    "journal append",
    ("JOURNAL", "[RECORD]"),
    "Append RECORD to JOURNAL, or each line of standard input, and print its offsets.\nLines are appended as they come, up to 1000 at a "
    "time: each batch whole or not at all. Done means: durable on a majority.\nA journal that does not exist is made.",
    ACTION,
    (Flag(("--request-id",), "all input is one batch, and with the same ID it is appended once", "ID", default=""),),
)
READ = Verb(
    "journal read",
    ("JOURNAL",),
    "Print the records of JOURNAL, a line for each, up to its end.\nExits with 1 if there are none, or if those asked for are gone.",
    QUERY,
    (FROM, Flag(("--limit",), "at most so many", "N", whole_number)),
)
TAIL = Verb(
    "journal tail",
    ("JOURNAL",),
    "Print the last records of JOURNAL and go on with those that come, until --timeout or Ctrl-C.",
    QUERY,
    (
        Flag(("--from",), "offset of the first record, instead of the last ones", "OFFSET", whole_number),
        Flag(("-n", "--lines"), f"begin with the last N records (default {LAST})", "N", whole_number, LAST),
        COUNT,
    ),
)
TRIM = Verb(
    "journal trim",
    ("JOURNAL", "BEFORE"),
    "Drop the records before the offset BEFORE.\nThe room they take is given back part by part.",
    ACTION,
    (REQUEST_ID,),
)
LIST = Verb("journal ls", ("[PREFIX]",), "List the journals: where each begins and ends, and how full it is.", QUERY, (STALE,))
SHOW = Verb("journal show", ("JOURNAL",), "Show one journal.", QUERY, (STALE,))
SET = Verb(
    "journal set",
    ("JOURNAL",),
    "Make JOURNAL, or change how much it may hold: what is beyond that is dropped, the oldest first.",
    ACTION,
    (Flag(("--bytes-max",), "bytes of all its records (default 256MiB)", "SIZE", _size, 256 << 20), REQUEST_ID),
)
DELETE = Verb(
    "journal delete",
    ("JOURNAL",),
    "Delete JOURNAL with all that is in it; asks first.\nIt is no error if it was not there.",
    ACTION,
    (Flag(("--yes",), "answers the question"), REQUEST_ID),
)


def main(argv: list[str]) -> int:
    return fast.dispatch("journal", COMMANDS, argv)


# --- what was given --------------------------------------------------------------------------------------------------


def _name(given: Given) -> bytes:
    if not given["journal"]:
        raise BadRequest("the journal has no name: give 1 to 255 bytes")
    return os.fsencode(given["journal"])


def _offset(given: Given, field: str) -> int:
    try:
        return whole_number(given[field])
    except ValueError as error:
        raise BadRequest(f"{field} {given[field]!r}: {error}") from None


def lines_of(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines of each piece of input, without their ends, as soon as they are whole; batches are never larger than one append takes."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from _batches(lines)
    if rest:
        yield [rest]


def _batches(lines: list[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == BATCH_RECORDS_MAX or size + len(line) > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield batch


def _input() -> Iterator[bytes]:
    descriptor = sys.stdin.fileno()
    while piece := os.read(descriptor, READ_BYTES):
        yield piece


# --- the verbs -------------------------------------------------------------------------------------------------------


def _append(given: Given) -> int:
    name, record = _name(given), given["record"]
    if record is not None and record != "-":
        return _append_batch(given, name, [os.fsencode(record)], request_id(given))
    if given["request_id"]:
        batch = [line for lines in lines_of(_input()) for line in lines]
        if not batch:
            raise BadRequest("there is nothing to append: standard input is empty")
        return _append_batch(given, name, batch, given["request_id"])
    appended = 0
    try:
        for batch in lines_of(_input()):
            _append_batch(given, name, batch, request_id(given))
            appended += len(batch)
    except CoordError as error:
        if appended:
            plain.note(f"coordctl: {appended} records were appended before this")
        raise error
    return DONE


def _append_batch(given: Given, name: bytes, batch: list[bytes], said: str) -> int:
    first, behind = surely(said, lambda: journals.append(fast.asking(given), name, batch, said))
    if given.is_json():
        head = fast.head("journal-append", "appended", DONE)
        plain.json_line({**head, **shown("journal", name), "first": first, "next": behind, "request_id": said})
    elif not given["quiet"]:
        plain.line(str(first) if behind == first + 1 else f"{first}..{behind - 1}")
    plain.flush()
    return DONE


def _print(given: Given, verb: str, name: bytes, offset: int, record: bytes) -> None:
    if given.is_json():
        plain.json_line({**fast.head(verb, "found", DONE), **shown("journal", name), "offset": offset, **shown("record", record)})
    else:
        plain.data(record + b"\n")


def _read(given: Given) -> int:
    from coordctl.operations import records  # loads the client

    name, count = _name(given), 0
    for offset, record in records.read(endpoints(given), name, given["from"], given["limit"], given.timeout_ms() / 1000):
        _print(given, "journal-read", name, offset, record)
        count += 1
    return DONE if count else FAILED


def _tail(given: Given) -> int:
    from coordctl.operations import records  # loads the client

    name = _name(given)
    seconds = given["timeout"] / 1000 if given["timeout"] is not None else None
    found = records.tail(endpoints(given), name, given["from"], given["lines"], seconds)
    for count, (offset, record) in enumerate(found, 1):
        _print(given, "journal-tail", name, offset, record)
        plain.flush()
        if count == given["count"]:
            break
    return DONE


def _fields(journal: journals.Journal) -> dict[str, object]:
    ends = {"bytes_max": journal.bytes_max, "first": journal.first, "next": journal.next, "size_bytes": journal.size}
    return {**shown("journal", journal.name), **ends}


def _line(journal: journals.Journal) -> str:
    percent, count = 100 * journal.size // journal.bytes_max, journal.next - journal.first
    held = f"{count} records from {journal.first} on" if count else f"empty, at {journal.next}"
    return f"{text(journal.name)}  {held}, {journal.size} bytes, {percent} % of its bound"


def _trim(given: Given) -> int:
    name, before, said = _name(given), _offset(given, "before"), request_id(given)
    return _changed(given, "journal-trim", surely(said, lambda: journals.trim(fast.asking(given), name, before, said)), said)


def _set(given: Given) -> int:
    name, said = _name(given), request_id(given)
    journal = surely(said, lambda: journals.configure(fast.asking(given), name, given["bytes_max"], said))
    return _changed(given, "journal-set", journal, said)


def _changed(given: Given, verb: str, journal: journals.Journal, said: str) -> int:
    if given.is_json():
        plain.json_line({**fast.head(verb, "done", DONE), **_fields(journal), "request_id": said})
    elif not given["quiet"]:
        plain.line(_line(journal))
    return DONE


def _list(given: Given) -> int:
    asking, after, more, count = fast.asking(given), b"", True, 0
    while more:
        found, more = journals.page(asking, os.fsencode(given["prefix"] or ""), after, stale=bool(given["stale"]))
        for journal in found:
            if given.is_json():
                plain.json_line({**fast.head("journal-ls", "found", DONE), **_fields(journal)})
            else:
                plain.line(_line(journal))
            count += 1
            after = journal.name
    return DONE if count else FAILED


def _show(given: Given) -> int:
    journal = journals.show(fast.asking(given), _name(given), stale=bool(given["stale"]))
    if given.is_json():
        plain.json_line({**fast.head("journal-show", "found", DONE), **_fields(journal)})
    else:
        plain.line(_line(journal))
    return DONE


def _delete(given: Given) -> int:
    name, said = _name(given), request_id(given)
    if not given["yes"]:
        from coordctl.report import screen

        if not screen.confirmed(f"Delete journal {given['journal']} with all that is in it?", "--yes"):
            return REFUSED
    existed = surely(said, lambda: journals.delete(fast.asking(given), name, said))
    if given.is_json():
        head = fast.head("journal-delete", "deleted" if existed else "absent", DONE)
        plain.json_line({**head, **shown("journal", name), "request_id": said})
    elif not given["quiet"]:
        plain.line("deleted" if existed else "was not there")
    return DONE


COMMANDS = {
    "append": Command(APPEND, _append, Kind.ACTION),
    "read": Command(READ, _read, Kind.QUERY),
    "tail": Command(TAIL, _tail, Kind.QUERY),
    "trim": Command(TRIM, _trim, Kind.ACTION),
    "ls": Command(LIST, _list, Kind.QUERY),
    "show": Command(SHOW, _show, Kind.QUERY),
    "set": Command(SET, _set, Kind.ACTION),
    "delete": Command(DELETE, _delete, Kind.ACTION),
}
