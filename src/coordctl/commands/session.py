"""`coordctl session`: ls, show, close. Starts fast, like kv."""

from coordctl.commands import fast
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.flags import Flag, Given, Verb, whole_number
from coordctl.hot import session
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, Kind
from coordnode.errors import BadRequest

STALE = Flag(("--stale",), "at once from one member's own state, which may be old")
LIST = Verb("session ls", (), "List the sessions: who is there, for how long, and with how many keys bound to it.", QUERY, (STALE,))
SHOW = Verb("session show", ("SESSION",), "Show one session.\nExits with 1 if it is over or never was.", QUERY, (STALE,))
CLOSE = Verb(
    "session close",
    ("SESSION",),
    "End a session now: what is bound to it goes, and its client is told at its next renewal.",
    ACTION,
)


def main(argv: list[str]) -> int:
    return fast.dispatch("session", COMMANDS, argv)


def _id(given: Given) -> int:
    try:
        number = whole_number(given["session"])
    except ValueError as error:
        raise BadRequest(f"session {given['session']!r}: {error}; `coordctl session ls` shows their numbers") from None
    if number < 1:
        raise BadRequest("there is no session 0; `coordctl session ls` shows their numbers")
    return number


def _list(given: Given) -> int:
    asking, after, more, count = fast.asking(given), 0, True, 0
    while more:
        found, more = session.page(asking, after, 0, stale=bool(given["stale"]))
        for one in found:
            if given.is_json():
                plain.json_line({**fast.head("session-ls", "found", DONE), **one._asdict()})
            else:
                if not count:
                    plain.line(f"{'SESSION':>16}  {'TTL':>7}  {'KEYS':>6}  OWNER")
                plain.line(f"{one.session:>16}  {_seconds(one.ttl_ms):>7}  {one.keys:>6}  {one.owner}")
            count += 1
            after = one.session
    return DONE if count else FAILED


def _show(given: Given) -> int:
    one = session.get(fast.asking(given), _id(given), stale=bool(given["stale"]))
    if given.is_json():
        plain.json_line({**fast.head("session-show", "found", DONE), **one._asdict()})
    else:
        keys = "no keys" if one.keys == 0 else "1 key" if one.keys == 1 else f"{one.keys} keys"
        plain.line(f"session {one.session}, of {one.owner or 'nobody in particular'}")
        plain.line(f"  ttl {_seconds(one.ttl_ms)}, open for {_seconds(one.open_ms)} or longer, {keys} bound to it")
    return DONE


def _close(given: Given) -> int:
    number = _id(given)
    revision = session.close(fast.asking(given), number)
    if given.is_json():
        plain.json_line({**fast.head("session-close", "closed", DONE), "session": number, "revision": revision})
    elif not given["quiet"]:
        plain.line(f"session {number} closed at revision {revision}")
    return DONE


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.4g} s"


COMMANDS = {
    "ls": Command(LIST, _list, Kind.QUERY),
    "show": Command(SHOW, _show, Kind.QUERY),
    "close": Command(CLOSE, _close, Kind.ACTION),
}
