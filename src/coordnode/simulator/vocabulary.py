"""The store's commands and results in the words of checking.store. Written from what they mean, not with the code that applies them."""

from coordnode.checking.history import Value
from coordnode.ids import SessionId
from coordnode.services.commands import (
    CloseSession,
    Delete,
    DeleteRange,
    Done,
    Failure,
    Get,
    Got,
    Item,
    OpenSession,
    Operation,
    Page,
    Put,
    Range,
    Result,
    SessionOpened,
    Transaction,
    TransactionDone,
)

Asked = tuple[str, Value]  # function and argument


def asked(operation: Operation | None, session: SessionId) -> Asked:
    kind = type(operation)
    if kind is Put:
        assert isinstance(operation, Put)
        return "put", (operation.key, operation.value, int(session) if operation.bound else 0)
    if kind is Get:
        assert isinstance(operation, Get)
        return "get", operation.key
    if operation is None:
        return "barrier", None
    if isinstance(operation, Transaction):
        return "transaction", _transaction(operation, session)
    if isinstance(operation, Delete):
        return "delete", operation.key
    if isinstance(operation, DeleteRange):
        return "delete-range", (operation.start, operation.end, operation.limit)
    if isinstance(operation, Range):
        return "range", (operation.start, operation.end, operation.limit, operation.keys_only)
    if isinstance(operation, OpenSession):
        return "open-session", None if operation.first is None else asked(operation.first, SessionId(0))
    assert isinstance(operation, CloseSession)
    return "close-session", int(operation.session)


def _transaction(operation: Transaction, session: SessionId) -> Value:
    compares = tuple([(each.key, each.field, each.relation, each.number, each.value) for each in operation.compares])
    return compares, _steps(operation.then, session), _steps(operation.otherwise, session)


def _steps(operations: list[Put | Delete | Get], session: SessionId) -> tuple[Value, ...]:
    steps: list[Value] = []
    for operation in operations:
        if isinstance(operation, Put):
            steps.append(("put", operation.key, operation.value, int(session) if operation.bound else 0))
        else:
            steps.append(("delete" if isinstance(operation, Delete) else "get", operation.key))
    return tuple(steps)


def answered(operation: Operation | None, result: Result | None) -> Value:
    """What checking.store must answer. A Failure changed nothing and is no answer: the caller has sorted it out."""
    if result is None:
        return None
    assert not isinstance(result, Failure)
    if isinstance(result, Done):
        if isinstance(operation, Put):
            return int(result.revision)
        if isinstance(operation, DeleteRange):
            return int(result.revision), result.changed, result.more
        return int(result.revision), result.changed
    if isinstance(result, Got):
        return int(result.revision), _item(result.item)
    if isinstance(result, Page):
        return int(result.revision), tuple([_item(item) for item in result.items]), result.more
    if isinstance(result, TransactionDone):
        results = tuple([each.changed if isinstance(each, Done) else _item(each.item) for each in result.results])
        return int(result.revision), result.succeeded, results
    assert isinstance(result, SessionOpened)
    assert isinstance(operation, OpenSession)
    first = None if result.first is None else answered(operation.first, result.first)
    return int(result.revision), int(result.session), first


def _item(item: Item | None) -> Value:
    if item is None:
        return None
    return item.key, item.value, int(item.create_revision), int(item.mod_revision), item.version, int(item.session)
