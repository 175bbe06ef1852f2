"""One session's lease, seen from the client: what may be believed until when, and when to renew. Pure arithmetic."""

from enum import Enum

from coordnode.ids import NO_SESSION, SessionId
from coordnode.limits import CLOCK_RATE_ERROR_PPM


class SessionState(Enum):
    """What a client may believe about its session, at a moment of its own clock."""

    OPENING = "opening"  # not confirmed yet: claims nothing
    HELD = "held"  # confirmed lately; the cluster keeps it at least until `until_ms`
    UNSURE = "unsure"  # a renewal is overdue; the cluster still keeps it until `until_ms`
    LOST = "lost"  # `until_ms` passed without a renewal, or the cluster said that it is over; never comes back


def believed_ms(ttl_ms: int) -> int:
    """How long after sending a renewal its answer may be relied on.

    The leader counts ttl_ms on a clock that may run fast, we count on one that may run slow, and our clock is read
    in whole milliseconds: (1 - e) / (1 + e) of the ttl is at least ttl * (1 - 2e).
    """
    return ttl_ms - -(-2 * ttl_ms * CLOCK_RATE_ERROR_PPM // 1_000_000) - 1


class Lease:
    """HELD until two thirds of the ttl went by without a confirmed renewal, then UNSURE until `until_ms`, then LOST.

    A renewal is asked for after a third of the ttl, and again every twelfth while it is unanswered.
    """

    __slots__ = ("_due_ms", "_over", "_unsure_at_ms", "ask_at_ms", "closing", "id", "ttl_ms", "until_ms")

    def __init__(self, ttl_ms: int) -> None:
        self.id: SessionId = NO_SESSION
        self.ttl_ms = ttl_ms
        self.until_ms = 0  # 0: never confirmed
        self.ask_at_ms = 0
        self.closing = False
        self._due_ms = 0  # of the next renewal, had nothing been asked since the last one
        self._unsure_at_ms = 0
        self._over = False

    def on_opened(self, session: SessionId, ttl_ms: int, first_sent_ms: int, now_ms: int) -> None:
        """Counts from the first attempt: that one may have opened the session, and later ones only found it."""
        assert session != NO_SESSION
        self.id = session
        self._confirm(first_sent_ms, ttl_ms)
        if now_ms >= self.until_ms:
            self.until_ms = 0
            self.ask_at_ms = now_ms

    def on_asked(self, now_ms: int) -> None:
        self.ask_at_ms = now_ms + self.ttl_ms // 12

    def on_connected(self) -> None:
        """What was asked on an earlier connection will not be answered."""
        self.ask_at_ms = min(self.ask_at_ms, self._due_ms)

    def on_alive(self, sent_ms: int, ttl_ms: int) -> None:
        if sent_ms + believed_ms(ttl_ms) > self.until_ms:
            self._confirm(sent_ms, ttl_ms)

    def end(self) -> None:
        self._over = True

    def state(self, now_ms: int) -> SessionState:
        """Once LOST was seen it stays: nobody who was told so may find the session held again."""
        if self._over:
            return SessionState.LOST
        if self.until_ms == 0:
            return SessionState.OPENING
        if now_ms >= self.until_ms:
            self._over = True
            return SessionState.LOST
        return SessionState.HELD if now_ms < self._unsure_at_ms else SessionState.UNSURE

    def changes_at_ms(self, now_ms: int) -> int | None:
        """When the state changes next if nothing is heard."""
        if self._over or self.until_ms == 0:
            return None
        return self._unsure_at_ms if now_ms < self._unsure_at_ms else self.until_ms

    def _confirm(self, sent_ms: int, ttl_ms: int) -> None:
        self.ttl_ms = ttl_ms
        self.until_ms = sent_ms + believed_ms(ttl_ms)
        self._unsure_at_ms = min(self.until_ms, sent_ms + 2 * ttl_ms // 3)
        self._due_ms = self.ask_at_ms = sent_ms + ttl_ms // 3
