"""Keys and values: put, delete, compare-and-set transactions, paged ranges, keys bound to a session. Pure.

Every handler computes first and commits last: what is refused, and what fails unexpectedly, leaves no trace.
"""

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, ClassVar

from coordnode.errors import BadRequest, CoordError, StateFull, TooLarge
from coordnode.ids import NO_SESSION, Revision, SessionId, Token
from coordnode.services import kv_checks
from coordnode.services.commands import (
    CREATE_REVISION,
    DELETE_EVENT,
    EQUAL,
    GREATER,
    LESS,
    MOD_REVISION,
    NOT_EQUAL,
    PUT_EVENT,
    TOKEN,
    VALUE,
    VERSION,
    Compare,
    Delete,
    DeleteRange,
    Done,
    Get,
    Got,
    Item,
    Page,
    Put,
    Range,
    Result,
    Transaction,
    TransactionDone,
)
from coordnode.services.context import Check, Context, Service, failure
from coordnode.services.keys import KEY_CHARGE_BYTES, Keys, Stored
from coordnode.services.rights import ANYTHING, KV, RANGE, READ, USE, Rights, needs
from coordnode.services.tables import Table

BOUND_KEYS_ID = 7
BOUND_COUNTS_ID = 8

BOUND_KEY_CHARGE_BYTES = 120  # what a bound key takes in memory beside its own bytes, once more

_pack_session = Struct(">Q").pack


class _Refusal(Exception):
    """Ends a draft: what the command is answered with."""

    def __init__(self, error: CoordError) -> None:
        self.error = error


class _Draft:
    """What one command wants changed, seen by its later operations, not yet by anybody else."""

    __slots__ = ("_bound", "_kv", "_staged", "events", "grown_bytes", "revision")

    def __init__(self, kv: "Kv") -> None:
        self._kv = kv
        self._staged: dict[bytes, Stored | None] = {}
        self._bound: dict[SessionId, int] = {}  # by how much a session's number of keys grows
        self.events: list[tuple[int, bytes, bytes, int, int]] = []
        self.grown_bytes = 0
        self.revision = Revision(kv.context.scalars.revision + 1)

    def get(self, key: bytes) -> Stored | None:
        staged = self._staged
        return staged[key] if key in staged else self._kv.keys.get(key)

    def put(self, operation: Put) -> None:
        key, value = operation.key, operation.value
        session = self._kv.context.session if operation.bound else NO_SESSION
        if operation.bound and not session:
            raise _Refusal(BadRequest(f"key {key!r} cannot be bound: the command names no session; open one first"))
        old = self.get(key)
        if old is None:
            new = Stored(value, self.revision, self.revision, 1, session)
        else:
            new = Stored(value, old.create_revision, self.revision, old.version + 1, session)
        self._stage(key, old, new)
        self.events.append((PUT_EVENT, key, value, new.version, session))

    def delete(self, key: bytes) -> bool:
        old = self.get(key)
        if old is None:
            return False
        self._stage(key, old, None)
        self.events.append((DELETE_EVENT, key, b"", 0, old.session))
        return True

    def _stage(self, key: bytes, old: Stored | None, new: Stored | None) -> None:
        self._staged[key] = new
        if old is not None:
            self.grown_bytes -= _charge(key, old)
            if old.session:
                self._bound[old.session] = self._bound.get(old.session, 0) - 1
        if new is not None:
            self.grown_bytes += _charge(key, new)
            if new.session:
                self._bound[new.session] = self._bound.get(new.session, 0) + 1

    def check(self) -> None:
        """Raises _Refusal when the state would pass a bound."""
        settings, scalars = self._kv.context.settings, self._kv.context.scalars
        if self.grown_bytes > 0 and scalars.state_bytes + self.grown_bytes > settings.state_bytes_max:
            raise _Refusal(_state_full(self.grown_bytes, scalars.state_bytes, settings.state_bytes_max))
        for session, grown in self._bound.items():
            count = self._kv.bound_count(session) + grown
            if grown > 0 and count > settings.session_keys_max:
                raise _Refusal(
                    TooLarge(f"session {session} would have {count} bound keys, at most {settings.session_keys_max}; use another session")
                )

    def commit(self) -> None:
        """Changes the tables and emits the events; the caller publishes."""
        kv = self._kv
        for key, new in self._staged.items():
            old = kv.keys.get(key)
            if new is not None:
                kv.keys.set(key, new)
            elif old is not None:
                kv.keys.delete(key)
            was, now = (old.session if old is not None else 0), (new.session if new is not None else 0)
            if was != now:
                if was:
                    kv.bound_keys.delete(_pack_session(was) + key)
                if now:
                    kv.bound_keys.set(_pack_session(now) + key, 1)
        for session, grown in self._bound.items():
            if grown:
                kv.set_bound_count(session, kv.bound_count(session) + grown)
        kv.context.scalars.state_bytes += self.grown_bytes
        for event in self.events:
            kv.context.emit(event)


