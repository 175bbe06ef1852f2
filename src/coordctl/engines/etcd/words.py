"""The words of docs/protocol.md on etcd: for each a generator, which yields what to ask, is sent what was answered, and returns the result.

Each may be begun again as long as it has changed nothing. Pure.
"""

from __future__ import annotations

from coordctl.engines import lines
from coordctl.engines.etcd.gateway import Ask, plain
from coordctl.engines.lacks import of_tag, why_not
from coordctl.engines.lines import Gone
from coordctl.hot import elections, frames, kv, locks, session
from coordctl.local.clusters import ETCD
from coordnode.errors import BadRequest, NotHeld, SessionExpired
from coordnode.light import TYPE_CHECKING, NamedTuple
from coordnode.ranges import prefix_end

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any

    Asks = Generator[Ask, Any, Any]

# A key that nobody has, among those that a user of ours may write: goes through the log, and changes nothing, not even the revision.
NOTHING = {"request_delete_range": {"key": b"coordctl/\0"}}
PAGE_MAX = 1_000
LOOKED_AT_MAX = 10_000
FIELDS = {0: "VALUE", 1: "MOD", 2: "CREATE", 3: "VERSION"}
NUMBERS = {1: "mod_revision", 2: "create_revision", 3: "version"}
RELATIONS = ("EQUAL", "NOT_EQUAL", "LESS", "GREATER")
TOKEN_FIELD = 4
BROKEN = b"coordctl/broken/"  # why, for who is told
BROKEN_SECONDS = 60
DELETE_RANGE_TAG, CLOSE_TAG, OPEN_TAG = 3, 11, 10
OWN_REQUEST = "coordctl-"  # of those ids that we gave ourselves


def revision_of(answer: Any) -> int:
    return int(answer["header"].get("revision", 0))


def term_of(answer: Any) -> int:
    return int(answer["header"].get("raft_term", 0))


def item(fields: Any) -> list[object]:
    numbers = [int(fields.get(name, 0)) for name in ("create_revision", "mod_revision", "version", "lease")]
    return [plain(fields.get("key")), plain(fields.get("value")), *numbers]


def same(key: bytes, token: int) -> dict[str, Any]:
    """That this very acquisition is there."""
    return {"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": token}


def everything_below(folder: bytes) -> dict[str, Any]:
    return {"key": folder + b"/", "range_end": folder + b"0"}


# --- kv ------------------------------------------------------------------------------------------------------------


def get(stale: bool, key: bytes) -> Asks:
    answer = yield Ask("kv/range", {"key": key, "serializable": stale})
    found = [item(one) for one in answer.get("kvs", ())]
    return [frames.GOT, revision_of(answer), found[0] if found else None]


def key_range(stale: bool, start: bytes, end: bytes, limit: int = 0, keys_only: bool = False) -> Asks:
    asked = {"key": start or b"\0", "range_end": end or b"\0", "limit": limit or PAGE_MAX, "keys_only": keys_only, "serializable": stale}
    answer = yield Ask("kv/range", asked)
    return [frames.PAGE, revision_of(answer), [item(one) for one in answer.get("kvs", ())], bool(answer.get("more"))]


def look(start: bytes, end: bytes, since: int) -> Asks:
    """Of many keys only the number is told: to find those that changed, etcd reads them all."""
    asked = {"key": start, "range_end": end}
    answer = yield Ask("kv/range", {**asked, "count_only": True})
    found: Sequence[Any] = ()
    if revision_of(answer) >= since and int(answer.get("count", 0)) <= LOOKED_AT_MAX:
        answer = yield Ask("kv/range", {**asked, "min_mod_revision": since, "limit": 1, "keys_only": True})
        found = answer.get("kvs", ())
    return revision_of(answer), int(answer.get("count", 0)), bool(found)


def put(within: int, key: bytes, value: bytes, bound: bool = False) -> Asks:
    answer = yield Ask("kv/put", _put(within, key, value, bound))
    return [frames.DONE, revision_of(answer), 1]


