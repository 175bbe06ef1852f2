"""`coordctl fence`: admit. Starts fast, like kv."""

from coordctl.commands import fast
from coordctl.commands.fast import Command
from coordctl.flags import Flag, Given, Verb, whole_number
from coordctl.operations import fencing
from coordctl.report import plain
from coordctl.report.exits import DONE, REFUSED, Kind
from coordnode.errors import BadRequest

ADMIT = Verb(
    "fence admit",
    ("TOKEN",),
    "May who holds TOKEN touch the resource that --file stands for? Not if anybody with a higher token was admitted.\n"
    "The resource asks, before it does what it is asked for: then a holder that lost its lock without noticing does no harm.",
    "Exit codes: 0 admitted, and remembered on the disk; 76 stale; 1, 64, 74: could not be decided, so treat it as stale.",
    (Flag(("--file",), "where the highest token is remembered; it is made if it is not there", "PATH"),),
)


def main(argv: list[str]) -> int:
    return fast.dispatch("fence", {"admit": Command(ADMIT, _admit, Kind.ACTION)}, argv)


def _admit(given: Given) -> int:
    if "file" not in given:
        raise BadRequest("which resource? --file PATH names where its highest token is remembered")
    try:
        token = whole_number(given["token"])
    except ValueError as error:
        raise BadRequest(f"token {given['token']!r}: {error}; it is in COORD_TOKEN") from None
    highest = fencing.admit(given["file"], token)
    is_admitted = highest <= token
    code = DONE if is_admitted else REFUSED
    if given.is_json():
        outcome = "admitted" if is_admitted else "stale"
        plain.json_line({**fast.head("fence-admit", outcome, code), "file": given["file"], "token": token, "highest": highest})
    elif not is_admitted:
        plain.note(f"coordctl: token {token} is stale: {highest} was admitted to {given['file']}")
    return code