class Kv(Service):
    LEVELS: ClassVar[Mapping[type, int]] = {Put: 1, Delete: 1, DeleteRange: 2, Transaction: 1, Get: 1, Range: 1}
    LEVELS_OF: ClassVar[Mapping[type, Callable[[Any], int]]] = {Transaction: kv_checks.transaction_level}
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        Put: needs(KV, USE, "key"),
        Delete: needs(KV, USE, "key"),
        DeleteRange: needs(KV, USE, over=RANGE),
        Transaction: needs(KV, READ, over=ANYTHING),  # what it compares and does is looked at, too
        Get: needs(KV, READ, "key"),
        Range: needs(KV, READ, over=RANGE),
    }
    ADDS_DATA: ClassVar[tuple[type, ...]] = (Put, Transaction)
    CHECKS: ClassVar[Mapping[type, Check]] = kv_checks.CHECKS

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.keys = Keys()
        self.bound_keys: Table[int] = Table(BOUND_KEYS_ID, int)  # session and key -> 1
        self.bound_counts: Table[int] = Table(BOUND_COUNTS_ID, int)  # session -> number of its bound keys; no row for none
        self.containers = (self.keys, self.bound_keys, self.bound_counts)
        self.routes = {
            Put: self.put,
            Delete: self.delete,
            DeleteRange: self.delete_range,
            Transaction: self.transaction,
            Get: self.get,
            Range: self.range_logged,
        }
        self.reads = {Get: lambda operation, items_max, bytes_max: self.get(operation), Range: self.range}

    # --- handlers ------------------------------------------------------------------------------------------------------

    def put_all(self, puts: Sequence[Put]) -> None:
        """As if one by one, but together: by far the most frequent. None binds its key, and there is room for them all."""
        context = self.context
        scalars = context.scalars
        left = iter(puts)
        while True:
            scalars.revision, grown, to_unbind = self.keys.put_all(left, scalars.revision, context.changes)
            scalars.state_bytes += grown
            if to_unbind is None:
                return
            done = self.put(to_unbind)
            assert type(done) is Done

    def put(self, operation: Put) -> Result:
        draft = _Draft(self)
        try:
            draft.put(operation)
            draft.check()
        except _Refusal as refusal:
            return failure(refusal.error)
        draft.commit()
        return Done(self.context.publish())

    def delete(self, operation: Delete) -> Result:
        draft = _Draft(self)
        changed = draft.delete(operation.key)
        draft.commit()
        return Done(self.context.publish(), int(changed))

    def delete_range(self, operation: DeleteRange) -> Result:
        found: list[bytes] = []
        more = False
        for key, _ in self.keys.scan(operation.start, operation.end):
            if len(found) == operation.limit:
                more = True
                break
            found.append(key)
        draft = _Draft(self)
        for key in found:
            draft.delete(key)
        draft.commit()
        return Done(self.context.publish(), len(found), more)

    def transaction(self, operation: Transaction) -> Result:
        draft = _Draft(self)
        succeeded = all([self._holds(compare) for compare in operation.compares])
        results: list[tuple[bytes | None, bool, Item | None]] = []
        read_bytes = 0
        try:
            for step in operation.then if succeeded else operation.otherwise:
                if type(step) is Put:
                    draft.put(step)
                    results.append((None, True, None))
                elif type(step) is Delete:
                    results.append((None, draft.delete(step.key), None))
                else:
                    stored = draft.get(step.key)
                    read_bytes += len(stored.value) if stored is not None else 0
                    results.append((step.key, False, _item(step.key, stored)))
            read_bytes_max = self.context.settings.transaction_result_bytes_max
            if read_bytes > read_bytes_max:
                raise _Refusal(TooLarge(f"the transaction reads {read_bytes} bytes of values, at most {read_bytes_max}; read less in it"))
            draft.check()
        except _Refusal as refusal:
            return failure(refusal.error)
        draft.commit()
        revision = self.context.publish()
        return TransactionDone(
            revision,
            succeeded,
            [Got(revision, item) if key is not None else Done(revision, int(changed)) for key, changed, item in results],
        )

    def _holds(self, compare: Compare) -> bool:
        if compare.field == TOKEN:
            live = self.context.holdings.live(Token(compare.number))
            return (live is not None and live.name == compare.key) is (compare.relation == EQUAL)
        stored = self.keys.get(compare.key)
        if compare.field == VALUE:
            value = stored.value if stored is not None else None
            return (value == compare.value) is (compare.relation == EQUAL)
        number = _NUMBERS[compare.field](stored) if stored is not None else 0
        return _RELATIONS[compare.relation](number, compare.number)

    def get(self, operation: Get) -> Got:
        return Got(self.context.scalars.revision, _item(operation.key, self.keys.get(operation.key)))

    def range_logged(self, operation: Range) -> Page:
        """A range that stands in the log is bounded by what is replicated."""
        return self.range(operation, self.context.settings.range_items_max, self.context.settings.range_bytes_max)

    def range(self, operation: Range, items_max: int, bytes_max: int) -> Page:
        """One page: it ends with the item that reaches a bound."""
        limit = min(operation.limit, items_max) if operation.limit > 0 else items_max
        items: list[Item] = []
        size = 0
        more = False
        for key, stored in self.keys.scan(operation.start, operation.end):
            if len(items) >= limit or size >= bytes_max:
                more = True
                break
            value = b"" if operation.keys_only else stored.value
            items.append(Item(key, value, stored.create_revision, stored.mod_revision, stored.version, stored.session))
            size += len(key) + len(value)
        return Page(self.context.scalars.revision, items, more)

    # --- what the machine asks -----------------------------------------------------------------------------------------

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        if not self.bound_count(session):
            return
        draft = _Draft(self)
        place = _pack_session(session)
        for bound, _ in self.bound_keys.scan(place, _pack_session(session + 1)):
            draft.delete(bound[len(place) :])
        draft.commit()

    def bound_count(self, session: SessionId) -> int:
        return self.bound_counts.get(_pack_session(session)) or 0

    def set_bound_count(self, session: SessionId, count: int) -> None:
        assert count >= 0
        if count:
            self.bound_counts.set(_pack_session(session), count)
        else:
            self.bound_counts.delete(_pack_session(session))


def _charge(key: bytes, stored: Stored) -> int:
    bound = len(key) + BOUND_KEY_CHARGE_BYTES if stored.session else 0
    return len(key) + len(stored.value) + KEY_CHARGE_BYTES + bound


def _item(key: bytes, stored: Stored | None) -> Item | None:
    if stored is None:
        return None
    return Item(key, stored.value, stored.create_revision, stored.mod_revision, stored.version, stored.session)


def _state_full(grown: int, state_bytes: int, state_bytes_max: int) -> StateFull:
    return StateFull(f"{grown} bytes more would make {state_bytes + grown}, at most {state_bytes_max} in all; delete something first")


# --- comparisons -------------------------------------------------------------------------------------------------------

_NUMBERS: dict[int, Callable[[Stored], int]] = {
    MOD_REVISION: lambda stored: stored.mod_revision,
    CREATE_REVISION: lambda stored: stored.create_revision,
    VERSION: lambda stored: stored.version,
}
_RELATIONS: dict[int, Callable[[int, int], bool]] = {
    EQUAL: int.__eq__,
    NOT_EQUAL: int.__ne__,
    LESS: int.__lt__,
    GREATER: int.__gt__,
}