def _put(within: int, key: bytes, value: bytes, bound: bool = False) -> dict[str, Any]:
    if not bound:
        return {"key": key, "value": value}
    if not within:
        raise BadRequest("a key is bound to a session by who opened it: on etcd, give it the lease with etcdctl put --lease")
    return {"key": key, "value": value, "lease": within}


def delete(key: bytes) -> Asks:
    answer = yield Ask("kv/deleterange", {"key": key})
    return [frames.DONE, revision_of(answer), int(answer.get("deleted", 0))]


def transaction(who: Asker, compares: Sequence[Any], then: Sequence[Any], otherwise: Sequence[Any] = ()) -> Asks:
    compared = []
    for compare in compares:
        key, field, _, number, *_ = compare
        held = who.held if key == who.name else b""
        if field == TOKEN_FIELD and not held:
            answer = yield Ask("kv/range", everything_below(lines.folder(lines.LOCKS, key)))
            held = next((lines.folder(lines.LOCKS, key) + b"/" + one.key for one in places_of(answer) if one.number == number), b"")
            if not held:  # which stays so: no token is granted twice
                return [frames.TRANSACTION_DONE, revision_of(answer), False, []]
        compared.append(_comparison(compare, held))
    asked = {
        "compare": compared,
        "success": [_operation(who.session, one) for one in then],
        "failure": [_operation(who.session, one) for one in otherwise],
    }
    answer = yield Ask("kv/txn", asked)
    results = [_done(one) for one in answer.get("responses", ())]
    return [frames.TRANSACTION_DONE, revision_of(answer), bool(answer.get("succeeded")), results]


def _comparison(compare: Sequence[Any], held: bytes) -> dict[str, Any]:
    key, field, relation, number, *value = compare
    if field == TOKEN_FIELD:
        return same(held, number)
    said = {"value": value[0] if value else b""} if field == 0 else {NUMBERS[field]: number}
    return {"key": key, "target": FIELDS[field], "result": RELATIONS[relation], **said}


def _operation(within: int, one: Sequence[Any]) -> dict[str, Any]:
    tag = one[0]
    if tag == kv.PUT_TAG:
        return {"request_put": _put(within, *one[1:])}
    if tag == kv.DELETE_TAG:
        return {"request_delete_range": {"key": one[1]}}
    if tag == kv.GET_TAG:
        return {"request_range": {"key": one[1]}}
    raise BadRequest(of_tag(ETCD, tag))


def _done(answer: Any) -> list[object]:
    kind, said = next(iter(answer.items()))
    if kind == "response_range":
        found = [item(one) for one in said.get("kvs", ())]
        return [frames.GOT, revision_of(said), found[0] if found else None]
    return [frames.DONE, revision_of(said), int(said.get("deleted", 0)) if kind == "response_delete_range" else 1]


# --- lines: locks and elections ------------------------------------------------------------------------------------


def places_of(answer: Any) -> list[lines.Place]:
    """Of one line, whose keys are in a range."""
    return [one for _, one in _named(answer)]


def _named(answer: Any) -> list[tuple[bytes, lines.Place]]:
    """(name, place) for each of a range: whoever has no lease is in no line."""
    found = []
    for fields in answer.get("kvs", ()):
        parts = plain(fields["key"]).split(b"/")
        if len(parts) == 4 and "lease" in fields:
            one = lines.place(parts[3], int(fields["create_revision"]), int(fields["lease"]), plain(fields.get("value")))
            found.append((parts[2], one))
    return found


def read_line(space: bytes, unix_ms: int, stale: bool, name: bytes) -> Asks:
    answer = yield Ask("kv/range", {**everything_below(lines.folder(space, name)), "serializable": stale})
    show = lines.lock_view if space == lines.LOCKS else lines.election_view
    return show(revision_of(answer), name, places_of(answer), unix_ms)


def list_lines(space: bytes, unix_ms: int, stale: bool, prefix: bytes, after: bytes) -> Asks:
    revision, found = yield from all_places(space, prefix, stale)
    return lines.listed(space, revision, lines.by_name(found), after, unix_ms)


