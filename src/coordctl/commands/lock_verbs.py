"""`coordctl lock renew`, release, check, ls, show, break: those that hold nothing themselves."""

import os

from coordctl.commands import fast
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.flags import Flag, Given, Verb, whole_number
from coordctl.hot import locks
from coordctl.local.clusters import chosen
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, OUTCOME_UNKNOWN, REFUSED, Kind
from coordnode.client.identity import who
from coordnode.errors import BadRequest, CoordError, NotHeld, NotPermitted

STALE = Flag(("--stale",), "at once from one member's own state, which may be old")
RENEW = Verb("lock renew", ("NAME", "TOKEN"), "Renew the lease of a lock that `lock acquire` got, for its whole --ttl.", ACTION)
RELEASE = Verb("lock release", ("NAME", "TOKEN"), "Release a lock that `lock acquire` got. Nobody's but the one with this token.", ACTION)
CHECK = Verb(
    "lock check",
    ("[NAME]", "[TOKEN]"),
    "Is it held, with this token? Linearizable. Inside of `lock run`, both come from the environment.",
    "Exit codes: 0 held; 1 lost; 64 usage; 74 cannot tell: take it for lost; 77 not permitted; 130 interrupted.",
)
LIST = Verb("lock ls", ("[PREFIX]",), "List the locks that are held or awaited, in the order of their names.", QUERY, (STALE,))
SHOW = Verb("lock show", ("NAME",), "Show who holds NAME and who waits for it.\nExits with 1 if nobody does.", QUERY, (STALE,))
BREAK = Verb(
    "lock break",
    ("NAME",),
    "Take NAME away from who holds it; its holder is told at once. What it was doing may go on for a while:\n"
    "resources that check tokens refuse it from here on.",
    ACTION,
    (
        Flag(("--token",), "only from the holder with this token; else from all that hold it", "TOKEN", whole_number, 0),
        Flag(("--reason",), "told to the holder", "TEXT", default=""),
        Flag(("--yes",), "do not ask"),
    ),
)


def _holder(one: locks.Holder) -> dict[str, object]:
    return {**one._asdict(), "kind": locks.KINDS[one.kind]}


def _named(name: str) -> dict[str, object]:
    from coordctl.commands.asked import named  # for those only who print JSON

    return named("name", os.fsencode(name))


def _described(lock: locks.Lock) -> dict[str, object]:
    first = _holder(lock.first) if lock.first is not None else None
    return {**lock._asdict(), **_named(lock.name), "kind": locks.KINDS[lock.kind], "first": first}


def _held_with(view: locks.View, name: str, token: int) -> locks.Holder:
    for one in view.holders:
        if one.token == token and one.session:
            return one
    raise NotHeld(f"{name} is not held with token {token}; see who holds it with: coordctl lock show {name}")


def _token(given: Given) -> int:
    try:
        return whole_number(given["token"])
    except ValueError as error:
        raise BadRequest(f"token {given['token']!r}: {error}; `coordctl lock show NAME` shows it") from None


def _renew(given: Given) -> int:
    from coordctl.hot import session

    asking, token = fast.asking(given), _token(given)
    holder = _held_with(locks.read(asking, given["name"]), given["name"], token)
    ttl_ms = session.renew(asking, holder.session)
    if given.is_json():
        plain.json_line({**fast.head("lock-renew", "renewed", DONE), **_named(given["name"]), "token": token, "ttl_ms": ttl_ms})
    elif not given["quiet"]:
        plain.line(f"{given['name']}: token {token} is held for another {locks.seconds(ttl_ms)}")
    return DONE


def _release(given: Given) -> int:
    from coordctl.hot import session

    asking, name, token = fast.asking(given), given["name"], _token(given)
    holder = _held_with(locks.read(asking, name), name, token)
    if locks.count_of_session(asking, holder.session) != 1:
        plain.note(f"coordctl: the session of {holder.owner} holds more than {name}: release it there, or see: coordctl lock break {name}")
        return REFUSED
    session.close(asking, holder.session)
    if given.is_json():
        plain.json_line({**fast.head("lock-release", "released", DONE), **_named(name), "token": token})
    elif not given["quiet"]:
        plain.line(f"{name}: token {token} released")
    return DONE


def _check(given: Given) -> int:
    name = given["name"] or os.environ.get("COORD_LOCK", "")
    if not name:
        raise BadRequest("which lock? give NAME and TOKEN, or run it inside of `lock run`")
    if "token" not in given and given["name"] in (None, os.environ.get("COORD_LOCK")):
        given = given.with_value("token", os.environ.get("COORD_TOKEN"))
    if "token" not in given:
        raise BadRequest(f"held by whom? give the TOKEN, too: coordctl lock check {name} TOKEN")
    token = _token(given)
    outcome, code, holder = "cannot tell", OUTCOME_UNKNOWN, None
    try:
        found = locks.read(fast.asking(given), name)
        holder = next((one for one in found.holders if one.token == token and one.session), None)
        outcome, code = ("held", DONE) if holder is not None else ("lost", FAILED)
    except (BadRequest, NotPermitted):
        raise
    except (CoordError, OSError) as error:  # a file that says where to ask may not be readable
        plain.note(f"coordctl: cannot tell whether {name} is held: {error.sentence if isinstance(error, CoordError) else error}")
    if given.is_json():
        shown = _holder(holder) if holder is not None else None
        plain.json_line({**fast.head("lock-check", outcome, code), **_named(name), "token": token, "holder": shown})
    elif holder is not None and not given["quiet"]:
        plain.line(f"{name}: held with token {token}, for {locks.seconds(holder.held_ms)}")
    elif code == FAILED and not given["quiet"]:
        plain.line(f"{name}: lost: token {token} holds nothing")
    return code


