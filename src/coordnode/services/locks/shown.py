"""What readers see of locks. Pure."""

from coordnode.ids import Token
from coordnode.services.commands import (
    EXCLUSIVE,
    LOCKS,
    SEMAPHORE,
    SHARED,
    HeldLock,
    HeldLocks,
    ListLocks,
    LockHolder,
    LockInfo,
    LockPage,
    LockView,
    LockWaiter,
    ReadHeldLocks,
    ReadLock,
    Result,
)
from coordnode.services.context import Context
from coordnode.services.locks.rows import Held, Lock, Rows, Waiting
from coordnode.services.names import page_of
from coordnode.services.numbered import key_of, name_of, number_of, page_of_rows, rows_of


class Shown:
    def __init__(self, context: Context, rows: Rows) -> None:
        self.context = context
        self.rows = rows

    def view(self, operation: ReadLock, items_max: int, bytes_max: int) -> Result:
        name = operation.name
        count = min(operation.limit or items_max, items_max)
        lock = self.rows.locks.get(name)
        holders, more_holders = page_of_rows(self.rows.held, name, operation.after_token, count)
        waiters, more_waiters = page_of_rows(self.rows.waiting, name, operation.after_ticket, count)
        return LockView(
            self.context.scalars.revision,
            self.info(name, lock) if lock is not None else None,
            [self._holder(key, held) for key, held in holders],
            more_holders,
            [self._waiter(key, waiting) for key, waiting in waiters],
            more_waiters,
        )

    def page(self, operation: ListLocks, items_max: int, bytes_max: int) -> Result:
        rows, more = page_of(self.rows.locks, operation.prefix, operation.after, operation.limit, items_max)
        return LockPage(self.context.scalars.revision, [self.info(name, lock) for name, lock in rows], more)

    def held_by(self, operation: ReadHeldLocks, items_max: int, bytes_max: int) -> Result:
        count = min(operation.limit or items_max, items_max)
        after = key_of(operation.after_name, operation.after_number) if operation.after_name else b""
        claimed = [key for key in self.context.holdings.claims(operation.session, LOCKS) if key > after]
        found: list[HeldLock] = []
        for key in claimed[:count]:
            held = self.rows.held.get(key)
            if held is None:
                found.append(HeldLock(name_of(key), Token(0), number_of(key), 0))
            else:
                found.append(HeldLock(name_of(key), number_of(key), held.ticket, held.count))
        return HeldLocks(self.context.scalars.revision, found, len(claimed) > count)

    def info(self, name: bytes, lock: Lock) -> LockInfo:
        first = next(rows_of(self.rows.held, name), None)
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

    def _waiter(self, key: bytes, waiting: Waiting) -> LockWaiter:
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
