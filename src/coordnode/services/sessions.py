"""Sessions: opened once per nonce, ended by their client or by the leader's Expire, with what is left of a lease checkpointed. Pure.

Deadlines are not here: the leader alone holds them, on its own clock. Here is what survives the leader.
"""

from collections.abc import Callable, Iterator, Mapping
from struct import Struct
from typing import Any, ClassVar

import msgspec

from coordnode.errors import BadRequest, CoordError, SessionExpired, StateFull, TooLarge
from coordnode.ids import Sequence, SessionId
from coordnode.services.commands import (
    Checkpoint,
    CloseSession,
    Done,
    Expire,
    FirstResult,
    OpenSession,
    Outcome,
    ReadSessions,
    Result,
    SessionInfo,
    SessionOpened,
    SessionPage,
    Withdraw,
    encode,
)
from coordnode.services.context import Check, Context, Service, failure
from coordnode.services.requests import Requests
from coordnode.services.rights import ADMIN, ANYTHING, MANAGE, NONE, READ, SESSION, USE, Right, Rights, needs
from coordnode.services.state import Settings
from coordnode.services.tables import Table
from coordnode.services.windows import Windows

SESSIONS_ID = 1
NONCES_ID = 2

SESSION_CHARGE_BYTES = 1024  # what a session takes in memory beside its own bytes
FIRST_SEQUENCE = Sequence(1)  # of the command that came with the opening

_pack = Struct(">Q").pack


