"""Who watches what on this member. Local: in neither snapshot nor digest. Pure."""

from coordnode.ids import Revision
from coordnode.services.commands import Change
from coordnode.services.dialogue import WatchAsk, WatchPush

SILENT_REVISIONS_MAX = 1_000  # a watch that nothing matches is still told how far it has seen, so that resuming stays cheap


class _Watch:
    __slots__ = ("connection", "end", "request", "seen", "start")

    def __init__(self, connection: int, ask: WatchAsk, seen: Revision) -> None:
        self.connection = connection
        self.request = ask.request
        self.start = ask.start
        self.end = ask.end
        self.seen = seen  # everything up to here was told

    def matching(self, changes: list[Change]) -> list[Change]:
        start, end = self.start, self.end
        matched = []
        for change in changes:
            events = [event for event in change.events if event.key >= start and (not end or event.key < end)]
            if events:
                matched.append(change if len(events) == len(change.events) else Change(change.revision, events))
        return matched


class Watching:
    def __init__(self) -> None:
        self._watches: dict[tuple[int, int], _Watch] = {}
        self._told = Revision(0)  # every watch has been shown everything up to here

    def begin(self, connection: int, ask: WatchAsk, missed: list[Change], revision: Revision) -> WatchPush:
        """`missed`: the changes from ask.start_revision up to `revision`, which is as far as this member is now."""
        watch = _Watch(connection, ask, revision)
        if not self._watches:
            self._told = revision
        self._watches[connection, ask.request] = watch
        return WatchPush(ask.request, watch.matching(missed), revision)

    def end(self, connection: int, request: int) -> None:
        self._watches.pop((connection, request), None)

    def end_connection(self, connection: int) -> None:
        for key in [key for key in self._watches if key[0] == connection]:
            del self._watches[key]

    def end_all(self) -> list[tuple[int, int]]:
        """(connection, request) of each watch that was."""
        ended = list(self._watches)
        self._watches.clear()
        return ended

    def is_behind(self, revision: Revision) -> bool:
        return bool(self._watches) and self._told < revision

    def told(self) -> Revision:
        return self._told

    def push(self, changes: list[Change], revision: Revision) -> list[tuple[int, WatchPush]]:
        """`changes` are all from told() + 1 to `revision`."""
        pushes = []
        for watch in self._watches.values():
            if watch.seen >= revision:
                continue
            fresh = changes if watch.seen <= self._told else [change for change in changes if change.revision > watch.seen]
            matched = watch.matching(fresh)
            if matched or revision - watch.seen >= SILENT_REVISIONS_MAX:
                watch.seen = revision
                pushes.append((watch.connection, WatchPush(watch.request, matched, revision)))
        self._told = revision
        return pushes
