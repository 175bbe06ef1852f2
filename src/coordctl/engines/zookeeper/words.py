"""The words of docs/protocol.md on ZooKeeper: for each a generator, which yields what to ask, is sent what was answered, and returns the
result. Pure.

Each may be begun again as long as it has changed nothing. Once it has, and goes on asking, it is told Unknown when an answer is lost: it
ends with what it knows, or by raising that.

A read that is not to be stale begins with an entry of the log that changes nothing: what this member answers after it, in the order of
its connection, is no older. `sync` would cost less and prove less, since a leader that was deposed answers it as well.
"""

from __future__ import annotations

from coordctl.engines import lines
from coordctl.engines.lacks import of_tag, why_not
from coordctl.engines.lines import Gone, There
from coordctl.engines.zookeeper import jute
from coordctl.engines.zookeeper.jute import Answer, Ask, Reading, Stat
from coordctl.hot import elections, frames, kv, locks
from coordctl.local.clusters import ZOOKEEPER
from coordnode.errors import BadRequest, NotHeld, NotPermitted, SessionExpired, TooLarge, Unknown
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any

    Asks = Generator[Ask, Any, Any]

CLOSE_TAG, SESSIONS_TAG = 11, 12
OWN_REQUEST = "coordctl-"  # of those ids that we gave ourselves
ROOT = b"/coordctl"
BROKEN = ROOT + b"/broken"
TOPS = (ROOT, BROKEN, ROOT + b"/" + lines.LOCKS, ROOT + b"/" + lines.ELECTIONS)  # everybody's: what is below them is of who makes it
NOTHING = jute.multi([jute.check(b"/")])  # goes through the log, and changes nothing
# Values of nodes that were made for those below them. A container goes with the last one, whatever it has for a value by then; that a node
# is one is told nowhere else.
CONTAINS = b"coordctl: not a key, but above one"
ABOVE = b"coordctl: not a key, but above one that stays"
NO_KEYS = (CONTAINS, ABOVE)
LOCK_MARK = b"__lock__"  # as kazoo's lock has it in its names: in one line with us
NODES_MAX = 20_000
VERSION_FIELD, TOKEN_FIELD = 3, 4
HIDDEN = (b"zookeeper", b"coordctl")  # at the top: its own, and ours


def said(answer: Answer) -> tuple[bytes, Stat]:
    """(value, about the node)"""
    reading = Reading(answer.body)
    return reading.buffer(), reading.stat()


def made(answer: Answer) -> tuple[bytes, Stat]:
    """(path, about the node)"""
    return said(answer)


def names(answer: Answer) -> list[bytes]:
    reading = Reading(answer.body)
    return [reading.buffer() for _ in range(max(0, reading.number()))]


def ensure(path: bytes, *, kind: int = jute.CONTAINER) -> Generator[Ask, Any, None]:
    """The node and those above it."""
    parts = path.split(b"/")[1:]
    for depth in range(1, len(parts) + 1):
        one = b"/" + b"/".join(parts[:depth])
        try:
            yield jute.create(one, CONTAINS if kind == jute.CONTAINER else ABOVE, kind, is_open=one in TOPS)
        except There:
            continue


def is_above(asked: Ask) -> bool:
    """It makes a node for those below it: made again, it is there all the same."""
    return asked.kind in (jute.CREATE2, jute.CREATE_CONTAINER) and asked.body.endswith((jute.buffer(CONTAINS), jute.buffer(ABOVE)))


# --- kv: a key is a path without its first slash ---------------------------------------------------------------------


def path_of(key: bytes) -> bytes:
    return b"/" + key if key else b"/"


def item(key: bytes, value: bytes, stat: Stat) -> list[object]:
    return [key, value, stat.created, stat.changed, stat.version + 1, stat.owner]


def get(stale: bool, key: bytes) -> Asks:
    zxid = yield from barrier(stale)
    try:
        answer = yield jute.get(path_of(key))
    except Gone:
        return [frames.GOT, zxid, None]
    found = said(answer)
    return [frames.GOT, answer.zxid, item(key, *found) if found[0] not in NO_KEYS else None]


def key_range(stale: bool, start: bytes, end: bytes, limit: int = 0, keys_only: bool = False) -> Asks:
    """Node by node, not of one moment."""
    zxid = yield from barrier(stale)
    top = b""
    for byte, other in zip(start, end or start, strict=False):
        if byte != other:
            break
        top += bytes((byte,))
    folder = path_of(top[: top.rfind(b"/")] if b"/" in top else b"")
    found: list[list[object]] = []
    waiting = [folder]
    seen = 0
    while waiting:
        path = waiting.pop()
        seen += 1
        if seen > NODES_MAX:
            raise TooLarge(f"there are more than {NODES_MAX} nodes below {folder.decode(errors='replace')}: name a longer prefix")
        try:
            below = names((yield jute.children(path)))
            key = path[1:]
            if key and key >= start and (not end or key < end):
                value, stat = said((yield jute.get(path)))
                if value not in NO_KEYS:
                    found.append(item(key, b"" if keys_only else value, stat))
        except Gone:
            continue
        hidden = HIDDEN if path == b"/" else ()
        waiting += [path.rstrip(b"/") + b"/" + name for name in below if name not in hidden]
    found.sort(key=lambda one: one[0])  # type: ignore[arg-type,return-value]
    count = limit or len(found)
    return [frames.PAGE, zxid, found[:count], len(found) > count]


