"""`coordctl shard`: run, ls, show, watch, create, set, delete: shards over the members of a group. Starts fast, but for watch."""

from coordctl.commands import fast
from coordctl.commands.asked import COUNT, REQUEST_ID, STALE, endpoints, name_of, named, request_id, surely, text
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.flags import Flag, Given, Verb, duration_ms, whole_number
from coordctl.hot import shards
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, REFUSED, Kind
from coordnode.errors import BadRequest

REVOKE_MS = 10_000
REVOKE = Flag(("--revoke",), "so long an owner may take to release a shard that is wanted elsewhere (default 10s)", "10s", duration_ms)
LIST = Verb("shard ls", ("[PREFIX]",), "List the assignments whose names begin with PREFIX, in order.", QUERY, (STALE,))
SHOW = Verb("shard show", ("NAME",), "Show who owns which shard, under which token, and what is being moved.", QUERY, (STALE,))
WATCH = Verb("shard watch", ("NAME",), "Print every move of a shard, as it happens.", QUERY, (COUNT,))
CREATE = Verb(
    "shard create",
    ("NAME", "GROUP", "SHARDS"),
    "Make an assignment: shards 0 to SHARDS - 1 over the members of GROUP, by their weights.\nIt is no error if it is there already, "
    "the same.",
    ACTION,
    (REVOKE, REQUEST_ID),
)
SET = Verb(
    "shard set",
    ("NAME",),
    "Change an assignment's number of shards, or its time to release them; what is not said stays.",
    ACTION,
    (Flag(("--shards",), "how many", "N", whole_number), REVOKE, REQUEST_ID),
)
DELETE = Verb(
    "shard delete",
    ("NAME",),
    "Delete an assignment: every owner loses its shards at once.\nIt is no error if it was not there.",
    ACTION,
    (Flag(("--yes",), "do not ask"), REQUEST_ID),
)


def main(argv: list[str]) -> int:
    if argv and argv[0] in COMMANDS:
        return fast.dispatch("shard", COMMANDS, argv)
    from coordctl.commands import lock_run, shard_run

    return fast.dispatch("shard", lock_run.with_run(COMMANDS, argv, shard_run.RUN, shard_run.shard_run), argv)


def _list(given: Given) -> int:
    asking, after, more, count = fast.asking(given), b"", True, 0
    while more:
        found, more = shards.page(asking, name_of(given, "prefix"), after, stale=bool(given["stale"]))
        for one in found:
            if given.is_json():
                fields = {**one._asdict(), **named("name", one.name), **named("group", one.group)}
                plain.json_line({**fast.head("shard-ls", "found", DONE), **fields})
            else:
                if not count:
                    plain.line(f"{'SHARDS':>6}  {'OWNED':>6}  {'MOVING':>6}  NAME over GROUP")
                plain.line(f"{one.shards:>6}  {one.owned:>6}  {one.revoking:>6}  {text(one.name)} over {text(one.group)}")
            count += 1
            after = one.name
    return DONE if count else FAILED


def _show(given: Given) -> int:
    view = shards.view(fast.asking(given), name_of(given, "name"), stale=bool(given["stale"]))
    free = [shard for shard in range(view.shards) if shard not in {row.shard for row in view.owned}]
    if given.is_json():
        rows = [{**row._asdict(), **named("member", row.member)} for row in view.owned]
        about = {**named("name", name_of(given, "name")), **named("group", view.group)}
        fields = {"shards": view.shards, "revoke_ms": view.revoke_ms, "owned": rows, "free": free}
        plain.json_line({**fast.head("shard-show", "found", DONE), **about, **fields})
        return DONE
    plain.line(f"{given['name']}  {view.shards} shards over group {text(view.group)}, {view.revoke_ms / 1000:.4g} s to release one")
    for row in view.owned:
        left = "" if row.revoke_left_ms is None else f", to be released within {row.revoke_left_ms / 1000:.4g} s"
        plain.line(f"{row.shard:>6}  {text(row.member)}, session {row.session}, token {row.token}{left}")
    if free:
        plain.line(f"        without owner: {', '.join(map(str, free))}")
    return DONE


def _watch(given: Given) -> int:
    from coordctl.operations.moves import Moves  # runs for long: it may take its time to start

    count = 0
    with Moves(endpoints(given), name_of(given, "name"), given["timeout"]) as moves:
        if not given["quiet"]:
            plain.note(f"watching from revision {moves.begins_at} on")
        for move in moves:
            if given.is_json():
                fields = {**named("name", name_of(given, "name")), **move._asdict(), **named("member", move.member)}
                plain.json_line({**fast.head("shard-watch", "moved", DONE), **fields})
            elif move.kind in ("configured", "deleted"):
                plain.line(f"{move.revision} {move.kind}")
            else:
                plain.line(f"{move.revision} {move.kind} {move.shard} {text(move.member)}, session {move.session}, token {move.token}")
            plain.flush()
            count += 1
            if count == given["count"]:
                break
    return DONE


def _create(given: Given) -> int:
    name, said = name_of(given, "name"), request_id(given)
    try:
        number = whole_number(given["shards"])
    except ValueError as error:
        raise BadRequest(f"SHARDS {given['shards']!r}: {error}") from None
    revoke_ms = given["revoke"] or REVOKE_MS
    made = surely(said, lambda: shards.create(fast.asking(given), name, name_of(given, "group"), number, revoke_ms, said))
    return _changed(given, "shard-create", "created" if made else "unchanged", "was so already" if not made else "created", said)


def _set(given: Given) -> int:
    if "shards" not in given and "revoke" not in given:
        raise BadRequest("nothing is to be changed: give --shards or --revoke")
    name, said = name_of(given, "name"), request_id(given)
    changed = surely(said, lambda: shards.configure(fast.asking(given), name, given["shards"], given["revoke"], said))
    return _changed(given, "shard-set", "changed" if changed else "unchanged", "set" if changed else "was so already", said)


def _delete(given: Given) -> int:
    question = f"Delete assignment {given['name']}? Every owner loses its shards at once."
    if not given["yes"]:
        from coordctl.report import screen

        if not screen.confirmed(question, "--yes"):
            return REFUSED
    name, said = name_of(given, "name"), request_id(given)
    existed = surely(said, lambda: shards.delete(fast.asking(given), name, said))
    return _changed(given, "shard-delete", "deleted" if existed else "absent", "deleted" if existed else "was not there", said)


def _changed(given: Given, schema: str, outcome: str, words: str, said: str) -> int:
    if given.is_json():
        plain.json_line({**fast.head(schema, outcome, DONE), **named("name", name_of(given, "name")), "request_id": said})
    elif not given["quiet"]:
        plain.line(f"{given['name']}: {words}")
    return DONE


COMMANDS = {
    "ls": Command(LIST, _list, Kind.QUERY),
    "show": Command(SHOW, _show, Kind.QUERY),
    "watch": Command(WATCH, _watch, Kind.QUERY),
    "create": Command(CREATE, _create, Kind.ACTION),
    "set": Command(SET, _set, Kind.ACTION),
    "delete": Command(DELETE, _delete, Kind.ACTION),
}