def all_places(space: bytes, prefix: bytes = b"", stale: bool = False) -> Generator[Ask, Any, tuple[int, list[tuple[bytes, lines.Place]]]]:
    """(revision, all of them), page by page as of the first one's revision."""
    start = lines.folder(space, prefix)
    end = prefix_end(start)
    revision = 0
    found: list[tuple[bytes, lines.Place]] = []
    while True:
        asked = {"key": start, "range_end": end, "limit": PAGE_MAX, "serializable": stale, "revision": revision}
        answer = yield Ask("kv/range", asked)
        revision = revision or revision_of(answer)
        found += _named(answer)
        if not answer.get("more"):
            return revision, found
        start = plain(answer["kvs"][-1]["key"]) + b"\0"


def read_standing(space: bytes, stale: bool, wanted: int) -> Asks:
    revision, found = yield from all_places(space, b"", stale)
    rows: list[object] = []
    for name, places in lines.by_name(found).items():
        rows += lines.standing(space, revision, name, places, wanted)[2]  # type: ignore[arg-type]
    return [*lines.standing(space, revision, b"", (), wanted)[:2], rows, False]


def take_away(space: bytes, chance: int, name: bytes, token: int, reason: str, by: str) -> Asks:
    """Its places go in the transaction that says why. Whoever is told takes the reason away, which tells us that it was told."""
    folder = lines.folder(space, name)
    answer = yield Ask("kv/range", everything_below(folder))
    places = places_of(answer)
    held = [one for one in places if lines.holds(places, one) and token in (0, one.number)]
    if not held:
        raise NotHeld(f"nobody holds {name.decode(errors='replace')}" + (f" with token {token}" if token else ""))
    yield Ask("lease/grant", {"TTL": BROKEN_SECONDS, "ID": chance})  # what nobody reads is gone then
    said = lines.why(reason, by)
    puts = [{"request_put": {"key": why_key(space, name, one.number), "value": said, "lease": chance}} for one in held]
    gone = [{"request_delete_range": {"key": folder + b"/" + one.key}} for one in held]
    compares = [same(folder + b"/" + one.key, one.number) for one in held]
    answer = yield Ask("kv/txn", {"compare": compares, "success": [*puts, *gone]})
    if not answer.get("succeeded"):
        raise NotHeld(f"{name.decode(errors='replace')} changed hands meanwhile: look again")
    return [frames.DONE, revision_of(answer), len(held)]


def why_key(space: bytes, name: bytes, token: int) -> bytes:
    return BROKEN + space + b"/" + lines.escaped(name) + b"/" + str(token).encode()


def unread(space: bytes, name: bytes, token: int) -> Asks:
    """Reasons that nobody has taken away yet: of that token, or 0: of any."""
    start = why_key(space, name, token) if token else why_key(space, name, 0)[:-1]
    answer = yield Ask("kv/range", {"key": start, "range_end": b"" if token else prefix_end(start), "keys_only": True})
    return int(answer.get("count", 0))


def proclaim(within: int, name: bytes, token: int, value: bytes) -> Asks:
    folder = lines.folder(lines.ELECTIONS, name)
    answer = yield Ask("kv/range", everything_below(folder))
    places = places_of(answer)
    mine = next((one for one in places if one.number == token and one.session == within and lines.holds(places, one)), None)
    if mine is None:
        raise NotHeld(f"{name.decode(errors='replace')} is not led with token {token} by this session")
    key = folder + b"/" + mine.key
    written = {"key": key, "value": mine._replace(value=value).kept(), "lease": mine.session}
    answer = yield Ask("kv/txn", {"compare": [same(key, token)], "success": [{"request_put": written}]})
    if not answer.get("succeeded"):
        raise NotHeld(f"{name.decode(errors='replace')} is not led with token {token} any more")
    return [frames.DONE, revision_of(answer), 1]


# --- sessions ------------------------------------------------------------------------------------------------------