def kind_of(within: int, bound: bool) -> int:
    """Of a node that is made."""
    if bound and not within:
        raise BadRequest("a key is bound to a session by who opened it: ZooKeeper's own tools make ephemeral nodes")
    return jute.EPHEMERAL if bound else jute.PERSISTENT


def put(within: int, key: bytes, value: bytes, bound: bool = False) -> Asks:
    path, kind = path_of(key), kind_of(within, bound)
    while True:
        try:
            if not bound:
                yield from keeper(path)
            return [frames.DONE, (yield jute.set_value(path, value)).zxid, 1]
        except Gone:
            pass
        try:
            return [frames.DONE, (yield jute.create(path, value, kind)).zxid, 1]
        except There:
            continue
        except Gone:
            yield from ensure_above(path, bound=bound)


def keeper(path: bytes) -> Generator[Ask, Any, tuple[bytes, Stat]]:
    """(value, about the node) of one that keeps a value that is put there. Raises Gone where there is none."""
    value, stat = said((yield jute.get(path)))
    if value == CONTAINS:
        raise BadRequest("it was made for keys below it that go with a session, and would go with the last of them: take another key")
    return value, stat


def ensure_above(path: bytes, *, bound: bool) -> Generator[Ask, Any, None]:
    """A key that goes by itself takes with it those above it that nothing else is below."""
    above = path.rpartition(b"/")[0]
    if above:
        yield from ensure(above, kind=jute.CONTAINER if bound else jute.PERSISTENT)


def delete(key: bytes) -> Asks:
    path = path_of(key)
    try:
        zxid = (yield jute.delete(path)).zxid
    except Gone:
        return [frames.DONE, (yield NOTHING).zxid, 0]
    yield from tidy(path)
    return [frames.DONE, zxid, 1]


def tidy(path: bytes) -> Generator[Ask, Any, None]:
    """Those above it that nothing is below any more, and that are no keys. One that stays harms nobody: whatever becomes of this, the key
    is deleted."""
    while path := path.rpartition(b"/")[0]:
        try:
            value, stat = said((yield jute.get(path)))
            if value != ABOVE or stat.children:
                return
            yield jute.delete(path, stat.version)
        except (Gone, BadRequest, NotPermitted, Unknown):
            return


def transaction(who: Asker, compares: Sequence[Any], then: Sequence[Any], _otherwise: Sequence[Any] = ()) -> Asks:
    """Compared is that a key is absent, or that a place is still there: more than that, a node that was made anew would pass."""
    ((key, field, _, number, *_),) = compares
    within = who.session
    if field == TOKEN_FIELD:
        held = who.held if key == who.name else b""
        if not held:
            folder = folder_of(lines.LOCKS, key)
            zxid = yield from barrier(False)
            held = next((folder + b"/" + one.key for one in (yield from places_in(folder, {})) if one.number == number), b"")
            if not held:  # which stays so: no token is granted twice
                return [frames.TRANSACTION_DONE, zxid, False, []]
        checks = [jute.check(held)]
    elif field == VERSION_FIELD and number == 0 and [one[1] for one in then] == [key]:
        return (yield from put_if_absent(within, *then[0][1:]))
    else:
        raise BadRequest(why_not(ZOOKEEPER, "compare"))
    while True:
        asks = []
        for one in then:
            path = path_of(one[1])
            try:
                value, _ = yield from keeper(path)
                if one[0] == kv.PUT_TAG:
                    asks.append(jute.set_value(path, one[2]))
                elif value != ABOVE:
                    asks.append(jute.delete(path))
            except Gone:
                if one[0] == kv.PUT_TAG:
                    bound = bool(one[3:] and one[3])
                    yield from ensure_above(path, bound=bound)
                    asks.append(jute.create(path, one[2], kind_of(within, bound)))
        try:
            answer = yield jute.multi([*checks, *asks])
            jute.results(answer)
            return [frames.TRANSACTION_DONE, answer.zxid, True, []]
        except There:
            continue
        except Gone:
            try:
                jute.results((yield jute.multi(checks)))
            except Gone:
                return [frames.TRANSACTION_DONE, 0, False, []]


