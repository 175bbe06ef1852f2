"""`coordctl elect`: run, ls, show, observe, proclaim, resign, transfer: one leads, others stand by. Starts fast, but for observe."""

import os

from coordctl.commands import fast
from coordctl.commands.asked import COUNT, SESSION, STALE, content, must_have_session, name_of, named, shown, text
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.flags import Flag, Given, Verb, whole_number
from coordctl.hot import elections
from coordctl.hot.locks import seconds
from coordctl.local.clusters import chosen
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, Kind
from coordnode.client.identity import who
from coordnode.errors import BadRequest, CoordError, Missing, NotHeld, Unknown

REASON = Flag(("--reason",), "told to who leads, and to who observes", "TEXT", default="")

LIST = Verb("elect ls", ("[PREFIX]",), "List the elections that somebody leads, in the order of their names.", QUERY, (STALE,))
SHOW = Verb(
    "elect show",
    ("NAME",),
    "Show who leads NAME, since when, with which value, and who stands.\nExits with 1 if nobody leads.",
    QUERY,
    (STALE,),
)
OBSERVE = Verb(
    "elect observe",
    ("NAME",),
    "Print who leads NAME, then every change: another leader, another value, nobody.\nBeing cut off from the cluster is no change: the "
    "newest is told once it answers again.",
    QUERY,
    (COUNT,),
)
PROCLAIM = Verb(
    "elect proclaim",
    ("VALUE", "[NAME]", "[TOKEN]"),
    "Give others another value to read of the leader with this token, which is the leader still. - and @FILE as for kv put.\nInside of "
    "`elect run`, NAME, TOKEN and session come from the environment.",
    ACTION,
    (SESSION,),
)
RESIGN = Verb(
    "elect resign",
    ("[NAME]", "[TOKEN]"),
    "End the leadership that has this token, nobody else's: the next in line leads. Its holder is told at once.\nInside of "
    "`elect run`, both come from the environment.",
    ACTION,
    (REASON,),
)
TRANSFER = Verb(
    "elect transfer",
    ("NAME", "CANDIDATE"),
    "Hand NAME over to who stands under the name CANDIDATE. Who leads until then is told at once, and if it runs a command\nunder `elect "
    "run`, that is ended. Exits with 1, and nothing changes, if nobody of that name stands.",
    ACTION,
    (Flag(("--token",), "only if the leadership with this token is the one that ends", "TOKEN", whole_number, 0), REASON),
)


def main(argv: list[str]) -> int:
    if argv and argv[0] in COMMANDS:
        return fast.dispatch("elect", COMMANDS, argv)
    from coordctl.commands import elect_run, lock_run

    return fast.dispatch("elect", lock_run.with_run(COMMANDS, argv, elect_run.RUN, elect_run.elect_run), argv)


def _fields(one: elections.Leader | elections.Candidate) -> dict[str, object]:
    return {**one._asdict(), **shown("value", one.value)}


def _about(one: elections.Leader | elections.Candidate) -> str:
    """Who is behind a candidate's name."""
    return (one.owner or f"session {one.session}").replace(", pid ", " pid ")


def _list(given: Given) -> int:
    asking, after, more, count = fast.asking(given), b"", True, 0
    while more:
        found, more = elections.page(asking, name_of(given, "prefix"), after, stale=bool(given["stale"]))
        for one in found:
            if given.is_json():
                fields = {**named("name", one.name), "leader": _fields(one.leader), "candidates": one.candidates}
                plain.json_line({**fast.head("elect-ls", "found", DONE), **fields})
            else:
                if not count:
                    plain.line(f"{'NAME':20}  {'STANDING':>8}  LED")
                plain.line(f"{text(one.name):20}  {one.candidates:>8}  by {one.leader.name}, for {seconds(one.leader.led_ms)}")
            count += 1
            after = one.name
    return DONE if count else FAILED


def _show(given: Given) -> int:
    view = elections.view(fast.asking(given), name_of(given, "name"), stale=bool(given["stale"]))
    election, code = view.election, FAILED if view.election is None else DONE
    if given.is_json():
        head = fast.head("elect-show", "vacant" if election is None else "led", code)
        leader = _fields(election.leader) if election is not None else None
        standing = [_fields(one) for one in view.candidates]
        plain.json_line({**head, **named("name", name_of(given, "name")), "leader": leader, "candidates": standing})
    elif election is None:
        if not given["quiet"]:
            plain.note(f"coordctl: nobody leads {given['name']}, and nobody stands")
    else:
        leader_now = election.leader
        plain.line(f"{given['name']}  led by {leader_now.name}  token {leader_now.token}")
        plain.line(f"      for {seconds(leader_now.led_ms)}, {election.candidates} standing")
        plain.line(f"      {_about(leader_now)}{_value(leader_now.value)}")
        for place, one in enumerate(view.candidates, 1):
            name = f"{one.candidate}, " if one.candidate else ""
            plain.line(f"{place:>4}. waits {seconds(one.waited_ms)}: {name}{_about(one)}{_value(one.value)}")
    return code


