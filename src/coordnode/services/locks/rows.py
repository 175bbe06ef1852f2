"""What is kept of locks: one row of counts for each, and one row for each holder and each waiter, so that no handler walks a line. Pure."""

import msgspec

from coordnode.errors import StateFull
from coordnode.ids import SessionId, Token
from coordnode.services.commands import EXCLUSIVE, LOCKS, SHARED, Acquire, LockEvent, encode
from coordnode.services.context import Context
from coordnode.services.tables import Table

LOCKS_ID = 20
HELD_ID = 21
WAITING_ID = 22
TICKETS_ID = 23
REENTRIES_ID = 24
DELAYS_ID = 25
AWAITED_ID = 26

LOCK_CHARGE_BYTES = 300
GRANT_CHARGE_BYTES = 400  # beside two names and the note; a waiter is charged as what it will become


class Lock(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    limit: int  # permits of a semaphore; 0: exclusive or shared
    is_exclusive: bool = False  # held so
    permits: int = 0  # in use; of a shared lock, one each
    holders: int = 0  # those in lock-delay, too
    waiters: int = 0


class Held(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    session: SessionId  # NO_SESSION: lost, in lock-delay
    kind: int
    permits: int
    own_count: int  # how often its own session acquired it
    count: int  # and with the sessions below it
    delay_ms: int
    note: str
    since_wall_ms: int  # to be shown; no rule reads it
    since_ms: int
    ticket: Token  # with which it waited; 0: it did not
    due_ms: int = 0  # in lock-delay until then; 0: held


class Waiting(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    session: SessionId
    kind: int
    permits: int
    delay_ms: int
    note: str
    since_wall_ms: int
    since_ms: int


class Rows:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.locks: Table[Lock] = Table(LOCKS_ID, Lock)
        self.held: Table[Held] = Table(HELD_ID, Held)  # name, token
        self.waiting: Table[Waiting] = Table(WAITING_ID, Waiting)  # name, ticket: in the order of the line
        self.tickets: Table[int] = Table(TICKETS_ID, int)  # name, ticket -> the token that it became
        self.reentries: Table[int] = Table(REENTRIES_ID, int)  # name, token, another session -> how often it acquired it again
        self.delays: Table[int] = Table(DELAYS_ID, int)  # due_ms, name, token -> 1; token 0: the line moves on
        self.awaited: Table[int] = Table(AWAITED_ID, int)  # the root of who waits, name, ticket -> the session that waits

    def no_room(self, grown: int) -> StateFull | None:
        """What so many bytes more are refused for, if they are."""
        if self.context.has_room(grown):
            return None
        scalars, settings = self.context.scalars, self.context.settings
        return StateFull(
            f"{grown} bytes more would make {scalars.state_bytes + grown}, at most {settings.state_bytes_max} in all; "
            "release or delete something first"
        )

    def tell(self, kind: int, name: bytes, number: Token, what: Held | Waiting, reason: str = "", by: str = "") -> None:
        """Those who watch locks."""
        session = what.session
        event = LockEvent(number, session, self.context.owner_of(session), what.kind, what.permits, what.note, reason, by)
        self.context.emit((kind, name, encode(event), 0, session, LOCKS))


def is_fitting(lock: Lock, kind: int, permits: int) -> bool:
    """Beside those who hold it; who waits is not asked."""
    if kind == EXCLUSIVE:
        return not lock.holders
    if kind == SHARED:
        return not lock.is_exclusive
    return lock.permits + permits <= lock.limit


def is_free(lock: Lock | None, operation: Acquire) -> bool:
    """Nobody is in the way, neither holder nor waiter."""
    return lock is None or (not lock.waiters and is_fitting(lock, operation.kind, operation.permits))


def charge(name: bytes, note: str) -> int:
    return 2 * len(name) + len(note) + GRANT_CHARGE_BYTES


def show(name: bytes) -> str:
    return name.decode(errors="replace")
