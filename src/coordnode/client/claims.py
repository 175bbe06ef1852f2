"""One acquisition, seen from the client: of a lock, or of a leadership; asked for, awaited, held, over. Pure.

What may be believed of it is what its session's lease says, unless the cluster has told that it was taken away.
"""

from coordnode.client.calls import error_of
from coordnode.client.inboxes import Scope
from coordnode.client.requests import Request, expect
from coordnode.errors import Busy, NotHeld, Unknown
from coordnode.ids import Revision, SessionId, Token
from coordnode.services.commands import (
    ELECTIONS,
    EXCLUSIVE,
    LEADS,
    LOCK_BROKEN,
    LOCK_LOST,
    LOCK_RELEASED,
    LOCKS,
    RESIGNED,
    SEMAPHORE,
    SESSION_OVER,
    VACANT,
    Acquire,
    Campaign,
    Candidacies,
    CandidateQueued,
    Change,
    Elected,
    Event,
    Failure,
    HeldLocks,
    Leader,
    LeadershipGiven,
    LeadershipTaken,
    LedAlready,
    LockBusy,
    LockGiven,
    LockGranted,
    LockInfo,
    LockQueued,
    LockReleased,
    LockTaken,
    Notice,
    ReadCandidacies,
    ReadHeldLocks,
    Release,
    Resign,
    Resigned,
    Result,
    decode_leader_change,
    decode_lock_event,
)

NOT_GIVEN_BACK = "its session ended before it was given back"
SAME_NAME_MAX = 64  # so many acquisitions of one name by one session are looked through after a gap


