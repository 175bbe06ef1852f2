"""The questions behind `coordctl auth`."""

from __future__ import annotations

from coordctl.hot import frames
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from coordctl.hot.cluster import Cluster

SET_ROLE, REMOVE_ROLE, SET_USER, REMOVE_USER, ADD_TOKEN, REMOVE_TOKEN = 120, 121, 122, 123, 124, 125  # tags of operations
LIST_ROLES, LIST_USERS, LIST_TOKENS, READ_AUDIT = 126, 127, 128, 129  # tags of reads
ROLES, USERS, TOKENS, AUDIT = 120, 121, 122, 123  # tags of results
AREAS = ("kv", "lock", "elect", "group", "queue", "shard", "barrier", "counter", "journal", "admin")
LEVELS = ("read", "use", "manage")


class Grant(NamedTuple):
    area: int
    level: int
    prefix: bytes

    def shown(self) -> str:
        prefix = f":{self.prefix.decode(errors='replace')}" if self.prefix else ""
        return f"{AREAS[self.area]}:{LEVELS[self.level]}{prefix}"


class Role(NamedTuple):
    name: str
    grants: list[Grant]


class User(NamedTuple):
    name: str
    roles: list[str]
    tokens: int


class Token(NamedTuple):
    digest: bytes
    user: str
    note: str
    since_wall_ms: int

    def id(self) -> str:
        return self.digest[:4].hex()


def change(asking: Cluster, tag: int, *fields: object, request_id: str) -> bool:
    """Whether it was otherwise before."""
    result = asking.ask(frames.WRITE, [0, 0, 0, request_id, [tag, *fields]], is_safe_twice=True)
    frames.expect(result, frames.DONE)
    return len(result) <= 2 or result[2] > 0


def roles(asking: Cluster) -> Iterator[Role]:
    for name, grants in _pages(asking, LIST_ROLES, ROLES, ""):
        yield Role(name, [Grant(area, level, prefix) for area, level, prefix in grants])


def users(asking: Cluster) -> Iterator[User]:
    for name, found, tokens in _pages(asking, LIST_USERS, USERS, ""):
        yield User(name, found, tokens)


def tokens(asking: Cluster) -> Iterator[Token]:
    for digest, user, note, since_wall_ms in _pages(asking, LIST_TOKENS, TOKENS, b""):
        yield Token(digest, user, note, since_wall_ms)


def records(asking: Cluster, after: int) -> Iterator[Sequence[Any]]:
    """Of the audit log, with their fields as docs/protocol.md has them."""
    yield from _pages(asking, READ_AUDIT, AUDIT, after)


def _pages(asking: Cluster, tag: int, expected: int, after: str | bytes | int) -> Iterator[Any]:
    """Each page begins behind what the one before ended with: the first field of its last row. `admin` comes on the first only."""
    more = True
    while more:
        result = asking.ask(frames.READ, [tag, after, 0], False, 0, is_safe_twice=True)
        frames.expect(result, expected)
        yield from result[2]
        more = result[3]
        if more:
            after = result[2][-1][0]