def renewed(wanted: int, compares: Sequence[Any] = (), *also: Any) -> Generator[Ask, Any, tuple[int, bool]]:
    """(what the lease has again in ms, or 0: it is over; whether what is compared is so), both confirmed by the log. `also` is done then.

    A leader that was deposed, and does not know it yet, answers keep-alives, too. But when what was asked after the answer has gone through
    the log in the same term, nobody else led before; and who leads later begins with whole leases.
    """
    while True:
        alive = yield Ask("lease/keepalive", {"ID": wanted})
        ttl_ms = 1000 * int(alive.get("TTL", 0))
        if ttl_ms <= 0:
            return 0, False
        answer = yield Ask("kv/txn", {"compare": list(compares), "success": list(also) or [NOTHING], "failure": [NOTHING]})
        if term_of(answer) == term_of(alive):
            return ttl_ms, bool(answer.get("succeeded"))


def keep_alive(wanted: int) -> Asks:
    """Once, for somebody who does not hold it himself."""
    ttl_ms, _ = yield from renewed(wanted)
    return [[[wanted, ttl_ms]], []] if ttl_ms else [[], [wanted]]


def close(wanted: int) -> Asks:
    try:
        answer = yield Ask("lease/revoke", {"ID": wanted})
    except Gone:
        raise SessionExpired(f"session {wanted} is over") from None
    return [frames.DONE, revision_of(answer), 1]


def sessions(_stale: bool, after: int, limit: int) -> Asks:
    """Whose they are is said by the places that they have in line."""
    answer = yield Ask("lease/leases", {})
    revision = revision_of(answer)
    wanted = sorted(int(one["ID"]) for one in answer.get("leases", ()) if int(one["ID"]) > after)
    count = min(limit or PAGE_MAX, PAGE_MAX)
    owners = {}
    for space in (lines.LOCKS, lines.ELECTIONS):
        _, found = yield from all_places(space)
        owners.update({one.session: one.owner for _, one in found})
    shown = []
    for one in wanted[:count]:
        about = yield Ask("lease/timetolive", {"ID": one, "keys": True})
        granted = int(about.get("grantedTTL", 0))
        if granted > 0:
            shown.append([one, 1000 * granted, owners.get(one, ""), 0, len(about.get("keys", ()))])
    return [frames.SESSIONS, revision, shown, len(wanted) > count]


# --- all of them ---------------------------------------------------------------------------------------------------


READS: dict[int, Callable[..., Asks]] = {
    kv.GET_TAG: lambda _unix_ms, stale, *fields: get(stale, *fields),
    kv.RANGE_TAG: lambda _unix_ms, stale, *fields: key_range(stale, *fields),
    session.READ_TAG: lambda _unix_ms, stale, *fields: sessions(stale, *fields),
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
    held: bytes = b""  # its place there: the key whose token is compared
    chance: int = 0  # an id for a lease that nobody has yet


def _depose(who: Asker, name: bytes, token: int, to: str, reason: str, by: str) -> Asks:
    if to:
        raise BadRequest(why_not(ETCD, "transfer"))
    return take_away(lines.ELECTIONS, who.chance, name, token, reason, by)


WRITES: dict[int, Callable[..., Asks]] = {
    kv.PUT_TAG: lambda who, *fields: put(who.session, *fields),
    kv.DELETE_TAG: lambda _who, *fields: delete(*fields),
    kv.TRANSACTION_TAG: transaction,
    locks.BREAK_TAG: lambda who, *fields: take_away(lines.LOCKS, who.chance, *fields),
    elections.DEPOSE: _depose,
    elections.PROCLAIM: lambda who, *fields: proclaim(who.session, *fields),
    CLOSE_TAG: lambda _who, wanted: close(wanted),
}


def read(unix_ms: int, stale: bool, operation: Sequence[Any]) -> Asks:
    tag, *fields = operation
    if tag not in READS:
        raise BadRequest(of_tag(ETCD, tag))
    return READS[tag](unix_ms, stale, *fields)


def write(chance: int, command: Sequence[Any]) -> Asks:
    within, _, _, request_id, operation = command
    word = change(Asker(within, chance=chance), operation)
    if request_id and not request_id.startswith(OWN_REQUEST):
        raise BadRequest(why_not(ETCD, "request ids"))
    return word


def change(who: Asker, operation: Sequence[Any]) -> Asks:
    tag, *fields = operation
    if tag not in WRITES:
        raise BadRequest(of_tag(ETCD, tag))
    return WRITES[tag](who, *fields)
