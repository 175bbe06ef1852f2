"""Whether an operation on coordnode's store is well formed, before anything is replayed. Pure.

Histories come from files: what is malformed is refused in one sentence, and the replay never has to look twice.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from coordnode.checking.history import OK, UNSEEN, Operation
from coordnode.checking.models import shown
from coordnode.checking.store import OPENED
from coordnode.errors import BadRequest

Shape = Callable[[Any], bool]


def _number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _truth(value: Any) -> bool:
    return type(value) is bool


def _key(value: Any) -> bool:
    return type(value) in (bytes, str)


def _anything(value: Any) -> bool:
    return True


def _nothing(value: Any) -> bool:
    return value is None


def _never(value: Any) -> bool:
    return False


def _row(*shapes: Shape) -> Shape:
    def fits(value: Any) -> bool:
        if type(value) is not tuple or len(value) != len(shapes):
            return False
        for shape, part in zip(shapes, value, strict=True):  # noqa: SIM110  # every operation comes by here: half the time of all()
            if not shape(part):
                return False
        return True

    return fits


def _many(shape: Shape) -> Shape:
    def fits(value: Any) -> bool:
        return type(value) is tuple and all([shape(part) for part in value])

    return fits


def _either(*shapes: Shape) -> Shape:
    def fits(value: Any) -> bool:
        for shape in shapes:  # noqa: SIM110  # as above
            if shape(value):
                return True
        return False

    return fits


def _word(word: str) -> Shape:
    def fits(value: Any) -> bool:
        return bool(value == word)

    return fits


def _field(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 3


def _session(value: Any) -> bool:
    return type(value) is int and value >= OPENED


_PUT: Final = _row(_key, _anything, _session)
_ITEM: Final = _row(_key, _anything, _number, _number, _number, _number)
_ITEM_OR_NONE: Final = _either(_nothing, _ITEM)
_COMPARE: Final = _row(_key, _field, _field, _number, _anything)
_STEP: Final = _either(
    _row(_word("put"), _key, _anything, _session),
    _row(_word("delete"), _key),
    _row(_word("get"), _key),
)
_TRANSACTION: Final = _row(_many(_COMPARE), _many(_STEP), _many(_STEP))
_TRANSACTION_RESULT: Final = _row(_number, _truth, _many(_either(_number, _ITEM_OR_NONE)))
_CHANGED: Final = _row(_number, _number)
_FIRST: Final = _either(_row(_word("put"), _PUT), _row(_word("delete"), _key), _row(_word("transaction"), _TRANSACTION))

_SHAPES: Final[dict[str, tuple[Shape, Shape]]] = {
    "put": (_PUT, _number),
    "delete": (_key, _CHANGED),
    "delete-range": (_row(_key, _key, _number), _row(_number, _number, _truth)),
    "get": (_key, _row(_number, _ITEM_OR_NONE)),
    "range": (_row(_key, _key, _number, _truth), _row(_number, _many(_ITEM), _truth)),
    "transaction": (_TRANSACTION, _TRANSACTION_RESULT),
    "open-session": (
        _either(_nothing, _FIRST),
        _row(_number, _number, _anything),  # the answer to the first command: see _answered_first
    ),
    "close-session": (_number, _CHANGED),
    "end-sessions": (_many(_number), _never),
    "barrier": (_anything, _nothing),
    "begin": (_row(_number, _many(_ITEM)), _nothing),
}


def relevant(operations: Sequence[Operation]) -> list[Operation]:
    """All of them, once each is known to be well formed."""
    key_types: dict[type, None] = {}
    for operation in operations:
        shapes = _SHAPES.get(operation.function)
        if shapes is None:
            raise BadRequest(f"model coordnode does not know the function {operation.function!r}; it knows {', '.join(_SHAPES)}")
        if not shapes[0](operation.argument):
            raise BadRequest(f"model coordnode: {operation.function} cannot be asked for {shown(operation.argument)}")
        if operation.kind == OK and operation.result is not UNSEEN:
            fits = shapes[1](operation.result)
            if not fits or (operation.function == "open-session" and not _answered_first(operation.argument, operation.result)):
                raise BadRequest(f"model coordnode: {operation.function} cannot answer {shown(operation.result)}")
        for key in _keys(operation.function, operation.argument):
            key_types[type(key)] = None
    if len(key_types) > 1:
        raise BadRequest("model coordnode: keys are all text or all bytes; this history mixes them")
    return list(operations)


def _answered_first(argument: Any, result: Any) -> bool:
    """Whether the answer to an opening fits its first command."""
    return bool(_nothing(result[2]) if argument is None else _SHAPES[argument[0]][1](result[2]))


def _keys(function: str, argument: Any) -> Sequence[Any]:
    match function:
        case "put" | "range":
            return (argument[0],)
        case "get" | "delete":
            return (argument,)
        case "delete-range":
            return argument[:2]  # type: ignore[no-any-return]
        case "transaction":
            return [part[0] for part in argument[0]] + [part[1] for steps in argument[1:] for part in steps]
        case "open-session":
            return () if argument is None else _keys(argument[0], argument[1])
        case "begin":
            return [item[0] for item in argument[1]]
        case _:
            return ()


def keys_of(operation: Operation) -> Sequence[Any] | None:
    """All keys that it could look at or change; None: those are not told by what it asks."""
    if operation.function in ("range", "delete-range", "close-session", "end-sessions", "begin"):
        return None
    return _keys(operation.function, operation.argument)


def keys_bound(operation: Operation) -> Sequence[Any]:
    """Keys that it may bind to a session."""
    return _bound(operation.function, operation.argument)


def _bound(function: str, argument: Any) -> Sequence[Any]:
    match function:
        case "put":
            return (argument[0],) if argument[2] else ()
        case "transaction":
            return [step[1] for steps in argument[1:] for step in steps if step[0] == "put" and step[3]]
        case "open-session":
            return () if argument is None else _bound(argument[0], argument[1])
        case "begin":
            return [item[0] for item in argument[1] if item[5]]
        case _:
            return ()


def sessions_used(operation: Operation) -> Sequence[int]:
    """Sessions that an operation which took effect found alive: those that it surely bound a key to."""
    argument: Any = operation.argument
    return (argument[2],) if operation.function == "put" and argument[2] > 0 else ()


def puts_asked(operation: Operation) -> Sequence[tuple[Any, Any]]:
    """Keys and values that it could put."""
    return _puts_asked(operation.function, operation.argument)


def _puts_asked(function: str, argument: Any) -> Sequence[tuple[Any, Any]]:
    match function:
        case "put":
            return (argument[:2],)
        case "transaction":
            return [step[1:3] for steps in argument[1:] for step in steps if step[0] == "put"]
        case "open-session":
            return () if argument is None else _puts_asked(argument[0], argument[1])
        case "begin":
            return [item[:2] for item in argument[1]]
        case _:
            return ()
