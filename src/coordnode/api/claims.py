"""Asking for a lock or a leadership over HTTP: had at once, after a wait, or still in line. Pure."""

from typing import Annotated

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.route import NUMBER_MAX, TIMEOUT_MS_MAX, Plain, Query, Read, Write
from coordnode.errors import BadRequest, Busy, Missing
from coordnode.ids import Revision, SessionId, Token
from coordnode.services.commands import (
    Candidacies,
    CandidateQueued,
    Elected,
    HeldLocks,
    Leader,
    LedAlready,
    LockBusy,
    LockGranted,
    LockInfo,
    LockQueued,
    ReadCandidacies,
    ReadHeldLocks,
    Result,
)

ROWS_MAX = 64  # of one session, from the ticket's place on

WaitMs = Annotated[int, Meta(ge=0, le=TIMEOUT_MS_MAX, description="0: now or not at all. Else it stands in line, and is answered by then")]
HeldToken = Annotated[int, Meta(ge=1, le=NUMBER_MAX, description="of the grant; or the ticket of what still waits, which leaves the line")]


class WaitQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    wait_ms: Annotated[int, Meta(ge=0, le=TIMEOUT_MS_MAX, description="answer once it is had, or after so long")] = 30_000


class Claimed(msgspec.Struct, frozen=True):
    """`token` 0: it still waits (202); ask for its ticket again. `ticket` 0: it did not have to wait."""

    revision: int
    token: int
    ticket: int


class ClaimLine:
    """Implements route.Line."""

    def __init__(self, name: bytes, session: SessionId, first: Write | None, *, is_lock: bool, ticket: int = 0) -> None:
        if not session:
            raise BadRequest("a session holds it: name one with the header Coord-Session; POST /v1/sessions opens it")
        self.session = session
        self.revision = Revision(0)
        self._name = name
        self._is_lock = is_lock
        self._ticket = ticket
        self._token = 0
        self.first: Write | Read = first if first is not None else self._look()

    def on_result(self, result: Result) -> Read | None:
        if isinstance(result, LockGranted | Elected):
            self.revision, self._token = result.revision, result.token
            return None
        if isinstance(result, LockBusy):
            raise Busy(f"lock {_text(self._name)} is {_who_holds(result.lock)}")
        if isinstance(result, LedAlready):
            raise Busy(f"election {_text(self._name)} is led by {_who_leads(result.leader)}")
        if isinstance(result, LockQueued | CandidateQueued):
            self.revision, self._ticket = result.revision, result.ticket
            return self._look()
        if self._is_lock:
            held = expect(result, HeldLocks)
            self.revision, rows = held.revision, [(row.name, row.ticket, row.token) for row in held.locks]
        else:
            led = expect(result, Candidacies)
            self.revision, rows = led.revision, [(row.name, row.ticket, row.token) for row in led.candidacies]
        for name, ticket, token in rows:
            if name == self._name and ticket == self._ticket:
                self._token = token
                return None if token else self._look()
        what = f"{'lock' if self._is_lock else 'election'} {_text(self._name)}"
        raise Missing(f"ticket {self._ticket} of session {self.session} is none of {what}, or what it stood for is over")

    def show(self) -> Plain:
        return Plain(200 if self._token else 202, Claimed(self.revision, self._token, self._ticket))

    def _look(self) -> Read:
        before = Token(max(0, self._ticket - 1))  # a grant's number is above its ticket
        kind = ReadHeldLocks if self._is_lock else ReadCandidacies
        return Read(kind(self.session, self._name, before, ROWS_MAX))


def _who_holds(lock: LockInfo) -> str:
    first = lock.first
    if first is None:
        return f"awaited by {lock.waiters} others"
    if not first.session:
        return f"kept closed for {first.delay_ms} ms more, as its holder was lost"
    note = f" ({first.note})" if first.note else ""
    return f"held by {first.owner or f'session {first.session}'} for {first.held_ms} ms{note}, and {lock.waiters} wait for it"


def _who_leads(leader: Leader) -> str:
    return f"{leader.candidate or leader.owner or f'session {leader.session}'} for {leader.led_ms} ms"


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