class Session(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    nonce: bytes
    ttl_ms: int
    owner: str
    opened_ms: int  # cluster_ms
    remaining_ms: int | None  # of the lease, as checkpointed; None: a new leader grants all of ttl_ms
    opened: Outcome  # what opening it was answered with, for retries with the same nonce
    parent: SessionId  # that waits for this one; it may be over
    root: SessionId  # the parent's parent's …, or the session itself


def _check_open(operation: OpenSession, settings: Settings) -> CoordError | None:
    if not 1 <= len(operation.nonce) <= settings.nonce_bytes_max:
        return BadRequest(f"the nonce has {len(operation.nonce)} bytes; give 1 to {settings.nonce_bytes_max} random ones")
    if not settings.session_ttl_ms_min <= operation.ttl_ms <= settings.session_ttl_ms_max:
        return BadRequest(
            f"the session's TTL is {operation.ttl_ms} ms; give {settings.session_ttl_ms_min} to {settings.session_ttl_ms_max} ms"
        )
    if len(operation.owner.encode()) > settings.owner_bytes_max:
        return TooLarge(f"the session's owner has more than {settings.owner_bytes_max} bytes; shorten it")
    if operation.parent < 0:
        return BadRequest(f"there is no session {operation.parent} that could wait for this one; name 0 for none")
    return None


def _level_of_open(operation: OpenSession) -> int:
    return 4 if operation.user else 3 if operation.parent else 1


def _check_read(operation: ReadSessions, settings: Settings) -> CoordError | None:
    if not 0 <= operation.after < 2**53 or operation.limit < 0:
        return BadRequest("a list of sessions begins after an id and has a limit: neither is below 0")
    return None


def _check_close(operation: CloseSession, settings: Settings) -> CoordError | None:
    if operation.session <= 0:
        return BadRequest(f"there is no session {operation.session}; name the one to close")
    return None


class Sessions(Service):
    ADDS_DATA: ClassVar[tuple[type, ...]] = (OpenSession,)
    LEVELS: ClassVar[Mapping[type, int]] = {OpenSession: 1, CloseSession: 1, Expire: 1, Checkpoint: 1, Withdraw: 1, ReadSessions: 1}
    LEVELS_OF: ClassVar[Mapping[type, Callable[[Any], int]]] = {OpenSession: _level_of_open}
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        OpenSession: (Right(ADMIN, USE, over=ANYTHING), Right(ADMIN, MANAGE, "parent", SESSION)),
        CloseSession: needs(ADMIN, MANAGE, "session", SESSION),
        ReadSessions: needs(ADMIN, READ, over=NONE),
    }
    CHECKS: ClassVar[Mapping[type, Check]] = {OpenSession: _check_open, CloseSession: _check_close, ReadSessions: _check_read}

    def __init__(self, context: Context, requests: Requests) -> None:
        super().__init__(context)
        self._requests = requests
        self.keys_of: Callable[[SessionId], int] = lambda session: 0  # set by the machine: how many keys are bound to a session
        self.table: Table[Session] = Table(SESSIONS_ID, Session)
        self.nonces: Table[int] = Table(NONCES_ID, int)  # nonce -> session
        self.windows = Windows(context.settings, context.scalars)  # one for each session in `table`
        self.containers = (self.table, self.nonces, self.windows)
        self.routes = {
            OpenSession: self.open,
            CloseSession: self.close,
            Expire: self.expire,
            Checkpoint: self.checkpoint,
            Withdraw: self.withdraw,
        }
        self.reads = {ReadSessions: self.page}

    def get(self, session: SessionId) -> Session | None:
        return self.table.get(_pack(session)) if session > 0 else None

    def owner_of(self, session: SessionId) -> str:
        """What it said of itself when it was opened; nothing, once it is over."""
        found = self.get(session)
        return found.owner if found is not None else ""

    def find_opened(self, nonce: bytes) -> Outcome | None:
        """What the session with this nonce was answered with when it was opened; None: it never was."""
        found = self.nonces.get(nonce)
        if found is None:
            return self._requests.find_opening(nonce)
        session = self.get(SessionId(found))
        assert session is not None
        return session.opened

    def items(self) -> Iterator[tuple[SessionId, Session]]:
        """In the order of their ids."""
        for key, session in self.table.items():
            yield SessionId(int.from_bytes(key, "big")), session

    def root_of(self, session: SessionId) -> SessionId:
        found = self.get(session)
        return found.root if found is not None else session

    def lineage(self, session: SessionId) -> list[SessionId]:
        """The session, the one that waits for it, the one that waits for that, and so on, as far as they live."""
        line: list[SessionId] = []
        while len(line) < self.context.settings.session_depth_max and (found := self.get(session)) is not None:
            line.append(session)
            session = found.parent  # opened before its child, so there is no circle
        return line

    def page(self, operation: ReadSessions, items_max: int, bytes_max: int) -> SessionPage:
        count = min(operation.limit or items_max, items_max)
        found: list[SessionInfo] = []
        for key, session in self.table.scan(_pack(operation.after + 1)):
            if len(found) == count:
                return SessionPage(self.context.scalars.revision, found, True)
            name = SessionId(int.from_bytes(key, "big"))
            open_ms = self.context.shown_ms - session.opened_ms
            found.append(SessionInfo(name, session.ttl_ms, session.owner, open_ms, self.keys_of(name)))
        return SessionPage(self.context.scalars.revision, found, False)

    # --- handlers ------------------------------------------------------------------------------------------------------

    def open(self, operation: OpenSession) -> Result:
        """Retries do not come here: the machine answers them with `find_opened`."""
        context = self.context
        scalars, settings = context.scalars, context.settings
        charge = SESSION_CHARGE_BYTES + len(operation.nonce) + len(operation.owner)
        if scalars.state_bytes + charge > settings.state_bytes_max:
            grown = scalars.state_bytes + charge
            return failure(StateFull(f"a session would make {grown} bytes, at most {settings.state_bytes_max} in all; close another"))
        session = scalars.session_next
        if operation.parent >= session:
            return failure(BadRequest(f"session {operation.parent} cannot wait for this one: there never was one of that number"))
        scalars.session_next = SessionId(session + 1)
        if operation.user:
            context.own(session, operation.user)
        window = self.windows.open(session)
        self.nonces.set(operation.nonce, session)
        first: FirstResult | None = None
        if operation.first is not None:
            self._keep(session, operation, b"")  # who owns it, and who waits for it, is asked by what comes first
            context.session = session
            carried_out = context.execute(operation.first)
            assert isinstance(carried_out, FirstResult)
            first = carried_out
            kept = Outcome(context.index, context.position, encode(first))
            self.windows.keep(window, session, FIRST_SEQUENCE, FIRST_SEQUENCE, kept)
        result = SessionOpened(session, operation.ttl_ms, scalars.revision, first)
        answer = encode(result)
        self._keep(session, operation, answer)
        scalars.state_bytes += charge + len(answer)
        return result

    def _keep(self, session: SessionId, operation: OpenSession, answer: bytes) -> None:
        context = self.context
        opened = Outcome(context.index, context.position, answer)
        parent = self.get(operation.parent)
        root = parent.root if parent is not None else session
        kept = Session(operation.nonce, operation.ttl_ms, operation.owner, context.cluster_ms, None, opened, operation.parent, root)
        self.table.set(_pack(session), kept)

    def close(self, operation: CloseSession) -> Result:
        if self.get(operation.session) is None:
            return failure(session_over(operation.session))
        self._end(operation.session, is_clean=True, is_last=True)
        return Done(self.context.scalars.revision)

    def expire(self, operation: Expire) -> Result:
        """`changed` counts the sessions that were still there."""
        if operation.term != self.context.term:
            return failure(BadRequest(f"an expiry of term {operation.term} stands in an entry of term {self.context.term}: it is void"))
        if (error := self._check_count(len(operation.sessions))) is not None:
            return failure(error)
        over = [session for session in dict.fromkeys(operation.sessions) if self.get(session) is not None]
        for session in over:
            self._end(session, is_clean=False, is_last=session == over[-1])
        return Done(self.context.scalars.revision, len(over))

    def checkpoint(self, operation: Checkpoint) -> Result:
        if (error := self._check_count(len(operation.remaining_ms))) is not None:
            return failure(error)
        return Done(self.context.scalars.revision, sum([self._note(session, left) for session, left in operation.remaining_ms]))

    def withdraw(self, operation: Withdraw) -> Result:
        if (error := self._check_count(len(operation.sessions))) is not None:
            return failure(error)
        return Done(self.context.scalars.revision, sum([self._note(session, None) for session in operation.sessions]))

    def _note(self, session: SessionId, remaining_ms: int | None) -> bool:
        """Whether that changed anything."""
        found = self.get(session)
        if found is None:
            return False
        if remaining_ms is not None:
            remaining_ms = max(0, min(remaining_ms, found.ttl_ms))
        if found.remaining_ms == remaining_ms:
            return False
        self.table.set(_pack(session), msgspec.structs.replace(found, remaining_ms=remaining_ms))
        return True

    def _check_count(self, count: int) -> CoordError | None:
        count_max = self.context.settings.expire_sessions_max
        if count <= count_max:
            return None
        return TooLarge(f"one entry names at most {count_max} sessions, not {count}; send the rest in another")

    def _end(self, session: SessionId, *, is_clean: bool, is_last: bool) -> None:
        """Every service lets go of it, and all that this changes is one revision; that of the last one has what all of them leave to do."""
        found = self.get(session)
        assert found is not None
        self.context.end_session(session, is_clean)
        if is_last:
            self.context.settle()
        self.context.publish()
        self.windows.close(session)
        self.nonces.delete(found.nonce)
        self._requests.keep_opening(found.nonce, found.opened)
        self.table.delete(_pack(session))
        self.context.scalars.state_bytes -= SESSION_CHARGE_BYTES + len(found.nonce) + len(found.owner) + len(found.opened.result)


def session_over(session: SessionId) -> SessionExpired:
    return SessionExpired(f"session {session} is over: it expired, was closed or never was; open a new one")
