"""Barriers, blocking: `session.barrier(name, count)` and `cluster.barriers`; and the requests of their twins in aio_barriers, too.

with session.barrier("step-7", count=3):       # goes on once three sessions are inside
    compute()
                                               # goes on once all three have left
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.inboxes import Scope
from coordnode.client.lease import SessionState
from coordnode.client.pump import Pump
from coordnode.client.requests import Request, as_bytes, expect
from coordnode.errors import CoordError, HistoryGone, SessionExpired, TimedOut
from coordnode.ids import NO_SESSION, Revision, SessionId, Token
from coordnode.services.commands import (
    BARRIER_OPENED,
    BARRIER_OVER,
    BARRIERS,
    BarrierChanged,
    BarrierInfo,
    BarrierPage,
    BarrierView,
    Change,
    EnterBarrier,
    GetBarrier,
    LeaveBarrier,
    ListBarriers,
    decode_barrier,
)

Name = str | bytes


def enter_request(name: bytes, count: int) -> Request[BarrierChanged]:
    return Request(EnterBarrier(name, count), lambda result: expect(result, BarrierChanged))


def leave_request(name: bytes, only_waiting: bool = False) -> Request[BarrierChanged]:
    return Request(LeaveBarrier(name, only_waiting), lambda result: expect(result, BarrierChanged))


def view_request(name: bytes, stale: bool = False) -> Request[BarrierView]:
    return Request(GetBarrier(name), lambda result: expect(result, BarrierView), stale)


def page_request(prefix: bytes, after: bytes, stale: bool) -> Request[BarrierPage]:
    return Request(ListBarriers(prefix, after), lambda result: expect(result, BarrierPage), stale)


def scope_of(name: bytes) -> Scope:
    return Scope(name, name + b"\0", BARRIERS)


def tells(change: Change, kind: int, barrier: BarrierInfo) -> bool:
    """Whether that round opened, or is over; one that is over has been open."""
    kinds = (BARRIER_OPENED, BARRIER_OVER) if kind == BARRIER_OPENED else (BARRIER_OVER,)
    return any([event.kind in kinds and decode_barrier(event.value).round == barrier.round for event in change.events])


def is_so(kind: int, barrier: BarrierInfo, found: BarrierInfo | None) -> bool:
    """The same of what was read."""
    is_over = found is None or found.round != barrier.round
    return is_over or (kind == BARRIER_OPENED and found is not None and found.opened > 0)


def not_opened(barrier: BarrierInfo) -> TimedOut:
    name = barrier.name.decode(errors="replace")
    return TimedOut(f"barrier {name} did not open in time: {barrier.inside} of {barrier.count} sessions were inside; it was left again")


def not_over(barrier: BarrierInfo) -> TimedOut:
    name = barrier.name.decode(errors="replace")
    return TimedOut(f"barrier {name} was left, but others were inside still when the time was over: {barrier.inside} when it was left")


def lost_session(session: SessionId) -> SessionExpired:
    return SessionExpired(f"session {session} is lost: it is inside no barrier any more")


class Barriers:
    """All of them in which anybody is."""

    def __init__(self, pump: Pump, timeout_ms: int) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms

    def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> Iterator[BarrierInfo]:
        after, more = b"", True
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        while more:
            page = self._pump.call(page_request(as_bytes(prefix), after, stale), timeout_ms)
            yield from page.barriers
            more = page.more
            after = page.barriers[-1].name if page.barriers else b""

    def view(self, name: Name, *, stale: bool = False, timeout: Seconds | None = None) -> BarrierView:
        """Who is inside; of very many, those of the first page."""
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        return self._pump.call(view_request(as_bytes(name), stale), timeout_ms)

    def wait_opened(self, name: Name, number: int, revision: int, *, timeout: Seconds | None = None) -> bool:
        """Whether that round opened in time, or is even over, for whoever entered in a session that somebody else keeps.

        `number` is the round's, `revision` that of the answer that told of it.
        """
        barrier = BarrierInfo(as_bytes(name), Token(number), 0, 1, Revision(0))
        waiting = Barrier(self._pump, self._timeout_ms, name, 0, 0, NO_SESSION, None)
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        return waiting._wait(BARRIER_OPENED, BarrierChanged(Revision(revision), barrier, True), until_ms)


class Barrier:
    """As one session uses it: enter, work, leave; again and again, if need be."""

    def __init__(
        self, pump: Pump, timeout_ms: int, name: Name, count: int, session: int, session_id: SessionId, patience_ms: int | None
    ) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._session = session
        self._session_id = session_id
        self._patience_ms = patience_ms  # None: waits for as long as it takes
        self.name = as_bytes(name)
        self.count = count

    def enter(self, timeout: Seconds | None = None) -> BarrierInfo:
        """Returns once as many sessions are inside. In vain: it is left again, and TimedOut is raised."""
        until_ms = self._until_ms(timeout)
        entered = self._pump.call(enter_request(self.name, self.count), self._timeout_ms, self._session)
        try:
            if self._wait(BARRIER_OPENED, entered, until_ms):
                return entered.barrier
        except BaseException:
            self._give_up()
            raise
        stays = self._pump.call(leave_request(self.name, only_waiting=True), self._timeout_ms, self._session)
        if not stays.is_inside:
            raise not_opened(stays.barrier)
        return stays.barrier  # it opened in the last moment

    def leave(self, timeout: Seconds | None = None) -> None:
        """Returns once all others have left, too."""
        until_ms = self._until_ms(timeout)
        left = self._pump.call(leave_request(self.name), self._timeout_ms, self._session)
        if not self._wait(BARRIER_OVER, left, until_ms):
            raise not_over(left.barrier)

    def _until_ms(self, timeout: Seconds | None) -> int | None:
        patience_ms = self._patience_ms if timeout is None else in_ms(timeout, "timeout")
        return None if patience_ms is None else now_ms() + patience_ms

    def _wait(self, kind: int, changed: BarrierChanged, until_ms: int | None) -> bool:
        """Whether it came to that in time."""
        barrier = changed.barrier
        if not barrier.inside or (kind == BARRIER_OPENED) is (barrier.opened > 0):
            return True  # what is left without having been open is over for nobody
        inbox = self._pump.watch(scope_of(self.name), changed.revision + 1)
        try:
            while True:
                while (change := self._pump.take_change(inbox)) is not None:
                    if tells(change, kind, barrier):
                        return True
                if self._is_lost():
                    raise lost_session(self._session_id)
                if not self._pump.wait_until(lambda: inbox.has_something() or self._is_lost(), until_ms):
                    return False
        except HistoryGone:
            view = self._pump.call(view_request(self.name), self._timeout_ms)
            if is_so(kind, barrier, view.barrier):
                return True
            return self._wait(kind, BarrierChanged(view.revision, barrier, changed.is_inside), until_ms)
        finally:
            self._pump.end_watch(inbox)

    def _give_up(self) -> None:
        try:
            self._pump.call(leave_request(self.name, only_waiting=True), self._timeout_ms, self._session)
        except CoordError:
            return  # the session's end leaves it

    def _is_lost(self) -> bool:
        return self._session != 0 and self._pump.session_state(self._session)[0] is SessionState.LOST

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """With an error on its way out it leaves, and waits for nobody."""
        if kind is None:
            self.leave()
            return
        try:
            self._pump.call(leave_request(self.name), self._timeout_ms, self._session)
        except CoordError:
            return
