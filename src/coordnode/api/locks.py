"""Routes of locks: acquired in a session, awaited, released by the acquisition, shown, broken. Pure."""

from base64 import b64encode
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.claims import Claimed, ClaimLine, HeldToken, WaitMs, WaitQuery
from coordnode.api.route import NUMBER_MAX, Asked, ListQuery, Query, Read, ReadQuery, Route, Wait, Work, Write, answers_itself
from coordnode.api.values import in_query, text_of
from coordnode.ids import Token
from coordnode.services.commands import (
    CANCELLED,
    EXCLUSIVE,
    RELEASED,
    SEMAPHORE,
    SHARED,
    STILL_HELD,
    Acquire,
    BreakLock,
    Done,
    ListLocks,
    LockHolder,
    LockInfo,
    LockPage,
    LockReleased,
    LockView,
    LockWaiter,
    ReadLock,
    Release,
    Result,
)

Kind = Literal["exclusive", "shared", "semaphore"]
KINDS: dict[Kind, int] = {"exclusive": EXCLUSIVE, "shared": SHARED, "semaphore": SEMAPHORE}
NAMES: dict[int, Kind] = {number: name for name, number in KINDS.items()}
OUTCOMES: dict[int, Literal["released", "left", "still held"]] = {RELEASED: "released", CANCELLED: "left", STILL_HELD: "still held"}

Count = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
Note = Annotated[str, Meta(max_length=1_024)]


class AcquireBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: Annotated[Kind, Meta(description="shared: many readers, or one who holds it exclusively")] = "exclusive"
    permits: Annotated[int, Meta(ge=1, le=NUMBER_MAX, description="so many of a semaphore's")] = 1
    limit: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="how many permits the semaphore has; else 0")] = 0
    wait_ms: WaitMs = 0
    reentrant: Annotated[bool, Meta(description="counted anew if this session holds it already")] = False
    delay_ms: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="closed for so long if the session expires")] = 0
    note: Annotated[Note, Meta(description="shown to others")] = ""


class LockReleaseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: HeldToken


class BreakBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Annotated[Note, Meta(min_length=1, description="told to the holder")]
    by: Annotated[Note, Meta(description="who breaks it")] = ""
    token: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="0: whoever holds it")] = 0


class ShownHolder(msgspec.Struct, frozen=True):
    token: int
    session: int  # 0: it expired, and its delay is not over
    owner: str
    kind: Kind
    permits: int
    count: int  # how often it must be released
    note: str
    since_unix_ms: int
    held_ms: int
    delay_ms: int


class ShownWaiter(msgspec.Struct, frozen=True):
    ticket: int
    session: int
    owner: str
    kind: Kind
    permits: int
    note: str
    since_unix_ms: int
    waited_ms: int


class ShownLock(msgspec.Struct, frozen=True):
    name: str | None
    name_base64: str
    kind: Kind
    limit: int
    permits: int  # in use
    holders: int
    waiters: int
    first: ShownHolder | None  # who has held it for longest


class LockStands(msgspec.Struct, frozen=True):
    """`lock` null: nobody holds it or waits for it. `waiters` in the order in which they are served."""

    revision: int
    lock: ShownLock | None
    holders: list[ShownHolder]
    more_holders: bool
    waiters: list[ShownWaiter]
    more_waiters: bool


