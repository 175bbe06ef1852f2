"""Who watches what on this member, and what each is still to be told. Local: in neither snapshot nor digest. Pure.

A change is put down for the connections that want it at once, for all their watches together, and told to each watch when that
connection's turn comes: so much at a time, and whole changes. So no turn is long because many watch the same, or are far behind.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from coordnode.ids import Revision
from coordnode.limits import PUSH_BYTES_LEAST
from coordnode.replica.places import Places, Watch, Watches
from coordnode.services.commands import Change, Event
from coordnode.services.dialogue import WatchAsk, WatchProgress, WatchPush

_Due = tuple[Change, Event, Watches]  # an event of a change, and those who watch its key


class _Connection:
    __slots__ = ("told", "watches")

    def __init__(self, told: Revision) -> None:
        self.told = told  # as a whole, for all its watches
        self.watches: Watches = {}


class Watching:
    def __init__(self, silent_revisions_max: int) -> None:
        self._silent_revisions_max = silent_revisions_max
        self._seen = Revision(0)  # of everything up to here, what is not due any more has been told
        self._connections: dict[int, _Connection] = {}  # those that watch anything
        self._places = Places()
        self._due: OrderedDict[int, list[_Due]] = OrderedDict()  # by connection, the longest waiting first
        self._has_seen_more = False  # since the silent were last looked at

    def begin(self, connection: int, ask: WatchAsk, missed: list[Change], revision: Revision) -> WatchPush:
        """`missed`: the changes from ask.start_revision up to `revision`, which is as far as this member, and every other watch, is now."""
        assert not self._connections or self._seen == revision, "a watch begins where the others are"
        self.end(connection, ask.request)
        self._seen = revision
        watch = Watch(ask, revision)
        if connection not in self._connections:
            self._connections[connection] = _Connection(revision)
        self._connections[connection].watches[ask.request] = watch
        self._places.add(connection, watch)
        matched = []
        for change in missed:
            events = [event for event in change.events if watch.matches(event.space, event.key)]
            if events:
                matched.append(_part(change, events))
        return WatchPush(ask.request, matched, revision)

    def end(self, connection: int, request: int) -> None:
        watching = self._connections.get(connection)
        if watching is None or request not in watching.watches:
            return
        self._places.remove(connection, watching.watches.pop(request))
        if not watching.watches:
            del self._connections[connection]
            self._due.pop(connection, None)

    def end_connection(self, connection: int) -> None:
        watching = self._connections.get(connection)
        if watching is not None:
            for request in list(watching.watches):
                self.end(connection, request)

    def end_all(self) -> list[tuple[int, int]]:
        """(connection, request) of each watch that was."""
        ended = [(connection, request) for connection, watching in self._connections.items() for request in watching.watches]
        self._connections.clear()
        self._places.clear()
        self._due.clear()
        return ended

    def __bool__(self) -> bool:
        """Anybody watches anything."""
        return bool(self._connections)

    def asks(self) -> list[tuple[int, WatchAsk]]:
        """(connection, what was asked) of each."""
        return [(connection, watch.ask) for connection, watching in self._connections.items() for watch in watching.watches.values()]

    def is_behind(self, revision: Revision) -> bool:
        return bool(self._connections) and self._seen < revision

    def seen(self) -> Revision:
        return self._seen

    def has_due(self) -> bool:
        return bool(self._due)

    def see(self, changes: list[Change], revision: Revision) -> None:
        """`changes` are all from seen() + 1 to `revision`."""
        self._seen = revision
        self._has_seen_more = True
        due = self._due
        for change in changes:
            for event in change.events:
                for watchers in self._places.watchers(event.space, event.key):
                    for connection, watches in watchers.items():
                        due.setdefault(connection, []).append((change, event, watches))

    def push(self, room: int) -> Iterator[tuple[int, WatchPush | WatchProgress]]:
        """What is due, in about so many bytes. Who has more due than there is room for goes behind the others with the rest."""
        waiting, seen = self._due, self._seen
        while waiting and room > 0:
            connection, due = waiting.popitem(last=False)
            count, size = _share(due, room)
            room -= size
            up_to = seen
            if count < len(due):
                waiting[connection] = due[count:]
                up_to = due[count - 1][0].revision
            for request, matched in _by_watch(due[:count]):
                yield connection, WatchPush(request, matched, up_to)
        if not self._has_seen_more:
            return
        self._has_seen_more = False
        for connection, watching in self._connections.items():
            if seen - watching.told >= self._silent_revisions_max and connection not in waiting:
                watching.told = seen
                yield connection, WatchProgress(0, seen)


def _share(due: Sequence[_Due], room: int) -> tuple[int, int]:
    """How many of them fill so many bytes as whole changes, one at least; and the bytes that these are."""
    size = 0
    for number, (change, event, watches) in enumerate(due):
        if size >= room and change is not due[number - 1][0]:
            return number, size
        size += len(watches) * (PUSH_BYTES_LEAST + len(event.key) + len(event.value))
    return len(due), size


def _by_watch(due: Sequence[_Due]) -> Iterator[tuple[int, list[Change]]]:
    """To each request its part of the changes. A watch that began after a change has been told of it."""
    if len(due) == 1 and len(due[0][0].events) == 1:  # as most often: the same to all that want it
        change, _, watches = due[0]
        for request, watch in watches.items():
            if watch.since < change.revision:
                yield request, [change]
        return
    found: dict[int, list[tuple[Change, list[Event]]]] = {}
    for change, event, watches in due:
        for request, watch in watches.items():
            if watch.since < change.revision:
                parts = found.setdefault(request, [])
                if parts and parts[-1][0] is change:
                    parts[-1][1].append(event)
                else:
                    parts.append((change, [event]))
    for request, parts in found.items():
        yield request, [_part(change, events) for change, events in parts]


def _part(change: Change, events: list[Event]) -> Change:
    return change if len(events) == len(change.events) else Change(change.revision, events)
