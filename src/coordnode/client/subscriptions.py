"""The watches of one client: where each goes on, on whatever connection there is. Neither loses nor doubles a change. Pure."""

import random
from collections.abc import Callable

from coordnode.client.actions import Action, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.calls import RETRIED, error_of
from coordnode.client.route import jittered_ms
from coordnode.client.sessions import NEVER
from coordnode.errors import CoordError, NotLeader, Unknown
from coordnode.ids import Revision
from coordnode.services.dialogue import Answer, ErrorReply, WatchAsk, WatchGap, WatchPush

REFUSED_MS = 1_000  # between two tries of a lasting watch that is refused; whoever wants it reads meanwhile, once for each


class _Watch:
    __slots__ = ("end", "in_force", "is_lasting", "next_revision", "request", "space", "start", "try_at_ms", "was_in_force")

    def __init__(self, space: int, start: bytes, end: bytes, start_revision: Revision, is_lasting: bool) -> None:
        self.space = space
        self.start = start
        self.end = end
        self.is_lasting = is_lasting
        self.next_revision = start_revision  # everything below it was delivered; 0: from now on
        self.request = 0  # of the subscription on this connection
        self.in_force = False  # it was answered there
        self.try_at_ms = 0
        self.was_in_force = False


class Subscriptions:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._watches: dict[int, _Watch] = {}
        self._by_request: dict[int, int] = {}  # of this connection
        self._to_ask: dict[int, None] = {}  # those that are not asked for on this connection
        self.due_at_ms = NEVER  # when a watch wants to be asked for

    def __bool__(self) -> bool:
        return bool(self._watches)

    def add(self, number: int, space: int, start: bytes, end: bytes, start_revision: Revision, now_ms: int, *, is_lasting: bool) -> None:
        self._watches[number] = _Watch(space, start, end, start_revision, is_lasting)
        self._to_ask[number] = None
        self._due_by(now_ms)

    def remove(self, number: int) -> int:
        """The request to take back; 0: none is in force."""
        watch = self._watches.pop(number, None)
        self._to_ask.pop(number, None)
        if watch is None or not watch.request:
            return 0
        known = self._by_request.pop(watch.request, None)
        assert known == number, f"watch {number} goes by request {watch.request}, and this connection knows none such"
        return watch.request

    def end_all(self, error: CoordError) -> list[Action]:
        """But those that last: without a connection they wait for the next."""
        failed: list[Action] = [WatchFailed(number, error) for number in self._watches]
        self._watches = {number: watch for number, watch in self._watches.items() if watch.is_lasting}
        self._to_ask = {number: None for number in self._to_ask if number in self._watches}
        self._by_request = {request: number for request, number in self._by_request.items() if number in self._watches}
        return failed

    def has_request(self, request: int) -> bool:
        return request in self._by_request

    def on_connected(self, now_ms: int) -> None:
        if self._watches:
            self.due_at_ms = now_ms

    def on_disconnected(self) -> None:
        self._by_request.clear()
        for number, watch in self._watches.items():
            watch.request = 0
            watch.in_force = False
            self._to_ask[number] = None

    def due(self, now_ms: int, new_request: Callable[[], int]) -> list[WatchAsk]:
        if now_ms < self.due_at_ms:
            return []
        self.due_at_ms = NEVER
        asks = []
        waiting, self._to_ask = self._to_ask, {}
        for number in waiting:
            watch = self._watches[number]
            if now_ms < watch.try_at_ms:
                self._to_ask[number] = None
                self._due_by(watch.try_at_ms)
                continue
            watch.request = new_request()
            self._by_request[watch.request] = number
            asks.append(WatchAsk(watch.request, watch.start, watch.end, watch.next_revision, watch.space))
        return asks

    def on_answer(self, answer: Answer, now_ms: int) -> list[Action]:
        number = self._by_request[answer.request]
        watch = self._watches[number]
        if isinstance(answer, WatchPush):
            return self._on_push(number, watch, answer)
        del self._by_request[answer.request]
        watch.request = 0
        watch.in_force = False
        if isinstance(answer, WatchGap):
            del self._watches[number]
            return [WatchGapSeen(number, answer.floor)]
        error = error_of(answer.code, answer.sentence) if isinstance(answer, ErrorReply) else Unknown("not a watch's answer")
        is_refused = error.definite and not isinstance(error, RETRIED)
        failed: list[Action] = [WatchFailed(number, error)] if is_refused else []
        if is_refused and not watch.is_lasting:
            del self._watches[number]
            return failed
        if not isinstance(error, NotLeader):  # else the next connection asks at once
            retry_after_ms = answer.retry_after_ms if isinstance(answer, ErrorReply) else 0
            watch.try_at_ms = now_ms + max(retry_after_ms, REFUSED_MS if is_refused else jittered_ms(self._rng, 1))
            self._due_by(watch.try_at_ms)
        self._to_ask[number] = None
        return failed

    def on_progress(self, up_to: Revision) -> list[Action]:
        """Every watch that was answered on this connection has been told of everything up to here."""
        told: list[Action] = []
        for number in self._by_request.values():
            watch = self._watches[number]
            if watch.in_force and watch.next_revision <= up_to:
                watch.next_revision = Revision(up_to + 1)
                told.append(WatchEvents(number, [], up_to))
        return told

    def _on_push(self, number: int, watch: _Watch, push: WatchPush) -> list[Action]:
        watch.in_force = True
        changes = [change for change in push.changes if change.revision >= watch.next_revision]
        up_to = Revision(max(push.up_to, *(change.revision for change in changes), 0))
        if not changes and up_to < watch.next_revision:
            if watch.was_in_force:
                return []
            up_to = Revision(watch.next_revision - 1)  # it begins in the future: that it is in force is news all the same
        watch.was_in_force = True
        watch.next_revision = Revision(up_to + 1)
        return [WatchEvents(number, changes, up_to)]

    def _due_by(self, time_ms: int) -> None:
        self.due_at_ms = min(time_ms, self.due_at_ms)
