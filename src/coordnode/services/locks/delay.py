"""Lock-delay: after an unclean end a lock stays closed for a while, so that what its holder still had under way can arrive. Pure."""

from itertools import islice

import msgspec

from coordnode.ids import NO_SESSION
from coordnode.services.commands import LOCK_DELAY_OVER, LOCK_LOST, LOCKS
from coordnode.services.context import Context
from coordnode.services.locks.line import Line
from coordnode.services.locks.reentry import Reentry
from coordnode.services.locks.rows import Held, Lock, Rows
from coordnode.services.numbered import name_of, number_of, pack_number, rows_of


class Delay:
    def __init__(self, context: Context, rows: Rows, line: Line, reentry: Reentry) -> None:
        self.context = context
        self.rows = rows
        self.line = line
        self.reentry = reentry

    def begin(self, key: bytes, held: Held) -> None:
        """The token is stale at once; the place is kept closed."""
        context, rows = self.context, self.rows
        context.holdings.revoke(number_of(key))
        context.holdings.unclaim(held.session, LOCKS, key)
        self.reentry.forget(key, held, False)
        rows.tell(LOCK_LOST, name_of(key), number_of(key), held)
        due_ms = context.cluster_ms + held.delay_ms
        rows.held.set(key, msgspec.structs.replace(held, session=NO_SESSION, due_ms=due_ms))
        rows.delays.set(pack_number(due_ms) + key, 1)

    def due(self) -> int | None:
        first = self.rows.delays.first()
        return int.from_bytes(first[0][:8], "big") if first is not None else None

    def end(self) -> None:
        """Those that have fallen due; also asked by whoever acquires, so that nobody is refused for what is over."""
        rows = self.rows
        for _ in range(self.context.settings.wake_items_max):
            due = self.due()
            if due is None or due > self.context.cluster_ms:
                return
            first = rows.delays.first()
            assert first is not None
            key = first[0][8:]
            held = rows.held.get(key)
            if held is not None:
                self.line.end_grant(key, held, LOCK_DELAY_OVER)
            else:
                rows.delays.delete(first[0])
            self.line.move_on(name_of(key))

    def is_due(self, name: bytes) -> bool:
        """`end` would end something of this lock, or let its line move on."""
        due = self.rows.delays.scan(b"", pack_number(self.context.cluster_ms + 1))
        return any([name_of(key[8:]) == name for key, _ in islice(due, self.context.settings.wake_items_max)])

    def is_all(self, name: bytes, lock: Lock) -> bool:
        """Nothing is left of the lock but a delay that has passed."""
        if lock.waiters or lock.holders > 1:
            return False
        _, held = next(rows_of(self.rows.held, name))
        return bool(held.due_ms) and held.due_ms <= self.context.cluster_ms
