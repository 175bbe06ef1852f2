"""The questions behind `coordctl group`, but for watching and staying."""

from __future__ import annotations

import os

from coordctl.hot import frames
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from coordctl.hot.cluster import Cluster

JOIN, UPDATE, LEAVE = 50, 51, 52  # tags of operations
SHOW, LIST, FIND = 53, 54, 55  # tags of reads
CHANGED, VIEW, PAGE, MEMBERS = 50, 51, 52, 53  # tags of results
IS, IS_NOT, HAS, HAS_NOT = 0, 1, 2, 3


class Group(NamedTuple):
    name: bytes
    view: int
    members: int


class Member(NamedTuple):
    name: bytes
    session: int
    data: bytes
    labels: dict[str, str]
    weight: int
    joined_view: int


def _member(fields: Any) -> Member:
    name, session, data, labels, weight, joined = fields[:6]
    return Member(name, session, data, dict(labels), weight, joined)


class Wish:
    """Implements runner.wish.Wish: to be a member, which is so at once or not at all."""

    verb, held, broken = "group", "joined", "left"
    space = frames.GROUPS
    granted = CHANGED
    queued = busy = standing = given = taken = -1  # it is told nothing
    is_token = comes_with_opening = waits = False
    is_conflict_busy = True  # the name is somebody's: later it may be free

    def __init__(self, group: str, member: bytes, data: bytes, labels: dict[str, str], weight: int) -> None:
        self.name = group
        self.member = member
        self._about = (data, sorted(labels.items()), weight)

    def operation(self) -> list[object]:
        return [JOIN, os.fsencode(self.name), self.member, *self._about]

    def read(self) -> list[object]:
        raise AssertionError("nobody waits for it")

    def read_standing(self, session: int) -> list[object]:
        """As long as the session."""
        return []

    def had_by(self, fields: Any) -> object:
        raise AssertionError("nobody waits for it")

    def had_now(self, result: Any) -> object | None:
        raise AssertionError("nobody waits for it")

    def who(self, had: object, extra_ms: int = 0) -> str:
        raise AssertionError("nobody waits for it")

    def token(self, had: object) -> int:
        raise AssertionError("nobody waits for it")

    def environment(self, token: int) -> dict[str, str]:
        return {"COORD_GROUP": self.name, "COORD_MEMBER": os.fsdecode(self.member), "COORD_VIEW": str(token)}

    def on_granted(self, result: Any) -> None:
        self.member = result[3]


def join(asking: Cluster, session: int, group: bytes, member: bytes, data: bytes, labels: dict[str, str], weight: int) -> tuple[int, bytes]:
    """(view, the member's name)"""
    operation = [JOIN, group, member, data, sorted(labels.items()), weight]
    return _change(asking, session, operation, is_safe_twice=False)


def update(
    asking: Cluster, session: int, group: bytes, member: bytes, data: bytes | None, labels: dict[str, str] | None, weight: int | None
) -> tuple[int, bytes]:
    operation = [UPDATE, group, member, data, None if labels is None else sorted(labels.items()), weight]
    return _change(asking, session, operation, is_safe_twice=True)  # the same once more changes nothing


def leave(asking: Cluster, session: int, group: bytes, member: bytes) -> tuple[int, bytes]:
    return _change(asking, session, [LEAVE, group, member], is_safe_twice=False)


def _change(asking: Cluster, session: int, operation: list[object], *, is_safe_twice: bool) -> tuple[int, bytes]:
    result = asking.ask(frames.WRITE, [session, 0, 0, "", operation], is_safe_twice=is_safe_twice)
    frames.expect(result, CHANGED)
    return int(result[2]), result[3]


def view(asking: Cluster, group: bytes, *, stale: bool) -> tuple[int, list[Member]]:
    """(view, members); view 0: there are none"""
    result = asking.ask(frames.READ, [SHOW, group], stale, 0, is_safe_twice=True)
    frames.expect(result, VIEW)
    return int(result[2]), [_member(fields) for fields in result[3]]


def page(asking: Cluster, prefix: bytes, after: bytes, *, stale: bool) -> tuple[list[Group], bool]:
    read = [LIST, prefix, after, 0]
    result = asking.ask(frames.READ, read, stale, 0, is_safe_twice=True)
    frames.expect(result, PAGE)
    return [Group(name, *rest[:2]) for name, *rest in result[2]], result[3]


def find(
    asking: Cluster, prefix: bytes, requires: list[tuple[str, int, str]], after: tuple[bytes, bytes], *, stale: bool
) -> tuple[list[tuple[bytes, Member]], tuple[bytes, bytes] | None]:
    """(members with their groups, where the next page goes on; None: that was all)"""
    read = [FIND, prefix, requires, after[0], after[1], 0]
    result = asking.ask(frames.READ, read, stale, 0, is_safe_twice=True)
    frames.expect(result, MEMBERS)
    found = [(group, _member(fields)) for group, fields in result[2]]
    return found, (result[4], result[5]) if result[3] else None