class Claim:
    def __init__(self, operation: Acquire | Campaign) -> None:
        self.operation = operation
        self.name = operation.name
        self.is_lock = isinstance(operation, Acquire)
        self.what = f"{'lock' if self.is_lock else 'election'} {self.name.decode(errors='replace')}"
        self.token = Token(0)  # 0: not held yet
        self.ticket = Token(0)
        self.gaps = 0  # of the session's notices, that were made good by reading
        self.asked_revision = Revision(0)  # what becomes of it is told from the next one on
        self.found_lost = ""  # why; when it was given back
        self._given: dict[Token, Token] = {}  # ticket -> token
        self._taken: dict[Token, str] = {}  # token -> why
        self._is_begun = False  # in the history, where its end is looked for

    # --- what comes in -------------------------------------------------------------------------------------------------

    def on_answer(self, result: Result | None) -> None:
        """Raises what it was refused with."""
        if isinstance(result, Failure):
            raise error_of(result.code, result.sentence)
        if isinstance(result, LockBusy):
            raise Busy(f"{self.what} is {describe(result.lock)}")
        if isinstance(result, LedAlready):
            raise Busy(f"{self.what} is led by {describe_leader(result.leader)}")
        if isinstance(result, LockGranted | Elected):
            self.token = result.token
        elif isinstance(result, LockQueued | CandidateQueued):
            self.ticket = result.ticket
        else:
            raise Unknown(f"the member answered with {type(result).__name__} to a request for {self.what}")
        self.asked_revision = result.revision
        self._settle()

    def on_notice(self, notice: Notice) -> None:
        given, taken = (LockGiven, LockTaken) if self.is_lock else (LeadershipGiven, LeadershipTaken)
        if isinstance(notice, given) and notice.name == self.name:
            self._given[notice.ticket] = notice.token
        elif isinstance(notice, taken) and notice.name == self.name:
            who = notice.by or "an operator"
            self._taken[notice.token] = f"{who} ended it: {notice.reason or 'no reason given'}"
        self._settle()

    def _settle(self) -> None:
        """What was told before the ticket was known is of it, too."""
        if not self.token and self.ticket in self._given:
            self.token = self._given[self.ticket]

    def reread(self, session: SessionId) -> Request[None]:
        """Makes a gap in the notices good."""
        after = Token(0)
        if self.is_lock:
            held = ReadHeldLocks(session, self.name, after, SAME_NAME_MAX)
            return Request(held, lambda result: self._on_found([(row.token, row.ticket) for row in expect(result, HeldLocks).locks]))
        led = ReadCandidacies(session, self.name, after, SAME_NAME_MAX)
        return Request(led, lambda result: self._on_found([(row.token, row.ticket) for row in expect(result, Candidacies).candidacies]))

    def _on_found(self, rows: list[tuple[Token, Token]]) -> None:
        for token, ticket in rows:
            if self.ticket and ticket == self.ticket:
                self.token = token
                return
            if self.token and token == self.token:
                return
        self._taken[self.token] = "the cluster does not know of it any more"

    # --- what is asked -------------------------------------------------------------------------------------------------

    @property
    def why_over(self) -> str:
        """Empty: nobody took it away, as far as was told."""
        return self._taken.get(self.token, "")

    def lost(self, why: str) -> NotHeld:
        return NotHeld(f"{self.what} was lost: {why}; what was done under its token {self.token} may have met another holder's")

    def busy(self, waited_ms: int) -> Busy:
        return Busy(f"{self.what} was not to be had within {waited_ms / 1000:g} s; nothing waits for it any more")

    def giving_up(self) -> Request[None]:
        """The last that its session asks."""
        number = self.token or self.ticket
        if self.is_lock:
            return Request(Release(self.name, number), lambda result: self._on_given_up(expect(result, LockReleased)))
        return Request(Resign(self.name, number), lambda result: self._on_given_up(expect(result, Resigned)))

    # --- what became of it, when the answer was lost -------------------------------------------------------------------

    def history(self) -> Scope:
        """Where the cluster tells it to everybody."""
        return Scope(self.name, self.name + b"\0", LOCKS if self.is_lock else ELECTIONS)

    def fate(self, change: Change) -> str | None:
        """ "": it was given back; else why it was lost; None: this does not tell. Changes are shown in order, from `asked_revision` on."""
        of_one = self._fate_of_lock if self.is_lock else self._fate_of_leadership
        return next((fate for event in change.events if (fate := of_one(event)) is not None), None)

    def _fate_of_lock(self, event: Event) -> str | None:
        if event.kind not in (LOCK_RELEASED, LOCK_LOST, LOCK_BROKEN):
            return None
        told = decode_lock_event(event.value)
        if told.number != self.token:
            return None
        why = f"{told.by or 'an operator'} ended it: {told.reason or 'no reason given'}"
        return {LOCK_RELEASED: "", LOCK_LOST: NOT_GIVEN_BACK}.get(event.kind, why)

    def _fate_of_leadership(self, event: Event) -> str | None:
        """Whatever follows its own beginning, and is no other value, is its end."""
        told = decode_leader_change(event.value)
        if event.kind == LEADS and told.token == self.token:
            self._is_begun = True
        elif event.kind in (LEADS, VACANT) and self._is_begun:
            return {RESIGNED: "", SESSION_OVER: NOT_GIVEN_BACK}.get(told.reason, told.reason)
        return None

    def _on_given_up(self, result: LockReleased | Resigned) -> None:
        """It lasted until now: else it would have been refused."""


def describe(lock: LockInfo) -> str:
    """Who holds it, in words."""
    first = lock.first
    if first is None:
        return "held by nobody"
    if first.session:
        who = f"held by {first.owner or 'a session without a name'} for {first.held_ms / 1000:g} s"
    else:
        who = f"kept closed for {first.delay_ms / 1000:g} s more, as its holder was lost"
    note = f" ({first.note})" if first.note else ""
    others = f" and {lock.holders - 1} more" if lock.holders > 1 else ""
    kind = "" if lock.kind == EXCLUSIVE else f", {lock.permits} of {lock.limit} permits" if lock.kind == SEMAPHORE else ", shared"
    return f"{who}{note}{others}{kind}; {lock.waiters} wait for it"


def describe_leader(leader: Leader) -> str:
    name = leader.candidate or leader.owner or "a session without a name"
    return f"{name} for {leader.led_ms / 1000:g} s"
