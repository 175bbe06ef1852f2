"""What every view of a group must have been, kept in the order of the log beside the code that makes them. Pure.

A member is (name, session, data, labels, weight, joined); an event (kind, group, member) with kind joined, updated or left. What a
command must change is expected first; what watches are told of it then becomes the truth, one revision at a time.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, ClassVar

from coordnode.errors import PromiseBroken

JOINED, UPDATED, LEFT = 0, 1, 2
CONFLICT, NOT_HELD = 34, 31

Member = tuple[bytes, int, bytes, Any, int, int]
Event = tuple[int, bytes, Member]


class GroupViews:
    name: ClassVar[str] = "group-views"

    def __init__(self) -> None:
        self.groups: dict[bytes, dict[bytes, Member]] = {}
        self._numbers: dict[bytes, list[int]] = {}  # by group: of all its views, also those with nobody
        self._views: dict[bytes, list[tuple[Member, ...]]] = {}  # likewise: who was in it
        self._expected: list[list[Event]] = []  # of the command under way: one list for each revision

    # --- what commands must do, in the order of the log ----------------------------------------------------------------

    def begin(self) -> None:
        """The next command: what the last one changed was told."""
        if self._expected:
            raise PromiseBroken(self.name, "a group changed, and nobody was told", tuple(self._expected))

    def joined(self, session: int, group: bytes, asked: bytes, about: tuple[bytes, Any, int], member: bytes, view: int, now: int) -> None:
        """`now`: the revision that the answer names."""
        there = self.groups.get(group, {}).get(member)
        if there is not None or (asked and asked != member):
            self._broken(f"session {session} was told that it is {member!r} of {group!r}; there is {there}", (asked, view))
        self._must_be_newest(group, view, now)
        self._expected.append([(JOINED, group, (member, session, *about, view))])

    def updated(self, session: int, group: bytes, member: bytes, about: Sequence[Any], view: int, now: int) -> None:
        old = self._held(session, group, member)
        new = (member, session, *[was if now_is is None else now_is for was, now_is in zip(old[2:5], about, strict=True)], old[5])
        if new == old:
            if view != self._numbers[group][-1]:
                self._broken(f"an update of {group!r} that changes nothing was told view {view}", self._numbers[group][-1])
            return
        self._must_be_newest(group, view, now)
        self._expected.append([(UPDATED, group, new)])

    def left(self, session: int, group: bytes, member: bytes, view: int, now: int) -> None:
        old = self._held(session, group, member)
        self._must_be_newest(group, view, now)
        self._expected.append([(LEFT, group, old)])

    def refused(self, session: int, group: bytes, member: bytes, code: int) -> None:
        there = self.groups.get(group, {}).get(member)
        if code == CONFLICT and member and there is None:
            self._broken(f"session {session} was refused to be {member!r} of {group!r}: nobody is", code)
        if code == NOT_HELD and there is not None and there[1] == session:
            self._broken(f"session {session} was told that it is not {member!r} of {group!r}, and it is", there)

    def ended(self, session: int) -> bool:
        """Whether it was a member of anything."""
        gone = [(LEFT, group, each) for group, members in self.groups.items() for each in members.values() if each[1] == session]
        if gone:
            self._expected.append(sorted(gone))
        return bool(gone)

    def told(self, revision: int, events: list[Event]) -> None:
        """What watches are told of this revision."""
        expected = self._expected.pop(0) if self._expected else []
        if sorted(events) != sorted(expected):
            self._broken(f"revision {revision} tells of {events}; it changed {expected}", revision)
        for kind, group, member in events:
            members = self.groups.setdefault(group, {})
            if kind == LEFT:
                del members[member[0]]
            else:
                members[member[0]] = member
            if self._numbers.setdefault(group, [0])[-1] != revision:
                self._numbers[group].append(revision)
                self._views.setdefault(group, [()]).append(())
            self._views[group][-1] = tuple([members[name] for name in sorted(members)])

    # --- what clients see ----------------------------------------------------------------------------------------------

    def read(self, group: bytes, revision: int, view: int, members: tuple[Member, ...]) -> None:
        """An answer: the group as of `revision`."""
        number, truth = self._at(group, revision)
        if members != truth or view != (number if truth else 0):
            self._broken(f"{group!r} was read at {revision} as view {view} with {members}; it is view {number}", truth)

    def assembled(self, group: bytes, number: int, members: tuple[Member, ...], up_to: int) -> None:
        """A client put this together from a read and what it was told since, up to `up_to`."""
        newest, truth = self._at(group, up_to)
        if members != truth or number > up_to or (truth and number != newest):
            self._broken(f"a client believes in view {number} of {group!r} with {members}, having heard all up to {up_to}", (newest, truth))

    def view_of(self, group: bytes) -> int:
        return self._numbers[group][-1]

    # --- what these share ----------------------------------------------------------------------------------------------

    def _at(self, group: bytes, revision: int) -> tuple[int, tuple[Member, ...]]:
        numbers = self._numbers.get(group)
        if numbers is None:
            return 0, ()
        place = bisect_right(numbers, revision) - 1
        return numbers[place], self._views[group][place] if group in self._views else ()

    def _held(self, session: int, group: bytes, member: bytes) -> Member:
        old = self.groups.get(group, {}).get(member)
        if old is None or old[1] != session:
            self._broken(f"session {session} changed member {member!r} of {group!r}, which is not its own", old)
        assert old is not None
        return old

    def _must_be_newest(self, group: bytes, view: int, now: int) -> None:
        before = self._numbers.get(group, [0])[-1]
        if view != now or view <= before:
            self._broken(f"revision {now} made view {view} of {group!r} after view {before}", (view, now))

    def _broken(self, sentence: str, evidence: object) -> None:
        raise PromiseBroken(self.name, sentence, (evidence,))