def _value(value: bytes) -> str:
    return f", value {text(value)}" if value else ""


def _observe(given: Given) -> int:
    from coordctl.operations.observing import Observation  # runs for long: it may take its time to start

    cluster = chosen(given["endpoints"], given["cluster"])
    with Observation(cluster, name_of(given, "name"), given["timeout"]) as observation:
        for count, (revision, leader, reason) in enumerate(observation, 1):
            if given.is_json():
                fields = {**leader._asdict(), **shown("value", leader.value)} if leader is not None else None
                head = fast.head("elect-observe", "vacant" if leader is None else "led", DONE)
                name = named("name", name_of(given, "name"))
                plain.json_line({**head, **name, "revision": revision, "leader": fields, "reason": reason})
            elif leader is None:
                plain.line(f"{revision} no leader now{': ' if reason else ''}{reason}")
            else:
                who_leads = leader.candidate or leader.owner or f"session {leader.session}"
                plain.line(f"{revision} {who_leads} leads, token {leader.token}{_value(leader.value)}")
            plain.flush()
            if count == given["count"]:
                break
    return DONE


def _leadership(given: Given) -> tuple[str, int]:
    """(election, token), as given or as `elect run` says it."""
    name = given["name"] or os.environ.get("COORD_ELECTION", "")
    if not name:
        raise BadRequest("which election? give NAME and TOKEN, or run it inside of `elect run`")
    said = given["token"] or (os.environ.get("COORD_TOKEN") if name == os.environ.get("COORD_ELECTION") else None)
    if not said:
        raise BadRequest(f"which leadership? give its TOKEN, too; `coordctl elect show {name}` shows it")
    try:
        return name, whole_number(said)
    except ValueError as error:
        raise BadRequest(f"token {said!r}: {error}; `coordctl elect show {name}` shows it") from None


def _proclaim(given: Given) -> int:
    name, token = _leadership(given)
    session, value = must_have_session(given, "elect proclaim"), content(given["value"])
    revision = elections.proclaim(fast.asking(given), session, os.fsencode(name), token, value)
    if given.is_json():
        fields = {**named("name", os.fsencode(name)), "token": token, "revision": revision}
        plain.json_line({**fast.head("elect-proclaim", "proclaimed", DONE), **fields})
    elif not given["quiet"]:
        plain.line(f"{name}: proclaimed at revision {revision}")
    return DONE


def _resign(given: Given) -> int:
    name, token = _leadership(given)
    return _end(given.with_value("name", name), "elect-resign", token, "")


def _transfer(given: Given) -> int:
    if not given["candidate"]:
        raise BadRequest("to whom? give the name of a CANDIDATE; see who stands with: coordctl elect show NAME")
    return _end(given, "elect-transfer", given["token"], given["candidate"])


def _end(given: Given, schema: str, token: int, to: str) -> int:
    """Names the leadership that was seen: done again, it ends no later one."""
    asking, name = fast.asking(given), name_of(given, "name")
    before = elections.view(asking, name, stale=False).election
    if before is None:
        raise Missing(f"nobody leads {given['name']}")
    if token not in (0, before.leader.token):
        now = f"{before.leader.name} leads it now, with token {before.leader.token}"
        raise NotHeld(f"{given['name']} is not led with token {token}: {now}")
    operation = elections.depose_operation(name, before.leader.token, to, given["reason"], who().partition(",")[0])
    told_ms = asking.take_away(operation, [before.leader.session])
    try:
        after = elections.view(asking, name, stale=False).election
    except CoordError as error:
        ended = f"{given['name']}: the leadership of {before.leader.name}, token {before.leader.token}, is ended"
        raise Unknown(f"{ended}; who leads now is not known: {error.sentence}") from None
    leader = after.leader if after is not None else None
    if given.is_json():
        fields = {**named("name", name), "token": before.leader.token, "told_ms": told_ms}
        plain.json_line({**fast.head(schema, "ended", DONE), **fields, "leader": _fields(leader) if leader is not None else None})
    elif not given["quiet"]:
        told = f"told after {told_ms} ms" if told_ms is not None else "told when it asks"
        now = f"{leader.name} leads with token {leader.token}" if leader is not None else "no leader now"
        plain.line(f"{given['name']}: {now}; {before.leader.name}, token {before.leader.token}, was {told}")
    return DONE


COMMANDS = {
    "ls": Command(LIST, _list, Kind.QUERY),
    "show": Command(SHOW, _show, Kind.QUERY),
    "observe": Command(OBSERVE, _observe, Kind.QUERY),
    "proclaim": Command(PROCLAIM, _proclaim, Kind.ACTION),
    "resign": Command(RESIGN, _resign, Kind.ACTION),
    "transfer": Command(TRANSFER, _transfer, Kind.ACTION),
}