class ListedLocks(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = the last name."""

    revision: int
    locks: list[ShownLock]
    more: bool


class LockLeft(msgspec.Struct, frozen=True):
    """`left`: it only waited. `still held`: it was acquired more often, and must be released `count` times more."""

    revision: int
    outcome: Literal["released", "left", "still held"]
    token: int
    count: int


class LockBroken(msgspec.Struct, frozen=True):
    """`ended`: so many grants. `more`: there are more holders; again."""

    revision: int
    ended: int
    more: bool


class LockQuery(ReadQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after_token: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="of the last holder of the page before")] = 0
    after_ticket: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="of the last waiter of the page before")] = 0
    limit: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="0: as many as one page may hold")] = 0


def _holder(one: LockHolder) -> ShownHolder:
    kind = NAMES[one.kind]
    shown = (one.token, one.session, one.owner, kind, one.permits, one.count, one.note, one.since_wall_ms, one.held_ms, one.delay_ms)
    return ShownHolder(*shown)


def _waiter(one: LockWaiter) -> ShownWaiter:
    kind = NAMES[one.kind]
    return ShownWaiter(one.ticket, one.session, one.owner, kind, one.permits, one.note, one.since_wall_ms, one.waited_ms)


def _lock(lock: LockInfo) -> ShownLock:
    first = None if lock.first is None else _holder(lock.first)
    name = (text_of(lock.name), b64encode(lock.name).decode())
    return ShownLock(*name, NAMES[lock.kind], lock.limit, lock.permits, lock.holders, lock.waiters, first)


def _acquire(asked: Asked[Query, AcquireBody]) -> Work:
    name, body = asked.path["name"], asked.body
    how = (KINDS[body.kind], body.permits, body.limit, body.wait_ms > 0, body.reentrant, body.delay_ms, body.note)
    return Wait(ClaimLine(name, asked.session, Write(Acquire(name, *how)), is_lock=True), body.wait_ms)


def _await(asked: Asked[WaitQuery, None]) -> Work:
    line = ClaimLine(asked.path["name"], asked.session, None, is_lock=True, ticket=asked.number("ticket"))
    return Wait(line, asked.query.wait_ms)


def _release(asked: Asked[Query, LockReleaseBody]) -> Work:
    return Write(Release(asked.path["name"], Token(asked.body.token)))


def _show_released(asked: Asked[Query, LockReleaseBody], result: Result) -> msgspec.Struct:
    released = expect(result, LockReleased)
    return LockLeft(released.revision, OUTCOMES[released.what], released.token, released.count)


def _break(asked: Asked[Query, BreakBody]) -> Work:
    body = asked.body
    return Write(BreakLock(asked.path["name"], Token(body.token), body.reason, body.by))


def _show_broken(asked: Asked[Query, BreakBody], result: Result) -> msgspec.Struct:
    done = expect(result, Done)
    return LockBroken(done.revision, done.changed, done.more)


def _view(asked: Asked[LockQuery, None]) -> Work:
    query = asked.query
    return Read(ReadLock(asked.path["name"], Token(query.after_token), Token(query.after_ticket), query.limit))


def _show_view(asked: Asked[LockQuery, None], result: Result) -> msgspec.Struct:
    view = expect(result, LockView)
    lock = None if view.lock is None else _lock(view.lock)
    holders, waiters = [_holder(one) for one in view.holders], [_waiter(one) for one in view.waiters]
    return LockStands(view.revision, lock, holders, view.more_holders, waiters, view.more_waiters)


def _list(asked: Asked[ListQuery, None]) -> Work:
    query = asked.query
    return Read(ListLocks(in_query(query.prefix), in_query(query.after), query.limit))


def _show_list(asked: Asked[ListQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, LockPage)
    return ListedLocks(page.revision, [_lock(lock) for lock in page.locks], page.more)


ROUTES = (
    Route(
        "GET", "/v1/locks", "lock-list", "Locks that are held or awaited, a page at a time.",
        _list, _show_list, {200: ListedLocks}, ListQuery,
    ),
    Route(
        "GET", "/v1/locks/{name}", "lock-view", "Who holds a lock, and who waits for it.",
        _view, _show_view, {200: LockStands}, LockQuery,
    ),
    Route(
        "POST", "/v1/locks/{name}/acquire", "lock-acquire",
        "The Coord-Session gets the lock, or after `wait_ms` stands in line still (202).",
        _acquire, answers_itself, {200: Claimed, 202: Claimed}, body=AcquireBody, is_write=True,
    ),
    Route(
        "GET", "/v1/locks/{name}/waiters/{ticket:id}", "lock-await",
        "What became of a wait of the Coord-Session: held (200), or not yet (202).",
        _await, answers_itself, {200: Claimed, 202: Claimed}, WaitQuery, takes_session=True,
    ),
    Route(
        "POST", "/v1/locks/{name}/release", "lock-release", "The Coord-Session's acquisition with this number ends, no other.",
        _release, _show_released, {200: LockLeft}, body=LockReleaseBody, is_write=True,
    ),
    Route(
        "POST", "/v1/locks/{name}/break", "lock-break", "An operator takes it away; the holder is told, and its token is stale at once.",
        _break, _show_broken, {200: LockBroken}, body=BreakBody, is_write=True,
    ),
)  # fmt: skip
