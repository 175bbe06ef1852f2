"""Sessions that take turns at locks and elections, for tests that read like a conversation."""

from coordnode import errors
from coordnode.ids import Sequence, SessionId, Term, Token
from coordnode.services.commands import (
    ELECTIONS,
    LOCKS,
    NOTICES,
    SEMAPHORE,
    Acquire,
    BreakLock,
    Campaign,
    CloseSession,
    Command,
    Elected,
    Event,
    Expire,
    Failure,
    LockGranted,
    LockQueued,
    LockReleased,
    LockView,
    Notice,
    OpenSession,
    Operation,
    ReadLock,
    ReadOperation,
    Release,
    Result,
    Wake,
    decode_notice,
    decode_result,
)

from .driven import Driven, alone


class Scene:
    def __init__(self, sessions: int = 0, **settings: int) -> None:
        self.driven = Driven(**settings)
        self.machine = self.driven.machine
        self.sequences: dict[int, int] = {}
        self.opened = 0
        for _ in range(sessions):
            self.open()

    def open(self, parent: int = 0, owner: str = "") -> SessionId:
        self.opened += 1
        self.driven.one(alone(OpenSession(b"n%d" % self.opened, 10_000, owner or f"s{self.opened}", None, SessionId(parent))))
        return SessionId(self.opened)

    def do(self, session: int, operation: Operation) -> Result:
        return self.driven.one(self.command(session, operation))

    def command(self, session: int, operation: Operation) -> Command:
        if not session:
            return alone(operation)
        self.sequences[session] = sequence = self.sequences.get(session, 0) + 1
        return Command(SessionId(session), Sequence(sequence), Sequence(sequence), "", operation)

    def acquire(self, session: int, name: bytes = b"a", kind: int = 0, **more: object) -> Result:
        return self.do(session, Acquire(name, kind, **more))  # type: ignore[arg-type]

    def take(self, session: int, name: bytes = b"a", kind: int = 0, **more: object) -> Token:
        granted = self.acquire(session, name, kind, **more)
        assert isinstance(granted, LockGranted), granted
        return granted.token

    def queue(self, session: int, name: bytes = b"a", kind: int = 0, **more: object) -> Token:
        queued = self.acquire(session, name, kind, **more)
        assert isinstance(queued, LockQueued), queued
        return queued.ticket

    def take_permits(self, session: int, permits: int, limit: int, name: bytes = b"a") -> Token:
        return self.take(session, name, SEMAPHORE, permits=permits, limit=limit)

    def release(self, session: int, number: int, name: bytes = b"a") -> LockReleased:
        released = self.do(session, Release(name, Token(number)))
        assert isinstance(released, LockReleased), released
        return released

    def break_lock(self, name: bytes = b"a", token: int = 0, reason: str = "why", by: str = "ann") -> Result:
        return self.do(0, BreakLock(name, Token(token), reason, by))

    def lead(self, session: int, name: bytes = b"e", **more: object) -> Token:
        elected = self.do(session, Campaign(name, **more))  # type: ignore[arg-type]
        assert isinstance(elected, Elected), elected
        return elected.token

    def close(self, session: int) -> Result:
        return self.do(0, CloseSession(SessionId(session)))

    def expire(self, *sessions: int) -> Result:
        return self.do(0, Expire(Term(1), [SessionId(session) for session in sessions]))

    def at(self, cluster_ms: int) -> None:
        self.driven.cluster_ms = cluster_ms

    def wake(self) -> Result:
        return self.do(0, Wake())

    def read(self, operation: ReadOperation, items_max: int = 1024) -> Result:
        return decode_result(self.machine.read(operation, items_max))

    def view(self, name: bytes = b"a") -> LockView:
        view = self.read(ReadLock(name))
        assert isinstance(view, LockView)
        return view

    def holders(self, name: bytes = b"a") -> list[int]:
        return [holder.session for holder in self.view(name).holders]

    def waiters(self, name: bytes = b"a") -> list[int]:
        return [waiter.session for waiter in self.view(name).waiters]

    def events(self, space: int = LOCKS, after: int = 0) -> list[Event]:
        changes = self.machine.changes(after, self.machine.revision)  # type: ignore[arg-type]
        return [event for change in changes for event in change.events if event.space == space]

    def notices(self, session: int) -> list[Notice]:
        told = [event for event in self.events(NOTICES) if event.session == session]
        assert all(event.key == session.to_bytes(8, "big") and event.kind in (LOCKS, ELECTIONS) for event in told)
        return [decode_notice(event.value) for event in told]

    def state(self) -> bytes:
        """To compare before and after what shall change nothing: without what every entry and every answer changes."""
        rows = [(number, list(container.items())) for number, container in sorted(self.machine.containers.items()) if number != 3]
        scalars = self.machine.scalars
        return repr((rows, scalars.revision, scalars.token_next, scalars.history_count)).encode()


def refused(result: object, kind: type[errors.CoordError], *words: str) -> None:
    assert isinstance(result, Failure), result
    assert result.code == kind.code, result
    for word in words:
        assert word in result.sentence
