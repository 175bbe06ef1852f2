"""`coordctl barrier`: enter, leave, show, ls: going on together. Starts fast, but for waiting."""

from coordctl.commands import fast
from coordctl.commands.asked import SESSION, STALE, ended_by, endpoints, must_have_session, name_of, named, session_of, text
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.flags import Flag, Given, Verb, duration_ms, whole_number
from coordctl.hot import barriers
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, SURELY_NOT_DONE, Kind
from coordnode.errors import BadRequest, CoordError, NotHeld

ENTER = Verb(
    "barrier enter",
    ("NAME", "COUNT"),
    "Wait until COUNT have entered; all must say the same number.\nWith --session, or where COORD_SESSION is set, that session stays "
    "inside until it leaves or ends;\nelse it leaves as soon as the barrier opened. Exits with 75 if it did not open in time.",
    ACTION,
    (SESSION, Flag(("--wait",), "for so long at most (default: as long as it takes)", "1m", duration_ms)),
)
LEAVE = Verb(
    "barrier leave",
    ("NAME",),
    "Leave a barrier that was entered with the same session; does not wait for the others.",
    ACTION,
    (SESSION,),
)
SHOW = Verb("barrier show", ("NAME",), "Show who is inside.\nExits with 1 if nobody is.", QUERY, (STALE,))
LIST = Verb("barrier ls", ("[PREFIX]",), "List the barriers that anybody is inside of.", QUERY, (STALE,))


def main(argv: list[str]) -> int:
    return fast.dispatch("barrier", COMMANDS, argv)


def _enter(given: Given) -> int:
    from coordctl.operations import meeting  # waits: it may take its time to start
    from coordctl.operations.interrupts import Interrupts

    name, session = name_of(given, "name"), session_of(given)
    try:
        count = whole_number(given["count"])
    except ValueError as error:
        raise BadRequest(f"COUNT {given['count']!r}: {error}") from None
    wait_ms = given["wait"] or given["timeout"]  # whoever bounds the whole command bounds the wait
    wait_seconds = wait_ms / 1000 if wait_ms else None
    with Interrupts() as interrupts:
        try:
            if session:
                is_open = _enter_in(given, session, name, count, wait_seconds)
            else:
                is_open = meeting.enter(endpoints(given), name, count, wait_seconds)
        except KeyboardInterrupt:
            return ended_by(interrupts.number)
    code = DONE if is_open else SURELY_NOT_DONE
    if given.is_json():
        head = fast.head("barrier-enter", "open" if is_open else "not open", code)
        plain.json_line({**head, **named("name", name), "count": count, "session": session})
    elif not is_open:
        plain.note(f"coordctl: barrier {given['name']} did not open in time; it was left again")
    elif not given["quiet"]:
        plain.line(f"{given['name']} is open")
    return code


def _enter_in(given: Given, session: int, name: bytes, count: int, wait_seconds: float | None) -> bool:
    from coordctl.operations import meeting

    asking, is_answered = fast.asking(given), False
    try:
        revision, barrier = barriers.enter(asking, session, name, count)
        is_answered = True
        if barrier.opened or meeting.wait_opened(endpoints(given), name, barrier.round, revision, wait_seconds):
            return True
    except KeyboardInterrupt:
        plain.note(f"coordctl: interrupted: {_left_on_interrupt(given, session, name, is_answered=is_answered)}")
        raise
    _, stays = barriers.leave(fast.asking(given), session, name, only_waiting=True)
    return stays  # it opened in the last moment


def _left_on_interrupt(given: Given, session: int, name: bytes, *, is_answered: bool) -> str:
    """As it is then, in words. `is_answered`: that it is inside; else that may come behind our leaving, which goes another way."""
    try:
        _, stays = barriers.leave(fast.asking(given), session, name, only_waiting=True)
    except CoordError as error:
        why = error.sentence
        if isinstance(error, NotHeld):
            if is_answered:
                return f"barrier {given['name']} is not entered any more"
            why = "it was interrupted before it was answered, and may come late"
        remedy = f"coordctl barrier leave {given['name']} --session {session}"
        return f"session {session} may be inside of barrier {given['name']} ({why}): leave it with {remedy}"
    return f"barrier {given['name']} had opened, and session {session} is inside" if stays else f"barrier {given['name']} was left again"


def _leave(given: Given) -> int:
    session = must_have_session(given, "barrier leave")
    barrier, _ = barriers.leave(fast.asking(given), session, name_of(given, "name"), only_waiting=False)
    if given.is_json():
        plain.json_line({**fast.head("barrier-leave", "left", DONE), **_fields(barrier)})
    elif not given["quiet"]:
        plain.line(f"left; {barrier.inside} of {barrier.size} are inside")
    return DONE


def _show(given: Given) -> int:
    barrier, sessions = barriers.view(fast.asking(given), name_of(given, "name"), stale=bool(given["stale"]))
    code = FAILED if barrier is None else DONE
    if given.is_json():
        fields = _fields(barrier if barrier is not None else barriers.Barrier(name_of(given, "name"), 0, 0, 0, 0))
        inside = [{"session": session, "owner": owner} for session, owner in sessions]
        plain.json_line({**fast.head("barrier-show", "found" if barrier is not None else "absent", code), **fields, "sessions": inside})
    elif barrier is None:
        plain.note(f"coordctl: nobody is inside barrier {given['name']}")
    else:
        plain.line(_line(barrier))
        for session, owner in sessions:
            plain.line(f"  session {session}, of {owner or 'nobody in particular'}")
    return code


def _list(given: Given) -> int:
    asking, after, more, count = fast.asking(given), b"", True, 0
    while more:
        found, more = barriers.page(asking, name_of(given, "prefix"), after, stale=bool(given["stale"]))
        for barrier in found:
            if given.is_json():
                plain.json_line({**fast.head("barrier-ls", "found", DONE), **_fields(barrier)})
            else:
                plain.line(_line(barrier))
            count += 1
            after = barrier.name
    return DONE if count else FAILED


def _line(barrier: barriers.Barrier) -> str:
    return f"{text(barrier.name)}  {barrier.inside} of {barrier.size} inside, {'open' if barrier.opened else 'waiting'}"


def _fields(barrier: barriers.Barrier) -> dict[str, object]:
    fields = {**named("name", barrier.name), "count": barrier.size, "inside": barrier.inside, "round": barrier.round}
    return {**fields, "is_open": bool(barrier.opened)}


COMMANDS = {
    "enter": Command(ENTER, _enter, Kind.ACTION),
    "leave": Command(LEAVE, _leave, Kind.ACTION),
    "show": Command(SHOW, _show, Kind.QUERY),
    "ls": Command(LIST, _list, Kind.QUERY),
}
