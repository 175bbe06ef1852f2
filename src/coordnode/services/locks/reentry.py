"""A session comes in again where it, or one that waits for it, holds the lock already: counted, under the same token. Pure."""

import msgspec

from coordnode.errors import Conflict, CoordError
from coordnode.ids import SessionId
from coordnode.services.commands import EXCLUSIVE, LOCKS, SHARED, Acquire, LockTaken, encode
from coordnode.services.context import Context
from coordnode.services.locks.rows import Held, Rows, show
from coordnode.services.numbered import name_of, number_of, pack_number

REENTRY_CHARGE_BYTES = 160


class Reentry:
    def __init__(self, context: Context, rows: Rows) -> None:
        self.context = context
        self.rows = rows

    def find(self, operation: Acquire) -> tuple[bytes, Held] | None:
        """What this session, or one that waits for it, holds already."""
        context = self.context
        for holder in context.lineage(context.session):
            for key in context.holdings.claims(holder, LOCKS, operation.name + b"\0"):
                held = self.rows.held.get(key)
                if held is not None and held.session == holder:  # else it waits, or entered another's
                    return key, held
        return None

    def refusal(self, operation: Acquire, key: bytes, held: Held) -> CoordError | None:
        name, holder = operation.name, held.session
        if held.kind == SHARED and operation.kind == EXCLUSIVE:
            return Conflict(f"lock {show(name)} is held shared by session {holder} itself and cannot become exclusive; release it first")
        if held.permits < operation.permits:
            return Conflict(
                f"session {holder} itself holds {held.permits} permits of {show(name)}, which cannot become {operation.permits}; "
                "release them first"
            )
        return self.rows.no_room(len(key) + len(pack_number(0)) + REENTRY_CHARGE_BYTES)

    def enter(self, key: bytes, held: Held) -> int:
        """How often it is held now."""
        context, rows = self.context, self.rows
        own = held.own_count
        if held.session == context.session:
            own += 1
        else:
            entered = key + pack_number(context.session)
            before = rows.reentries.get(entered) or 0
            if not before:
                context.scalars.state_bytes += len(entered) + REENTRY_CHARGE_BYTES
                context.holdings.claim(context.session, LOCKS, key)
            rows.reentries.set(entered, before + 1)
        rows.held.set(key, msgspec.structs.replace(held, own_count=own, count=held.count + 1))
        return held.count + 1

    def times(self, key: bytes, session: SessionId) -> int:
        """How often a session came in that is not the holder's own."""
        return self.rows.reentries.get(key + pack_number(session)) or 0

    def leave(self, key: bytes, held: Held, session: SessionId, times: int) -> Held:
        """What is held then, for the caller to keep."""
        rows, entered = self.rows, key + pack_number(session)
        before = self.times(key, session)
        if before > times:
            rows.reentries.set(entered, before - times)
        else:
            self._forget(key, session)
        return msgspec.structs.replace(held, count=held.count - times)

    def forget(self, key: bytes, held: Held, is_broken: bool, reason: str = "", by: str = "") -> None:
        """Of a grant that ends, all that came in."""
        if held.count == held.own_count:
            return
        for entered in [row for row, _ in self.rows.reentries.scan(key + pack_number(0), key + pack_number(2**64 - 1))]:
            session = SessionId(int.from_bytes(entered[len(key) :], "big"))
            self._forget(key, session)
            if is_broken:
                self.context.notify(session, LOCKS, encode(LockTaken(name_of(key), number_of(key), reason, by)))

    def _forget(self, key: bytes, session: SessionId) -> None:
        entered = key + pack_number(session)
        self.rows.reentries.delete(entered)
        self.context.holdings.unclaim(session, LOCKS, key)
        self.context.scalars.state_bytes -= len(entered) + REENTRY_CHARGE_BYTES
