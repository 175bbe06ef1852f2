"""`coordctl group`: run, ls, show, watch, join, update, leave: who is there. Starts fast, but for watching and staying."""

from coordctl.commands import fast
from coordctl.commands.asked import COUNT, SESSION, STALE, endpoints, must_have_session, name_of, named, session_of, shown, text
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.commands.of_itself import ABOUT, about, said_data, said_labels
from coordctl.flags import Flag, Given, Verb, duration_ms
from coordctl.hot import groups
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, SURELY_NOT_DONE, Kind
from coordnode.errors import BadRequest, Conflict

TTL_MS = 10_000

LIST = Verb(
    "group ls",
    ("[PREFIX]",),
    "List the groups whose names begin with PREFIX, in order; with --where, their members that are so.",
    QUERY,
    (Flag(("--where",), "key=value, key!=value, key, !key; all must be so, with commas between them", "LIST"), STALE),
)
SHOW = Verb("group show", ("GROUP",), "Show a group's members, and the number of this view.\nExits with 1 if it has none.", QUERY, (STALE,))
WATCH = Verb("group watch", ("GROUP",), "Print the view of a group, and every later one with what changed.", QUERY, (COUNT,))
JOIN = Verb(
    "group join",
    ("GROUP", "[MEMBER]"),
    "Join GROUP as MEMBER (default: called after the session's owner).\nWith --session, or where COORD_SESSION is set, the member goes "
    "when that session ends. Else it is a member\nas long as this command runs: TERM lets it leave and exit with 0.\nExits "
    "with 75 if the name is taken.",
    ACTION,
    (*ABOUT, SESSION, Flag(("--ttl",), "of its own session: so long after a crash it is still a member", "10s", duration_ms)),
)
UPDATE = Verb(
    "group update",
    ("GROUP", "MEMBER"),
    "Change what a member says of itself; what is not said stays as it is, --labels are replaced as a whole.",
    ACTION,
    (*ABOUT, SESSION),
)
LEAVE = Verb("group leave", ("GROUP", "MEMBER"), "Leave a group that was joined with the same session.", ACTION, (SESSION,))


def main(argv: list[str]) -> int:
    if argv and argv[0] in COMMANDS:
        return fast.dispatch("group", COMMANDS, argv)
    from coordctl.commands import group_run, lock_run

    return fast.dispatch("group", lock_run.with_run(COMMANDS, argv, group_run.RUN, group_run.group_run), argv)


# --- what is said ----------------------------------------------------------------------------------------------------


def _where(given: Given) -> list[tuple[str, int, str]]:
    requires: list[tuple[str, int, str]] = []
    for part in filter(None, (given["where"] or "").split(",")):
        key, equals, value = part.partition("=")
        if equals:
            require = (key.removesuffix("!"), groups.IS_NOT if key.endswith("!") else groups.IS, value)
        else:
            require = (part.removeprefix("!"), groups.HAS_NOT if part.startswith("!") else groups.HAS, "")
        if not require[0]:
            raise BadRequest(f"--where {part!r}: say key=value, key!=value, key or !key")
        requires.append(require)
    return requires


# --- what is shown ---------------------------------------------------------------------------------------------------


def _fields(member: groups.Member) -> dict[str, object]:
    about = {"labels": member.labels, "weight": member.weight, "joined_view": member.joined_view}
    return {**named("member", member.name), "session": member.session, **shown("data", member.data), **about}


def _line(member: groups.Member) -> str:
    parts = [text(member.name)]
    if member.data:
        parts.append(text(member.data))
    parts += [f"{key}={value}" for key, value in sorted(member.labels.items())]
    if member.weight != 1:
        parts.append(f"weight {member.weight}")
    return "  ".join(parts)


# --- the verbs -------------------------------------------------------------------------------------------------------


def _list(given: Given) -> int:
    if given["where"]:
        return _find(given)
    asking, after, more, count = fast.asking(given), b"", True, 0
    while more:
        found, more = groups.page(asking, name_of(given, "prefix"), after, stale=bool(given["stale"]))
        for group in found:
            if given.is_json():
                fields = {**named("group", group.name), "view": group.view, "members": group.members, "member": None}
                plain.json_line({**fast.head("group-ls", "found", DONE), **fields})
            else:
                if not count:
                    plain.line(f"{'MEMBERS':>7}  {'VIEW':>10}  GROUP")
                plain.line(f"{group.members:>7}  {group.view:>10}  {text(group.name)}")
            count += 1
            after = group.name
    return DONE if count else FAILED


