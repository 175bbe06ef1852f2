"""What held is, to await. The task whose block holds it is cancelled when it is lost, and told why by NotHeld at the block's end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from coordnode.client.claims import Claim
from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.held import FATE_MS_MAX
from coordnode.client.lease import SessionState
from coordnode.client.notices import Notices
from coordnode.client.requests import Request
from coordnode.client.tasks import Tasks
from coordnode.errors import BadRequest, CoordError, NotHeld, SessionExpired
from coordnode.ids import NO_SESSION, SessionId, Token
from coordnode.services.commands import Acquire, Campaign, Resigned

LostCallback = Callable[[str], object]


class AsyncHeld:
    """Base of AsyncLock and AsyncLeadership."""

    def __init__(self, tasks: Tasks, timeout_ms: int, ttl_ms: int, on_lost: LostCallback | None) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._ttl_ms = ttl_ms
        self._on_lost = on_lost
        self._claim: Claim | None = None
        self._number = 0
        self._notices: Notices | None = None
        self._nesting: list[SessionId] = []
        self._guard: asyncio.Task[None] | None = None
        self._body: asyncio.Task[object] | None = None  # the task of the `async with`, while it may be cancelled
        self._was_cancelled = False  # by the guard
        self.session = NO_SESSION

    # --- what may be believed ------------------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        return self._held().token

    @property
    def until_ms(self) -> int:
        return 0 if self._claim is None or self._why_lost(self._claim) else self._tasks.session_state(self._number)[1]

    @property
    def remaining_ms(self) -> int:
        return max(0, self.until_ms - now_ms())

    @property
    def is_held(self) -> bool:
        return self.until_ms > 0

    async def check(self) -> None:
        claim = self._held()
        await self._make_good(claim)
        if why := self._why_lost(claim):
            raise claim.lost(why)

    async def wait_lost(self, timeout: Seconds | None = None) -> bool:
        claim = self._held()
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        while True:
            is_news = await self._tasks.wait_until(lambda: bool(self._why_lost(claim)) or self._has_gap(claim), until_ms)
            if not is_news or self._why_lost(claim):
                return is_news
            await self._make_good(claim)

    def _held(self) -> Claim:
        if self._claim is None or not self._claim.token:
            raise BadRequest("it is not held: acquire it first, best by `async with`")
        return self._claim

    def _why_lost(self, claim: Claim) -> str:
        state, _, reason = self._tasks.session_state(self._number)
        if state not in (SessionState.HELD, SessionState.UNSURE):
            return f"session {self.session} is over: {reason or 'not renewed in time'}"
        return claim.why_over

    def _has_gap(self, claim: Claim) -> bool:
        return self._notices is not None and self._notices.gaps != claim.gaps

    async def _make_good(self, claim: Claim) -> None:
        notices = self._notices
        if notices is not None and (gaps := notices.gaps) != claim.gaps and not self._why_lost(claim):
            await self._tasks.call(claim.reread(self.session), self._timeout_ms)
            claim.gaps = gaps

    # --- from asking to having -----------------------------------------------------------------------------------------

    async def _begin(self, operation: Acquire | Campaign, wait_ms: int | None) -> None:
        if self._claim is not None:
            raise BadRequest(f"{self._claim.what} is held by this very object; make another one to acquire it again")
        claim = Claim(operation)
        nesting = self._tasks.nesting()
        parent = nesting[-1] if nesting else NO_SESSION
        number, opened = await self._tasks.open_session(self._ttl_ms, "", self._timeout_ms, operation, parent)
        self._number, self.session = number, opened.session
        try:
            claim.on_answer(opened.first)
            self._notices = self._tasks.notices(number, self.session)
            self._tasks.listen(self._notices, claim.on_notice, claim.asked_revision + 1)
            await self._wait(claim, wait_ms)
            if why := self._why_lost(claim):
                raise claim.lost(why)
        except BaseException:
            await asyncio.shield(self._abandon())
            raise
        self._claim = claim
        self._nesting = nesting
        nesting.append(self.session)
        self._guard = asyncio.get_running_loop().create_task(self._watch_over(claim))

    async def _wait(self, claim: Claim, wait_ms: int | None) -> None:
        until_ms = None if wait_ms is None else now_ms() + wait_ms
        while not claim.token and not self._why_lost(claim):
            told = self._notices
            if not await self._tasks.wait_until(lambda: bool(claim.token or self._why_lost(claim)) or self._has_gap(claim), until_ms, told):
                assert wait_ms is not None
                raise claim.busy(wait_ms)
            await self._make_good(claim)

    async def _abandon(self) -> None:
        with suppress(CoordError):
            await self._tasks.close_session(self._number, self._timeout_ms)
        self._notices = None

    async def _watch_over(self, claim: Claim) -> None:
        """Until it is lost, or given back (which cancels this)."""
        while not self._why_lost(claim):
            try:
                await self._tasks.wait_until(lambda: bool(self._why_lost(claim)) or self._has_gap(claim), None, self._notices)
            except BadRequest:  # the client is closed, and the lease ends by itself
                return
            with suppress(CoordError):
                await self._make_good(claim)
        if self._on_lost is not None:
            self._on_lost(self._why_lost(claim))
        if self._body is not None:
            self._was_cancelled = True
            self._body.cancel()

    # --- giving back ---------------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        claim = self._held()
        why = claim.found_lost = self._why_lost(claim)
        self._claim = None
        self._body = None
        if self._guard is not None and self._guard is not asyncio.current_task():
            self._guard.cancel()
        if self.session in self._nesting:
            self._nesting.remove(self.session)
        if why:
            await self._abandon()
            raise claim.lost(why)
        try:
            await self._tasks.close_session(self._number, self._timeout_ms, claim.giving_up())
        except CoordError as error:
            is_refused = isinstance(error, NotHeld | SessionExpired)
            fate = await self._fate(claim) if is_refused or not error.definite else None
            if is_refused:
                fate = fate or error.sentence  # the history says more: who ended it, and why
            if fate is None:
                raise
            if fate:
                raise claim.lost(fate) from None

    async def _fate(self, claim: Claim) -> str | None:
        inbox = self._tasks.watch(claim.history(), claim.asked_revision)
        try:
            await self._tasks.wait_until(lambda: inbox.up_to is not None or inbox.error is not None, now_ms() + FATE_MS_MAX, inbox)
            while (change := self._tasks.take_change(inbox)) is not None:
                if (fate := claim.fate(change)) is not None:
                    return fate
        except CoordError:
            return None
        finally:
            self._tasks.end_watch(inbox)
        return None

    async def _hand_over(self, request: Request[Resigned]) -> None:
        claim = self._held()
        try:
            await self._tasks.call(request, self._timeout_ms, self._number)
        except (NotHeld, SessionExpired) as error:
            raise claim.lost(error.sentence) from None
        self._claim = None
        self._body = None
        if self._guard is not None:
            self._guard.cancel()
        if self.session in self._nesting:
            self._nesting.remove(self.session)
        await self._abandon()

    def _enter(self) -> None:
        self._body = asyncio.current_task()
        self._was_cancelled = False

    async def _exit(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """The cancellation that the guard caused becomes NotHeld here; one that somebody else asked for goes on."""
        body, self._body = self._body, None
        is_ours = self._was_cancelled and body is not None and body.uncancel() == 0 and kind is asyncio.CancelledError
        if self._claim is None:
            return
        try:
            await self._end()
        except CoordError as lost:
            if error is None or is_ours:
                raise lost from None
            error.add_note(f"and {lost.sentence}")
