"""What is held through a session of its own, blocking: opened together with the first request, awaited, watched, given back."""

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from coordnode.client.claims import Claim
from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.lease import SessionState
from coordnode.client.notices import Notices
from coordnode.client.pump import Pump
from coordnode.client.requests import Request
from coordnode.errors import BadRequest, CoordError, NotHeld, SessionExpired
from coordnode.ids import NO_SESSION, SessionId, Token
from coordnode.services.commands import Acquire, Campaign, Resigned

LostCallback = Callable[[str], object]

FATE_MS_MAX = 5_000  # beyond the deadline, where an answer was lost, until the history has told what became of it


class Held:
    """Base of Lock and Leadership. Held or not is asked of `check`, `is_held`, `until_ms`; a lease of the past says nothing."""

    def __init__(self, pump: Pump, timeout_ms: int, ttl_ms: int, on_lost: LostCallback | None) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._ttl_ms = ttl_ms
        self._on_lost = on_lost
        self._claim: Claim | None = None  # None: not asked for, or given back
        self._number = 0  # of the session
        self._notices: Notices | None = None
        self._nesting: list[SessionId] = []
        self.session = NO_SESSION

    # --- what may be believed ------------------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        """The fencing token: give it to what you change, which refuses lower ones."""
        return self._held().token

    @property
    def until_ms(self) -> int:
        """It may be relied on until then, on CLOCK_BOOTTIME in milliseconds, if no renewal succeeds any more; 0: not at all."""
        return 0 if self._claim is None or self._why_lost(self._claim) else self._pump.session_state(self._number)[1]

    @property
    def remaining_ms(self) -> int:
        return max(0, self.until_ms - now_ms())

    @property
    def is_held(self) -> bool:
        return self.until_ms > 0

    def check(self) -> None:
        """Raises NotHeld if it is, or may be, lost. Right before relying on it is the right time."""
        claim = self._held()
        self._make_good(claim)
        if why := self._why_lost(claim):
            raise claim.lost(why)

    def wait_lost(self, timeout: Seconds | None = None) -> bool:
        """Whether it was lost within that time; None: waits until it is."""
        claim = self._held()
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        while True:
            is_news = self._pump.wait_until(lambda: bool(self._why_lost(claim)) or self._has_gap(claim), until_ms)
            if not is_news or self._why_lost(claim):
                return is_news
            self._make_good(claim)

    def _held(self) -> Claim:
        if self._claim is None or not self._claim.token:
            raise BadRequest("it is not held: acquire it first, best by `with`")
        return self._claim

    def _why_lost(self, claim: Claim) -> str:
        state, _, reason = self._pump.session_state(self._number)
        if state not in (SessionState.HELD, SessionState.UNSURE):
            return f"session {self.session} is over: {reason or 'not renewed in time'}"
        return claim.why_over

    def _has_gap(self, claim: Claim) -> bool:
        return self._notices is not None and self._notices.gaps != claim.gaps

    def _make_good(self, claim: Claim) -> None:
        notices = self._notices
        if notices is not None and (gaps := notices.gaps) != claim.gaps and not self._why_lost(claim):
            self._pump.call(claim.reread(self.session), self._timeout_ms)
            claim.gaps = gaps

    # --- from asking to having -----------------------------------------------------------------------------------------

    def _begin(self, operation: Acquire | Campaign, wait_ms: int | None) -> None:
        """Returns once it is held. `wait_ms` None: waits for as long as it takes."""
        if self._claim is not None:
            raise BadRequest(f"{self._claim.what} is held by this very object; make another one to acquire it again")
        claim = Claim(operation)
        nesting = self._pump.nesting()
        number, opened = self._pump.open_session(self._ttl_ms, "", self._timeout_ms, operation, nesting[-1] if nesting else NO_SESSION)
        self._number, self.session = number, opened.session
        try:
            claim.on_answer(opened.first)
            self._notices = self._pump.notices(number, self.session)
            self._pump.listen(self._notices, claim.on_notice, claim.asked_revision + 1)
            self._wait(claim, wait_ms)
            if why := self._why_lost(claim):
                raise claim.lost(why)
        except BaseException:
            self._abandon()
            raise
        self._claim = claim
        self._nesting = nesting
        nesting.append(self.session)
        if self._on_lost is not None:
            threading.Thread(target=self._tell_lost, args=(claim, self._on_lost), name=f"coordnode {claim.what}", daemon=True).start()

    def _wait(self, claim: Claim, wait_ms: int | None) -> None:
        until_ms = None if wait_ms is None else now_ms() + wait_ms
        while not claim.token and not self._why_lost(claim):
            if not self._pump.wait_until(lambda: bool(claim.token or self._why_lost(claim)) or self._has_gap(claim), until_ms):
                assert wait_ms is not None
                raise claim.busy(wait_ms)
            self._make_good(claim)

    def _abandon(self) -> None:
        """The session's end takes the place in the line along; if the cluster cannot be asked, so does its TTL."""
        with suppress(CoordError):
            self._pump.close_session(self._number, self._timeout_ms)
        self._notices = None

    def _tell_lost(self, claim: Claim, on_lost: LostCallback) -> None:
        try:
            while self._claim is claim and not self._why_lost(claim):
                self._pump.wait_until(lambda: self._claim is not claim or bool(self._why_lost(claim)) or self._has_gap(claim), None)
                with suppress(CoordError):  # a cluster that cannot be asked takes the lease along
                    self._make_good(claim)
        except BadRequest:  # the client is closed
            return
        why = self._why_lost(claim) if self._claim is claim else claim.found_lost
        if why:
            on_lost(why)

    # --- giving back ---------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Raises NotHeld if it was lost before."""
        claim = self._held()
        why = claim.found_lost = self._why_lost(claim)
        self._claim = None
        if self.session in self._nesting:
            self._nesting.remove(self.session)
        if why:
            self._abandon()
            raise claim.lost(why)
        try:
            self._pump.close_session(self._number, self._timeout_ms, claim.giving_up())
        except CoordError as error:
            is_refused = isinstance(error, NotHeld | SessionExpired)
            fate = self._fate(claim) if is_refused or not error.definite else None
            if is_refused:
                fate = fate or error.sentence  # the history says more: who ended it, and why
            if fate is None:
                raise
            if fate:
                claim.found_lost = fate
                raise claim.lost(fate) from None

    def _fate(self, claim: Claim) -> str | None:
        """It was asked to be given back, and the answer was lost: what became of it. None: the history does not tell, or not now."""
        inbox = self._pump.watch(claim.history(), claim.asked_revision)
        try:
            self._pump.wait_until(lambda: inbox.up_to is not None or inbox.error is not None, now_ms() + FATE_MS_MAX)
            while (change := self._pump.take_change(inbox)) is not None:
                if (fate := claim.fate(change)) is not None:
                    return fate
        except CoordError:
            return None
        finally:
            self._pump.end_watch(inbox)
        return None

    def _hand_over(self, request: Request[Resigned]) -> None:
        """Raises Missing, and holds on, if there is nobody to hand it to."""
        claim = self._held()
        try:
            self._pump.call(request, self._timeout_ms, self._number)
        except (NotHeld, SessionExpired) as error:
            raise claim.lost(error.sentence) from None
        self._claim = None
        if self.session in self._nesting:
            self._nesting.remove(self.session)
        self._abandon()

    def _exit(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """What was lost within the block is an error there; another error that is on its way out says so, too."""
        if self._claim is None:
            return  # given back within the block
        try:
            self._end()
        except CoordError as lost:
            if error is None:
                raise
            error.add_note(f"and {lost.sentence}")
