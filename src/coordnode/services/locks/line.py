"""The line of each lock: who holds it, who waits, and who is granted it next. Pure.

Whoever takes something out, a waiter or a grant, lets the line move on afterwards: somebody behind may fit where this one did not.
"""

import msgspec

from coordnode.ids import Token
from coordnode.services.commands import (
    EXCLUSIVE,
    LOCK_BROKEN,
    LOCK_CANCELLED,
    LOCK_GRANTED,
    LOCK_QUEUED,
    LOCKS,
    Acquire,
    LockGiven,
    LockTaken,
    encode,
)
from coordnode.services.context import Context
from coordnode.services.locks.reentry import Reentry
from coordnode.services.locks.rows import LOCK_CHARGE_BYTES, Held, Lock, Rows, Waiting, charge, is_fitting
from coordnode.services.numbered import key_of, name_of, number_of, pack_number, rows_of


class Line:
    def __init__(self, context: Context, rows: Rows, reentry: Reentry) -> None:
        self.context = context
        self.rows = rows
        self.reentry = reentry

    def grant_free(self, operation: Acquire, lock: Lock | None) -> Token:
        """To who asks, past no line: it is free."""
        scalars, name, waiting = self.context.scalars, operation.name, self._waiter(operation)
        if lock is None:
            lock = Lock(operation.limit)
            scalars.state_bytes += len(name) + LOCK_CHARGE_BYTES
        scalars.state_bytes += charge(name, waiting.note)
        lock, token = self._grant(name, lock, waiting, Token(0))
        self.rows.locks.set(name, lock)
        return token

    def join(self, operation: Acquire, lock: Lock) -> tuple[Lock, Token]:
        """The lock as it is now, and the ticket of who waits."""
        context, rows = self.context, self.rows
        name, waiting = operation.name, self._waiter(operation)
        ticket = context.holdings.next_number()
        key = key_of(name, ticket)
        rows.waiting.set(key, waiting)
        rows.awaited.set(pack_number(context.root_of(waiting.session)) + key, waiting.session)
        context.holdings.claim(waiting.session, LOCKS, key)
        context.scalars.state_bytes += charge(name, waiting.note)
        lock = msgspec.structs.replace(lock, waiters=lock.waiters + 1)
        rows.locks.set(name, lock)
        rows.tell(LOCK_QUEUED, name, ticket, waiting)
        return lock, ticket

    def leave(self, key: bytes, waiting: Waiting) -> None:
        name = name_of(key)
        self._forget(key, waiting)
        self.context.scalars.state_bytes -= charge(name, waiting.note)
        self.rows.tell(LOCK_CANCELLED, name, number_of(key), waiting)
        lock = self.rows.locks.get(name)
        assert lock is not None
        self.rows.locks.set(name, msgspec.structs.replace(lock, waiters=lock.waiters - 1))

    def end_grant(self, key: bytes, held: Held, why: int, reason: str = "", by: str = "") -> None:
        context, rows = self.context, self.rows
        name, token = name_of(key), number_of(key)
        if held.session:
            context.holdings.revoke(token)
            context.holdings.unclaim(held.session, LOCKS, key)
            self.reentry.forget(key, held, why == LOCK_BROKEN, reason, by)
        else:
            rows.delays.delete(pack_number(held.due_ms) + key)
        if held.ticket:
            rows.tickets.delete(key_of(name, held.ticket))
        rows.held.delete(key)
        context.scalars.state_bytes -= charge(name, held.note)
        if why == LOCK_BROKEN and held.session and held.own_count:  # who gave its own back has nothing to lose
            context.notify(held.session, LOCKS, encode(LockTaken(name, token, reason, by)))
        rows.tell(why, name, token, held, reason, by)
        lock = rows.locks.get(name)
        assert lock is not None
        changed = msgspec.structs.replace(lock, is_exclusive=False, permits=lock.permits - held.permits, holders=lock.holders - 1)
        rows.locks.set(name, changed)

    def move_on(self, name: bytes) -> None:
        """Grants from the head of the line what fits; the lock goes when nobody is left."""
        context, rows = self.context, self.rows
        lock = rows.locks.get(name)
        if lock is None:
            return
        granted = 0
        while lock.waiters:
            key, waiting = next(rows_of(rows.waiting, name))
            if not is_fitting(lock, waiting.kind, waiting.permits):
                break
            if granted == context.settings.wake_items_max:
                rows.delays.set(pack_number(context.cluster_ms + 1) + key_of(name, Token(0)), 1)
                break
            self._forget(key, waiting)
            lock, _ = self._grant(name, lock, waiting, number_of(key))
            lock = msgspec.structs.replace(lock, waiters=lock.waiters - 1)
            granted += 1
        if lock.holders or lock.waiters:
            rows.locks.set(name, lock)
        else:
            rows.locks.delete(name)
            context.scalars.state_bytes -= len(name) + LOCK_CHARGE_BYTES

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

    def _grant(self, name: bytes, lock: Lock, waiting: Waiting, ticket: Token) -> tuple[Lock, Token]:
        """The lock as it is now, for the caller to keep."""
        context, rows = self.context, self.rows
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
        rows.held.set(key, held)
        context.holdings.claim(waiting.session, LOCKS, key)
        if ticket:
            rows.tickets.set(key_of(name, ticket), token)
            context.notify(waiting.session, LOCKS, encode(LockGiven(name, ticket, token)))
        rows.tell(LOCK_GRANTED, name, token, waiting)
        changed = msgspec.structs.replace(
            lock,
            is_exclusive=waiting.kind == EXCLUSIVE,
            permits=lock.permits + waiting.permits,
            holders=lock.holders + 1,
        )
        return changed, token

    def _forget(self, key: bytes, waiting: Waiting) -> None:
        self.rows.waiting.delete(key)
        self.rows.awaited.delete(pack_number(self.context.root_of(waiting.session)) + key)
        self.context.holdings.unclaim(waiting.session, LOCKS, key)
