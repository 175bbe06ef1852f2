"""What one session is told: one subscription for all services, which goes on for as long as the session. Pure.

A sink sees every notice, those of other services, too, in order; it only takes note, as it is called in the middle of things.
Whoever attaches it does so before it asks for what the notices will be about. When some notices were missed for good (they are
older than the history), or nobody lets us listen for now, `gaps` grows: then read what became of what you hold and await. A read
made after that is enough: what is told from there on arrives here, or is another gap.
"""

from collections.abc import Callable
from struct import Struct

from coordnode.client.actions import WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.core import ClientCore
from coordnode.client.inboxes import Receiver
from coordnode.ids import Revision, SessionId
from coordnode.services.commands import NOTICES, Notice, decode_notice

Sink = Callable[[Notice], None]

_pack_session = Struct(">Q").pack


class Notices:
    def __init__(self, core: ClientCore, receivers: dict[int, Receiver], session: SessionId) -> None:
        self._core = core
        self._receivers = receivers
        self._key = _pack_session(session)
        self._sinks: list[Sink] = []
        self._number = 0  # of the subscription; 0: none is wanted yet
        self._is_over = False
        self.gaps = 0

    def attach(self, sink: Sink) -> None:
        self._sinks.append(sink)

    def detach(self, sink: Sink) -> None:
        self._sinks.remove(sink)

    def start(self, from_revision: int, now_ms: int) -> None:
        """Nothing before this revision is of interest to who asks; who asked earlier has asked for what is earlier."""
        if not self._number and not self._is_over:
            self._subscribe(Revision(from_revision), now_ms)

    def end(self) -> None:
        self._is_over = True
        if self._number:
            self._core.unwatch(self._number)
            self._receivers.pop(self._number, None)
            self._number = 0

    def on_event(self, event: WatchEvents | WatchGapSeen | WatchFailed) -> None:
        if isinstance(event, WatchGapSeen):
            self._receivers.pop(self._number, None)
            self.gaps += 1
            self._subscribe(event.floor, 0)
        elif isinstance(event, WatchFailed):
            self.gaps += 1
        else:
            for change in event.changes:
                for told in change.events:
                    notice = decode_notice(told.value)
                    for sink in self._sinks:
                        sink(notice)

    def _subscribe(self, from_revision: Revision, now_ms: int) -> None:
        self._number = self._core.watch(self._key, self._key + b"\0", from_revision, now_ms, space=NOTICES, is_lasting=True)
        self._receivers[self._number] = self
