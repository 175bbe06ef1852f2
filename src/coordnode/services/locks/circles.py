"""What the search for deadlocks asks of locks: who holds, what is free, what is awaited below a session. Pure."""

from itertools import islice

from coordnode.errors import Deadlock
from coordnode.ids import SessionId
from coordnode.services.commands import LOCKS, Acquire
from coordnode.services.context import Context
from coordnode.services.deadlocks import Hold, State, Wait, find_circle
from coordnode.services.locks.rows import Rows
from coordnode.services.numbered import name_of, pack_number, page_of_rows, rows_of


class Circles:
    def __init__(self, context: Context, rows: Rows) -> None:
        self.context = context
        self.rows = rows

    def find(self, operation: Acquire) -> Deadlock | None:
        context = self.context
        lineage = context.lineage(context.session)
        if not any([self.rows.held.get(key) is not None for session in lineage for key in context.holdings.claims(session, LOCKS)]):
            return None  # nobody can wait for who holds nothing
        wait = Wait(context.session, operation.name, self._needed(operation.name, operation.permits))
        state = State(self._holds, self._free, self._awaited_below, context.owner_of)
        return find_circle(wait, lineage, state, context.settings.deadlock_steps_max)

    def _holds(self, name: bytes, count: int) -> tuple[list[Hold], bool]:
        rows, more = page_of_rows(self.rows.held, name, 0, count)
        return [Hold(held.session, held.permits) for _, held in rows if held.session], more

    def _free(self, name: bytes) -> int:
        lock = self.rows.locks.get(name)
        if lock is None or not lock.limit:
            return -1
        rows, _ = page_of_rows(self.rows.held, name, 0, self.context.settings.deadlock_steps_max)
        return lock.limit - sum([held.permits for _, held in rows if held.session])

    def _needed(self, name: bytes, permits: int) -> int:
        head = next(rows_of(self.rows.waiting, name), None)
        return permits if head is None else max(permits, head[1].permits)

    def _awaited_below(self, session: SessionId) -> list[Wait]:
        root = pack_number(self.context.root_of(session))
        found: list[Wait] = []
        rows = self.rows.awaited.scan(root, pack_number(self.context.root_of(session) + 1))
        for place, waiter in islice(rows, self.context.settings.deadlock_steps_max):
            if session in self.context.lineage(SessionId(waiter)):
                waiting = self.rows.waiting.get(place[len(root) :])
                assert waiting is not None
                name = name_of(place[len(root) :])
                found.append(Wait(SessionId(waiter), name, self._needed(name, waiting.permits)))
        return found
