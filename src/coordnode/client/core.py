"""The client's brain: who leads, what may be retried, sequences, keep-alives, watches. Pure: no clock, no socket, no thread.

Its owner tells it what happened, with the time on a monotonic clock (CLOCK_BOOTTIME where it exists), then carries out
what `poll` returns. After any other method, and not later than `wake_at_ms()`, call `poll`. The owner keeps at most one
connection: the one last asked for with Connect, until it is disconnected from either side.

    write with a session (its sequence) or a request id   resent to any member until answered or its deadline
    open and close of a session, any read                 the same: doing it twice does what doing it once does
    any other write, administrative call                  resent only while every attempt was refused definitely
"""

import random
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import get_args

from coordnode.client import calls
from coordnode.client.actions import (
    Action,
    Connect,
    Disconnect,
    Finished,
    Send,
    SessionChanged,
)
from coordnode.client.calls import AdministrativeAsk, Call
from coordnode.client.lease import SessionState
from coordnode.client.route import Route, jittered_ms
from coordnode.client.sessions import NEVER, Session, Sessions
from coordnode.client.subscriptions import Subscriptions
from coordnode.errors import CoordError, Disconnected, NotLeader, Overloaded, SessionExpired, TimedOut, Unknown
from coordnode.ids import NO_SESSION, NOBODY, MemberId, Revision, SessionId
from coordnode.limits import CLIENT_CALLS_MAX, CLIENT_OUTSTANDING_MAX
from coordnode.services.commands import (
    KV,
    ClientCommand,
    ClientOperation,
    CloseSession,
    Failure,
    FirstOperation,
    OpenSession,
    ReadOperation,
    SessionOpened,
    decode_result,
    encode,
)
from coordnode.services.dialogue import (
    Answer,
    Ask,
    ErrorReply,
    KeepAliveAsk,
    KeepAliveReply,
    Reply,
    UnwatchAsk,
    WatchProgress,
)

DOWN, CONNECTING, UP, LEAVING = range(4)  # LEAVING: it does not lead; sends nothing new, waits briefly for answers under way

LEAVE_MS_MAX = 50
HUNG_UP_AVOID_MS = 60  # it refuses at once, which costs nothing to see, and may be back and lead a moment later; silence costs far more
_READS = frozenset(get_args(ReadOperation))  # asked at every call; isinstance would walk the whole list, at 9 us for a write
PROBE_MS = 3_000  # watches alone: after this much silence, ask something, or a dead connection would never be noticed


