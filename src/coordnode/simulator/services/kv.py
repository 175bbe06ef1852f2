"""The key-value store: every operation on a few hot keys and a wider set, some of them bound to sessions."""

from collections.abc import Mapping
from typing import ClassVar

from coordnode.checking.history import Value
from coordnode.ids import SessionId
from coordnode.services.commands import (
    CREATE_REVISION,
    EQUAL,
    GREATER,
    LESS,
    MOD_REVISION,
    NOT_EQUAL,
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
    Transaction,
    TransactionDone,
)
from coordnode.simulator.client import SimClient
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Asked, Words

HOT_KEYS = 4
WIDE_KEYS = 60
BOUND_KEYS = 8


# --- how it reads in a history -------------------------------------------------------------------------------------


def _item(item: Item | None) -> Value:
    if item is None:
        return None
    return item.key, item.value, int(item.create_revision), int(item.mod_revision), item.version, int(item.session)


def _put_asked(operation: Put, session: SessionId) -> Asked:
    return "put", (operation.key, operation.value, int(session) if operation.bound else 0)


def _transaction_asked(operation: Transaction, session: SessionId) -> Asked:
    compares = tuple([(each.key, each.field, each.relation, each.number, each.value) for each in operation.compares])
    return "transaction", (compares, _steps(operation.then, session), _steps(operation.otherwise, session))


def _steps(operations: list[Put | Delete | Get], session: SessionId) -> tuple[Value, ...]:
    steps: list[Value] = []
    for operation in operations:
        if isinstance(operation, Put):
            steps.append(("put", operation.key, operation.value, int(session) if operation.bound else 0))
        else:
            steps.append(("delete" if isinstance(operation, Delete) else "get", operation.key))
    return tuple(steps)


def _transaction_answered(_operation: Transaction, result: TransactionDone) -> Value:
    results = tuple([each.changed if isinstance(each, Done) else _item(each.item) for each in result.results])
    return int(result.revision), result.succeeded, results


def _page(_operation: Range, result: Page) -> Value:
    return int(result.revision), tuple([_item(item) for item in result.items]), result.more


def _got(_operation: Get, result: Got) -> Value:
    return int(result.revision), _item(result.item)


