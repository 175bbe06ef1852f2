"""What is asked of locks, and what is answered. Pure."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from coordnode.errors import BadRequest, Conflict, CoordError, Full, Missing, NotHeld
from coordnode.ids import SessionId, Token
from coordnode.services.commands import (
    CANCELLED,
    LOCK_BROKEN,
    LOCK_LOST,
    LOCK_RELEASED,
    LOCKS,
    RELEASED,
    STILL_HELD,
    Acquire,
    BreakLock,
    Done,
    ListLocks,
    LockBusy,
    LockGranted,
    LockQueued,
    LockReleased,
    ReadHeldLocks,
    ReadLock,
    Release,
    Result,
)
from coordnode.services.context import Check, Context, Service, Wait, failure
from coordnode.services.levels import MENDED
from coordnode.services.locks.checks import CHECKS
from coordnode.services.locks.circles import Circles
from coordnode.services.locks.delay import Delay
from coordnode.services.locks.line import Line
from coordnode.services.locks.reentry import Reentry
from coordnode.services.locks.rows import LOCK_CHARGE_BYTES, Held, Lock, Rows, charge, is_free, show
from coordnode.services.locks.shown import Shown
from coordnode.services.numbered import key_of, name_of, number_of, page_of_rows
from coordnode.services.rights import ADMIN, LOCK, MANAGE, PREFIX, READ, SESSION, USE, Rights, needs

AWAITED_LOOKED_AT = 64


class Locks(Service):
    LEVELS: ClassVar[Mapping[type, int]] = {
        Acquire: 3,
        Release: 3,
        BreakLock: 3,
        ReadLock: 3,
        ListLocks: 3,
        ReadHeldLocks: 3,
    }
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        Acquire: needs(LOCK, USE),
        Release: needs(LOCK, USE),
        BreakLock: needs(LOCK, MANAGE),
        ReadLock: needs(LOCK, READ),
        ListLocks: needs(LOCK, READ, "prefix", PREFIX),
        ReadHeldLocks: needs(ADMIN, READ, "session", SESSION),
    }
    CHECKS: ClassVar[Mapping[type, Check]] = CHECKS
    ADDS_DATA: ClassVar[tuple[type, ...]] = (Acquire,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.rows = rows = Rows(context)
        self._reentry = Reentry(context, rows)
        self._line = Line(context, rows, self._reentry)
        self._delay = Delay(context, rows, self._line, self._reentry)
        self._circles = Circles(context, rows)
        self._shown = shown = Shown(context, rows)
        self.containers = (rows.locks, rows.held, rows.waiting, rows.tickets, rows.reentries, rows.delays, rows.awaited)
        self.routes = {Acquire: self.acquire, Release: self.release, BreakLock: self.break_lock}
        self.reads = {ReadLock: shown.view, ListLocks: shown.page, ReadHeldLocks: shown.held_by}

    # --- acquire -------------------------------------------------------------------------------------------------------

    def acquire(self, operation: Acquire) -> Result:
        context, locks = self.context, self.rows.locks
        name = operation.name
        if not context.session:
            return failure(BadRequest(f"lock {show(name)} is held by a session, and the command names none; open one first"))
        error = self._refusal(operation, locks.get(name))
        if error is not None:
            return failure(error)
        if operation.reentrant and (own := self._reentry.find(operation)) is not None:
            key, held = own
            times = self._reentry.enter(key, held)
            return LockGranted(context.scalars.revision, number_of(key), times)
        self._delay.end()
        lock = locks.get(name)
        if lock is not None and lock.limit != operation.limit:  # more had fallen due than one command ends
            context.publish()
            return failure(_conflict(name, lock))
        if is_free(lock, operation):
            token = self._line.grant_free(operation, lock)
            return LockGranted(context.publish(), token)
        assert lock is not None
        if operation.wait:
            ahead = lock.waiters
            lock, ticket = self._line.join(operation, lock)
            return LockQueued(context.publish(), ticket, ahead, self._shown.info(name, lock))
        return LockBusy(context.publish(), self._shown.info(name, lock))

    def _refusal(self, operation: Acquire, lock: Lock | None) -> CoordError | None:
        """Found before anything is changed, what time has changed included: a refusal leaves no trace."""
        context = self.context
        settings, name = context.settings, operation.name
        if lock is not None and lock.limit != operation.limit and not self._delay.is_all(name, lock):
            return _conflict(name, lock)
        if operation.reentrant and (own := self._reentry.find(operation)) is not None:
            return self._reentry.refusal(operation, *own)
        is_now_free = is_free(lock, operation)
        if lock is not None and is_now_free and lock.holders >= settings.lock_holders_max:
            return Full(f"lock {show(name)} has {lock.holders} holders, the most there may be; wait until one releases it")
        if lock is not None and not is_now_free:
            if not operation.wait and not self._may_fall_free(name):
                return None
            if operation.wait and lock.waiters >= settings.lock_waiters_max:
                return Full(f"{lock.waiters} wait for lock {show(name)}, the most there may be; try again later")
        if len(context.holdings.claims(context.session, LOCKS)) >= settings.session_locks_max:
            return Full(
                f"session {context.session} holds or awaits {settings.session_locks_max} locks, the most there may be; use another session"
            )
        grown = charge(name, operation.note) + len(name) + LOCK_CHARGE_BYTES
        if (error := self.rows.no_room(grown)) is not None:
            return error
        return None if is_now_free or not operation.wait else self._circles.find(operation)

    def _may_fall_free(self, name: bytes) -> bool:
        """By what has fallen due, before it is decided whether who asks has it: so it is looked at what that would pass."""
        return self.context.scalars.level >= MENDED and self._delay.is_due(name)

    # --- release, break ------------------------------------------------------------------------------------------------

    def release(self, operation: Release) -> Result:
        context, rows = self.context, self.rows
        name, number, session = operation.name, operation.number, context.session
        key = key_of(name, number)
        waiting = rows.waiting.get(key)
        if waiting is not None and waiting.session == session:
            self._line.leave(key, waiting)
            self._line.move_on(name)
            return LockReleased(context.publish(), CANCELLED, Token(0))
        token = Token(rows.tickets.get(key) or number)
        key = key_of(name, token)
        held = rows.held.get(key)
        if waiting is not None:
            return failure(NotHeld(f"session {waiting.session} waits for lock {show(name)} with ticket {number}, not session {session}"))
        if held is None or held.due_ms:
            return failure(NotHeld(f"{number} is no grant of lock {show(name)} that lasts: it was released, lost or broken, or never was"))
        is_own = held.session == session and held.own_count > 0
        if not is_own and not self._reentry.times(key, session):
            return failure(NotHeld(f"{number} is a grant of lock {show(name)} to session {held.session}, not to session {session}"))
        if held.count == 1:
            self._line.end_grant(key, held, LOCK_RELEASED)
            self._line.move_on(name)
            return LockReleased(context.publish(), RELEASED, token)
        if is_own:
            held = msgspec.structs.replace(held, own_count=held.own_count - 1, count=held.count - 1)
        else:
            held = self._reentry.leave(key, held, session, 1)
        rows.held.set(key, held)
        return LockReleased(context.scalars.revision, STILL_HELD, token, held.count)

    def break_lock(self, operation: BreakLock) -> Result:
        """`changed` counts the grants that ended; `more`: there are more of them than one command ends."""
        context, rows = self.context, self.rows
        name = operation.name
        lock = rows.locks.get(name)
        if lock is None:
            return failure(Missing(f"nobody holds lock {show(name)}: there is nothing to break"))
        if operation.token:
            key = key_of(name, operation.token)
            found = rows.held.get(key)
            if found is None:
                return failure(
                    NotHeld(f"{operation.token} is no grant of lock {show(name)}: read who holds it now, or break it as a whole")
                )
            broken = [(key, found)]
        else:
            broken, _ = page_of_rows(rows.held, name, 0, context.settings.wake_items_max)
        for key, held in broken:
            self._line.end_grant(key, held, LOCK_BROKEN, operation.reason, operation.by)
        self._line.move_on(name)
        return Done(context.publish(), len(broken), lock.holders > len(broken) and not operation.token)

    # --- what the machine asks -----------------------------------------------------------------------------------------

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        claimed = self.context.holdings.claims(session, LOCKS)
        if not claimed:
            return
        rows = self.rows
        for key in claimed:  # it leaves every line first, so that nothing is granted to it now
            waiting = rows.waiting.get(key)
            if waiting is not None:
                self._line.leave(key, waiting)
        for key in claimed:
            held = rows.held.get(key)
            if held is not None:
                self._let_go(key, held, session, is_clean)
        for name in dict.fromkeys([name_of(key) for key in claimed]):
            self._line.move_on(name)

    def _let_go(self, key: bytes, held: Held, session: SessionId, is_clean: bool) -> None:
        """Of one grant that the session holds, or has entered."""
        is_below = held.session != session
        times = self._reentry.times(key, session) if is_below else held.count
        if not times:
            return  # the grant, with all that entered it, was let go of just now
        if held.count != times:
            self.rows.held.set(key, self._reentry.leave(key, held, session, times))
        elif is_clean or not held.delay_ms or (is_below and self.context.scalars.level < MENDED):
            self._line.end_grant(key, held, LOCK_LOST)
        else:
            self._delay.begin(key, held)

    def longest_wait(self, now_ms: int) -> Wait | None:
        """Of those in line for the first few locks: whoever looks once a second must not hold up a turn."""
        waiting = self.rows.waiting
        found: Wait | None = None
        start = b""
        for _ in range(AWAITED_LOOKED_AT):
            row = waiting.first_from(start)
            if row is None:
                break
            name = name_of(row[0])
            waited_ms = max(0, now_ms - row[1].since_ms)
            if found is None or waited_ms > found.ms:
                found = Wait(name, waited_ms, waiting.count)
            start = name + b"\1"  # behind all that wait for this one
        return found

    def due(self) -> int | None:
        return self._delay.due()

    def on_wake(self) -> None:
        self._delay.end()


def _conflict(name: bytes, lock: Lock) -> Conflict:
    if lock.limit:
        what = f"lock {show(name)} is a semaphore of {lock.limit} permits"
    else:
        what = f"lock {show(name)} is exclusive or shared, no semaphore"
    return Conflict(f"{what}; ask for it as what it is, or choose another name")
