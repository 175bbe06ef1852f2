"""Who watches what on this member. Local: in neither snapshot nor digest. Pure.

A watch of one key is found by that key, so that many thousands of them cost a change nothing; those of a range are tried one by one.
What watches are to be told gathers here and leaves in shares, so that no turn is long because many watch the same.
"""

from collections.abc import Iterator

from coordnode.ids import Revision
from coordnode.limits import PUSH_BYTES_LEAST
from coordnode.services.commands import Change, Event
from coordnode.services.dialogue import WatchAsk, WatchProgress, WatchPush


class _Watch:
    __slots__ = ("ask", "connection", "end", "request", "space", "start")

    def __init__(self, connection: int, ask: WatchAsk) -> None:
        self.ask = ask
        self.connection = connection
        self.request = ask.request
        self.space = ask.space
        self.start = ask.start
        self.end = ask.end

    def is_of_one_key(self) -> bool:
        return self.end == self.start + b"\0"

    def matches(self, event: Event) -> bool:
        return event.space == self.space and event.key >= self.start and (not self.end or event.key < self.end)


_Name = tuple[int, int]  # (connection, request)


class _Due:
    """What one watch is to be told."""

    __slots__ = ("bytes", "changes")

    def __init__(self) -> None:
        self.bytes = PUSH_BYTES_LEAST
        self.changes: list[Change] = []


class _Connection:
    __slots__ = ("told", "watches")

    def __init__(self, told: Revision) -> None:
        self.told = told  # as a whole, for all its watches
        self.watches: dict[_Name, _Watch] = {}


class Watching:
    def __init__(self, silent_revisions_max: int) -> None:
        self._silent_revisions_max = silent_revisions_max
        self._watches: dict[_Name, _Watch] = {}
        self._of_key: dict[tuple[int, bytes], dict[_Name, _Watch]] = {}  # (space, key)
        self._of_range: dict[int, dict[_Name, _Watch]] = {}  # space
        self._seen = Revision(0)  # of everything up to here, what is not due any more has been told
        self._due: dict[_Name, _Due] = {}  # the longest waiting first
        self._has_seen_more = False  # since the silent were last looked at
        self._connections: dict[int, _Connection] = {}  # those that watch anything

    def begin(self, connection: int, ask: WatchAsk, missed: list[Change], revision: Revision) -> WatchPush:
        """`missed`: the changes from ask.start_revision up to `revision`, which is as far as this member, and every other watch, is now."""
        assert not self._watches or self._seen == revision, "a watch begins where the others are"
        self.end(connection, ask.request)
        watch = _Watch(connection, ask)
        name = connection, ask.request
        self._seen = revision
        self._watches[name] = watch
        if watch.is_of_one_key():
            self._of_key.setdefault((watch.space, watch.start), {})[name] = watch
        else:
            self._of_range.setdefault(watch.space, {})[name] = watch
        if connection not in self._connections:
            self._connections[connection] = _Connection(revision)
        self._connections[connection].watches[name] = watch
        matched = [part for change in missed if (part := _part(change, [event for event in change.events if watch.matches(event)]))]
        return WatchPush(ask.request, matched, revision)

    def end(self, connection: int, request: int) -> None:
        name = connection, request
        watch = self._watches.pop(name, None)
        if watch is None:
            return
        self._due.pop(name, None)
        if watch.is_of_one_key():
            place = watch.space, watch.start
            del self._of_key[place][name]
            if not self._of_key[place]:
                del self._of_key[place]
        else:
            del self._of_range[watch.space][name]
        watches = self._connections[connection].watches
        del watches[name]
        if not watches:
            del self._connections[connection]

    def end_connection(self, connection: int) -> None:
        found = self._connections.get(connection)
        if found is not None:
            for name in list(found.watches):
                self.end(*name)

    def end_all(self) -> list[_Name]:
        """(connection, request) of each watch that was."""
        ended = list(self._watches)
        self._watches.clear()
        self._due.clear()
        self._of_key.clear()
        self._of_range.clear()
        self._connections.clear()
        return ended

    def __bool__(self) -> bool:
        """Anybody watches anything."""
        return bool(self._watches)

    def asks(self) -> list[tuple[int, WatchAsk]]:
        """(connection, what was asked) of each."""
        return [(connection, watch.ask) for (connection, _), watch in self._watches.items()]

    def is_behind(self, revision: Revision) -> bool:
        return bool(self._watches) and self._seen < revision

    def seen(self) -> Revision:
        return self._seen

    def has_due(self) -> bool:
        return bool(self._due)

    def see(self, changes: list[Change], revision: Revision) -> None:
        """`changes` are all from seen() + 1 to `revision`."""
        self._seen = revision
        self._has_seen_more = True
        for change in changes:
            self._match(change)

    def push(self, room: int) -> Iterator[tuple[int, WatchPush | WatchProgress]]:
        """What is due, in about so many bytes: one push at least. A watch for which more came meanwhile is told of all of it at once."""
        due, seen = self._due, self._seen
        while due and room > 0:
            name = next(iter(due))
            found = due.pop(name)
            room -= found.bytes
            yield name[0], WatchPush(name[1], found.changes, seen)
        if not self._has_seen_more:
            return
        self._has_seen_more = False
        for connection, watching in self._connections.items():
            if seen - watching.told >= self._silent_revisions_max and due.keys().isdisjoint(watching.watches):
                watching.told = seen
                yield connection, WatchProgress(0, seen)

    def _match(self, change: Change) -> None:
        """Makes the part of this change that a watch wants due to it."""
        parts: dict[_Name, list[Event]] = {}
        for event in change.events:
            for name in self._of_key.get((event.space, event.key), ()):
                parts.setdefault(name, []).append(event)
            for name, watch in self._of_range.get(event.space, {}).items():
                if watch.matches(event):
                    parts.setdefault(name, []).append(event)
        for name, events in parts.items():
            part = _part(change, events)
            assert part is not None
            due = self._due.get(name)
            if due is None:
                due = self._due[name] = _Due()
            due.changes.append(part)
            due.bytes += sum(len(event.key) + len(event.value) for event in events)


def _part(change: Change, events: list[Event]) -> Change | None:
    if not events:
        return None
    return change if len(events) == len(change.events) else Change(change.revision, events)