def put_if_absent(within: int, key: bytes, value: bytes, bound: bool = False) -> Asks:
    path = path_of(key)
    kind = kind_of(within, bound)
    yield from ensure_above(path, bound=bound)
    while True:
        try:
            zxid = (yield jute.create(path, value, kind)).zxid
            return [frames.TRANSACTION_DONE, zxid, True, [[frames.DONE, zxid, 1]]]
        except There:
            found = yield from get(False, key)
        if found[2] is not None:
            return [frames.TRANSACTION_DONE, found[1], False, [found]]
        try:  # it was only above others
            kept, stat = yield from keeper(path)
            if kept == ABOVE:
                zxid = (yield jute.set_value(path, value, stat.version)).zxid
                return [frames.TRANSACTION_DONE, zxid, True, [[frames.DONE, zxid, 1]]]
        except Gone:
            continue


# --- lines: locks and elections ------------------------------------------------------------------------------------


def places_in(folder: bytes, known: dict[bytes, lines.Place], *, hides: bool = False) -> Generator[Ask, Any, list[lines.Place]]:
    """Who is in line. What a place says never changes but for since when it is held, so `known` ones are not asked for again.
    `hides`: whom this user may not see is left out."""
    unseen = (Gone, NotPermitted) if hides else Gone
    try:
        listed = names((yield jute.children(folder)))
    except unseen:
        return []
    found = []
    for name in listed:
        if name in known:
            found.append(known[name])
            continue
        try:
            value, stat = said((yield jute.get(folder + b"/" + name)))
        except unseen:
            continue
        if stat.owner:
            found.append(lines.place(name, stat.created, stat.owner, value))
    return found


def folder_of(space: bytes, name: bytes) -> bytes:
    return b"/" + lines.folder(space, name)


def all_places(space: bytes, prefix: bytes = b"") -> Generator[Ask, Any, dict[bytes, list[lines.Place]]]:
    """Of all lines that this user may see: another's is no reason to learn nothing of the rest."""
    try:
        listed = names((yield jute.children(ROOT + b"/" + space)))
    except Gone:
        return {}
    found = {}
    for part in sorted(listed):
        name = lines.unescaped(part)
        if name.startswith(prefix) and (places := (yield from places_in(ROOT + b"/" + space + b"/" + part, {}, hides=True))):
            found[name] = places
    return found


def barrier(stale: bool) -> Generator[Ask, Any, int]:
    return 0 if stale else (yield NOTHING).zxid


def read_line(space: bytes, unix_ms: int, stale: bool, name: bytes) -> Asks:
    revision = yield from barrier(stale)
    places = yield from places_in(folder_of(space, name), {})
    show = lines.lock_view if space == lines.LOCKS else lines.election_view
    return show(revision, name, places, unix_ms)


def list_lines(space: bytes, unix_ms: int, stale: bool, prefix: bytes, after: bytes) -> Asks:
    revision = yield from barrier(stale)
    return lines.listed(space, revision, (yield from all_places(space, prefix)), after, unix_ms)


def read_standing(space: bytes, stale: bool, wanted: int) -> Asks:
    revision = yield from barrier(stale)
    rows: list[Any] = []
    for name, places in (yield from all_places(space)).items():
        rows += lines.standing(space, revision, name, places, wanted)[2]  # type: ignore[arg-type]
    return [*lines.standing(space, revision, b"", (), wanted)[:2], rows, False]


def why_path(space: bytes, name: bytes, token: int) -> bytes:
    return BROKEN + b"/" + b"-".join((space, lines.escaped(name), str(token).encode()))


def take_away(space: bytes, name: bytes, token: int, reason: str, by: str) -> Asks:
    """Its places go in the transaction that says why. Whoever is told takes the reason away, which tells us that it was told."""
    kept = lines.why(reason, by)
    folder = folder_of(space, name)
    yield NOTHING
    places = yield from places_in(folder, {})
    held = [one for one in places if lines.holds(places, one) and token in (0, one.number)]
    shown = name.decode(errors="replace")
    if not held:
        raise NotHeld(f"nobody holds {shown}" + (f" with token {token}" if token else ""))
    yield from ensure(BROKEN, kind=jute.PERSISTENT)
    words = [jute.create(why_path(space, name, one.number), kept, jute.EPHEMERAL) for one in held]
    gone = [jute.delete(folder + b"/" + one.key) for one in held]
    try:
        answer = yield jute.multi([*gone, *words])
        jute.results(answer)
    except (Gone, There):
        raise NotHeld(f"{shown} changed hands meanwhile: look again") from None
    return [frames.DONE, answer.zxid, len(held)]


