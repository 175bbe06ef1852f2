"""Assignments, blocking: `cluster.assignment(name)` and `cluster.assignments`; and the requests of their twins in aio_shards, too.

    session.group("workers").join(weight=2)
    with session.assignment("jobs").owned() as owned:
        for change in owned:
            if change.kind == "gained":
                start(change.shard, change.token)      # the token goes along to whatever the work changes
            else:
                stop(change.shard)
                if change.kind == "revoked":
                    owned.release(change)              # only now may somebody else have it

Whoever does not release what was revoked loses it after the assignment's time for that. Tokens keep the late ones out.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.inboxes import Inbox, Scope
from coordnode.client.lease import SessionState
from coordnode.client.notices import Notices
from coordnode.client.ownership import Move, OwnedChange, Ownership, moves_of
from coordnode.client.pump import Pump
from coordnode.client.requests import Request, as_bytes, expect
from coordnode.errors import BadRequest, Missing, NotHeld, SessionExpired, TimedOut
from coordnode.ids import NO_SESSION, SessionId, Token
from coordnode.services.commands import (
    SHARDS,
    AssignmentInfo,
    AssignmentPage,
    AssignmentView,
    ConfigureAssignment,
    CreateAssignment,
    DeleteAssignment,
    Done,
    GetAssignment,
    ListAssignments,
    ReleaseShard,
    Result,
)

Name = str | bytes
REVOKE_SECONDS = 10.0


def _changed(result: Result | None) -> bool:
    return expect(result, Done).changed > 0


def create_request(name: bytes, group: Name, shards: int, revoke: Seconds, request_id: str) -> Request[bool]:
    operation = CreateAssignment(name, as_bytes(group), shards, in_ms(revoke, "time to release a shard"))
    return Request(operation, _changed, request_id=request_id)


def configure_request(name: bytes, shards: int | None, revoke: Seconds | None, request_id: str) -> Request[bool]:
    revoke_ms = None if revoke is None else in_ms(revoke, "time to release a shard")
    return Request(ConfigureAssignment(name, shards, revoke_ms), _changed, request_id=request_id)


def delete_request(name: bytes, request_id: str) -> Request[bool]:
    return Request(DeleteAssignment(name), _changed, request_id=request_id)


def release_request(name: bytes, shard: int, token: int) -> Request[bool]:
    return Request(ReleaseShard(name, shard, Token(token)), _changed)


def view_request(name: bytes, stale: bool) -> Request[AssignmentView]:
    return Request(GetAssignment(name), lambda result: expect(result, AssignmentView), stale)


def page_request(prefix: bytes, after: bytes, stale: bool) -> Request[AssignmentPage]:
    return Request(ListAssignments(prefix, after), lambda result: expect(result, AssignmentPage), stale)


def scope_of(name: bytes) -> Scope:
    return Scope(name, name + b"\0", SHARDS)


def no_session(name: bytes) -> BadRequest:
    return BadRequest(f"shards of {name.decode(errors='replace')} are owned by sessions: use session.assignment, and join its group")


def lost_session(session: SessionId, reason: str) -> SessionExpired:
    return SessionExpired(f"session {session} is lost, and its shards with it: {reason or 'not renewed in time'}")


class Assignments:
    """All of them."""

    def __init__(self, pump: Pump, timeout_ms: int) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms

    def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> Iterator[AssignmentInfo]:
        """In the order of names, page by page."""
        after, more = b"", True
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        while more:
            page = self._pump.call(page_request(as_bytes(prefix), after, stale), timeout_ms)
            yield from page.assignments
            more = page.more
            after = page.assignments[-1].name if page.assignments else b""


class Assignment:
    """One of them, by its name: shards over the members of a group."""

    def __init__(self, pump: Pump, timeout_ms: int, name: Name, session: int = 0, session_id: SessionId = NO_SESSION) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._session = session
        self._session_id = session_id
        self.name = as_bytes(name)

    def create(
        self, group: Name, shards: int, *, revoke: Seconds = REVOKE_SECONDS, request_id: str = "", timeout: Seconds | None = None
    ) -> bool:
        """Whether it was made now; False: it is there already, the same. `revoke`: so long an owner may take to release a shard."""
        return self._pump.call(create_request(self.name, group, shards, revoke, request_id), self._limit(timeout), self._session)

    def configure(
        self, *, shards: int | None = None, revoke: Seconds | None = None, request_id: str = "", timeout: Seconds | None = None
    ) -> bool:
        """Whether that changed anything."""
        return self._pump.call(configure_request(self.name, shards, revoke, request_id), self._limit(timeout), self._session)

    def delete(self, *, request_id: str = "", timeout: Seconds | None = None) -> bool:
        """At once: every owner loses its shards. Whether it was there."""
        return self._pump.call(delete_request(self.name, request_id), self._limit(timeout), self._session)

    def view(self, *, stale: bool = False, timeout: Seconds | None = None) -> AssignmentView:
        """Who owns what, and what is being moved."""
        return self._pump.call(view_request(self.name, stale), self._limit(timeout))

    def watch(self, from_revision: int = 0) -> "MovesWatch":
        """Every move of a shard, from a revision on (0: from now on)."""
        return MovesWatch(self._pump, self._pump.watch(scope_of(self.name), from_revision))

    def owned(self) -> "OwnedShards":
        """What this session owns, from now on; only through `session.assignment`."""
        if not self._session:
            raise no_session(self.name)
        return OwnedShards(self._pump, self._timeout_ms, self.name, self._session, self._session_id)

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class MovesWatch:
    """Iterate over it for Move after Move, for ever; or take those of one revision with a time limit. Raises HistoryGone for a gap."""

    def __init__(self, pump: Pump, inbox: Inbox) -> None:
        self._pump = pump
        self._inbox = inbox

    def wait_ready(self, timeout: Seconds = 10.0) -> int:
        """Once it is in force: the revision up to which every move has been received."""
        inbox = self._inbox
        self._pump.wait_until(lambda: inbox.up_to is not None or inbox.error is not None, now_ms() + in_ms(timeout, "timeout"))
        if inbox.up_to is None:
            raise inbox.error or TimedOut("no member has taken the watch yet; try again")
        return inbox.up_to

    def take(self, timeout: Seconds | None = None) -> list[Move]:
        """Empty: there was none in this time."""
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        change = self._pump.take_change(self._inbox)
        while change is None and self._pump.wait_until(self._inbox.has_something, until_ms):
            change = self._pump.take_change(self._inbox)
        return [] if change is None else moves_of(change)

    def __iter__(self) -> Iterator[Move]:
        while True:
            yield from self.take()

    def close(self) -> None:
        self._pump.end_watch(self._inbox)


class OwnedShards:
    """Iterate over it for OwnedChange after OwnedChange, or take one with a time limit. Raises SessionExpired when the session is lost,
    after it told of every shard that is lost with it."""

    def __init__(self, pump: Pump, timeout_ms: int, name: bytes, session: int, session_id: SessionId) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._session = session
        self._session_id = session_id
        self._ownership = Ownership(name, session_id)
        self._notices: Notices | None = None
        self._gaps = -1  # of the notices, that were made good by reading

    def shards(self) -> dict[int, Token]:
        """Shard -> token, as far as changes were taken; those that are to be released, too."""
        return self._ownership.owned()

    def take(self, timeout: Seconds | None = None) -> OwnedChange | None:
        """The next change; None: there was none in this time."""
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        while True:
            is_lost = self._is_lost()
            if is_lost:
                self._ownership.lose_all()
            elif self._has_gap():
                self._read()
            change = self._ownership.take()
            if change is not None:
                return change
            if is_lost:
                raise lost_session(self._session_id, self._pump.session_state(self._session)[2])
            if not self._pump.wait_until(lambda: self._ownership.has_something() or self._has_gap() or self._is_lost(), until_ms):
                return None

    def release(self, change: OwnedChange, *, timeout: Seconds | None = None) -> bool:
        """The work on it has stopped. False: it was lost before."""
        self._ownership.released(change.shard, change.token)
        request = release_request(self._ownership.name, change.shard, change.token)
        try:
            return self._pump.call(request, self._timeout_ms if timeout is None else in_ms(timeout, "timeout"), self._session)
        except (NotHeld, Missing):
            return False

    def __iter__(self) -> Iterator[OwnedChange]:
        while True:
            change = self.take()
            assert change is not None
            yield change

    def close(self) -> None:
        """Hears of nothing any more. What is owned stays so until it is revoked, or the session or the membership ends."""
        if self._notices is not None:
            self._notices.detach(self._ownership.on_notice)
            self._notices = None

    def _is_lost(self) -> bool:
        return self._pump.session_state(self._session)[0] is SessionState.LOST

    def _has_gap(self) -> bool:
        return self._notices is None or self._notices.gaps != self._gaps

    def _read(self) -> None:
        """Listens before it reads: what is told from there on is heard, and what was told before is in the read."""
        if self._notices is None:
            self._notices = self._pump.notices(self._session, self._session_id)
            self._pump.listen(self._notices, self._ownership.on_notice, self._pump.revision + 1)
        gaps = self._notices.gaps
        try:
            self._ownership.on_read(self._pump.call(view_request(self._ownership.name, stale=False), self._timeout_ms))
        except Missing:
            self._ownership.on_read(None)
        self._gaps = gaps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
