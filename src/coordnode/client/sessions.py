"""The sessions of one client: their numbering of requests, and when which lease wants to be renewed or judged. Pure."""

from collections import deque
from heapq import heappop, heappush

from coordnode.client.actions import SessionChanged
from coordnode.client.lease import Lease, SessionState
from coordnode.ids import NO_SESSION, SessionId
from coordnode.limits import CLIENT_SESSION_WINDOW
from coordnode.services.commands import SessionOpened
from coordnode.services.dialogue import KeepAliveReply

NEVER = 2**62


class Session:
    __slots__ = ("ask_at_ms", "lease", "look_at_ms", "next_sequence", "number", "open_sequences", "state", "ttl_ms", "waiting")

    def __init__(self, number: int, ttl_ms: int, next_sequence: int) -> None:
        self.number = number  # of the call that opens it, too
        self.lease = Lease(ttl_ms)
        self.ttl_ms = 0  # as it was opened with
        self.state = SessionState.OPENING  # as last announced
        self.look_at_ms = NEVER  # of its one valid entry in each of the two heaps
        self.ask_at_ms = NEVER
        self.next_sequence = next_sequence
        self.open_sequences: dict[int, int] = {}  # sequence -> call; ascending, not answered yet
        self.waiting: deque[int] = deque()  # calls that wait for the session to open or for room in its window

    def lowest_open(self) -> int:
        return next(iter(self.open_sequences), self.next_sequence)

    def has_room(self) -> bool:
        return self.lease.id != NO_SESSION and self.next_sequence - self.lowest_open() < CLIENT_SESSION_WINDOW

    def take_sequence(self, call: int) -> int:
        sequence = self.next_sequence
        self.next_sequence += 1
        self.open_sequences[sequence] = call
        return sequence


class Sessions:
    """A client may have thousands: nothing here looks at all of them but a new connection."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._by_id: dict[SessionId, Session] = {}  # those that are open
        self._looks: list[tuple[int, int]] = []  # heap: (not later than its state changes, session)
        self._asks: list[tuple[int, int]] = []  # heap: (when it wants to be renewed, session)
        self._ttls: dict[int, int] = {}  # TTL -> how many of those that are open

    def __bool__(self) -> bool:
        return bool(self._sessions)

    def __contains__(self, number: int) -> bool:
        return number in self._sessions

    def get(self, number: int) -> Session | None:
        return self._sessions.get(number)

    def add(self, number: int, ttl_ms: int, next_sequence: int) -> None:
        self._sessions[number] = Session(number, ttl_ms, next_sequence)

    def remove(self, number: int) -> Session | None:
        session = self._sessions.pop(number, None)
        if session is not None:
            if self._by_id.pop(session.lease.id, None) is not None:
                self._ttls[session.ttl_ms] -= 1
                if not self._ttls[session.ttl_ms]:
                    del self._ttls[session.ttl_ms]
            session.lease.end()
        return session

    def on_opened(self, number: int, opened: SessionOpened, first_sent_ms: int, now_ms: int) -> Session | None:
        session = self._sessions.get(number)
        if session is not None:
            session.lease.on_opened(opened.session, opened.ttl_ms, first_sent_ms, now_ms)
            self._by_id[opened.session] = session
            session.ttl_ms = opened.ttl_ms
            self._ttls[opened.ttl_ms] = self._ttls.get(opened.ttl_ms, 0) + 1
            self._look_at(session, 0)
            self._want_renewal(session)
        return session

    def on_connected(self) -> None:
        for session in self._by_id.values():
            session.lease.on_connected()
            self._want_renewal(session)

    def on_renewed(self, answer: KeepAliveReply, sent_ms: int) -> list[Session]:
        """Those that the cluster says are over."""
        for session_id, ttl_ms in answer.alive:
            session = self._by_id.get(session_id)
            if session is not None:
                session.lease.on_alive(sent_ms, ttl_ms)
                self._want_renewal(session)
                if session.state is not SessionState.HELD:
                    self._look_at(session, 0)
        return [self._by_id[session_id] for session_id in answer.expired if session_id in self._by_id]

    def judge(self, now_ms: int) -> tuple[list[SessionChanged], list[Session]]:
        """What changed, and those whose time ran out."""
        changed: list[SessionChanged] = []
        lost: list[Session] = []
        looks = self._looks
        while looks and looks[0][0] <= now_ms:
            at_ms, number = heappop(looks)
            session = self._sessions.get(number)
            if session is None or session.look_at_ms != at_ms:
                continue
            session.look_at_ms = NEVER
            lease = session.lease
            state = lease.state(now_ms)
            if state is SessionState.LOST:
                lost.append(session)
                continue
            if state is not session.state:
                session.state = state
                changed.append(SessionChanged(session.number, lease.id, state, lease.until_ms))
            changes_at_ms = lease.changes_at_ms(now_ms)
            if changes_at_ms is not None:  # else a renewal opens it, and says so
                self._look_at(session, changes_at_ms)
        return changed, lost

    def look_at_ms(self) -> int:
        """Nobody's state changes before this."""
        return self._looks[0][0] if self._looks else NEVER

    def ask_at_ms(self) -> int:
        """Nobody wants to be renewed before this."""
        asks = self._asks
        while asks and not self._is_valid(asks[0]):
            heappop(asks)
        return asks[0][0] if asks else NEVER

    def due(self, now_ms: int) -> list[SessionId]:
        """Whom keep-alives should name now: those that are due, and those that soon will be."""
        if self.ask_at_ms() > now_ms:
            return []
        asks = self._asks
        soon_ms = now_ms + self._sessions[asks[0][1]].ttl_ms // 12
        asked: list[Session] = []
        while asks and asks[0][0] <= soon_ms:
            entry = heappop(asks)
            if self._is_valid(entry):
                session = self._sessions[entry[1]]
                session.ask_at_ms = NEVER  # its entry is gone, also where it next wants to be renewed at the very time that stood there
                asked.append(session)
        for session in asked:
            session.lease.on_asked(now_ms)
            self._want_renewal(session)
        return [session.lease.id for session in asked]

    def silence_ms(self, usual_ms: int) -> int:
        """How long a member may be silent: short leases want another one to be found before they run out."""
        return min(usual_ms, min(self._ttls) // 3) if self._ttls else usual_ms

    def _look_at(self, session: Session, time_ms: int) -> None:
        session.look_at_ms = time_ms
        heappush(self._looks, (time_ms, session.number))

    def _want_renewal(self, session: Session) -> None:
        ask_at_ms = session.lease.ask_at_ms
        if ask_at_ms != session.ask_at_ms:
            session.ask_at_ms = ask_at_ms
            heappush(self._asks, (ask_at_ms, session.number))

    def _is_valid(self, entry: tuple[int, int]) -> bool:
        session = self._sessions.get(entry[1])
        return session is not None and session.ask_at_ms == entry[0] and not session.lease.closing
