"""What the answers say about revisions that no reply claims: which keys they cannot have changed, and which they must. Pure.

An item that was seen at revision r, created at c, changed last at m, in version v, says three things of its key: nothing
changed it in (m, r]; nothing deleted it in (c, m]; and exactly v puts happened in [c, m]. Where the puts that replies
claim, and those whose items were seen, make up all v, nobody else touched the key in [c, m].
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from coordnode.checking.history import OK, Operation
from coordnode.checking.parts import Changes
from coordnode.checking.shapes import puts_asked
from coordnode.checking.store import Item, items_seen, keys_absent, puts_done, revision_of

NEVER_WANTED: Final = 1 << 62

_Range = tuple[int, int]  # of revisions, both ends included


class Clues:
    def __init__(self, order: Sequence[Operation], hidden: Sequence[Operation]) -> None:
        self._seen: dict[int, dict[Any, Any]] = {}  # mod_revision → key → value
        self._writers: dict[tuple[Any, Any], int] = {}  # (key, value) → how many operations could have written it
        self._seen_at: dict[tuple[Any, Any], int] = {}  # (key, value) as seen → a mod_revision of it
        self._untouched: dict[Any, _Spans] = {}  # key → revisions at which nobody unknown changed it
        self._puts_missing: dict[Any, list[_Range]] = {}  # key → ranges of revisions in each of which a put of it is missing
        self._deletes_missing: dict[Any, list[_Range]] = {}
        put_at: dict[Any, dict[int, None]] = {}  # key → revisions of puts that are known
        absent_at: dict[Any, list[int]] = {}  # key → revisions at which it was not there
        items: dict[tuple[Any, int, int, int], tuple[Item, int]] = {}  # of equal sightings the latest
        for operation in order:
            for key, value in puts_done(operation) if operation.kind == OK else puts_asked(operation):
                self._count_writer(key, value)
            if operation.kind != OK:
                continue
            revision = revision_of(operation)
            for key, _ in puts_done(operation):
                put_at.setdefault(key, {})[revision] = None
            for key in keys_absent(operation):
                absent_at.setdefault(key, []).append(revision)
            for item in items_seen(operation):
                items[item[0], item[2], item[3], item[4]] = item, revision
                self._seen.setdefault(item[3], {})[item[0]] = item[1]
                self._seen_at[item[0], item[1]] = item[3]
                put_at.setdefault(item[0], {})[item[3]] = None
        for operation in hidden:
            for key, value in puts_asked(operation):
                self._count_writer(key, value)
        revisions = {key: sorted(known) for key, known in put_at.items()}
        for item, revision in items.values():
            self._learn(item, revision, revisions[item[0]])
            absent_at.setdefault(item[0], []).append(item[2] - 1)
        for key, absent in absent_at.items():
            self._miss_deletes(key, revisions.get(key, []), sorted(absent))

    def _count_writer(self, key: Any, value: Any) -> None:
        self._writers[key, value] = self._writers.get((key, value), 0) + 1

    def _learn(self, item: Item, revision: int, put_at: list[int]) -> None:
        key, _, created, modified, version, _ = item
        self._untouched.setdefault(key, _Spans()).add(modified + 1, revision)
        known = bisect_right(put_at, modified) - bisect_left(put_at, created)
        if known == version:
            self._untouched[key].add(created, modified)
        elif known < version:
            self._puts_missing.setdefault(key, []).append((created, modified))

    def _miss_deletes(self, key: Any, put_at: list[int], absent_at: list[int]) -> None:
        """Between a put and the first time that the key is not there, something deletes it. (What a reply says it deleted
        is found at that reply's own revision, which is claimed: such a range never matters.)"""
        for put, next_put in pairwise([*put_at, NEVER_WANTED]):
            at = bisect_right(absent_at, put)
            if at < len(absent_at) and absent_at[at] < next_put:
                self._deletes_missing.setdefault(key, []).append((put + 1, absent_at[at]))

    def rules_out(self, changes: Changes, revision: int) -> bool:
        """Whether these cannot be the changes of that unclaimed revision."""
        seen = self._seen.get(revision)
        if seen is not None:
            for key, value in seen.items():
                item = changes.get(key)
                if item is None or item[1] != value:
                    return True
        for key, item in changes.items():
            if seen is not None and key in seen:
                continue
            untouched = self._untouched.get(key)
            if untouched is not None and untouched.holds(revision):
                return True
            if item is not None and self._seen_at.get((key, item[1]), revision) != revision and self._writers.get((key, item[1])) == 1:
                return True
        return False

    def wanted_by(self, changes: Changes, revision: int) -> int:
        """The revision by which such changes are missing, when they are missing about there; else NEVER_WANTED."""
        wanted = NEVER_WANTED
        for key, item in changes.items():
            missing = self._deletes_missing if item is None else self._puts_missing
            for start, end in missing.get(key, ()):
                if start <= revision <= end < wanted:
                    wanted = end
        return wanted


class _Spans:
    """Ranges of revisions, both ends included; asked only once all are added."""

    __slots__ = ("_ends", "_spans", "_starts")

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        if start <= end:
            self._spans.append((start, end))

    def holds(self, revision: int) -> bool:
        if self._spans:
            self._join()
        at = bisect_right(self._starts, revision) - 1
        return at >= 0 and revision <= self._ends[at]

    def _join(self) -> None:
        for start, end in sorted(self._spans):
            if self._ends and start <= self._ends[-1] + 1:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)
        self._spans.clear()