def unread(space: bytes, name: bytes, token: int) -> Asks:
    """Reasons that nobody has taken away yet: of that token, or 0: of any."""
    yield NOTHING
    start = why_path(space, name, token).rpartition(b"/")[2] if token else why_path(space, name, 0).rpartition(b"/")[2][:-1]
    try:
        listed = names((yield jute.children(BROKEN)))
    except Gone:
        return 0
    return sum(one == start if token else one.startswith(start) for one in listed)


def proclaim(within: int, name: bytes, token: int, value: bytes) -> Asks:
    folder = folder_of(lines.ELECTIONS, name)
    yield NOTHING
    places = yield from places_in(folder, {})
    mine = next((one for one in places if one.number == token and one.session == within and lines.holds(places, one)), None)
    if mine is None:
        raise NotHeld(f"{name.decode(errors='replace')} is not led with token {token} by this session")
    try:
        answer = yield jute.set_value(folder + b"/" + mine.key, mine._replace(value=value).kept())
    except Gone:
        raise NotHeld(f"{name.decode(errors='replace')} is not led with token {token} any more") from None
    return [frames.DONE, answer.zxid, 1]


def leave(wanted: int) -> Asks:
    """Of a session that somebody else opened, which only he could close: its places are taken out of their lines."""
    yield NOTHING
    count, zxid = 0, 0
    for space in (lines.LOCKS, lines.ELECTIONS):
        for name, places in (yield from all_places(space)).items():
            for one in places:
                if one.session == wanted:
                    try:
                        zxid = (yield jute.delete(folder_of(space, name) + b"/" + one.key)).zxid
                        count += 1
                    except Gone:
                        continue
    if not count:
        raise SessionExpired(f"session {wanted} is over, or it is in no line")
    return [frames.DONE, zxid, count]


# --- all of them ---------------------------------------------------------------------------------------------------


READS: dict[int, Callable[..., Asks]] = {
    kv.GET_TAG: lambda _unix_ms, stale, *fields: get(stale, *fields),
    kv.RANGE_TAG: lambda _unix_ms, stale, *fields: key_range(stale, *fields),
    locks.READ_TAG: lambda unix_ms, stale, name, *_: read_line(lines.LOCKS, unix_ms, stale, name),
    locks.LIST_TAG: lambda unix_ms, stale, prefix, after, *_: list_lines(lines.LOCKS, unix_ms, stale, prefix, after),
    locks.HELD_TAG: lambda _unix_ms, stale, wanted, *_: read_standing(lines.LOCKS, stale, wanted),
    elections.SHOW: lambda unix_ms, stale, name, *_: read_line(lines.ELECTIONS, unix_ms, stale, name),
    elections.LIST: lambda unix_ms, stale, prefix, after, *_: list_lines(lines.ELECTIONS, unix_ms, stale, prefix, after),
    elections.CANDIDACIES: lambda _unix_ms, stale, wanted, *_: read_standing(lines.ELECTIONS, stale, wanted),
}


class Asker(NamedTuple):
    session: int = 0  # what is bound goes with it
    name: bytes = b""  # of the lock or election whose line it is in
    held: bytes = b""  # its place there: the node whose token is compared


def _depose(_who: Asker, name: bytes, token: int, to: str, reason: str, by: str) -> Asks:
    if to:
        raise BadRequest(why_not(ZOOKEEPER, "transfer"))
    return take_away(lines.ELECTIONS, name, token, reason, by)


WRITES: dict[int, Callable[..., Asks]] = {
    kv.PUT_TAG: lambda who, *fields: put(who.session, *fields),
    kv.DELETE_TAG: lambda _who, *fields: delete(*fields),
    kv.TRANSACTION_TAG: transaction,
    locks.BREAK_TAG: lambda _who, *fields: take_away(lines.LOCKS, *fields),
    elections.DEPOSE: _depose,
    elections.PROCLAIM: lambda who, *fields: proclaim(who.session, *fields),
    CLOSE_TAG: lambda _who, wanted: leave(wanted),
}


def read(unix_ms: int, stale: bool, operation: Sequence[Any]) -> Asks:
    tag, *fields = operation
    if tag == SESSIONS_TAG:
        raise BadRequest(why_not(ZOOKEEPER, "sessions"))
    if tag not in READS:
        raise BadRequest(of_tag(ZOOKEEPER, tag))
    return READS[tag](unix_ms, stale, *fields)


def write(command: Sequence[Any]) -> Asks:
    within, _, _, request_id, operation = command
    word = change(Asker(within), operation)
    if request_id and not request_id.startswith(OWN_REQUEST):
        raise BadRequest(why_not(ZOOKEEPER, "request ids"))
    return word


def change(who: Asker, operation: Sequence[Any]) -> Asks:
    tag, *fields = operation
    if tag not in WRITES:
        raise BadRequest(of_tag(ZOOKEEPER, tag))
    return WRITES[tag](who, *fields)