class ClientCore:
    def __init__(
        self,
        members: Sequence[MemberId],
        rng: random.Random,
        *,
        identity: str = "",
        request_timeout_ms: int = 600,
    ) -> None:
        self.identity = identity
        self._rng = rng
        self._route = Route(members, rng)
        self._request_timeout_ms = request_timeout_ms
        self._actions: list[Action] = []
        self._last_number = 0  # of calls, sessions, watches and requests alike

        self._link = DOWN
        self._link_since_ms = 0
        self._hint: MemberId = NOBODY
        self._waiting_since_ms: int | None = None  # something is unanswered, and nothing was heard since
        self._heard_ms = 0
        self._usual_ms = 0  # how long answers take of late, the slow ones counted

        self._calls: dict[int, Call] = {}
        self._ready: list[int] = []  # heap: calls to send now, in the order they were asked
        self._later: list[tuple[int, int]] = []  # heap: (not before, call)
        self._deadlines: list[tuple[int, int]] = []  # heap: (deadline, call); may name calls that are finished
        self._outstanding: dict[int, Call] = {}  # request -> call, in the order of sending

        self._sessions = Sessions()
        self._renewals: dict[int, int] = {}  # request of a keep-alive -> when it was sent

        self._watches = Subscriptions(rng)

    # --- what the owner wants --------------------------------------------------------------------------------------

    def call(
        self,
        operation: ClientOperation | ReadOperation,
        now_ms: int,
        *,
        deadline_ms: int,
        session: int = 0,
        request_id: str = "",
        stale: bool = False,
        min_revision: int = 0,
    ) -> int:
        """A read (None: only the barrier) or a write. Its number comes back in exactly one Finished."""
        assert not isinstance(operation, OpenSession | CloseSession), "open_session and close_session do this"
        call = self._new_call(now_ms, deadline_ms)
        call.operation = operation
        if type(operation) in _READS:
            call.retry_safe = True
            call.body = encode(operation)
            call.stale = stale
            call.min_revision = Revision(min_revision)
        else:
            call.is_write = True
            call.session = session
            call.request_id = request_id
            call.retry_safe = bool(session or request_id)
        self._enqueue(call)
        return call.id

    def submit(self, command: ClientCommand, now_ms: int, *, deadline_ms: int, is_safe_twice: bool = False) -> int:
        """A write whose session and sequence are somebody else's to keep: it is sent as it is. `is_safe_twice`: for another
        reason than its sequence or request id."""
        call = self._new_call(now_ms, deadline_ms)
        call.command = command
        call.is_write = True
        call.retry_safe = is_safe_twice or bool(command.sequence or command.request_id)
        self._enqueue(call)
        return call.id

    def renew(self, session: SessionId, now_ms: int, *, deadline_ms: int) -> int:
        """Once, a session that somebody else keeps. Finished says its ttl_ms, or SessionExpired."""
        call = self._new_call(now_ms, deadline_ms)
        call.administrative = KeepAliveAsk(0, [session])
        call.retry_safe = True
        self._enqueue(call)
        return call.id

    def administer(self, ask: AdministrativeAsk, now_ms: int, *, deadline_ms: int) -> int:
        call = self._new_call(now_ms, deadline_ms)
        call.administrative = ask
        call.is_write = True
        self._enqueue(call)
        return call.id

    def open_session(
        self,
        now_ms: int,
        *,
        deadline_ms: int,
        ttl_ms: int,
        owner: str = "",
        first: FirstOperation | None = None,
        parent: SessionId = NO_SESSION,
    ) -> int:
        """The session's number, for `call(session=…)`, at once; also the number of the call whose Finished has SessionOpened."""
        call = self._new_call(now_ms, deadline_ms)
        call.operation = OpenSession(self._rng.randbytes(16), ttl_ms, owner or self.identity, first, parent)
        call.is_write = True
        call.retry_safe = True
        self._sessions.add(call.id, ttl_ms, 1 if first is None else 2)
        self._enqueue(call)
        return call.id

    def close_session(self, session: int, now_ms: int, *, deadline_ms: int) -> int:
        """Calls of this session that are under way still get their answers; new ones are refused."""
        call = self._new_call(now_ms, deadline_ms)
        found = self._sessions.get(session)
        if found is None or found.lease.id == NO_SESSION:
            self._finish(call, SessionExpired("the session is not open"))
            return call.id
        found.lease.closing = True
        call.closes = session
        self._close(call, found.lease.id)
        return call.id

    def give_up(self, call: int) -> None:
        """Nobody waits for it any more; its Finished says what is known by now."""
        if call in self._calls:
            self._end(self._calls[call], TimedOut("given up"))

    def watch(self, start: bytes, end: bytes, start_revision: int, now_ms: int, *, space: int = KV) -> int:
        number = self._number()
        self._watches.add(number, space, start, end, Revision(start_revision), now_ms)
        return number

    def unwatch(self, watch: int) -> None:
        request = self._watches.remove(watch)
        if request:
            self._send(UnwatchAsk(request))

    def has_sessions(self) -> bool:
        return bool(self._sessions)

    def session_state(self, session: int, now_ms: int) -> SessionState:
        """Ask right before relying on the session: a pause may have eaten the lease since the last poll."""
        found = self._sessions.get(session)
        return SessionState.LOST if found is None else found.lease.state(now_ms)

    def session_until_ms(self, session: int) -> int:
        """What is claimed by the session may be relied on until then; 0: not at all."""
        found = self._sessions.get(session)
        return 0 if found is None else found.lease.until_ms

    def end_all(self, error: CoordError, now_ms: int) -> None:
        """It makes no sense to go on: no call will ever be answered."""
        for call in list(self._calls.values()):
            if call.id in self._calls:
                self._end(call, error)
        self._actions += self._watches.end_all(error)
        self._judge_sessions(now_ms)

    def patience_ms(self, asks: Sequence[Ask], now_ms: int) -> int:
        """How long the callers of these wait at most; 0: not known."""
        patience_ms = 0
        for ask in asks:
            call = self._outstanding.get(ask.request)
            if call is None:
                return 0
            patience_ms = max(patience_ms, call.deadline_ms - now_ms)
        return patience_ms

    # --- what happened ---------------------------------------------------------------------------------------------

    def on_members(self, members: Sequence[MemberId]) -> None:
        """These are worth trying from now on; the present one is among them."""
        self._route.on_members(members)

    def on_connected(self, member: MemberId, now_ms: int) -> None:
        if self._link == CONNECTING and member == self._route.member:
            self._link = UP
            self._sessions.on_connected()
            self._heard_ms = now_ms
            self._waiting_since_ms = None
            self._watches.on_connected(now_ms)

    def on_disconnected(self, member: MemberId, now_ms: int) -> None:
        """Also when the connection could not be made."""
        if self._link == DOWN or member != self._route.member:
            return
        was_leaving = self._link == LEAVING
        self._forget_link("the connection ended", now_ms)
        if was_leaving:
            self._route.on_not_leader(self._hint, now_ms)
        else:
            self._route.on_unreachable(now_ms, HUNG_UP_AVOID_MS)

    def on_answer(self, member: MemberId, answer: Answer, now_ms: int) -> None:
        if member != self._route.member or self._link not in (UP, LEAVING):
            return
        self._heard_ms = now_ms
        if self._waiting_since_ms is not None:
            self._waiting_since_ms = now_ms
        call = self._outstanding.pop(answer.request, None)
        if call is not None:
            self._usual_ms = max(now_ms - call.sent_ms, self._usual_ms - self._usual_ms // 8)
            self._on_call_answer(call, answer, now_ms)
        elif answer.request in self._renewals:
            self._on_renewal_answer(answer, now_ms)
        elif isinstance(answer, WatchProgress):
            self._actions += self._watches.on_progress(answer.up_to)
        elif self._watches.has_request(answer.request):
            if isinstance(answer, ErrorReply) and answer.code == NotLeader.code:
                self._leave(answer.leader, now_ms)
            self._actions += self._watches.on_answer(answer, now_ms)
        if not self._outstanding and not self._renewals:
            self._waiting_since_ms = None

    def poll(self, now_ms: int) -> list[Action]:
        self._judge_sessions(now_ms)
        self._expire_calls(now_ms)
        self._steer(now_ms)
        if self._link == UP:
            self._renew_sessions(now_ms)
            for ask in self._watches.due(now_ms, self._number):
                self._send(ask)
            self._send_calls(now_ms)
        self._judge_sessions(now_ms)
        actions = self._actions
        self._actions = []
        return actions

    def wake_at_ms(self) -> int | None:
        """When poll must be called at the latest if nothing else happens; None: never."""
        times = []
        if self._deadlines:
            times.append(self._deadlines[0][0])
        if self._sessions:
            times.append(self._sessions.look_at_ms())
        if self._link == DOWN:
            if self._has_work():
                times.append(self._route.try_at_ms)
        elif self._link == CONNECTING:
            times.append(self._link_since_ms + self._request_timeout_ms)
        elif self._link == LEAVING:
            times.append(self._link_since_ms + LEAVE_MS_MAX)
        else:
            if self._later:
                times.append(self._later[0][0])
            if self._watches.due_at_ms is not None:
                times.append(self._watches.due_at_ms)
            times.append(self._hang_up_at_ms())
            times.append(self._sessions.ask_at_ms())
        return min((time for time in times if time < NEVER), default=None)

    # --- calls -----------------------------------------------------------------------------------------------------

    def _number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _new_call(self, now_ms: int, deadline_ms: int) -> Call:
        if len(self._calls) >= CLIENT_CALLS_MAX:
            raise Overloaded(f"{CLIENT_CALLS_MAX} calls of this client are not finished yet")
        call = Call(self._number(), deadline_ms)
        self._calls[call.id] = call
        heappush(self._deadlines, (max(deadline_ms, now_ms), call.id))
        if len(self._deadlines) > 2 * len(self._calls) + 64:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._calls]
            heapify(self._deadlines)
        return call

    def _enqueue(self, call: Call) -> None:
        if call.session:
            session = self._sessions.get(call.session)
            if session is None or session.lease.closing:
                self._finish(call, SessionExpired("the session is over"))
                return
            if session.waiting or not session.has_room():
                session.waiting.append(call.id)
                return
            call.sequence = session.take_sequence(call.id)
        heappush(self._ready, call.id)

    def _admit_waiting(self, session: Session) -> None:
        while session.waiting and session.has_room():
            call = self._calls.get(session.waiting.popleft())
            if call is not None:
                call.sequence = session.take_sequence(call.id)
                heappush(self._ready, call.id)

    def _send_calls(self, now_ms: int) -> None:
        while self._later and self._later[0][0] <= now_ms:
            heappush(self._ready, heappop(self._later)[1])
        while self._ready and len(self._outstanding) < CLIENT_OUTSTANDING_MAX:
            call = self._calls.get(heappop(self._ready))
            if call is None:
                continue
            session_id, lowest_open = NO_SESSION, 0
            if call.session:
                session = self._sessions.get(call.session)
                assert session is not None, "the calls of a lost session end with it"
                session_id, lowest_open = session.lease.id, session.lowest_open()
            request = self._number()
            ask = call.ask(request, session_id, lowest_open)
            call.on_sent(request, now_ms)
            self._outstanding[request] = call
            self._wait_for_answer(now_ms)
            self._send(ask)

    def _on_call_answer(self, call: Call, answer: Answer, now_ms: int) -> None:
        if isinstance(answer, ErrorReply):
            self._on_refused(call, answer, now_ms)
            return
        if isinstance(answer, KeepAliveReply) and isinstance(call.administrative, KeepAliveAsk):
            self._on_renewed(call, answer, now_ms)
            return
        if not isinstance(answer, Reply):
            self._retry_or_end(call, Unknown("the member answered with something else"), now_ms)
            return
        call.request = 0
        self._route.on_progress()
        try:
            result = decode_result(answer.result) if answer.result else None
        except CoordError as error:
            self._finish(call, Unknown(f"done, but the answer cannot be read: {error.sentence}"))
            return
        if isinstance(result, Failure):
            failure = calls.error_of(result.code, result.sentence)
            verdict = call.failure(failure)
            self._finish(call, verdict, Finished(call.id, None, verdict, answer.index, answer.position))
            if isinstance(failure, SessionExpired) and call.session:
                self._lose(call.session, failure.sentence)
            return
        if isinstance(result, SessionOpened):
            session = self._sessions.on_opened(call.id, result, call.first_sent_ms, now_ms)
            if session is not None:
                self._admit_waiting(session)
        self._finish(call, None, Finished(call.id, result, None, answer.index, answer.position, answer.age_ms))

    def _on_renewed(self, call: Call, answer: KeepAliveReply, now_ms: int) -> None:
        call.request = 0
        self._route.on_progress()
        if answer.alive:
            self._finish(call, None, Finished(call.id, ttl_ms=answer.alive[0][1]))
        elif answer.expired:
            self._finish(call, SessionExpired(f"the session {answer.expired[0]} is over"))
        else:
            self._retry(call, 0, now_ms, at_once=False)

    def _on_refused(self, call: Call, answer: ErrorReply, now_ms: int) -> None:
        error = calls.error_of(answer.code, answer.sentence)
        if isinstance(error, NotLeader):
            self._leave(answer.leader, now_ms)
        if call.on_error(answer):
            self._retry(call, answer.retry_after_ms, now_ms, at_once=isinstance(error, NotLeader))
            return
        self._finish(call, error if call.is_reached_by(error) else call.ended(error))
        if isinstance(error, SessionExpired) and call.session:
            self._lose(call.session, error.sentence)

    def _retry_or_end(self, call: Call, error: CoordError, now_ms: int) -> None:
        call.on_lost(error)
        if call.may_resend():
            self._retry(call, 0, now_ms, at_once=True)
        else:
            self._finish(call, call.ended(error))

    def _retry(self, call: Call, retry_after_ms: int, now_ms: int, *, at_once: bool) -> None:
        if at_once:
            heappush(self._ready, call.id)
        else:
            delay_ms = max(retry_after_ms, jittered_ms(self._rng, call.attempts - 1))
            heappush(self._later, (now_ms + delay_ms, call.id))

    def _expire_calls(self, now_ms: int) -> None:
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            call = self._calls.get(heappop(self._deadlines)[1])
            if call is not None:
                self._end(call, TimedOut("the deadline passed"))

    def _end(self, call: Call, error: CoordError) -> None:
        self._outstanding.pop(call.request, None)
        self._finish(call, call.ended(error))

    def _finish(self, call: Call, error: CoordError | None, finished: Finished | None = None) -> None:
        del self._calls[call.id]
        if call.closes and (error is None or isinstance(error, SessionExpired)):
            self._lose(call.closes, "closed")
            error = finished = None
        if not call.internal:
            self._actions.append(finished or Finished(call.id, None, error))
        session = self._sessions.get(call.session)
        if session is not None:
            session.open_sequences.pop(call.sequence, None)
            if session.waiting:
                self._admit_waiting(session)
        elif error is not None and call.id in self._sessions:
            self._lose(call.id, f"it could not be opened: {error.sentence}")

    # --- sessions --------------------------------------------------------------------------------------------------

    def _close(self, call: Call, session_id: SessionId) -> None:
        call.operation = CloseSession(session_id)
        call.is_write = True
        call.retry_safe = True
        self._enqueue(call)

    def _on_renewal_answer(self, answer: Answer, now_ms: int) -> None:
        sent_ms = self._renewals.pop(answer.request)
        if isinstance(answer, ErrorReply):
            if answer.code == NotLeader.code:
                self._leave(answer.leader, now_ms)
            return
        if isinstance(answer, KeepAliveReply):
            self._route.on_progress()
            self._judge_sessions(now_ms)  # what ran out before this answer came is lost, whatever it says
            for session in self._sessions.on_renewed(answer, sent_ms):
                self._lose(session.number, "the cluster ended it")

    def _judge_sessions(self, now_ms: int) -> None:
        if now_ms < self._sessions.look_at_ms():
            return
        changed, lost = self._sessions.judge(now_ms)
        self._actions += changed
        for session in lost:
            self._lose(session.number, "not renewed in time")
            self._release(session, now_ms)

    def _renew_sessions(self, now_ms: int) -> None:
        sessions = self._sessions.due(now_ms)
        if sessions:
            request = self._number()
            self._renewals[request] = now_ms
            self._wait_for_answer(now_ms)
            self._send(KeepAliveAsk(request, sessions))

    def _lose(self, number: int, reason: str) -> None:
        session = self._sessions.remove(number)
        if session is None:
            return
        self._actions.append(SessionChanged(number, session.lease.id, SessionState.LOST, 0, reason))
        for call in [self._calls.get(number), *[call for call in self._calls.values() if call.session == number]]:
            if call is not None:
                self._end(call, SessionExpired(f"the session is lost: {reason}"))

    def _release(self, session: Session, now_ms: int) -> None:
        """Lost by our own clock: the cluster may keep it a little longer, and others wait for what it holds."""
        if len(self._calls) < CLIENT_CALLS_MAX:
            call = self._new_call(now_ms, now_ms + session.lease.ttl_ms)
            call.internal = True
            self._close(call, session.lease.id)

    # --- the connection --------------------------------------------------------------------------------------------

    def _has_work(self) -> bool:
        return bool(self._calls or self._sessions or self._watches)

    def _steer(self, now_ms: int) -> None:
        if self._link == UP and now_ms >= self._hang_up_at_ms():
            if self._waiting_since_ms is None:
                self._probe(now_ms)
            else:
                self._give_up_link("the member fell silent", now_ms)
        elif self._link == CONNECTING and now_ms >= self._link_since_ms + self._request_timeout_ms:
            self._give_up_link("the member could not be reached", now_ms)
        elif self._link == LEAVING and (not self._outstanding or now_ms >= self._link_since_ms + LEAVE_MS_MAX):
            self._actions.append(Disconnect(self._route.member))
            self._forget_link("the member does not lead", now_ms)
            self._route.on_not_leader(self._hint, now_ms)
        if self._link == DOWN and self._has_work() and now_ms >= self._route.try_at_ms:
            self._link = CONNECTING
            self._link_since_ms = now_ms
            self._actions.append(Connect(self._route.member))

    def _hang_up_at_ms(self) -> int:
        """When this connection is presumed dead, or, with watches alone, is asked whether it is."""
        if self._waiting_since_ms is None:
            return self._heard_ms + PROBE_MS if self._watches else NEVER
        hang_up_at_ms = self._waiting_since_ms + self._sessions.silence_ms(self._request_timeout_ms)
        if self._outstanding:
            oldest = next(iter(self._outstanding.values()))
            # A member that is busy answers later and later; to leave it, and ask again what it works on, makes it busier.
            hang_up_at_ms = min(hang_up_at_ms, oldest.sent_ms + 4 * max(self._request_timeout_ms, self._usual_ms))
        return hang_up_at_ms

    def _probe(self, now_ms: int) -> None:
        call = self._new_call(now_ms, now_ms + 2 * self._request_timeout_ms)
        call.internal = True
        call.retry_safe = True
        call.body = encode(None)
        self._heard_ms = now_ms
        self._enqueue(call)

    def _leave(self, leader: MemberId, now_ms: int) -> None:
        if self._link != LEAVING:
            self._link = LEAVING
            self._link_since_ms = now_ms
            self._hint = NOBODY
        if leader != NOBODY:
            self._hint = leader

    def _give_up_link(self, why: str, now_ms: int) -> None:
        self._actions.append(Disconnect(self._route.member))
        self._forget_link(why, now_ms)
        self._route.on_unreachable(now_ms, 2 * self._request_timeout_ms)

    def _forget_link(self, why: str, now_ms: int) -> None:
        self._link = DOWN
        self._waiting_since_ms = None
        lost = list(self._outstanding.values())
        self._outstanding.clear()
        self._renewals.clear()
        self._watches.on_disconnected()
        for call in lost:
            if call.id in self._calls:
                self._retry_or_end(call, Disconnected(why), now_ms)

    def _wait_for_answer(self, now_ms: int) -> None:
        if self._waiting_since_ms is None:
            self._waiting_since_ms = now_ms

    def _send(self, ask: Ask) -> None:
        self._actions.append(Send(self._route.member, ask))