class SimKv(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {
        Put: Words(_put_asked, lambda _operation, result: int(result.revision)),
        Delete: Words(
            lambda operation, _session: ("delete", operation.key), lambda _operation, result: (int(result.revision), result.changed)
        ),
        DeleteRange: Words(
            lambda operation, _session: ("delete-range", (operation.start, operation.end, operation.limit)),
            lambda _operation, result: (int(result.revision), result.changed, result.more),
        ),
        Get: Words(lambda operation, _session: ("get", operation.key), _got),
        Range: Words(lambda operation, _session: ("range", (operation.start, operation.end, operation.limit, operation.keys_only)), _page),
        Transaction: Words(_transaction_asked, _transaction_answered),
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._stage = stage
        self._chance = stage.chance

    def steps(self) -> Mapping[Step, int]:
        return {
            self._put: 24,
            self._get: 24,
            self._compare_and_set: 12,
            self._transaction: 6,
            self._transaction_refused: 1,
            self._delete: 7,
            self._range: 5,
            self._put_bound: 6,
            self._put_once: 4,
            self._get_stale: 4,
            self._get_min_revision: 4,
            self._delete_range: 3,
        }

    def first_command(self, client: SimClient) -> Put:
        return Put(self._key(), self._stage.new_value(client))

    # --- what there is to draw from --------------------------------------------------------------------------------

    def _key(self) -> bytes:
        chance = self._chance.random
        draw = chance()
        if draw < 0.56:
            return b"hot/%d" % int(chance() * HOT_KEYS)
        if draw < 0.63:
            return self._bound_key()
        return b"wide/%02d" % int(chance() * WIDE_KEYS)

    def _bound_key(self) -> bytes:
        """Mostly written by sessions, and ended with them; others write and delete there, too."""
        return b"bound/%d" % int(self._chance.random() * BOUND_KEYS)

    # --- the steps -------------------------------------------------------------------------------------------------

    def _put(self, client: SimClient) -> None:
        self._stage.write(client, Put(self._key(), self._stage.new_value(client)))

    def _put_once(self, client: SimClient) -> None:
        """Not deduplicated, so it is never sent again once it may have happened."""
        self._stage.call(client, Put(self._key(), self._stage.new_value(client)))

    def _put_bound(self, client: SimClient) -> None:
        session = self._stage.usable_session(client)
        if session:
            self._stage.call(client, Put(self._bound_key(), self._stage.new_value(client), True), session=session)
        else:
            self._put(client)

    def _delete(self, client: SimClient) -> None:
        self._stage.write(client, Delete(self._key()))

    def _delete_range(self, client: SimClient) -> None:
        first = int(self._chance.random() * WIDE_KEYS)
        limit = 1 + int(self._chance.random() * 8)
        self._stage.write(client, DeleteRange(b"wide/%02d" % first, b"wide/%02d" % min(99, first + 10), limit))

    def _compare_and_set(self, client: SimClient) -> None:
        key = self._key()
        seen = self._stage.recording.newest_seen(key)
        pick = self._chance.random()
        if pick < 0.5:
            compare = Compare(key, VALUE, EQUAL, 0, seen.value if seen is not None else None)
        elif pick < 0.8:
            compare = Compare(key, MOD_REVISION, EQUAL, seen.mod_revision if seen is not None else 0)
        else:
            compare = Compare(key, CREATE_REVISION, EQUAL if pick < 0.9 else NOT_EQUAL, 0)
        self._stage.write(client, Transaction([compare], [Put(key, self._stage.new_value(client))], [Get(key)]))

    def _transaction(self, client: SimClient) -> None:
        chance = self._chance.random
        first, second = self._key(), self._key()
        compare = self._compare_numbers(first)
        then: list[Put | Delete | Get] = [Put(first, self._stage.new_value(client)), Get(second)]
        if second != first:
            then.append(Delete(second) if chance() < 0.4 else Put(second, self._stage.new_value(client)))
        self._stage.write(client, Transaction([compare], then, [Get(first), Put(self._key(), self._stage.new_value(client))]))

    def _transaction_refused(self, client: SimClient) -> None:
        """By its last operation, which binds a key and has no session: nothing of the others may stay."""
        puts: list[Put | Delete | Get] = [Put(self._key(), self._stage.new_value(client)), Delete(self._key())]
        puts.append(Put(self._bound_key(), self._stage.new_value(client), True))
        self._stage.call(client, Transaction([], puts, puts), request_id=f"{client.name}-refused-{self._stage.begun}")

    def _compare_numbers(self, key: bytes) -> Compare:
        """Close to what the key holds, so that each relation and each mix-up of fields shows."""
        chance = self._chance.random
        relation = (EQUAL, NOT_EQUAL, LESS, GREATER)[int(chance() * 4)]
        seen = self._stage.recording.newest_seen(key)
        field = (VERSION, CREATE_REVISION, MOD_REVISION)[int(chance() * 3)]
        if seen is None or field == VERSION:
            return Compare(key, VERSION, relation, int(chance() * 4))
        number = seen.create_revision if field == CREATE_REVISION else seen.mod_revision
        return Compare(key, field, relation, max(0, number + int(chance() * 3) - 1))

    def _get(self, client: SimClient) -> None:
        self._stage.call(client, Get(self._key()))

    def _get_stale(self, client: SimClient) -> None:
        self._stage.call(client, Get(self._key()), stale=True)

    def _get_min_revision(self, client: SimClient) -> None:
        stale = self._chance.random() < 0.5
        self._stage.call(client, Get(self._key()), min_revision=self._stage.recording.newest_revision(client), stale=stale)

    def _range(self, client: SimClient) -> None:
        limit = int(self._chance.random() * 12)
        start = (b"", b"hot/", b"wide/", b"bound/")[int(self._chance.random() * 4)]
        self._stage.call(client, Range(start, start[:-1] + b"0" if start else b"", limit, self._chance.random() < 0.3))
