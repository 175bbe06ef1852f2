"""Which sessions are there, by the log: whose they are and since when. Reads that list them, or name owners, are held against it. Pure."""


class Present:
    __slots__ = ("owner", "since_ms", "ttl_ms")

    def __init__(self, owner: str, ttl_ms: int, since_ms: int) -> None:
        self.owner = owner
        self.ttl_ms = ttl_ms
        self.since_ms = since_ms


class Presence:
    def __init__(self) -> None:
        self.sessions: dict[int, Present] = {}
        self.now_ms = 0  # of the last command, as the cluster counts

    def opened(self, session: int, owner: str, ttl_ms: int) -> None:
        self.sessions.setdefault(session, Present(owner, ttl_ms, self.now_ms))

    def ended(self, session: int) -> None:
        self.sessions.pop(session, None)

    def owner_of(self, session: int) -> str:
        """Nothing, once it is over."""
        found = self.sessions.get(session)
        return found.owner if found is not None else ""
