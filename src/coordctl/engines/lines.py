"""Who of a line holds a lock or leads, what is shown of them, and who waits in a circle. Pure; the same for each engine that keeps
order of arrival but knows no locks: a place in line is a key that goes with its session, and its number is given by the engine's log.

Whoever came earlier decides: a place holds if those before it leave room for it. Places go but never change, so who holds goes on holding.
"""

from __future__ import annotations

from coordctl.hot import elections, frames, locks
from coordctl.local.clusters import decoded
from coordnode.errors import BadRequest, Conflict, CoordError, Deadlock, NotPermitted, TooLarge
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

NAME_BYTES_MAX, NOTE_BYTES_MAX = 1_024, 1_024
TTL_MS_MIN, TTL_MS_MAX = 1_000, 86_400_000  # as coordnode has it
SESSION_BITS = 52  # as JSON's readers can tell numbers apart
PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@+=, ")
LOCKS, ELECTIONS = b"locks", b"elections"  # folders


class Gone(Exception):
    """What was asked about is not there: a lease, a node."""


class There(Exception):
    """What was to be made is there already."""


TOLD_TO_WORDS = (Gone, There, BadRequest, NotPermitted)  # what a word may know better than who carries it out


class Place(NamedTuple):
    """One who holds or waits."""

    key: bytes  # the last part of it
    number: int  # token and ticket: a later place has a higher one
    session: int
    owner: str
    kind: int = locks.EXCLUSIVE
    permits: int = 1
    limit: int = 0
    note: str = ""
    since_unix_ms: int = 0  # in line; of who waited and holds: it holds. As its own clock says
    parent: int = 0  # a session that waits until this one is over
    value: bytes = b""  # of a candidate
    candidate: str = ""

    def kept(self) -> bytes:
        """What stands under its key."""
        from binascii import b2a_base64

        how = f'"kind":{self.kind},"permits":{self.permits},"limit":{self.limit},"since":{self.since_unix_ms},"parent":{self.parent}'
        words = f'"owner":{quoted(self.owner)},"note":{quoted(self.note)},"candidate":{quoted(self.candidate)}'
        return f'{{{words},{how},"value":"{b2a_base64(self.value, newline=False).decode()}"}}'.encode()


def quoted(text: str) -> str:
    """As JSON has it."""
    from _json import encode_basestring_ascii  # json itself takes 8 ms to load

    return encode_basestring_ascii(text)


def place(key: bytes, number: int, session: int, kept: bytes) -> Place:
    """Of what another client wrote no more is known than that it is in line."""
    from binascii import a2b_base64

    try:
        found = decoded(kept.decode())
        how = (found["kind"], found["permits"], found["limit"])
        value = a2b_base64(found["value"])
        return Place(key, number, session, found["owner"], *how, found["note"], found["since"], found["parent"], value, found["candidate"])
    except (ValueError, KeyError, TypeError):
        return Place(key, number, session, "")


def folder(space: bytes, name: bytes) -> bytes:
    """A name as one part of a path."""
    return b"coordctl/" + space + b"/" + escaped(name)


def escaped(name: bytes) -> bytes:
    return b"".join(bytes((byte,)) if byte in PLAIN else b"%%%02X" % byte for byte in name)


def unescaped(part: bytes) -> bytes:
    first, *others = part.split(b"%")
    return first + b"".join(bytes((int(other[:2], 16),)) + other[2:] for other in others)


def session_id(chance: bytes) -> int:
    """Of our own choice, so that it can be asked for twice."""
    return int.from_bytes(chance[:8]) >> (64 - SESSION_BITS) | 1


def check_ttl(ttl_ms: int) -> None:
    if not TTL_MS_MIN <= ttl_ms <= TTL_MS_MAX:
        raise BadRequest(f"the session's TTL is {ttl_ms} ms; give {TTL_MS_MIN} to {TTL_MS_MAX} ms")


def why(reason: str, by: str) -> bytes:
    """A place was taken away: for who had it."""
    for text in (reason, by):
        if len(text.encode()) > NOTE_BYTES_MAX:
            raise TooLarge(f"the reason has {len(text.encode())} bytes, at most {NOTE_BYTES_MAX}; shorten it")
    return f'{{"reason":{quoted(reason)},"by":{quoted(by)}}}'.encode()


def said_why(kept: bytes) -> tuple[str, str]:
    """(reason, by whom)"""
    try:
        found = decoded(kept.decode())
        return found["reason"], found["by"]
    except (ValueError, KeyError, TypeError):
        return "", ""


