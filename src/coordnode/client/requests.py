"""What both shells ask for, and what they make of the answers. Pure: one description of each operation, two ways to wait for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from coordnode.errors import BadRequest, Unknown
from coordnode.ids import Revision
from coordnode.services.commands import (
    EQUAL,
    MOD_REVISION,
    VALUE,
    VERSION,
    ClientOperation,
    Compare,
    Delete,
    Done,
    Failure,
    Get,
    Got,
    Item,
    Page,
    Put,
    Range,
    ReadOperation,
    Result,
    Transaction,
    TransactionDone,
)

Answer = Result  # for who may not see the commands themselves
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    operation: ClientOperation | ReadOperation
    convert: Callable[[Result | None], T]
    stale: bool = False
    min_revision: int = 0
    request_id: str = ""


def as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


def expect(result: Result | None, kind: type[R]) -> R:
    if not isinstance(result, kind):
        raise Unknown(f"the member answered with {type(result).__name__} where {kind.__name__} makes sense")
    return result


def as_words(operation: ClientOperation | ReadOperation) -> list[Any]:
    """As docs/protocol.md has it, for who speaks to something else than a member."""
    words: list[Any] = msgspec.to_builtins(operation, builtin_types=(bytes,))
    return words


def as_result(words: list[Any]) -> Result:
    return msgspec.convert(words, type=Result)  # type: ignore[no-any-return]


def revision_of(result: Result | None) -> Revision:
    """The newest revision that this answer speaks of."""
    return Revision(0) if result is None or isinstance(result, Failure) else result.revision


# --- comparisons, for transactions -----------------------------------------------------------------------------------


def absent(key: str | bytes) -> Compare:
    return Compare(as_bytes(key), VERSION, EQUAL, 0)


def at_revision(key: str | bytes, revision: int) -> Compare:
    return Compare(as_bytes(key), MOD_REVISION, EQUAL, revision)


def has_value(key: str | bytes, value: str | bytes) -> Compare:
    return Compare(as_bytes(key), VALUE, EQUAL, 0, as_bytes(value))


def condition(key: str | bytes, *, is_absent: bool, prev_revision: int | None, prev_value: str | bytes | None) -> Compare:
    if is_absent + (prev_revision is not None) + (prev_value is not None) != 1:
        raise BadRequest("compare with exactly one of: the key is absent, its previous revision, its previous value")
    if is_absent:
        return absent(key)
    return at_revision(key, prev_revision) if prev_revision is not None else has_value(key, prev_value or b"")


# --- operations ------------------------------------------------------------------------------------------------------


def get(key: str | bytes, stale: bool, min_revision: int) -> Request[Item | None]:
    return Request(Get(as_bytes(key)), lambda result: expect(result, Got).item, stale, min_revision)


def put(key: str | bytes, value: str | bytes, bound: bool, request_id: str) -> Request[Revision]:
    operation = Put(as_bytes(key), as_bytes(value), bound)
    return Request(operation, lambda result: expect(result, Done).revision, request_id=request_id)


def delete(key: str | bytes, request_id: str) -> Request[bool]:
    return Request(Delete(as_bytes(key)), lambda result: expect(result, Done).changed > 0, request_id=request_id)


def page(start: bytes, end: bytes, limit: int, keys_only: bool, stale: bool, min_revision: int) -> Request[Page]:
    return Request(Range(start, end, limit, keys_only), lambda result: expect(result, Page), stale, min_revision)


def transaction(
    compares: Sequence[Compare], then: Sequence[Put | Delete | Get], otherwise: Sequence[Put | Delete | Get], request_id: str
) -> Request[TransactionDone]:
    operation = Transaction(list(compares), list(then), list(otherwise))
    return Request(operation, lambda result: expect(result, TransactionDone), request_id=request_id)


def compare_and_set(compare: Compare, value: str | bytes, bound: bool, request_id: str) -> Request[Revision | None]:
    def convert(result: Result | None) -> Revision | None:
        done = expect(result, TransactionDone)
        return done.revision if done.succeeded else None

    return Request(Transaction([compare], [Put(compare.key, as_bytes(value), bound)]), convert, request_id=request_id)


def barrier() -> Request[None]:
    return Request(None, lambda _result: None)