def _list(given: Given) -> int:
    asking, after, more, count = fast.asking(given), "", True, 0
    while more:
        found, more = locks.page(asking, given["prefix"] or "", after, stale=bool(given["stale"]))
        for one in found:
            if given.is_json():
                plain.json_line({**fast.head("lock-ls", "found", DONE), **_described(one)})
            else:
                if not count:
                    plain.line(f"{'NAME':20}  {'KIND':9}  {'WAITING':>7}  HELD")
                by = f"by {one.first.owner}, for {locks.seconds(one.first.held_ms)}" if one.first is not None else "by nobody"
                plain.line(f"{one.name:20}  {locks.KINDS[one.kind]:9}  {one.waiters:>7}  {by}")
            count += 1
            after = one.name
    return DONE if count else FAILED


def _show(given: Given) -> int:
    name = given["name"]
    view = locks.read(fast.asking(given), name, stale=bool(given["stale"]))
    lock, code = view.lock, FAILED if view.lock is None else DONE
    if given.is_json():
        shown = _described(lock) if lock is not None else None
        head = fast.head("lock-show", "found" if lock is not None else "absent", code)
        waiters = [{**one._asdict(), "kind": locks.KINDS[one.kind]} for one in view.waiters]
        plain.json_line({**head, **_named(name), "lock": shown, "holders": [_holder(one) for one in view.holders], "waiters": waiters})
    elif lock is None:
        if not given["quiet"]:
            plain.note(f"coordctl: nobody holds {name}, and nobody waits for it")
    else:
        _show_table(lock, view)
    return code


def _show_table(lock: locks.Lock, view: locks.View) -> None:
    kind = locks.KINDS[lock.kind] + (f" {lock.permits}/{lock.limit}" if lock.limit else "")
    if len(view.holders) == 1:
        plain.line(f"{lock.name}  {kind}  token {view.holders[0].token}")
    else:
        plain.line(f"{lock.name}  {kind}  {lock.holders} holders")
    for one in view.holders:
        token = f"token {one.token}, " if len(view.holders) > 1 else ""
        waiting = f", {lock.waiters} waiting" if one is view.holders[0] else ""
        held = f"held {locks.seconds(one.held_ms)}" if one.session else f"lost by its holder, closed for {locks.seconds(one.delay_ms)} more"
        plain.line(f"      {token}{held}{waiting}")
        plain.line(f"      {_owner(one)}")
    for place, waiter in enumerate(view.waiters, 1):
        plain.line(f"{place:>4}. waits {locks.seconds(waiter.waited_ms)}: {_owner(waiter)}")


def _owner(one: locks.Holder | locks.Waiter) -> str:
    return (one.owner or f"session {one.session}").replace(", pid ", " pid ") + (f" ({one.note})" if one.note else "")


def _break(given: Given) -> int:
    asking, name = fast.asking(given), given["name"]
    view = locks.read(asking, name)
    held = [one for one in view.holders if given["token"] in (0, one.token)]
    if not held:
        raise NotHeld(f"nobody holds {name}" + (f" with token {given['token']}" if given["token"] else ""))
    if not given["yes"]:
        from coordctl.report import screen

        cluster = chosen(given["endpoints"], given["cluster"]).name
        where = f" of cluster {cluster}" if cluster else ""
        if not screen.confirmed(f"Break {name}{where}, held by {', '.join(one.owner for one in held)}?", "--yes"):
            return REFUSED
    operation = locks.break_operation(name, given["token"], given["reason"], who().partition(",")[0])
    told_ms = asking.take_away(operation, [one.session for one in held if one.session])
    tokens = [one.token for one in held]
    if given.is_json():
        plain.json_line({**fast.head("lock-break", "broken", DONE), **_named(name), "tokens": tokens, "told_ms": told_ms})
    elif not given["quiet"]:
        told = f"holder told after {told_ms} ms" if told_ms is not None else "its holder is told when it asks"
        plain.line(f"{name}: token {', '.join(map(str, tokens))} ended; {told}")
    return DONE


COMMANDS = {
    "renew": Command(RENEW, _renew, Kind.ACTION),
    "release": Command(RELEASE, _release, Kind.ACTION),
    "check": Command(CHECK, _check, Kind.QUERY),
    "ls": Command(LIST, _list, Kind.QUERY),
    "show": Command(SHOW, _show, Kind.QUERY),
    "break": Command(BREAK, _break, Kind.ACTION),
}