# --- who may come in -----------------------------------------------------------------------------------------------


def asked(operation: Sequence[Any], session: int, owner: str, parent: int, unix_ms: int) -> tuple[bytes, bytes, Place, bool]:
    """(space, name, the place it wants, whether it waits) of an acquire or a campaign. Raises what is wrong with it."""
    tag, name = operation[0], operation[1]
    space, what = (LOCKS, "lock") if tag == locks.ACQUIRE_TAG else (ELECTIONS, "election")
    if not name:
        raise BadRequest(f"the {what} has no name; give one of at least one byte")
    if len(name) > NAME_BYTES_MAX:
        raise TooLarge(f"the name of {what} {name[:32]!r}… has {len(name)} bytes, at most {NAME_BYTES_MAX}; shorten it")
    if min(name) < 0x20 or 0x7F in name:
        raise BadRequest(f"the name of {what} {name[:32]!r} has a control character in it; choose printable ones")
    wanted = Place(b"", 0, session, owner, since_unix_ms=unix_ms, parent=parent)
    if tag == locks.ACQUIRE_TAG:
        _, _, kind, permits, limit, waits, _, _, note = operation
        if len(note.encode()) > NOTE_BYTES_MAX:
            raise TooLarge(f"the lock's note has {len(note.encode())} bytes, at most {NOTE_BYTES_MAX}; shorten it")
        return space, name, wanted._replace(kind=kind, permits=permits, limit=limit, note=note), waits
    _, _, value, candidate, waits = operation
    return space, name, wanted._replace(value=value, candidate=candidate), waits


def holds(places: Sequence[Place], mine: Place) -> bool:
    before = [one for one in places if one.number < mine.number]
    if not before:
        return True
    if mine.kind == locks.SEMAPHORE:
        return sum(one.permits for one in before) + mine.permits <= mine.limit
    return mine.kind == locks.SHARED and all(one.kind == locks.SHARED for one in before)


def blocker(places: Sequence[Place], mine: Place) -> Place | None:
    """The one that must leave before it can be ours, whoever else does; None: there is none, or several could make room."""
    if holds(places, mine) or mine.kind == locks.SEMAPHORE:
        return None
    in_the_way = [one for one in places if one.number < mine.number and not (mine.kind == one.kind == locks.SHARED)]
    return max(in_the_way, key=_number)


def conflict(places: Sequence[Place], mine: Place) -> CoordError | None:
    """The lock is there, with settings that ours cannot stand beside."""
    first = min(places, key=_number)
    if (first.kind == locks.SEMAPHORE, first.limit) == (mine.kind == locks.SEMAPHORE, mine.limit):
        return None
    there = f"a semaphore of {first.limit} permits" if first.limit else "no semaphore"
    return Conflict(f"it is held or awaited as {there}: ask for it in the same way, or wait until nobody has it")


def circle(all_places: Mapping[bytes, Sequence[Place]], mine: Place) -> CoordError | None:
    """Whether we would wait for ourselves: a session waits for those before it in line, and for its command's own sessions."""
    waits_for: dict[int, list[tuple[int, bytes]]] = {}
    for name, places in all_places.items():
        for one in places:
            if one.parent:
                waits_for.setdefault(one.parent, []).append((one.session, name))
            if not holds(places, one):
                waits_for.setdefault(one.session, []).extend((other.session, name) for other in places if other.number < one.number)
    seen = [mine.session]
    ways: list[tuple[int, tuple[bytes, ...]]] = [(session, (name,)) for session, name in waits_for.get(mine.session, ())]
    while ways:
        session, names = ways.pop()
        if session == mine.session:
            shown = ", ".join(sorted({name.decode(errors="replace") for name in names}))
            return Deadlock(f"waiting would never end: what we are part of holds what we wait for ({shown})")
        if session not in seen:
            seen.append(session)
            ways += [(other, (*names, name)) for other, name in waits_for.get(session, ())]
    return None


# --- as docs/protocol.md shows them --------------------------------------------------------------------------------


def granted(space: bytes, revision: int, token: int) -> list[object]:
    return [locks.GRANTED, revision, token, 1] if space == LOCKS else [elections.ELECTED, revision, token]


