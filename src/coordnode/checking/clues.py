"""What the answers say about revisions that no reply claims: which keys they cannot have changed, and which they must. Pure.

An item that was seen at revision r, created at c, changed last at m, in version v, says three things of its key: nothing
changed it in (m, r]; nothing deleted it in (c, m]; and exactly v puts happened in [c, m]. Where the puts that replies
claim, and those whose items were seen, make up all v, nobody else touched the key in [c, m]. A key that was not there when it
was looked for was deleted since its last put, by somebody who could; one that a reply deleted was put since it last went. A
session to which a key was bound had not ended yet.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from coordnode.checking.history import OK, Operation
from coordnode.checking.parts import Changes
from coordnode.checking.shapes import keys_bound, keys_of, puts_asked, sessions_used
from coordnode.checking.store import Item, items_seen, keys_absent, keys_deleted, puts_done, revision_of

NEVER_WANTED: Final = 1 << 62

_Range = tuple[int, int]  # of revisions, both ends included
_Life = tuple[int, int, int]  # of an item that was seen: when it was last changed, when it was created, its version


class Clues:
    def __init__(self, order: Sequence[Operation], hidden: Sequence[Operation]) -> None:
        self._seen: dict[int, dict[Any, Any]] = {}  # mod_revision → key → value
        self._writers: dict[tuple[Any, Any], int] = {}  # (key, value) → how many operations could have written it
        self._seen_at: dict[tuple[Any, Any], int] = {}  # (key, value) as seen → a mod_revision of it
        self._untouched: dict[Any, _Spans] = {}  # key → revisions at which nobody unknown changed it
        self._puts_missing: dict[Any, list[_Range]] = {}  # key → ranges of revisions in each of which a put of it is missing
        self._deletes_missing: dict[Any, list[_Range]] = {}
        self._lives: dict[Any, list[_Life]] = {}  # key → items of it that were seen, in order
        self._may_go: dict[Any, None] = {}  # keys that something may delete without a reply that says so
        self._anything_may_go = False  # all of them
        self._lived: dict[int, int] = {}  # session → the newest revision at which it had not ended
        put_at: dict[Any, dict[int, None]] = {}  # key → revisions of puts that are known
        absent_at: dict[Any, list[int]] = {}  # key → revisions at which it was not there
        deleted_at: dict[Any, list[int]] = {}  # key → revisions at which a reply says that it deleted it
        items: dict[tuple[Any, int, int, int], tuple[Item, int]] = {}  # of equal sightings the latest
        for operation in (*order, *hidden):
            self._note_who_may_go(operation)
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
            for key in keys_deleted(operation):
                deleted_at.setdefault(key, []).append(revision)
            for session in sessions_used(operation):
                self._lived[session] = max(self._lived.get(session, 0), revision)
            for item in items_seen(operation):
                if item[5]:
                    self._lived[item[5]] = max(self._lived.get(item[5], 0), revision)
                items[item[0], item[2], item[3], item[4]] = item, revision
                self._seen.setdefault(item[3], {})[item[0]] = item[1]
                self._seen_at[item[0], item[1]] = item[3]
                put_at.setdefault(item[0], {})[item[3]] = None
        for operation in hidden:
            for key, value in puts_asked(operation):
                self._count_writer(key, value)
        self._put_at = revisions = {key: sorted(known) for key, known in put_at.items()}
        for item, revision in items.values():
            self._learn(item, revision, revisions[item[0]])
            absent_at.setdefault(item[0], []).append(item[2] - 1)
        self._absent_at = {key: sorted(absent) for key, absent in absent_at.items()}
        self._deleted_at = {key: sorted(deleted) for key, deleted in deleted_at.items()}
        for key, absent in self._absent_at.items():
            self._miss_deletes(key, revisions.get(key, []), absent)
        for key, deleted in self._deleted_at.items():
            self._miss_puts(key, revisions.get(key, []), self._absent_at[key], deleted)
        for lives in self._lives.values():
            lives.sort()
        untold = [operation for operation in (*order, *hidden) if operation.kind != OK]
        self._may_come = dict.fromkeys([key for operation in untold for key, _ in puts_asked(operation)])

    def _note_who_may_go(self, operation: Operation) -> None:
        """Unseen: with its session, by an outcome that is unknown, in a slice, or for a moment within one transaction."""
        keys = keys_of(operation)
        if operation.function == "delete-range" or (keys is None and operation.kind != OK):
            self._anything_may_go = True
        elif keys is not None and (operation.kind != OK or operation.function == "transaction"):
            self._may_go.update(dict.fromkeys(keys))
        self._may_go.update(dict.fromkeys(keys_bound(operation)))

    def _count_writer(self, key: Any, value: Any) -> None:
        self._writers[key, value] = self._writers.get((key, value), 0) + 1

    def _learn(self, item: Item, revision: int, put_at: list[int]) -> None:
        key, _, created, modified, version, _ = item
        self._lives.setdefault(key, []).append((modified, created, version))
        self._untouched.setdefault(key, _Spans()).add(modified + 1, revision)
        known = bisect_right(put_at, modified) - bisect_left(put_at, created)
        if known == version:
            self._untouched[key].add(created, modified)
        elif known < version:
            self._puts_missing.setdefault(key, []).append((created, modified))

    def _miss_deletes(self, key: Any, put_at: list[int], absent_at: list[int]) -> None:
        """Between a put and the first time that the key is not there, something deletes it, unless a reply says that it did."""
        deleted_at = self._deleted_at.get(key, ())
        for put, next_put in pairwise([*put_at, NEVER_WANTED]):
            at = bisect_right(absent_at, put)
            if at < len(absent_at) and absent_at[at] < next_put and not _any_within(deleted_at, put + 1, absent_at[at]):
                self._deletes_missing.setdefault(key, []).append((put + 1, absent_at[at]))

    def _miss_puts(self, key: Any, put_at: list[int], absent_at: list[int], deleted_at: list[int]) -> None:
        """Between a time at which the key is not there and a delete of it, something puts it."""
        for deleted in deleted_at:
            before = bisect_left(absent_at, deleted)
            absent = absent_at[before - 1] if before else 0
            if not _any_within(put_at, absent + 1, deleted):
                self._puts_missing.setdefault(key, []).append((absent + 1, deleted - 1))

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
            if self._lived_otherwise(key, item, revision):
                return True
            if item is None and key not in self._may_come and self._must_come(key, revision) < NEVER_WANTED:
                return True
            if item is not None and not self._anything_may_go and key not in self._may_go and self._must_go(key, revision) < NEVER_WANTED:
                return True
            if item is not None and self._seen_at.get((key, item[1]), revision) != revision and self._writers.get((key, item[1])) == 1:
                return True
        return False

    def contradict(self, changes: Changes, revision: int) -> bool:
        """Whether these cannot be the changes of a revision that a reply claims: its keys were seen to be otherwise."""
        return any([self._lived_otherwise(key, item, revision) for key, item in changes.items()])

    def outlives(self, session: int, revision: int) -> bool:
        """Whether the session had surely not ended at that revision."""
        return self._lived.get(session, -1) >= revision

    def _lived_otherwise(self, key: Any, item: Item | None, revision: int) -> bool:
        """Whether what was seen of the key later, or then, says that it was not deleted now, or not put in that version."""
        lives = self._lives.get(key)
        at = bisect_left(lives, (revision,)) if lives else 0
        if not lives or at == len(lives):
            return False
        modified, created, version = lives[at]
        if created > revision:
            return False
        if item is None or item[2] != created:
            return True
        put_at = self._put_at[key]
        to_come = bisect_right(put_at, modified) - bisect_right(put_at, revision)
        return item[4] + to_come > version or (revision == modified and item[4] != version)

    def appeal(self, changes: Changes, revision: int) -> tuple[int, int]:
        """How likely such changes are those of that revision, the likeliest lowest: by when they are missing, if they are missing
        about there, and then whether something must undo them, or they may be missing later."""
        wanted = NEVER_WANTED
        doubt = 0
        for key, item in changes.items():
            if item is None:
                wanted = min(wanted, self._must_go(key, revision - 1))
                doubt |= 2 * (self._must_come(key, revision) < NEVER_WANTED)
                missing = self._deletes_missing.get(key, ())
            else:
                if item[4] == 1:
                    wanted = min(wanted, self._must_come(key, revision - 1))
                doubt |= 2 * (self._must_go(key, revision) < NEVER_WANTED)
                missing = self._puts_missing.get(key, ())
            for start, end in missing:
                if start <= revision <= end:
                    wanted = min(wanted, end)
                elif start > revision:
                    doubt |= 1
        return wanted, doubt

    def _must_go(self, key: Any, revision: int) -> int:
        """By when the key, being there after that revision, has to be deleted by somebody who is not known."""
        absent = self._absent_at.get(key, ())
        at = bisect_left(absent, revision)
        if at == len(absent) or _any_within(self._deleted_at.get(key, ()), revision + 1, absent[at]):
            return NEVER_WANTED
        return absent[at]

    def _must_come(self, key: Any, revision: int) -> int:
        """By when the key, being gone after that revision, has to be put by somebody who is not known."""
        deleted = self._deleted_at.get(key, ())
        at = bisect_right(deleted, revision)
        if at == len(deleted) or _any_within(self._put_at.get(key, ()), revision + 1, deleted[at]):
            return NEVER_WANTED
        return deleted[at] - 1


def _any_within(revisions: Sequence[int], first: int, last: int) -> bool:
    return bisect_left(revisions, first) < bisect_right(revisions, last)


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
