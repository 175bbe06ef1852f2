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
from typing import get_args

from coordnode.client import calls
from coordnode.client.actions import Action, Connect, Disconnect, Finished, Send, SessionChanged
from coordnode.client.agenda import Agenda
from coordnode.client.calls import AdministrativeAsk, Call, check, encoded
from coordnode.client.connection import DOWN, UP, Connection
from coordnode.client.lease import SessionState
from coordnode.client.route import Route, jittered_ms
from coordnode.client.sessions import NEVER, Session, Sessions
from coordnode.client.subscriptions import Subscriptions
from coordnode.errors import CoordError, Disconnected, NotLeader, SessionExpired, TimedOut, Unknown
from coordnode.ids import NO_SESSION, MemberId, Revision, SessionId
from coordnode.limits import CLIENT_KEEP_ALIVE_SESSIONS_MAX, CLIENT_OUTSTANDING_MAX
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
)
from coordnode.services.dialogue import (
    Answer,
    Ask,
    ErrorReply,
    KeepAliveAsk,
    KeepAliveReply,
    Reply,
    UnwatchAsk,
    WatchAsk,
    WatchProgress,
)

LATE_MS = 50  # an owner that calls `poll` so much after its time had no time to listen either
READS = frozenset(get_args(ReadOperation))  # asked at every call; isinstance would walk the whole list, at 9 us for a write


