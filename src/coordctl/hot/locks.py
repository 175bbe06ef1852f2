"""Locks as docs/protocol.md has them: what is asked, and what the answers mean, for the verbs and for who holds one."""

from __future__ import annotations

import os

from coordctl.hot import frames
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from coordctl.hot.cluster import Cluster

ACQUIRE_TAG, RELEASE_TAG, BREAK_TAG = 30, 31, 32  # of operations
READ_TAG, LIST_TAG, HELD_TAG = 33, 34, 35  # of reads
GRANTED, QUEUED, BUSY, RELEASED, VIEW, PAGE, HELD = 30, 31, 32, 33, 34, 35, 36  # of results
GIVEN, TAKEN = 30, 31  # of notices, which have tags of their own

EXCLUSIVE, SHARED, SEMAPHORE = 0, 1, 2
KINDS = ("exclusive", "shared", "semaphore")


class Holder(NamedTuple):
    token: int
    session: int  # 0: it expired, and its lock-delay is not over
    owner: str
    kind: int
    permits: int
    times: int  # it must be released
    note: str
    since_unix_ms: int
    held_ms: int
    delay_ms: int


class Waiter(NamedTuple):
    ticket: int
    session: int
    owner: str
    kind: int
    permits: int
    note: str
    since_unix_ms: int
    waited_ms: int


class Lock(NamedTuple):
    name: str
    kind: int
    limit: int
    permits: int
    holders: int
    waiters: int
    first: Holder | None


class View(NamedTuple):
    lock: Lock | None  # None: nobody holds or awaits it
    holders: list[Holder]
    waiters: list[Waiter]


class Wish:
    """Implements runner.wish.Wish."""

    verb, held, broken = "lock", "held", "broken"
    space = frames.LOCKS
    granted, queued, busy, standing = GRANTED, QUEUED, BUSY, HELD
    given, taken = GIVEN, TAKEN
    is_token = comes_with_opening = True
    is_conflict_busy = False  # it is there with other settings

    def __init__(self, name: str, kind: int = EXCLUSIVE, permits: int = 1, limit: int = 0, *, waits: bool = True, note: str = "") -> None:
        self.name = name
        self.waits = waits
        self._how = (kind, permits, limit)
        self._note = note

    def operation(self) -> list[object]:
        return [ACQUIRE_TAG, os.fsencode(self.name), *self._how, self.waits, False, 0, self._note]

    def read(self) -> list[object]:
        return read_operation(self.name)

    def read_standing(self, session: int) -> list[object]:
        return [HELD_TAG, session, b"", 0, 0]

    def had_by(self, fields: Any) -> Lock:
        return lock_of(fields)

    def had_now(self, result: Any) -> Lock | None:
        return view_of(result).lock

    def who(self, had: Lock, extra_ms: int = 0) -> str:
        return who_holds(had, extra_ms)

    def token(self, had: Lock) -> int:
        return 0 if had.first is None else had.first.token

    def environment(self, token: int) -> dict[str, str]:
        return {"COORD_LOCK": self.name, "COORD_TOKEN": str(token)}

    def on_granted(self, result: Any) -> None:
        """Nothing that the token does not say."""


def lock_of(fields: Any) -> Lock:
    name, kind, limit, permits, holders, waiters, first, *_ = fields
    return Lock(os.fsdecode(name), kind, limit, permits, holders, waiters, None if first is None else Holder(*first[:10]))


def view_of(result: Any) -> View:
    frames.expect(result, VIEW)
    _, _, lock, holders, _, waiters, *_ = result
    found = None if lock is None else lock_of(lock)
    return View(found, [Holder(*fields[:10]) for fields in holders], [Waiter(*fields[:8]) for fields in waiters])


def read_operation(name: str) -> list[object]:
    return [READ_TAG, os.fsencode(name), 0, 0, 0]


def read(asking: Cluster, name: str, *, stale: bool = False) -> View:
    return view_of(asking.ask(frames.READ, read_operation(name), stale, 0, is_safe_twice=True))


def break_operation(name: str, token: int, reason: str, by: str) -> list[object]:
    return [BREAK_TAG, os.fsencode(name), token, reason, by]


def count_of_session(asking: Cluster, session: int) -> int:
    """How many locks it holds or awaits; of more than one page, those of the first."""
    result = asking.ask(frames.READ, [HELD_TAG, session, b"", 0, 0], False, 0, is_safe_twice=True)
    frames.expect(result, HELD)
    return len(result[2])


def page(asking: Cluster, prefix: str, after: str, *, stale: bool) -> tuple[list[Lock], bool]:
    """(locks in the order of their names, whether there are more)"""
    operation = [LIST_TAG, os.fsencode(prefix), os.fsencode(after), 0]
    result = asking.ask(frames.READ, operation, stale, 0, is_safe_twice=True)
    frames.expect(result, PAGE)
    return [lock_of(fields) for fields in result[2]], result[3]


def seconds(milliseconds: int) -> str:
    """As short as a person would say it."""
    whole = max(0, milliseconds) // 1000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def who_holds(lock: Lock, extra_ms: int = 0) -> str:
    """As the end of "NAME is …". `extra_ms`: that was said so long ago."""
    first = lock.first
    if first is None:
        return f"awaited by {lock.waiters} others"
    if not first.session:
        return f"not free yet: {first.owner or 'its holder'} lost it, and its delay lasts {seconds(first.delay_ms - extra_ms)} more"
    note = f" ({first.note})" if first.note else ""
    others = f", and {lock.holders - 1} more" if lock.holders > 1 else ""
    return f"held by {first.owner or f'session {first.session}'}, for {seconds(first.held_ms + extra_ms)}{note}{others}"
