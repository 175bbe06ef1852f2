"""One session's lease, seen from the client: what may be believed, and when that changes. Pure arithmetic."""

from enum import Enum

from coordnode.client.renewal import Renewal


class SessionState(Enum):
    """What a client may believe about its session, at a moment of its own clock."""

    OPENING = "opening"  # not confirmed yet: claims nothing
    HELD = "held"  # confirmed lately; the cluster keeps it at least until `until_ms`
    UNSURE = "unsure"  # a renewal is overdue; the cluster still keeps it until `until_ms`
    LOST = "lost"  # `until_ms` passed without a renewal, or the cluster said that it is over; never comes back


class Lease(Renewal):
    """HELD until two thirds of the ttl went by without a confirmed renewal, then UNSURE until `until_ms`, then LOST."""

    __slots__ = ("_over", "_unsure_at_ms")

    def __init__(self, ttl_ms: int) -> None:
        super().__init__(ttl_ms)
        self._unsure_at_ms = 0
        self._over = False

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
        super()._confirm(sent_ms, ttl_ms)
        self._unsure_at_ms = min(self.until_ms, sent_ms + 2 * ttl_ms // 3)