class ClientCore:
    def __init__(
        self,
        members: Sequence[MemberId],
        rng: random.Random,
        *,
        identity: str = "",
        request_timeout_ms: int = 600,
        reads_anywhere: bool = False,
    ) -> None:
        """`reads_anywhere`: reads do not lead to the leader; whoever is connected to asks it what is committed, and answers."""
        self.identity = identity
        self._reads_anywhere = reads_anywhere
        self._rng = rng
        self._route = Route(members, rng)
        self._request_timeout_ms = request_timeout_ms
        self._actions: list[Action] = []
        self._due_ms = NEVER  # when `poll` must have been called again
        self._last_number = 0  # of calls, sessions, watches and requests alike

        self._calls = Agenda()
        self._sessions = Sessions()
        self._watches = Subscriptions(rng)
        self._connection = Connection(self._route, self._sessions, self._watches, request_timeout_ms)

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
        """A read (None: only the barrier) or a write. Its number comes back in exactly one Finished.

        Raises BadRequest or TooLarge for what cannot be sent, Overloaded when too many are not finished; so does all that asks.
        """
        assert not isinstance(operation, OpenSession | CloseSession), "open_session and close_session do this"
        call = self._new_call(now_ms, deadline_ms)
        call.body = encoded(operation)
        if type(operation) in READS:
            call.retry_safe = True
            call.stale = stale
            call.here = self._reads_anywhere
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
        call.body = encoded(command)
        call.is_command = True
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
        call.body = encoded(OpenSession(self._rng.randbytes(16), ttl_ms, owner or self.identity, first, parent))
        call.is_write = True
        call.retry_safe = True
        self._enqueue(call)
        self._sessions.add(call.id, ttl_ms, 1 if first is None else 2)
        return call.id

    def close_session(self, session: int, now_ms: int, *, deadline_ms: int) -> int:
        """Calls of this session that are under way still get their answers; new ones are refused."""
        call = self._new_call(now_ms, deadline_ms)
        found = self._sessions.get(session)
        if found is None or found.lease.id == NO_SESSION:
            self._calls.add(call)
            self._finish(call, SessionExpired("the session is not open"))
            return call.id
        call.closes = session
        self._close(call, found.lease.id)
        found.lease.closing = True
        return call.id

    def give_up(self, call: int) -> None:
        """Nobody waits for it any more; its Finished says what is known by now."""
        found = self._calls.get(call)
        if found is not None:
            self._end(found, TimedOut("given up"))

    def watch(self, start: bytes, end: bytes, start_revision: int, now_ms: int, *, space: int = KV, is_lasting: bool = False) -> int:
        """`is_lasting`: a refusal does not end it. Each is told by WatchFailed, and it is asked for again."""
        check(WatchAsk(0, start, end, Revision(start_revision), space))
        number = self._number()
        self._watches.add(number, space, start, end, Revision(start_revision), now_ms, is_lasting=is_lasting)
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
        for call in list(self._calls):
            if call.id in self._calls:
                self._end(call, error)
        self._actions += self._watches.end_all(error)
        self._judge_sessions(now_ms)

    def patience_ms(self, asks: Sequence[Ask], now_ms: int) -> int:
        """How long the callers of these wait at most; 0: not known."""
        patience_ms = 0
        for ask in asks:
            call = self._connection.calls.get(ask.request)
            if call is None:
                return 0
            patience_ms = max(patience_ms, call.deadline_ms - now_ms)
        return patience_ms

    # --- what happened ---------------------------------------------------------------------------------------------

    def on_members(self, members: Sequence[MemberId]) -> None:
        """These are worth trying from now on; the present one is among them."""
        self._route.on_members(members)

    def on_connected(self, member: MemberId, now_ms: int) -> None:
        if self._connection.on_connected(member, now_ms):
            self._sessions.on_connected()
            self._watches.on_connected(now_ms)

    def on_disconnected(self, member: MemberId, now_ms: int) -> None:
        """Also when the connection could not be made."""
        if self._connection.on_disconnected(member, now_ms):
            self._on_connection_over("the connection ended", now_ms)

    def on_answer(self, member: MemberId, answer: Answer, now_ms: int) -> None:
        if not self._connection.is_from(member):
            return
        self._connection.on_heard(now_ms)
        call = self._connection.calls.pop(answer.request, None)
        if call is not None:
            self._connection.on_answered(call.sent_ms, now_ms)
            self._on_call_answer(call, answer, now_ms)
        elif answer.request in self._connection.renewals:
            self._on_renewal_answer(answer, now_ms)
        elif isinstance(answer, WatchProgress):
            self._actions += self._watches.on_progress(answer.up_to)
        elif self._watches.has_request(answer.request):
            if isinstance(answer, ErrorReply) and answer.code == NotLeader.code:
                self._connection.on_not_leader(answer.leader, now_ms)
            self._actions += self._watches.on_answer(answer, now_ms)
        self._connection.maybe_at_rest()

    def poll(self, now_ms: int) -> list[Action]:
        if now_ms >= self._due_ms + LATE_MS:
            self._connection.on_late(now_ms)
        self._judge_sessions(now_ms)
        self._expire_calls(now_ms)
        self._steer(now_ms)
        if self._connection.state == UP:
            self._renew_sessions(now_ms)
            for ask in self._watches.due(now_ms, self._number):
                self._send(ask)
            self._send_calls(now_ms)
        self._judge_sessions(now_ms)
        actions = self._actions
        self._actions = []
        due_ms = self.wake_at_ms()
        self._due_ms = NEVER if due_ms is None else due_ms
        return actions

    def wake_at_ms(self) -> int | None:
        """When poll must be called at the latest if nothing else happens; None: never."""
        at_ms = min(self._calls.late_at_ms(), self._sessions.look_at_ms())
        connection = self._connection
        if connection.state == UP:
            at_ms = min(at_ms, self._calls.send_at_ms(), self._watches.due_at_ms, self._sessions.ask_at_ms(), connection.hang_up_at_ms())
        elif connection.state != DOWN or self._has_work():
            at_ms = min(at_ms, connection.wake_at_ms())
        return at_ms if at_ms < NEVER else None

    # --- calls -----------------------------------------------------------------------------------------------------

    def _number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _new_call(self, now_ms: int, deadline_ms: int) -> Call:
        return Call(self._number(), max(deadline_ms, now_ms))

    def _enqueue(self, call: Call) -> None:
        call.check()
        self._calls.add(call)
        if call.session:
            session = self._sessions.get(call.session)
            if session is None or session.lease.closing:
                self._finish(call, SessionExpired("the session is over"))
                return
            if session.waiting or not session.has_room():
                session.waiting.append(call.id)
                return
            call.sequence = session.take_sequence(call.id)
        self._calls.send_now(call)

    def _admit_waiting(self, session: Session) -> None:
        while session.waiting and session.has_room():
            call = self._calls.get(session.waiting.popleft())
            if call is not None:
                call.sequence = session.take_sequence(call.id)
                self._calls.send_now(call)

    def _send_calls(self, now_ms: int) -> None:
        while len(self._connection.calls) < CLIENT_OUTSTANDING_MAX and (call := self._calls.next_to_send(now_ms)) is not None:
            session_id, lowest_open = NO_SESSION, 0
            if call.session:
                session = self._sessions.get(call.session)
                assert session is not None, "the calls of a lost session end with it"
                session_id, lowest_open = session.lease.id, session.lowest_open()
            request = self._number()
            ask = call.ask(request, session_id, lowest_open)
            call.on_sent(request, now_ms)
            self._connection.calls[request] = call
            self._connection.on_asked(now_ms)
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
            self._connection.on_not_leader(answer.leader, now_ms)
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
            self._calls.send_now(call)
        else:
            delay_ms = max(retry_after_ms, jittered_ms(self._rng, call.attempts - 1))
            self._calls.send_later(call, now_ms + delay_ms)

    def _expire_calls(self, now_ms: int) -> None:
        while (call := self._calls.next_too_late(now_ms)) is not None:
            self._end(call, TimedOut("the deadline passed"))

    def _end(self, call: Call, error: CoordError) -> None:
        self._connection.calls.pop(call.request, None)
        self._finish(call, call.ended(error))

    def _finish(self, call: Call, error: CoordError | None, finished: Finished | None = None) -> None:
        self._calls.remove(call)
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
        call.body = encoded(CloseSession(session_id))
        call.is_write = True
        call.retry_safe = True
        self._enqueue(call)

    def _on_renewal_answer(self, answer: Answer, now_ms: int) -> None:
        sent_ms = self._connection.renewals.pop(answer.request)
        self._connection.on_answered(sent_ms, now_ms)
        if isinstance(answer, ErrorReply):
            if answer.code == NotLeader.code:
                self._connection.on_not_leader(answer.leader, now_ms)
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
        for start in range(0, len(sessions), CLIENT_KEEP_ALIVE_SESSIONS_MAX):
            request = self._number()
            self._connection.renewals[request] = now_ms
            self._connection.on_asked(now_ms)
            self._send(KeepAliveAsk(request, sessions[start : start + CLIENT_KEEP_ALIVE_SESSIONS_MAX]))

    def _lose(self, number: int, reason: str) -> None:
        session = self._sessions.remove(number)
        if session is None:
            return
        self._actions.append(SessionChanged(number, session.lease.id, SessionState.LOST, 0, reason))
        for call in [self._calls.get(number), *[call for call in self._calls if call.session == number]]:
            if call is not None:
                self._end(call, SessionExpired(f"the session is lost: {reason}"))

    def _release(self, session: Session, now_ms: int) -> None:
        """Lost by our own clock: the cluster may keep it a little longer, and others wait for what it holds."""
        if not self._calls.is_full():
            call = self._new_call(now_ms, now_ms + session.lease.ttl_ms)
            call.internal = True
            self._close(call, session.lease.id)

    # --- the connection --------------------------------------------------------------------------------------------

    def _has_work(self) -> bool:
        return bool(self._calls or self._sessions or self._watches)

    def _steer(self, now_ms: int) -> None:
        connection, member = self._connection, self._route.member
        if connection.wants_probe(now_ms):
            self._probe(now_ms)
        elif why := connection.maybe_end(now_ms):
            self._actions.append(Disconnect(member))
            self._on_connection_over(why, now_ms)
        if connection.state == DOWN and self._has_work() and connection.maybe_begin(now_ms):
            self._actions.append(Connect(self._route.member))

    def _probe(self, now_ms: int) -> None:
        self._connection.on_probed(now_ms)
        if self._calls.is_full():
            return
        call = self._new_call(now_ms, now_ms + 2 * self._request_timeout_ms)
        call.internal = True
        call.retry_safe = True
        call.body = encoded(None)
        self._enqueue(call)

    def _on_connection_over(self, why: str, now_ms: int) -> None:
        self._watches.on_disconnected()
        for call in self._connection.take_lost():
            if call.id in self._calls:
                self._retry_or_end(call, Disconnected(why), now_ms)

    def _send(self, ask: Ask) -> None:
        self._actions.append(Send(self._route.member, ask))
