"""Moves the bytes of one client for all its threads: whoever waits does the work, and one thread of our own only renews sessions.

At most one thread at a time sleeps on the socket, without the lock; the others wait for it to report. When it has what it
waited for it goes, and wakes the others so that one of them takes over.
"""

import os
import random
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from coordnode.address import Address
from coordnode.client.actions import Finished, SessionChanged, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.calls import AdministrativeAsk
from coordnode.client.clock import now_ms
from coordnode.client.inboxes import Inbox, Receiver, Scope
from coordnode.client.lease import SessionState
from coordnode.client.link import Event, Link
from coordnode.client.notices import Notices, Sink
from coordnode.client.requests import Request, expect, revision_of
from coordnode.client.stream import Stream
from coordnode.client.tls import Credentials
from coordnode.errors import BadRequest
from coordnode.ids import NO_SESSION, Revision, SessionId
from coordnode.services.commands import Change, FirstOperation, SessionOpened

T = TypeVar("T")
AFTER_ERROR_SECONDS = 0.2  # an error that comes again and again is not said without a pause
SLEEP_MS_MAX = 1_000  # poll's time stands still while the machine sleeps; leases do not


class Pump:
    def __init__(self, addresses: list[Address], identity: str, tls: str = "", token: str = "", *, reads_anywhere: bool = False) -> None:
        self.link = Link(addresses, random.Random(os.urandom(16)), identity=identity, token=token, reads_anywhere=reads_anywhere)
        self.revision = Revision(0)  # the newest that any answer spoke of
        self._changed = threading.Condition()
        self._is_pumped = False
        self._stream = Stream(self.link, self._on_event, Credentials(tls).context)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._finished: dict[int, Finished] = {}  # outcomes that their callers have not taken yet
        self._awaited: set[int] = set()
        self._reasons: dict[int, str] = {}  # session -> why it was lost
        self._inboxes: dict[int, Receiver] = {}
        self._notices: dict[int, Notices] = {}  # by our number of the session
        self._nested = threading.local()
        self._keeper: threading.Thread | None = None
        self._is_closed = False

    # --- what callers ask ------------------------------------------------------------------------------------------

    def call(self, request: Request[T], timeout_ms: int, session: int = 0) -> T:
        with self._changed:
            deadline_ms = now_ms() + timeout_ms
            number = self._open_link().core.call(
                request.operation,
                now_ms(),
                deadline_ms=deadline_ms,
                session=session,
                request_id=request.request_id,
                stale=request.stale,
                min_revision=request.min_revision,
            )
            return request.convert(self._outcome(number).result)

    def administer(self, ask: AdministrativeAsk, timeout_ms: int) -> None:
        with self._changed:
            self._outcome(self._open_link().core.administer(ask, now_ms(), deadline_ms=now_ms() + timeout_ms))

    def open_session(
        self, ttl_ms: int, owner: str, timeout_ms: int, first: FirstOperation | None = None, parent: SessionId = NO_SESSION
    ) -> tuple[int, SessionOpened]:
        """(our number of it, what was answered), once it is held."""
        with self._changed:
            core = self._open_link().core
            deadline_ms = now_ms() + timeout_ms
            number = core.open_session(now_ms(), deadline_ms=deadline_ms, ttl_ms=ttl_ms, owner=owner, first=first, parent=parent)
            try:
                opened = expect(self._outcome(number).result, SessionOpened)
                self._keep()
                # An answer that came after the lease was half over says nothing yet: the first renewal does.
                self._pump_until(lambda: core.session_state(number, now_ms()) is not SessionState.OPENING, None)
            except BaseException:  # nobody would ever close it
                if not self._is_closed:
                    core.close_session(number, now_ms(), deadline_ms=now_ms() + timeout_ms)
                    self._stream.carry_out()
                raise
            return number, opened

    def close_session(self, session: int, timeout_ms: int, last: Request[T] | None = None) -> T | None:
        """`last` is asked in the same breath, in that session: its answer, or its error."""
        with self._changed:
            core = self._open_link().core
            deadline_ms = now_ms() + timeout_ms
            asked = core.call(last.operation, now_ms(), deadline_ms=deadline_ms, session=session) if last is not None else 0
            self._awaited.add(asked)
            try:
                self._end_notices(session)
                self._outcome(core.close_session(session, now_ms(), deadline_ms=deadline_ms))
                self._reasons.pop(session, None)
                return last.convert(self._outcome(asked).result) if last is not None else None
            finally:
                self._awaited.discard(asked)
                self._finished.pop(asked, None)

    def notices(self, session: int, session_id: SessionId) -> Notices:
        """The session's only one; to be listened to with `listen`."""
        with self._changed:
            found = self._notices.get(session)
            if found is None:
                found = self._notices[session] = Notices(self._open_link().core, self._inboxes, session_id)
            return found

    def listen(self, notices: Notices, sink: Sink, from_revision: int) -> None:
        """From that revision on the sink takes note of what the session is told."""
        with self._changed:
            notices.attach(sink)
            notices.start(from_revision, now_ms())
            self._stream.carry_out()
            self._wake()

    def forget(self, notices: Notices, sink: Sink) -> None:
        with self._changed:
            notices.detach(sink)

    def nesting(self) -> list[SessionId]:
        """The sessions through which this thread holds something, the innermost last; the thread's own list."""
        if not hasattr(self._nested, "sessions"):
            self._nested.sessions = []
        found: list[SessionId] = self._nested.sessions
        return found

    def _end_notices(self, session: int) -> None:
        notices = self._notices.pop(session, None)
        if notices is not None:
            notices.end()

    def session_state(self, session: int) -> tuple[SessionState, int, str]:
        """(state, until when on our clock, why it was lost), as of now."""
        with self._changed:
            core = self.link.core
            state = core.session_state(session, now_ms())
            return state, core.session_until_ms(session) if state is not SessionState.LOST else 0, self._reasons.get(session, "")

    def wait_until(self, is_done: Callable[[], bool], until_ms: int | None) -> bool:
        """Whether it became true in time; None: waits until it does. `is_done` is asked with the lock held."""
        with self._changed:
            return self._pump_until(is_done, until_ms)

    def watch(self, scope: Scope, from_revision: int) -> Inbox:
        with self._changed:
            return Inbox(self._open_link().core, self._inboxes, scope, from_revision, now_ms())

    def take_change(self, inbox: Inbox) -> Change | None:
        """Raises what ended the watch, once everything before it was taken."""
        with self._changed:
            change = inbox.take(now_ms())
            if change is None and inbox.error is not None:
                raise inbox.error
            return change

    def end_watch(self, inbox: Inbox) -> None:
        with self._changed:
            inbox.end()
            self._stream.carry_out()

    def close(self) -> None:
        """Sessions that are still open are left to their TTL; waiting callers are told."""
        with self._changed:
            if self._is_closed:
                return
            self.link.core.end_all(BadRequest("the client is closed"), now_ms())
            self._stream.carry_out()
            self._is_closed = True
            self._stream.hang_up()
            self._wake()
            self._changed.notify_all()
            keeper = self._keeper
        if keeper is not None and keeper is not threading.current_thread():
            keeper.join()
        with self._changed:
            while self._is_pumped:
                self._changed.wait()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _open_link(self) -> Link:
        if self._is_closed:
            raise BadRequest("the client is closed")
        return self.link

    def _outcome(self, call: int) -> Finished:
        self._awaited.add(call)
        try:
            self._pump_until(lambda: call in self._finished, None)
        except BaseException:  # a KeyboardInterrupt above all: nobody waits any more
            self.link.core.give_up(call)
            self._awaited.discard(call)
            self._stream.carry_out()
            self._finished.pop(call, None)
            raise
        self._awaited.discard(call)
        finished = self._finished.pop(call)
        if finished.error is not None:
            raise finished.error
        self.revision = max(self.revision, revision_of(finished.result))
        return finished

    # --- the work, with the lock held ------------------------------------------------------------------------------

    def _pump_until(self, is_done: Callable[[], bool], until_ms: int | None) -> bool:
        """Whether it was done in time."""
        self._stream.carry_out()
        self._wake()
        while not is_done():
            if self._is_closed:
                raise BadRequest("the client is closed")
            if until_ms is not None and now_ms() >= until_ms:
                return False
            if self._is_pumped:
                self._changed.wait(None if until_ms is None else max(0.0, (until_ms - now_ms()) / 1000))
                continue
            self._is_pumped = True
            try:
                self._sleep(until_ms)
            finally:
                self._is_pumped = False
                self._changed.notify_all()
            if not self._is_closed:
                self._stream.carry_out()
        return True

    def _sleep(self, until_ms: int | None) -> None:
        """Until the socket or another thread has something, or it is time; then takes in what came."""
        times = [time for time in (self.link.wake_at_ms(), until_ms) if time is not None]
        wait_ms = max(0, min(min(times, default=SLEEP_MS_MAX + now_ms()) - now_ms(), SLEEP_MS_MAX))
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        stream = self._stream
        connection = stream.socket
        if connection is not None:
            poll.register(connection, stream.wanted())
        self._changed.release()
        try:
            ready = dict(poll.poll(wait_ms))
        finally:
            self._changed.acquire()
        if self._wake_read in ready:
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        if connection is not None and connection is stream.socket and connection.fileno() in ready:
            stream.on_ready(ready[connection.fileno()])

    def _wake(self) -> None:
        if self._is_pumped:
            with suppress(BlockingIOError):  # it is full of wake-ups already
                os.write(self._wake_write, b"\0")

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Finished):
            if event.call in self._awaited:
                self._finished[event.call] = event
        elif isinstance(event, SessionChanged):
            if event.state is SessionState.LOST:
                self._reasons[event.session] = event.reason
                self._end_notices(event.session)
        elif isinstance(event, WatchEvents | WatchGapSeen | WatchFailed):
            inbox = self._inboxes.get(event.watch)
            if inbox is not None:
                inbox.on_event(event)
        self._changed.notify_all()

    # --- renewing sessions -----------------------------------------------------------------------------------------

    def _keep(self) -> None:
        if self._keeper is None or not self._keeper.is_alive():
            self._keeper = threading.Thread(target=self._keep_sessions, name="coordnode sessions", daemon=True)
            self._keeper.start()

    def _keep_sessions(self) -> None:
        def is_over() -> bool:
            return self._is_closed or not self.link.core.has_sessions()

        with self._changed:
            while not is_over():
                try:
                    self._pump_until(is_over, None)
                except Exception as error:
                    # Leases depend on this thread alone: it is said as if it had ended it, and a new connection is asked anew.
                    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, self._keeper)))
                    self._stream.cut("left after an error of our own")
                    self._changed.wait(AFTER_ERROR_SECONDS)
            self._keeper = None
