"""The sessions of one client: their numbering of requests, and when which lease wants to be renewed or judged. Pure."""

from collections import deque

from coordnode.client.actions import SessionChanged, SessionState
from coordnode.client.lease import Lease
from coordnode.ids import NO_SESSION, SessionId
from coordnode.limits import CLIENT_SESSION_WINDOW
from coordnode.services.commands import SessionOpened
from coordnode.services.dialogue import KeepAliveReply

NEVER = 2**62


class Session:
    __slots__ = ("lease", "next_sequence", "number", "open_sequences", "state", "waiting")

    def __init__(self, number: int, ttl_ms: int, next_sequence: int) -> None:
        self.number = number  # of the call that opens it, too
        self.lease = Lease(ttl_ms)
        self.state = SessionState.OPENING  # as last announced
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
    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._by_id: dict[SessionId, Session] = {}  # those that are open
        self.attend_at_ms = 0  # none needs anything before this

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
            self._by_id.pop(session.lease.id, None)
            session.lease.end()
        return session

    def on_opened(self, number: int, opened: SessionOpened, first_sent_ms: int, now_ms: int) -> Session | None:
        session = self._sessions.get(number)
        if session is not None:
            session.lease.on_opened(opened.session, opened.ttl_ms, first_sent_ms, now_ms)
            self._by_id[opened.session] = session
            self.attend_at_ms = 0
        return session

    def on_connected(self) -> None:
        self.attend_at_ms = 0
        for session in self._by_id.values():
            session.lease.on_connected()

    def on_disconnected(self) -> None:
        self.attend_at_ms = 0

    def on_renewed(self, answer: KeepAliveReply, sent_ms: int) -> list[Session]:
        """Those that the cluster says are over."""
        self.attend_at_ms = 0
        for session_id, ttl_ms in answer.alive:
            session = self._by_id.get(session_id)
            if session is not None:
                session.lease.on_alive(sent_ms, ttl_ms)
        return [self._by_id[session_id] for session_id in answer.expired if session_id in self._by_id]

    def judge(self, now_ms: int, *, is_connected: bool) -> tuple[list[SessionChanged], list[Session]]:
        """What changed, and those whose time ran out; finds out when to look again."""
        attend_at_ms = NEVER
        changed: list[SessionChanged] = []
        lost: list[Session] = []
        for session in self._sessions.values():
            lease = session.lease
            state = lease.state(now_ms)
            if state is SessionState.LOST:
                lost.append(session)
                continue
            if state is not session.state:
                session.state = state
                changed.append(SessionChanged(session.number, lease.id, state, lease.until_ms))
            changes_at_ms = lease.changes_at_ms(now_ms)
            if changes_at_ms is not None:
                attend_at_ms = min(attend_at_ms, changes_at_ms)
            if is_connected and lease.id != NO_SESSION and not lease.closing:
                attend_at_ms = min(attend_at_ms, max(lease.ask_at_ms, now_ms + 1))
        self.attend_at_ms = attend_at_ms
        return changed, lost

    def due(self, now_ms: int) -> list[SessionId]:
        """Whom one keep-alive should name now: those that are due, and those that soon will be."""
        held = [session.lease for session in self._by_id.values() if not session.lease.closing]
        if not any(now_ms >= lease.ask_at_ms for lease in held):
            return []
        asked = [lease for lease in held if now_ms + lease.ttl_ms // 12 >= lease.ask_at_ms]
        for lease in asked:
            lease.on_asked(now_ms)
        self.attend_at_ms = 0
        return [lease.id for lease in asked]

    def silence_ms(self, usual_ms: int) -> int:
        """How long a member may be silent: short leases want another one to be found before they run out."""
        return min([usual_ms, *[session.lease.ttl_ms // 3 for session in self._by_id.values()]])
