"""Locks: exclusive, shared and counted; first come, first served; one token for each grant. Pure.

A lock exists while somebody holds it, waits for it, or keeps it closed for a while after an unclean end (lock-delay). Whether who
asks has it now is decided here, in the entry that carries the question, and nowhere else: nobody is granted anything later than
that without being told by a notice, which each waiter gets once, however many wait.

What is kept of a lock is one row of counts, and one row for each holder and each waiter, so that no handler walks a line.
"""

from collections.abc import Mapping
from itertools import islice
from typing import ClassVar

import msgspec

from coordnode.errors import BadRequest, Conflict, CoordError, Deadlock, Full, Missing, NotHeld, StateFull
from coordnode.ids import NO_SESSION, SessionId, Token
from coordnode.services.commands import (
    CANCELLED,
    EXCLUSIVE,
    LOCK_BROKEN,
    LOCK_CANCELLED,
    LOCK_DELAY_OVER,
    LOCK_GRANTED,
    LOCK_LOST,
    LOCK_QUEUED,
    LOCK_RELEASED,
    LOCKS,
    RELEASED,
    SEMAPHORE,
    SHARED,
    STILL_HELD,
    Acquire,
    BreakLock,
    Done,
    HeldLock,
    HeldLocks,
    ListLocks,
    LockBusy,
    LockEvent,
    LockGiven,
    LockGranted,
    LockHolder,
    LockInfo,
    LockPage,
    LockQueued,
    LockReleased,
    LockTaken,
    LockView,
    LockWaiter,
    ReadHeldLocks,
    ReadLock,
    Release,
    Result,
    encode,
)
from coordnode.services.context import Check, Context, Service, failure
from coordnode.services.deadlocks import Hold, State, Wait, find_circle
from coordnode.services.lock_checks import CHECKS
from coordnode.services.names import page_of
from coordnode.services.numbered import key_of, name_of, number_of, pack_number, page_of_rows, rows_of
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
REENTRY_CHARGE_BYTES = 160

KINDS = {EXCLUSIVE: "exclusive", SHARED: "shared", SEMAPHORE: "semaphore"}


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


