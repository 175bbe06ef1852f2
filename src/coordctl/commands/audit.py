"""`coordctl audit`: ls, verify. Starts fast, like kv."""

from __future__ import annotations

from coordctl.commands import fast
from coordctl.commands.auth import time_shown
from coordctl.commands.fast import QUERY, Command
from coordctl.flags import Flag, Given, Verb, whole_number
from coordctl.hot import audit
from coordctl.report import plain
from coordctl.report.exits import CRITICAL, DONE, EXPLAINED, FAILED, OK, Kind
from coordnode.errors import BadRequest

AFTER = Flag(("--after",), "only what follows this record", "NUMBER", whole_number, 0)
HEAD = Flag(("--head",), "what `audit verify` said somewhere else: that record has to be there still", "NUMBER:CHAIN", default="")

LIST = Verb(
    "audit ls",
    (),
    "Who changed what, from where, why, what it was before and what it is since, in the order of the log.\n"
    "cert:NAME and token:NAME proved who they are; unproven:… is what somebody said where nobody had to prove it.",
    QUERY,
    (AFTER,),
)
VERIFY = Verb(
    "audit verify",
    (),
    "Is the log whole? Each record names the one before by its digest, and what was seen from here before has to be there still.\n"
    "Exits with 2 if a record was changed, left out or cut off.",
    EXPLAINED[Kind.PROBE],
    (HEAD,),
)


def main(argv: list[str]) -> int:
    return fast.dispatch("audit", COMMANDS, argv)


def _list(given: Given) -> int:
    found = audit.records(fast.asking(given), given["after"])
    for record in found:
        if given.is_json():
            row = {**record._asdict(), "previous": record.previous.hex(), "chain": record.chain.hex(), "at": time_shown(record.wall_ms)}
            plain.json_line({**fast.head("audit-ls", "found", DONE), **row})
            continue
        plain.line(f"{record.number:>6}  {time_shown(record.wall_ms)}  {record.by} from {record.place or 'nowhere'}")
        plain.line(f"        {record.what}: {record.before or 'nothing'} -> {record.after or 'nothing'}")
        if record.reason:
            plain.line(f"        {record.reason}")
    return DONE if found else FAILED


def _verify(given: Given) -> int:
    asking = fast.asking(given)
    found = audit.records(asking, 0)
    seen = _head(given["head"]) if given["head"] else audit.last_seen(asking.cluster)
    faults = audit.faults(found, seen)
    head = audit.head_of(found)
    if not faults:
        audit.note_seen(asking.cluster, head)
    code = CRITICAL if faults else OK
    if given.is_json():
        row = {"records": len(found), "head": head.shown(), "seen": seen.shown() if seen.number else None, "faults": faults}
        plain.json_line({**fast.head("audit-verify", "broken" if faults else "whole", code), **row})
        return code
    for fault in faults:
        plain.line(f"BROKEN  {fault}")
    if not faults:
        since = f", also since record {seen.number}, which was seen before" if seen.number else ""
        plain.line(f"OK  {len(found)} records, whole{since}; head {head.shown()}" if found else "OK  nothing was changed yet")
    return code


def _head(text: str) -> audit.Head:
    number, _, chain = text.partition(":")
    if not (number.isascii() and number.isdigit() and len(chain) == 64):
        raise BadRequest(f"--head {text!r}: give NUMBER:CHAIN, as `coordctl audit verify` prints it")
    return audit.Head(int(number), chain)


COMMANDS = {
    "ls": Command(LIST, _list, Kind.QUERY),
    "verify": Command(VERIFY, _verify, Kind.PROBE),
}
