"""When a session's lease is to be renewed, and until when a renewal may be relied on. Pure arithmetic."""

from coordnode.ids import NO_SESSION, SessionId
from coordnode.limits import CLOCK_RATE_ERROR_PPM


def believed_ms(ttl_ms: int) -> int:
    """How long after sending a renewal its answer may be relied on.

    The leader counts ttl_ms on a clock that may run fast, we count on one that may run slow, and our clock is read
    in whole milliseconds: (1 - e) / (1 + e) of the ttl is at least ttl * (1 - 2e).
    """
    return ttl_ms - -(-2 * ttl_ms * CLOCK_RATE_ERROR_PPM // 1_000_000) - 1


class Renewal:
    """Asked for after a third of the ttl, and again every twelfth while it is unanswered."""

    __slots__ = ("_due_ms", "ask_at_ms", "closing", "id", "ttl_ms", "until_ms")

    def __init__(self, ttl_ms: int) -> None:
        self.id: SessionId = NO_SESSION
        self.ttl_ms = ttl_ms
        self.until_ms = 0  # 0: never confirmed
        self.ask_at_ms = 0
        self.closing = False
        self._due_ms = 0  # of the next renewal, had nothing been asked since the last one

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

    def _confirm(self, sent_ms: int, ttl_ms: int) -> None:
        self.ttl_ms = ttl_ms
        self.until_ms = sent_ms + believed_ms(ttl_ms)
        self._due_ms = self.ask_at_ms = sent_ms + ttl_ms // 3