class Locks(Service):
    LEVELS: ClassVar[Mapping[type, int]] = {
        Acquire: 3,
        Release: 3,
        BreakLock: 3,
        ReadLock: 3,
        ListLocks: 3,
        ReadHeldLocks: 3,
    }
    CHECKS: ClassVar[Mapping[type, Check]] = CHECKS
    ADDS_DATA: ClassVar[tuple[type, ...]] = (Acquire,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.locks: Table[Lock] = Table(LOCKS_ID, Lock)
        self.held: Table[Held] = Table(HELD_ID, Held)  # name, token
        self.waiting: Table[Waiting] = Table(WAITING_ID, Waiting)  # name, ticket: in the order of the line
        self._tickets: Table[int] = Table(TICKETS_ID, int)  # name, ticket -> the token that it became
        self._reentries: Table[int] = Table(REENTRIES_ID, int)  # name, token, another session -> how often it acquired it again
        self._delays: Table[int] = Table(DELAYS_ID, int)  # due_ms, name, token -> 1; token 0: the line moves on
        self._awaited: Table[int] = Table(AWAITED_ID, int)  # the root of who waits, name, ticket -> the session that waits
        self.containers = (self.locks, self.held, self.waiting, self._tickets, self._reentries, self._delays, self._awaited)
        self.routes = {Acquire: self.acquire, Release: self.release, BreakLock: self.break_lock}
        self.reads = {ReadLock: self.view, ListLocks: self.page, ReadHeldLocks: self.held_by}

    # --- acquire -------------------------------------------------------------------------------------------------------

    def acquire(self, operation: Acquire) -> Result:
        context = self.context
        session, name = context.session, operation.name
        if not session:
            return failure(BadRequest(f"lock {_show(name)} is held by a session, and the command names none; open one first"))
        error = self._refusal(operation, self.locks.get(name))
        if error is not None:
            return failure(error)
        if operation.reentrant and (entered := self._find_own(operation)) is not None:
            return self._enter(*entered)
        self._end_delays()
        lock = self.locks.get(name)
        if lock is not None and lock.limit != operation.limit:  # more had fallen due than one command ends
            context.publish()
            return failure(_conflict(name, lock))
        if _is_free(lock, operation):
            waiting = self._waiter(operation)
            if lock is None:
                lock = Lock(operation.limit)
                context.scalars.state_bytes += len(name) + LOCK_CHARGE_BYTES
            context.scalars.state_bytes += _charge(name, waiting)
            lock, token = self._grant(name, lock, waiting, Token(0))
            self.locks.set(name, lock)
            return LockGranted(context.publish(), token)
        assert lock is not None
        if operation.wait:
            return self._queue(operation, lock)
        return LockBusy(context.publish(), self._info(name, lock))

    def _waiter(self, operation: Acquire) -> Waiting:
        context = self.context
        return Waiting(
            context.session,
            operation.kind,
            operation.permits,
            operation.delay_ms,
            operation.note,
            context.wall_ms,
            context.cluster_ms,
        )

    def _queue(self, operation: Acquire, lock: Lock) -> Result:
        context = self.context
        name, waiting = operation.name, self._waiter(operation)
        ticket = context.holdings.next_number()
        key = key_of(name, ticket)
        self.waiting.set(key, waiting)
        self._awaited.set(pack_number(context.root_of(waiting.session)) + key, waiting.session)
        context.holdings.claim(waiting.session, LOCKS, key)
        context.scalars.state_bytes += _charge(name, waiting)
        ahead = lock.waiters
        lock = msgspec.structs.replace(lock, waiters=ahead + 1)
        self.locks.set(name, lock)
        self._tell(LOCK_QUEUED, name, ticket, waiting)
        return LockQueued(context.publish(), ticket, ahead, self._info(name, lock))

    def _find_own(self, operation: Acquire) -> tuple[bytes, Held] | None:
        """What this session, or one that waits for it, holds already."""
        context = self.context
        for holder in context.lineage(context.session):
            for key in context.holdings.claims(holder, LOCKS, operation.name + b"\0"):
                held = self.held.get(key)
                if held is not None and held.session == holder:  # else it waits, or entered another's
                    return key, held
        return None

    def _enter(self, key: bytes, held: Held) -> Result:
        context = self.context
        own = held.own_count
        if held.session == context.session:
            own += 1
        else:
            entered = key + pack_number(context.session)
            before = self._reentries.get(entered) or 0
            if not before:
                context.scalars.state_bytes += len(entered) + REENTRY_CHARGE_BYTES
                context.holdings.claim(context.session, LOCKS, key)
            self._reentries.set(entered, before + 1)
        self.held.set(key, msgspec.structs.replace(held, own_count=own, count=held.count + 1))
        return LockGranted(context.scalars.revision, number_of(key), held.count + 1)

    # --- what an acquisition is refused for ----------------------------------------------------------------------------

    def _refusal(self, operation: Acquire, lock: Lock | None) -> CoordError | None:
        """Found before anything is changed, what time has changed included: a refusal leaves no trace."""
        context = self.context
        settings, name = context.settings, operation.name
        if lock is not None and lock.limit != operation.limit and not self._is_over(name, lock):
            return _conflict(name, lock)
        if operation.reentrant and (own := self._find_own(operation)) is not None:
            return self._reentry_refusal(operation, *own)
        is_free = _is_free(lock, operation)
        if lock is not None and is_free and lock.holders >= settings.lock_holders_max:
            return Full(f"lock {_show(name)} has {lock.holders} holders, the most there may be; wait until one releases it")
        if lock is not None and not is_free:
            if not operation.wait:
                return None
            if lock.waiters >= settings.lock_waiters_max:
                return Full(f"{lock.waiters} wait for lock {_show(name)}, the most there may be; try again later")
        if len(context.holdings.claims(context.session, LOCKS)) >= settings.session_locks_max:
            return Full(
                f"session {context.session} holds or awaits {settings.session_locks_max} locks, the most there may be; use another session"
            )
        grown = _charge(name, self._waiter(operation)) + len(name) + LOCK_CHARGE_BYTES
        if not context.has_room(grown):
            return self._no_room(grown)
        return None if is_free else self._find_circle(operation)

    def _reentry_refusal(self, operation: Acquire, key: bytes, held: Held) -> CoordError | None:
        name, holder = operation.name, held.session
        if held.kind == SHARED and operation.kind == EXCLUSIVE:
            return Conflict(f"lock {_show(name)} is held shared by session {holder} itself and cannot become exclusive; release it first")
        if held.permits < operation.permits:
            return Conflict(
                f"session {holder} itself holds {held.permits} permits of {_show(name)}, which cannot become {operation.permits}; "
                "release them first"
            )
        grown = len(key) + len(pack_number(0)) + REENTRY_CHARGE_BYTES
        return None if self.context.has_room(grown) else self._no_room(grown)

    def _is_over(self, name: bytes, lock: Lock) -> bool:
        """Nothing is left of it but a lock-delay that has passed."""
        if lock.waiters or lock.holders > 1:
            return False
        _, held = next(rows_of(self.held, name))
        return bool(held.due_ms) and held.due_ms <= self.context.cluster_ms

    def _no_room(self, grown: int) -> StateFull:
        scalars, settings = self.context.scalars, self.context.settings
        return StateFull(
            f"{grown} bytes more would make {scalars.state_bytes + grown}, at most {settings.state_bytes_max} in all; "
            "release or delete something first"
        )

    # --- release, break ------------------------------------------------------------------------------------------------

    def release(self, operation: Release) -> Result:
        context = self.context
        name, number, session = operation.name, operation.number, context.session
        key = key_of(name, number)
        waiting = self.waiting.get(key)
        if waiting is not None and waiting.session == session:
            self._leave_line(key, waiting)
            self._move_on(name)
            return LockReleased(context.publish(), CANCELLED, Token(0))
        token = Token(self._tickets.get(key) or number)
        key = key_of(name, token)
        held = self.held.get(key)
        if waiting is not None:
            return failure(NotHeld(f"session {waiting.session} waits for lock {_show(name)} with ticket {number}, not session {session}"))
        if held is None or held.due_ms:
            return failure(NotHeld(f"{number} is no grant of lock {_show(name)} that lasts: it was released, lost or broken, or never was"))
        entered = key + pack_number(session)
        reentries = self._reentries.get(entered) or 0
        is_own = held.session == session and held.own_count > 0
        if not is_own and not reentries:
            return failure(NotHeld(f"{number} is a grant of lock {_show(name)} to session {held.session}, not to session {session}"))
        if held.count == 1:
            self._end_grant(key, held, LOCK_RELEASED)
            self._move_on(name)
            return LockReleased(context.publish(), RELEASED, token)
        if is_own:
            held = msgspec.structs.replace(held, own_count=held.own_count - 1, count=held.count - 1)
        else:
            held = self._leave_again(entered, held, reentries, 1)
        self.held.set(key, held)
        return LockReleased(context.scalars.revision, STILL_HELD, token, held.count)

    def break_lock(self, operation: BreakLock) -> Result:
        """`changed` counts the grants that ended; `more`: there are more of them than one command ends."""
        context = self.context
        name = operation.name
        lock = self.locks.get(name)
        if lock is None:
            return failure(Missing(f"nobody holds lock {_show(name)}: there is nothing to break"))
        if operation.token:
            key = key_of(name, operation.token)
            found = self.held.get(key)
            if found is None:
                return failure(
                    NotHeld(f"{operation.token} is no grant of lock {_show(name)}: read who holds it now, or break it as a whole")
                )
            broken = [(key, found)]
        else:
            broken, _ = page_of_rows(self.held, name, 0, context.settings.wake_items_max)
        for key, held in broken:
            self._end_grant(key, held, LOCK_BROKEN, operation.reason, operation.by)
        self._move_on(name)
        return Done(context.publish(), len(broken), lock.holders > len(broken) and not operation.token)

    # --- what the machine asks -----------------------------------------------------------------------------------------

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        claimed = self.context.holdings.claims(session, LOCKS)
        if not claimed:
            return
        for key in claimed:  # it leaves every line first, so that nothing is granted to it now
            waiting = self.waiting.get(key)
            if waiting is not None:
                self._leave_line(key, waiting)
        for key in claimed:
            held = self.held.get(key)
            if held is not None:
                self._let_go(key, held, session, is_clean)
        for name in dict.fromkeys([name_of(key) for key in claimed]):
            self._move_on(name)

    def _let_go(self, key: bytes, held: Held, session: SessionId, is_clean: bool) -> None:
        """Of one grant that the session holds, or has entered."""
        if held.session == session:
            if is_clean or not held.delay_ms:
                self._end_grant(key, held, LOCK_LOST)
            else:
                self._begin_delay(key, held)
            return
        entered = key + pack_number(session)
        reentries = self._reentries.get(entered)
        if reentries is None:
            return  # the grant, with all that entered it, was let go of just now
        if held.count == reentries:
            self._end_grant(key, held, LOCK_LOST)
        else:
            self.held.set(key, self._leave_again(entered, held, reentries, reentries))

    def due(self) -> int | None:
        first = self._delays.first()
        return int.from_bytes(first[0][:8], "big") if first is not None else None

    def on_wake(self) -> None:
        self._end_delays()

    def _end_delays(self) -> None:
        """Those that have fallen due; also asked by whoever acquires, so that nobody is refused for what is over."""
        for _ in range(self.context.settings.wake_items_max):
            due = self.due()
            if due is None or due > self.context.cluster_ms:
                return
            first = self._delays.first()
            assert first is not None
            key = first[0][8:]
            held = self.held.get(key)
            if held is not None:
                self._end_grant(key, held, LOCK_DELAY_OVER)
            else:
                self._delays.delete(first[0])
            self._move_on(name_of(key))

    # --- the line ------------------------------------------------------------------------------------------------------

    def _grant(self, name: bytes, lock: Lock, waiting: Waiting, ticket: Token) -> tuple[Lock, Token]:
        """The lock as it is now, for the caller to keep."""
        context = self.context
        token = context.holdings.grant(LOCKS, name, waiting.session)
        key = key_of(name, token)
        held = Held(
            waiting.session,
            waiting.kind,
            waiting.permits,
            1,
            1,
            waiting.delay_ms,
            waiting.note,
            context.wall_ms,
            context.cluster_ms,
            ticket,
        )
        self.held.set(key, held)
        context.holdings.claim(waiting.session, LOCKS, key)
        if ticket:
            self._tickets.set(key_of(name, ticket), token)
            context.notify(waiting.session, LOCKS, encode(LockGiven(name, ticket, token)))
        self._tell(LOCK_GRANTED, name, token, waiting)
        changed = msgspec.structs.replace(
            lock,
            is_exclusive=waiting.kind == EXCLUSIVE,
            permits=lock.permits + waiting.permits,
            holders=lock.holders + 1,
        )
        return changed, token

    def _end_grant(self, key: bytes, held: Held, why: int, reason: str = "", by: str = "") -> None:
        """Whoever calls lets the line move on."""
        context = self.context
        name, token = name_of(key), number_of(key)
        if held.session:
            context.holdings.revoke(token)
            context.holdings.unclaim(held.session, LOCKS, key)
            self._forget_reentries(key, held, why == LOCK_BROKEN, reason, by)
        else:
            self._delays.delete(pack_number(held.due_ms) + key)
        if held.ticket:
            self._tickets.delete(key_of(name, held.ticket))
        self.held.delete(key)
        context.scalars.state_bytes -= _charge(name, held)
        if why == LOCK_BROKEN and held.session and held.own_count:  # who gave its own back has nothing to lose
            context.notify(held.session, LOCKS, encode(LockTaken(name, token, reason, by)))
        self._tell(why, name, token, held, reason, by)
        lock = self.locks.get(name)
        assert lock is not None
        changed = msgspec.structs.replace(lock, is_exclusive=False, permits=lock.permits - held.permits, holders=lock.holders - 1)
        self.locks.set(name, changed)

    def _begin_delay(self, key: bytes, held: Held) -> None:
        """The token is stale at once; the place is kept closed."""
        context = self.context
        context.holdings.revoke(number_of(key))
        context.holdings.unclaim(held.session, LOCKS, key)
        self._forget_reentries(key, held, False)
        self._tell(LOCK_LOST, name_of(key), number_of(key), held)
        due_ms = context.cluster_ms + held.delay_ms
        self.held.set(key, msgspec.structs.replace(held, session=NO_SESSION, due_ms=due_ms))
        self._delays.set(pack_number(due_ms) + key, 1)

    def _forget_reentries(self, key: bytes, held: Held, is_broken: bool, reason: str = "", by: str = "") -> None:
        if held.count == held.own_count:
            return
        context = self.context
        for entered in [row for row, _ in self._reentries.scan(key + pack_number(0), key + pack_number(2**64 - 1))]:
            session = SessionId(int.from_bytes(entered[len(key) :], "big"))
            self._reentries.delete(entered)
            context.holdings.unclaim(session, LOCKS, key)
            context.scalars.state_bytes -= len(entered) + REENTRY_CHARGE_BYTES
            if is_broken:
                context.notify(session, LOCKS, encode(LockTaken(name_of(key), number_of(key), reason, by)))

    def _leave_again(self, entered: bytes, held: Held, reentries: int, times: int) -> Held:
        if reentries > times:
            self._reentries.set(entered, reentries - times)
        else:
            self._reentries.delete(entered)
            session, key = SessionId(int.from_bytes(entered[-8:], "big")), entered[:-8]
            self.context.holdings.unclaim(session, LOCKS, key)
            self.context.scalars.state_bytes -= len(entered) + REENTRY_CHARGE_BYTES
        return msgspec.structs.replace(held, count=held.count - times)

    def _leave_line(self, key: bytes, waiting: Waiting) -> None:
        """Whoever calls lets the line move on: somebody behind may fit where this one did not."""
        context = self.context
        name = name_of(key)
        self._forget_wait(key, waiting)
        context.scalars.state_bytes -= _charge(name, waiting)
        self._tell(LOCK_CANCELLED, name, number_of(key), waiting)
        lock = self.locks.get(name)
        assert lock is not None
        self.locks.set(name, msgspec.structs.replace(lock, waiters=lock.waiters - 1))

    def _forget_wait(self, key: bytes, waiting: Waiting) -> None:
        self.waiting.delete(key)
        self._awaited.delete(pack_number(self.context.root_of(waiting.session)) + key)
        self.context.holdings.unclaim(waiting.session, LOCKS, key)

    def _move_on(self, name: bytes) -> None:
        """Grants from the head of the line what fits; the lock goes when nobody is left."""
        context = self.context
        lock = self.locks.get(name)
        if lock is None:
            return
        granted = 0
        while lock.waiters:
            key, waiting = next(rows_of(self.waiting, name))
            if not _fits(lock, waiting.kind, waiting.permits):
                break
            if granted == context.settings.wake_items_max:
                self._delays.set(pack_number(context.cluster_ms + 1) + key_of(name, Token(0)), 1)
                break
            self._forget_wait(key, waiting)
            lock, _ = self._grant(name, lock, waiting, number_of(key))
            lock = msgspec.structs.replace(lock, waiters=lock.waiters - 1)
            granted += 1
        if lock.holders or lock.waiters:
            self.locks.set(name, lock)
        else:
            self.locks.delete(name)
            context.scalars.state_bytes -= len(name) + LOCK_CHARGE_BYTES

    def _tell(self, kind: int, name: bytes, number: Token, what: Held | Waiting, reason: str = "", by: str = "") -> None:
        session = what.session
        event = LockEvent(number, session, self.context.owner_of(session), what.kind, what.permits, what.note, reason, by)
        self.context.emit((kind, name, encode(event), 0, session, LOCKS))

    # --- deadlocks -----------------------------------------------------------------------------------------------------

    def _find_circle(self, operation: Acquire) -> Deadlock | None:
        context = self.context
        lineage = context.lineage(context.session)
        if not any([self.held.get(key) is not None for session in lineage for key in context.holdings.claims(session, LOCKS)]):
            return None  # nobody can wait for who holds nothing
        wait = Wait(context.session, operation.name, self._needed(operation.name, operation.permits))
        state = State(self._holds, self._free, self._awaited_below, context.owner_of)
        return find_circle(wait, lineage, state, context.settings.deadlock_steps_max)

    def _holds(self, name: bytes, count: int) -> tuple[list[Hold], bool]:
        rows, more = page_of_rows(self.held, name, 0, count)
        return [Hold(held.session, held.permits) for _, held in rows if held.session], more

    def _free(self, name: bytes) -> int:
        lock = self.locks.get(name)
        if lock is None or not lock.limit:
            return -1
        rows, _ = page_of_rows(self.held, name, 0, self.context.settings.deadlock_steps_max)
        return lock.limit - sum([held.permits for _, held in rows if held.session])

    def _needed(self, name: bytes, permits: int) -> int:
        head = next(rows_of(self.waiting, name), None)
        return permits if head is None else max(permits, head[1].permits)

    def _awaited_below(self, session: SessionId) -> list[Wait]:
        root = pack_number(self.context.root_of(session))
        found: list[Wait] = []
        rows = self._awaited.scan(root, pack_number(self.context.root_of(session) + 1))
        for place, waiter in islice(rows, self.context.settings.deadlock_steps_max):
            if session in self.context.lineage(SessionId(waiter)):
                waiting = self.waiting.get(place[len(root) :])
                assert waiting is not None
                name = name_of(place[len(root) :])
                found.append(Wait(SessionId(waiter), name, self._needed(name, waiting.permits)))
        return found

    # --- reads ---------------------------------------------------------------------------------------------------------

    def view(self, operation: ReadLock, items_max: int, bytes_max: int) -> Result:
        name = operation.name
        count = min(operation.limit or items_max, items_max)
        lock = self.locks.get(name)
        holders, more_holders = page_of_rows(self.held, name, operation.after_token, count)
        waiters, more_waiters = page_of_rows(self.waiting, name, operation.after_ticket, count)
        return LockView(
            self.context.scalars.revision,
            self._info(name, lock) if lock is not None else None,
            [self._holder(key, held) for key, held in holders],
            more_holders,
            [self._show_waiter(key, waiting) for key, waiting in waiters],
            more_waiters,
        )

    def page(self, operation: ListLocks, items_max: int, bytes_max: int) -> Result:
        rows, more = page_of(self.locks, operation.prefix, operation.after, operation.limit, items_max)
        return LockPage(self.context.scalars.revision, [self._info(name, lock) for name, lock in rows], more)

    def held_by(self, operation: ReadHeldLocks, items_max: int, bytes_max: int) -> Result:
        count = min(operation.limit or items_max, items_max)
        after = key_of(operation.after_name, operation.after_number) if operation.after_name else b""
        claimed = [key for key in self.context.holdings.claims(operation.session, LOCKS) if key > after]
        found: list[HeldLock] = []
        for key in claimed[:count]:
            held = self.held.get(key)
            if held is None:
                found.append(HeldLock(name_of(key), Token(0), number_of(key), 0))
            else:
                found.append(HeldLock(name_of(key), number_of(key), held.ticket, held.count))
        return HeldLocks(self.context.scalars.revision, found, len(claimed) > count)

    def _info(self, name: bytes, lock: Lock) -> LockInfo:
        first = next(rows_of(self.held, name), None)
        kind = SEMAPHORE if lock.limit else EXCLUSIVE if lock.is_exclusive else SHARED
        holder = self._holder(*first) if first is not None else None
        return LockInfo(name, kind, lock.limit, lock.permits, lock.holders, lock.waiters, holder)

    def _holder(self, key: bytes, held: Held) -> LockHolder:
        context = self.context
        now_ms = context.shown_ms
        return LockHolder(
            number_of(key),
            held.session,
            context.owner_of(held.session),
            held.kind,
            held.permits,
            held.count,
            held.note,
            held.since_wall_ms,
            max(0, now_ms - held.since_ms),
            max(0, held.due_ms - now_ms) if held.due_ms else held.delay_ms,
        )

    def _show_waiter(self, key: bytes, waiting: Waiting) -> LockWaiter:
        context = self.context
        return LockWaiter(
            number_of(key),
            waiting.session,
            context.owner_of(waiting.session),
            waiting.kind,
            waiting.permits,
            waiting.note,
            waiting.since_wall_ms,
            max(0, context.shown_ms - waiting.since_ms),
        )


def _fits(lock: Lock, kind: int, permits: int) -> bool:
    """Beside those who hold it; who waits is not asked."""
    if kind == EXCLUSIVE:
        return not lock.holders
    if kind == SHARED:
        return not lock.is_exclusive
    return lock.permits + permits <= lock.limit


def _is_free(lock: Lock | None, operation: Acquire) -> bool:
    """Nobody is in the way, neither holder nor waiter."""
    return lock is None or (not lock.waiters and _fits(lock, operation.kind, operation.permits))


def _conflict(name: bytes, lock: Lock) -> Conflict:
    return Conflict(f"{_describe(name, lock)}; ask for it as what it is, or choose another name")


def _charge(name: bytes, what: Held | Waiting) -> int:
    return 2 * len(name) + len(what.note) + GRANT_CHARGE_BYTES


def _show(name: bytes) -> str:
    return name.decode(errors="replace")


def _describe(name: bytes, lock: Lock) -> str:
    if lock.limit:
        return f"lock {_show(name)} is a semaphore of {lock.limit} permits"
    return f"lock {_show(name)} is exclusive or shared, no semaphore"