def _find(given: Given) -> int:
    asking, requires, count = fast.asking(given), _where(given), 0
    after: tuple[bytes, bytes] | None = (b"", b"")
    while after is not None:
        found, after = groups.find(asking, name_of(given, "prefix"), requires, after, stale=bool(given["stale"]))
        for group, member in found:
            if given.is_json():
                fields = {**named("group", group), "view": None, "members": None, "member": _fields(member)}
                plain.json_line({**fast.head("group-ls", "found", DONE), **fields})
            else:
                plain.line(f"{text(group)}  {_line(member)}")
            count += 1
    return DONE if count else FAILED


def _show(given: Given) -> int:
    view, members = groups.view(fast.asking(given), name_of(given, "group"), stale=bool(given["stale"]))
    code = DONE if members else FAILED
    if given.is_json():
        head = fast.head("group-show", "found" if members else "absent", code)
        group = named("group", name_of(given, "group"))
        plain.json_line({**head, **group, "view": view, "members": [_fields(member) for member in members]})
    elif members:
        plain.line(f"{given['group']}  view {view}, {len(members)} member{'' if len(members) == 1 else 's'}")
        for member in members:
            plain.line(f"  {_line(member)}")
    else:
        plain.note(f"coordctl: group {given['group']} has no members")
    return code


def _watch(given: Given) -> int:
    from coordctl.operations.membership import Views  # runs for long: it may take its time to start

    with Views(endpoints(given), name_of(given, "group"), given["timeout"]) as views:
        for count, view in enumerate(views, 1):
            changed = {"joined": view.joined, "updated": view.updated, "left": view.left}
            if given.is_json():
                fields: dict[str, object] = {**named("group", name_of(given, "group")), "view": view.number}
                fields["members"] = [_fields(groups.Member(*member)) for member in view.members]
                fields |= {what: [text(name) for name in names] for what, names in changed.items()}
                plain.json_line({**fast.head("group-watch", "changed", DONE), **fields})
            else:
                signs = {"joined": "+", "updated": "~", "left": "-"}
                words = [signs[what] + text(name) for what, names in changed.items() for name in names]
                number = len(view.members)
                plain.line("  ".join([f"view {view.number}", f"{number} member{'' if number == 1 else 's'}", *words]))
            plain.flush()
            if count == given["count"]:
                break
    return DONE


def _join(given: Given) -> int:
    try:
        return _join_as_said(given)
    except Conflict as error:  # the name is somebody's: later it may be free
        plain.note(f"coordctl: {error.sentence}")
        return SURELY_NOT_DONE


def _join_as_said(given: Given) -> int:
    session = session_of(given)
    if not session:
        return _stay(given)
    view, member = groups.join(fast.asking(given), session, name_of(given, "group"), name_of(given, "member"), *about(given))
    return _changed(given, "group-join", "joined", session, view, member)


def _stay(given: Given) -> int:
    from coordctl.operations.membership import Staying  # runs for long: it may take its time to start

    ttl_seconds = (given["ttl"] or TTL_MS) / 1000
    with Staying(endpoints(given), name_of(given, "group"), name_of(given, "member"), *about(given), ttl_seconds) as staying:
        _changed(given, "group-join", "joined", staying.session, staying.view, staying.name)
        plain.flush()
        view = staying.wait()
        return _changed(given, "group-leave", "left", staying.session, view, staying.name)


def _update(given: Given) -> int:
    if given["data"] is None and given["labels"] is None and given["weight"] is None:
        raise BadRequest("nothing is to be changed: give --data, --labels or --weight")
    session = must_have_session(given, "group update")
    changed = (said_data(given), said_labels(given), given["weight"])
    view, member = groups.update(fast.asking(given), session, name_of(given, "group"), name_of(given, "member"), *changed)
    return _changed(given, "group-update", "updated", session, view, member)


def _leave(given: Given) -> int:
    session = must_have_session(given, "group leave")
    view, member = groups.leave(fast.asking(given), session, name_of(given, "group"), name_of(given, "member"))
    return _changed(given, "group-leave", "left", session, view, member)


def _changed(given: Given, schema: str, outcome: str, session: int, view: int, member: bytes) -> int:
    if given.is_json():
        fields = {**named("group", name_of(given, "group")), **named("member", member), "session": session, "view": view}
        plain.json_line({**fast.head(schema, outcome, DONE), **fields})
    elif not given["quiet"]:
        plain.line(f"{text(member)} {outcome}: view {view}")
    return DONE


COMMANDS = {
    "ls": Command(LIST, _list, Kind.QUERY),
    "show": Command(SHOW, _show, Kind.QUERY),
    "watch": Command(WATCH, _watch, Kind.QUERY),
    "join": Command(JOIN, _join, Kind.ACTION),
    "update": Command(UPDATE, _update, Kind.ACTION),
    "leave": Command(LEAVE, _leave, Kind.ACTION),
}
