"""The questions behind `coordctl kv`: what is asked, and what the answer means."""

from __future__ import annotations

from coordctl.hot import frames
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from coordctl.hot.cluster import Cluster

GET_TAG, RANGE_TAG = 4, 5  # tags of reads
PUT_TAG, DELETE_TAG, TRANSACTION_TAG = 1, 2, 6  # tags of operations
VALUE_FIELD, MOD_REVISION_FIELD, VERSION_FIELD = 0, 1, 3  # of a comparison
EQUAL = 0


class Item(NamedTuple):
    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    session: int


class Found(NamedTuple):
    revision: int
    item: Item | None


def _item(fields: Any) -> Item | None:
    if fields is None:
        return None
    key, value, create_revision, mod_revision, version, *rest = fields
    return Item(key, value, create_revision, mod_revision, version, rest[0] if rest else 0)


def get(asking: Cluster, key: bytes, *, stale: bool, min_revision: int) -> Found:
    result = asking.ask(frames.READ, [GET_TAG, key], stale, min_revision, is_safe_twice=True)
    frames.expect(result, frames.GOT)
    return Found(result[1], _item(result[2]))


def page(asking: Cluster, start: bytes, end: bytes, *, keys_only: bool, stale: bool) -> tuple[int, list[Item], bool]:
    """(revision, items, whether there are more)"""
    read = [RANGE_TAG, start, end, 0, keys_only]
    result = asking.ask(frames.READ, read, stale, 0, is_safe_twice=True)
    frames.expect(result, frames.PAGE)
    return result[1], [item for item in map(_item, result[2]) if item is not None], result[3]


def put(asking: Cluster, key: bytes, value: bytes, request_id: str) -> int:
    """The revision."""
    result = _write(asking, request_id, [PUT_TAG, key, value])
    frames.expect(result, frames.DONE)
    return int(result[1])


def delete(asking: Cluster, key: bytes, request_id: str) -> tuple[int, bool]:
    """(revision, whether it was there)"""
    result = _write(asking, request_id, [DELETE_TAG, key])
    frames.expect(result, frames.DONE)
    return int(result[1]), len(result) <= 2 or result[2] > 0


def compare_and_set(
    asking: Cluster, key: bytes, value: bytes, request_id: str, *, prev_revision: int | None, prev_value: bytes | None
) -> tuple[int, bool, Item | None]:
    """(revision, whether it was set, what was there if not); without a revision and a value: only if the key is absent."""
    if prev_revision is not None:
        compare: list[object] = [key, MOD_REVISION_FIELD, EQUAL, prev_revision]
    elif prev_value is not None:
        compare = [key, VALUE_FIELD, EQUAL, 0, prev_value]
    else:
        compare = [key, VERSION_FIELD, EQUAL, 0]
    operation = [TRANSACTION_TAG, [compare], [[PUT_TAG, key, value]], [[GET_TAG, key]]]
    result = _write(asking, request_id, operation)
    frames.expect(result, frames.TRANSACTION_DONE)
    _, revision, succeeded, results = result
    return revision, succeeded, None if succeeded else _item(results[0][2])


def _write(asking: Cluster, request_id: str, operation: list[object]) -> Any:
    return asking.ask(frames.WRITE, [0, 0, 0, request_id, operation], is_safe_twice=True)
