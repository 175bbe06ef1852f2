"""How many sessions each identity has opened through this leader that are not over. Local, and forgotten with the leadership. Pure."""

from coordnode.errors import Overloaded
from coordnode.ids import SessionId

RETRY_MS = 1_000


class Openings:
    """What is proposed and not applied yet does not count: there is only so much of that (client-requests-max)."""

    def __init__(self, sessions_max: int) -> None:
        self.sessions_max = sessions_max
        self.refused = 0
        self._opened: dict[SessionId, str] = {}
        self._counts: dict[str, int] = {}

    def check(self, identity: str) -> None:
        """Raises Overloaded."""
        if self._counts.get(identity, 0) >= self.sessions_max:
            self.refused += 1
            raise Overloaded(f"this client has {self.sessions_max} sessions already; close some, or share one", retry_after_ms=RETRY_MS)

    def opened(self, session: SessionId, identity: str) -> None:
        if session not in self._opened:
            self._opened[session] = identity
            self._counts[identity] = self._counts.get(identity, 0) + 1

    def ended(self, session: SessionId) -> None:
        identity = self._opened.pop(session, None)
        if identity is not None:
            self._counts[identity] -= 1
            if not self._counts[identity]:
                del self._counts[identity]

    def forget(self) -> None:
        self._opened.clear()
        self._counts.clear()