def queued(space: bytes, revision: int, name: bytes, places: Sequence[Place], mine: Place, unix_ms: int) -> list[object]:
    ahead = sum(one.number < mine.number and not holds(places, one) for one in places)
    tag = locks.QUEUED if space == LOCKS else elections.QUEUED
    return [tag, revision, mine.number, ahead, had(space, name, places, unix_ms)]


def busy(space: bytes, revision: int, name: bytes, places: Sequence[Place], unix_ms: int) -> list[object]:
    tag = locks.BUSY if space == LOCKS else elections.LED_ALREADY
    return [tag, revision, had(space, name, places, unix_ms)]


def had(space: bytes, name: bytes, places: Sequence[Place], unix_ms: int) -> list[object]:
    """By whom, as a lock's or an election's line has it."""
    return lock(name, places, unix_ms) if space == LOCKS else _leader(min(places, key=_number), unix_ms)


def lock(name: bytes, places: Sequence[Place], unix_ms: int) -> list[object]:
    ordered = sorted(places, key=_number)
    holding = [one for one in ordered if holds(ordered, one)]
    first = ordered[0]
    return [
        name,
        first.kind,
        first.limit,
        sum(one.permits for one in holding),
        len(holding),
        len(ordered) - len(holding),
        _holder(first, unix_ms),
    ]


def lock_view(revision: int, name: bytes, places: Sequence[Place], unix_ms: int) -> list[object]:
    if not places:
        return [locks.VIEW, revision, None, [], False, [], False]
    ordered = sorted(places, key=_number)
    holding = [_holder(one, unix_ms) for one in ordered if holds(ordered, one)]
    waiting = [_waiter(one, unix_ms) for one in ordered if not holds(ordered, one)]
    return [locks.VIEW, revision, lock(name, ordered, unix_ms), holding, False, waiting, False]


def election(name: bytes, places: Sequence[Place], unix_ms: int) -> list[object]:
    return [name, _leader(min(places, key=_number), unix_ms), len(places) - 1]


def election_view(revision: int, name: bytes, places: Sequence[Place], unix_ms: int) -> list[object]:
    if not places:
        return [elections.VIEW, revision, None, [], False]
    standing = [_candidate(one, unix_ms) for one in sorted(places, key=_number)[1:]]
    return [elections.VIEW, revision, election(name, places, unix_ms), standing, False]


def listed(space: bytes, revision: int, found: Mapping[bytes, Sequence[Place]], after: bytes, unix_ms: int) -> list[object]:
    """All of them: `found` is by name."""
    names = [name for name in sorted(found) if name > after]
    if space == LOCKS:
        return [locks.PAGE, revision, [lock(name, found[name], unix_ms) for name in names], False]
    return [elections.PAGE, revision, [election(name, found[name], unix_ms) for name in names], False]


def standing(space: bytes, revision: int, name: bytes, places: Sequence[Place], session: int) -> list[object]:
    """What a session has and waits for."""
    mine = [one for one in places if one.session == session]
    rows = [[name, one.number if holds(places, one) else 0, one.number] for one in mine]
    return [locks.HELD if space == LOCKS else elections.STANDING, revision, rows, False]


def failure(error: CoordError) -> list[object]:
    return [frames.FAILURE, error.code, error.sentence]


def _number(one: Place) -> int:
    return one.number


def _holder(one: Place, unix_ms: int) -> list[object]:
    held_ms = max(0, unix_ms - one.since_unix_ms) if one.since_unix_ms else 0
    return [one.number, one.session, one.owner, one.kind, one.permits, 1, one.note, one.since_unix_ms, held_ms, 0]


def _waiter(one: Place, unix_ms: int) -> list[object]:
    waited_ms = max(0, unix_ms - one.since_unix_ms) if one.since_unix_ms else 0
    return [one.number, one.session, one.owner, one.kind, one.permits, one.note, one.since_unix_ms, waited_ms]


def _leader(one: Place, unix_ms: int) -> list[object]:
    led_ms = max(0, unix_ms - one.since_unix_ms) if one.since_unix_ms else 0
    return [one.number, one.session, one.owner, one.candidate, one.value, one.since_unix_ms, led_ms]


def _candidate(one: Place, unix_ms: int) -> list[object]:
    return _leader(one, unix_ms)


def by_name(places: Iterable[tuple[bytes, Place]]) -> dict[bytes, list[Place]]:
    found: dict[bytes, list[Place]] = {}
    for name, one in places:
        found.setdefault(unescaped(name), []).append(one)
    return found
