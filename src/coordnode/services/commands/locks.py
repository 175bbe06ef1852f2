"""Locks: what may be asked, what is answered, and what is told to who waits or holds. Pure.

A number names one acquisition, for ever: the token of a grant, or the ticket of one who waits. No two have the same.
"""

import msgspec

from coordnode.ids import NO_SESSION, Revision, SessionId, Token
from coordnode.services.commands.base import NoticeBase, OperationBase, ResultBase

EXCLUSIVE = 0  # nobody else
SHARED = 1  # others that share, too: readers beside one another, writers alone
SEMAPHORE = 2  # `permits` of `limit`


class Acquire(OperationBase, frozen=True, array_like=True, gc=False, tag=30):
    """Held by the command's session. Who cannot have it now waits in line, or with `wait` false is told who holds it."""

    name: bytes
    kind: int = EXCLUSIVE
    permits: int = 1  # of a semaphore; else 1
    limit: int = 0  # how many permits the semaphore has; else 0
    wait: bool = True
    reentrant: bool = False  # counted anew if this session, or one that waits for it, holds it already: same token
    delay_ms: int = 0  # nobody gets it for so long after this session expired (not when it is released or closed)
    note: str = ""  # shown to others


class Release(OperationBase, frozen=True, array_like=True, gc=False, tag=31):
    """By the token, or by the ticket: who waits leaves the line; if it was granted meanwhile, that grant ends."""

    name: bytes
    number: Token


class BreakLock(OperationBase, frozen=True, array_like=True, gc=False, tag=32):
    """An operator's: takes it away from who holds it, who is told at once; ends a lock-delay, too."""

    name: bytes
    token: Token = Token(0)  # 0: of everybody who holds it
    reason: str = ""
    by: str = ""


class ReadLock(OperationBase, frozen=True, array_like=True, gc=False, tag=33):
    name: bytes
    after_token: Token = Token(0)  # of the last holder of the page before
    after_ticket: Token = Token(0)  # of the last waiter of the page before
    limit: int = 0  # of holders, and of waiters; 0: as many as one page may hold


class ListLocks(OperationBase, frozen=True, array_like=True, gc=False, tag=34):
    prefix: bytes = b""
    after: bytes = b""  # the last name of the page before
    limit: int = 0


class ReadHeldLocks(OperationBase, frozen=True, array_like=True, gc=False, tag=35):
    """What one session holds and waits for."""

    session: SessionId
    after_name: bytes = b""  # both of the last of the page before
    after_number: Token = Token(0)
    limit: int = 0


# --- what is answered ----------------------------------------------------------------------------------------------


class LockHolder(msgspec.Struct, frozen=True, array_like=True, gc=False):
    token: Token
    session: SessionId  # NO_SESSION: it expired, and its lock-delay is not over
    owner: str  # of the session, as it named itself
    kind: int
    permits: int
    count: int  # how often it must be released
    note: str
    since_wall_ms: int  # only to be shown
    held_ms: int  # as the cluster counts
    delay_ms: int  # asked for; once it expired, what is left of it


class LockWaiter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    ticket: Token
    session: SessionId
    owner: str
    kind: int
    permits: int
    note: str
    since_wall_ms: int
    waited_ms: int


class LockInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    kind: int  # SEMAPHORE; or how it is held now, EXCLUSIVE or SHARED
    limit: int  # of a semaphore; else 0
    permits: int  # in use
    holders: int
    waiters: int
    first: LockHolder | None  # who has held it for longest


class LockGranted(ResultBase, frozen=True, array_like=True, gc=False, tag=30):
    revision: Revision
    token: Token
    count: int = 1  # how often it must be released


class LockQueued(ResultBase, frozen=True, array_like=True, gc=False, tag=31):
    """A notice to the session says when it is granted, at a later revision than this."""

    revision: Revision
    ticket: Token
    ahead: int  # who wait before this one
    lock: LockInfo


class LockBusy(ResultBase, frozen=True, array_like=True, gc=False, tag=32):
    revision: Revision
    lock: LockInfo


RELEASED = 0  # the grant is over
CANCELLED = 1  # it only waited, and waits no more
STILL_HELD = 2  # it was acquired more often than it was released


class LockReleased(ResultBase, frozen=True, array_like=True, gc=False, tag=33):
    revision: Revision
    what: int  # RELEASED, CANCELLED, STILL_HELD
    token: Token  # of the grant; 0: CANCELLED
    count: int = 0  # how often it must still be released


class LockView(ResultBase, frozen=True, array_like=True, gc=False, tag=34):
    """A lock that nobody holds or awaits does not exist: `lock` is None."""

    revision: Revision
    lock: LockInfo | None
    holders: list[LockHolder]
    more_holders: bool
    waiters: list[LockWaiter]  # in the order in which they are served
    more_waiters: bool


class LockPage(ResultBase, frozen=True, array_like=True, gc=False, tag=35):
    revision: Revision
    locks: list[LockInfo]
    more: bool


class HeldLock(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    token: Token  # 0: it only waits
    ticket: Token  # it waits, or waited, with; 0: it was granted at once
    count: int


class HeldLocks(ResultBase, frozen=True, array_like=True, gc=False, tag=36):
    revision: Revision
    locks: list[HeldLock]
    more: bool


# --- what is told to one session (space NOTICES, kind LOCKS) ------------------------------------------------------


class LockGiven(NoticeBase, frozen=True, array_like=True, gc=False, tag=30):
    """The wait is over: what waited with `ticket` holds the lock with `token`."""

    name: bytes
    ticket: Token
    token: Token


class LockTaken(NoticeBase, frozen=True, array_like=True, gc=False, tag=31):
    """Somebody broke it: the token is stale from here on."""

    name: bytes
    token: Token
    reason: str
    by: str


# --- what everybody may watch (space LOCKS) -----------------------------------------------------------------------

LOCK_GRANTED = 0
LOCK_QUEUED = 1
LOCK_RELEASED = 2
LOCK_CANCELLED = 3  # left the line, on its own or with its session
LOCK_LOST = 4  # its session ended without a release
LOCK_BROKEN = 5
LOCK_DELAY_OVER = 6


class LockEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The value of an event; its kind says what happened."""

    number: Token  # the token; the ticket for LOCK_QUEUED and LOCK_CANCELLED
    session: SessionId = NO_SESSION
    owner: str = ""
    kind: int = EXCLUSIVE
    permits: int = 1
    note: str = ""
    reason: str = ""
    by: str = ""


_event_decoder = msgspec.msgpack.Decoder(LockEvent)


def decode_lock_event(value: bytes) -> LockEvent:
    return _event_decoder.decode(value)


# --- all of them --------------------------------------------------------------------------------------------------

LockOperation = Acquire | Release | BreakLock
LockRead = ReadLock | ListLocks | ReadHeldLocks
LockResult = LockGranted | LockQueued | LockBusy | LockReleased | LockView | LockPage | HeldLocks
LockNotice = LockGiven | LockTaken
