"""What a watch has received and its owner has not taken yet: bounded, and continued from where it stopped. Pure."""

from collections import deque
from typing import NamedTuple, Protocol

from coordnode.client.actions import WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.core import ClientCore
from coordnode.errors import CoordError, HistoryGone
from coordnode.ids import Revision
from coordnode.services.commands import KV, Change

WAITING_BYTES_MAX = 16 * 1024 * 1024
CHANGE_CHARGE_BYTES = 200


class Scope(NamedTuple):
    """What a watch looks at: keys in [start, end) of one space (end empty: no end)."""

    start: bytes
    end: bytes
    space: int = KV


class Receiver(Protocol):
    """What subscriptions tell of, by their numbers."""

    def on_event(self, event: WatchEvents | WatchGapSeen | WatchFailed) -> None: ...


class Inbox:
    """When too much waits, the subscription ends; it is taken up again, without a gap, once all of it was taken."""

    def __init__(
        self,
        core: ClientCore,
        inboxes: dict[int, Receiver],
        scope: Scope,
        from_revision: int,
        now_ms: int,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self._core = core
        self._inboxes = inboxes  # by the number of the subscription; each inbox keeps its own place there
        self._scope = scope
        self._changes: deque[Change] = deque()
        self._bytes = 0
        self._bytes_max = waiting_bytes_max
        self._continue_at = 0  # 0: the subscription is in force
        self.error: CoordError | None = None  # raised once everything before it was taken
        self.up_to: Revision | None = None  # everything that matches, up to here, was received; None: not in force yet
        self._number = 0
        self._subscribe(from_revision, now_ms)

    def on_event(self, event: WatchEvents | WatchGapSeen | WatchFailed) -> None:
        if isinstance(event, WatchGapSeen):
            self.error = HistoryGone(
                f"changes before revision {event.floor} are no longer kept: read the keys, then watch from there", floor=event.floor
            )
        elif isinstance(event, WatchFailed):
            self.error = event.error
        elif not self._continue_at:
            self.up_to = event.up_to
            self._changes.extend(event.changes)
            self._bytes += sum(map(_charge, event.changes))
            if self._bytes > self._bytes_max:
                self._unsubscribe()
                self._continue_at = event.up_to + 1

    def take(self, now_ms: int) -> Change | None:
        if self._changes:
            change = self._changes.popleft()
            self._bytes -= _charge(change)
            return change
        if self._continue_at and self.error is None:
            self._subscribe(self._continue_at, now_ms)
            self._continue_at = 0
        return None

    def has_changes(self) -> bool:
        return bool(self._changes)

    def has_something(self) -> bool:
        return bool(self._changes) or self.error is not None

    def end(self) -> None:
        self._unsubscribe()

    def _subscribe(self, from_revision: int, now_ms: int) -> None:
        self._number = self._core.watch(self._scope.start, self._scope.end, from_revision, now_ms, space=self._scope.space)
        self._inboxes[self._number] = self

    def _unsubscribe(self) -> None:
        self._core.unwatch(self._number)
        self._inboxes.pop(self._number, None)


def _charge(change: Change) -> int:
    return CHANGE_CHARGE_BYTES + sum(len(event.key) + len(event.value) + CHANGE_CHARGE_BYTES for event in change.events)
