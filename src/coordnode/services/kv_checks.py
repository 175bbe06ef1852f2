"""What can be wrong with a kv operation, whatever the state: asked before it is proposed, and again when it is applied. Pure."""

from collections.abc import Mapping, Sequence

from coordnode.errors import BadRequest, CoordError, TooLarge
from coordnode.services.commands import (
    EQUAL,
    GREATER,
    NOT_EQUAL,
    TOKEN,
    VALUE,
    Compare,
    Delete,
    DeleteRange,
    Get,
    Put,
    Range,
    Transaction,
)
from coordnode.services.context import Check
from coordnode.services.state import Settings


def check_key(key: bytes, settings: Settings) -> CoordError | None:
    if not key:
        return BadRequest("the key is empty; name one of at least one byte")
    if len(key) > settings.key_bytes_max:
        return TooLarge(f"the key {key[:32]!r}… has {len(key)} bytes, at most {settings.key_bytes_max}; shorten it")
    return None


def check_put(operation: Put, settings: Settings) -> CoordError | None:
    # One comparison chain for the usual case: every write passes here twice.
    if 0 < len(operation.key) <= settings.key_bytes_max and len(operation.value) <= settings.value_bytes_max:
        return None
    return check_key(operation.key, settings) or TooLarge(
        f"the value for key {operation.key[:32]!r} has {len(operation.value)} bytes, at most {settings.value_bytes_max}; split it"
    )


def _check_one_key(operation: Delete | Get, settings: Settings) -> CoordError | None:
    return check_key(operation.key, settings)


def _check_bounds(operation: Range | DeleteRange, settings: Settings) -> CoordError | None:
    for name, key in (("start", operation.start), ("end", operation.end)):
        if len(key) > settings.key_bytes_max + 1:  # one more, so that a range can end just after the longest key
            return TooLarge(f"the range's {name} has {len(key)} bytes, at most {settings.key_bytes_max + 1}; shorten it")
    return None


def _check_range(operation: Range, settings: Settings) -> CoordError | None:
    if operation.limit < 0:
        return BadRequest(f"the range's limit is {operation.limit}; give 0 for a whole page, or more")
    return _check_bounds(operation, settings)


def _check_delete_range(operation: DeleteRange, settings: Settings) -> CoordError | None:
    if not 1 <= operation.limit <= settings.delete_range_keys_max:
        return BadRequest(
            f"one slice of a range delete takes 1 to {settings.delete_range_keys_max} keys, not {operation.limit}; repeat it for more"
        )
    return _check_bounds(operation, settings)


def _check_compare(compare: Compare, settings: Settings) -> CoordError | None:
    if not VALUE <= compare.field <= TOKEN:
        return BadRequest(f"a comparison of key {compare.key[:32]!r} names field {compare.field}; fields are {VALUE} to {TOKEN}")
    relation_max = NOT_EQUAL if compare.field in (VALUE, TOKEN) else GREATER
    if not EQUAL <= compare.relation <= relation_max:
        return BadRequest(
            f"a comparison of key {compare.key[:32]!r} names relation {compare.relation}; for this field they are {EQUAL} to {relation_max}"
        )
    if compare.value is not None and len(compare.value) > settings.value_bytes_max:
        return TooLarge(f"a comparison's value has {len(compare.value)} bytes, at most {settings.value_bytes_max}; no key can hold it")
    return check_key(compare.key, settings)


def _check_transaction(operation: Transaction, settings: Settings) -> CoordError | None:
    lists: tuple[tuple[str, Sequence[object]], ...] = (
        ("comparisons", operation.compares),
        ("operations in its first branch", operation.then),
        ("operations in its second branch", operation.otherwise),
    )
    for name, listed in lists:
        if len(listed) > settings.transaction_operations_max:
            return TooLarge(f"the transaction has {len(listed)} {name}, at most {settings.transaction_operations_max}; split it")
    for compare in operation.compares:
        if (error := _check_compare(compare, settings)) is not None:
            return error
    for step in (*operation.then, *operation.otherwise):
        error = check_put(step, settings) if isinstance(step, Put) else check_key(step.key, settings)
        if error is not None:
            return error
    return None


def transaction_level(operation: Transaction) -> int:
    return 3 if any([compare.field == TOKEN for compare in operation.compares]) else 1


CHECKS: Mapping[type, Check] = {
    Put: check_put,
    Delete: _check_one_key,
    Get: _check_one_key,
    Range: _check_range,
    DeleteRange: _check_delete_range,
    Transaction: _check_transaction,
}
