"""The questions behind `coordctl shard`."""

from __future__ import annotations

from coordctl.hot import frames
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from coordctl.hot.cluster import Cluster

CREATE, CONFIGURE, DELETE, RELEASE = 80, 81, 82, 83  # tags of operations
SHOW, LIST = 84, 85  # tags of reads
VIEW, PAGE = 80, 81  # tags of results


class Owned(NamedTuple):
    shard: int
    member: bytes
    session: int
    token: int
    revoke_left_ms: int | None


class Assignment(NamedTuple):
    name: bytes
    group: bytes
    shards: int
    owned: int
    revoking: int


class View(NamedTuple):
    group: bytes
    shards: int
    revoke_ms: int
    owned: list[Owned]


def create(asking: Cluster, name: bytes, group: bytes, shards: int, revoke_ms: int, request_id: str) -> bool:
    """Whether it was made now; it may be there already, the same."""
    return _write(asking, request_id, [CREATE, name, group, shards, revoke_ms])


def configure(asking: Cluster, name: bytes, shards: int | None, revoke_ms: int | None, request_id: str) -> bool:
    """Whether that changed anything."""
    return _write(asking, request_id, [CONFIGURE, name, shards, revoke_ms])


def delete(asking: Cluster, name: bytes, request_id: str) -> bool:
    """Whether it was there."""
    return _write(asking, request_id, [DELETE, name])


def release_operation(name: bytes, shard: int, token: int) -> list[object]:
    return [RELEASE, name, shard, token]


def read_operation(name: bytes) -> list[object]:
    return [SHOW, name]


def view(asking: Cluster, name: bytes, *, stale: bool) -> View:
    return view_of(asking.ask(frames.READ, read_operation(name), stale, 0, is_safe_twice=True))


def view_of(result: Any) -> View:
    frames.expect(result, VIEW)
    owned = []
    for fields in result[5]:
        shard, member, session, token = fields[:4]
        owned.append(Owned(shard, member, session, token, fields[4] if len(fields) > 4 else None))
    return View(result[2], result[3], result[4], owned)


def page(asking: Cluster, prefix: bytes, after: bytes, *, stale: bool) -> tuple[list[Assignment], bool]:
    read = [LIST, prefix, after, 0]
    result = asking.ask(frames.READ, read, stale, 0, is_safe_twice=True)
    frames.expect(result, PAGE)
    return [Assignment(name, group, *rest[:3]) for name, group, *rest in result[2]], result[3]


def _write(asking: Cluster, request_id: str, operation: list[object]) -> bool:
    result = asking.ask(frames.WRITE, [0, 0, 0, request_id, operation], is_safe_twice=True)
    frames.expect(result, frames.DONE)
    return len(result) <= 2 or result[2] > 0
