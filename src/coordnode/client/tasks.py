"""Moves the bytes of one client inside an asyncio loop: a transport, one timer, and a future for each call. Not for other threads."""

import asyncio
import errno
import os
import random
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, cast
from weakref import WeakKeyDictionary

from coordnode.address import Address
from coordnode.client.actions import Finished, SessionChanged, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.calls import AdministrativeAsk
from coordnode.client.clock import now_ms
from coordnode.client.inboxes import WAITING_BYTES_MAX, Inbox, Receiver, Scope
from coordnode.client.lease import SessionState
from coordnode.client.link import Dial, Event, HangUp, Link, Step, Transmit
from coordnode.client.lookups import Lookups
from coordnode.client.notices import Notices, Sink
from coordnode.client.requests import Request, expect, revision_of
from coordnode.client.tls import HungUpUnheard
from coordnode.errors import BadRequest
from coordnode.ids import NO_SESSION, ClusterId, Revision, SessionId
from coordnode.limits import MIB
from coordnode.services.commands import Change, ClientCommand, FirstOperation, Result, SessionOpened
from coordnode.wire.hello import ANY_CLUSTER

if TYPE_CHECKING:
    from coordnode.client.lookups import Place

T = TypeVar("T")
SLEEP_MS_MAX = 1_000  # the loop's time stands still while the machine sleeps; leases do not
UNSENT_BYTES_MAX = 64 * MIB


class Tasks:
    def __init__(
        self,
        addresses: list[Address],
        identity: str,
        cluster: ClusterId = ANY_CLUSTER,
        *,
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
        token: str = "",
        behalf: tuple[str, str] | None = None,
        reads_anywhere: bool = False,
    ) -> None:
        self.tls = tls
        chance = random.Random(os.urandom(16))
        self.link = Link(addresses, chance, identity=identity, cluster=cluster, token=token, behalf=behalf, reads_anywhere=reads_anywhere)
        self.revision = Revision(0)  # the newest that any answer spoke of
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.lookups = Lookups()
        self._connection: _Connection | None = None
        self._outcomes: dict[int, asyncio.Future[Finished]] = {}
        self._waiters: dict[Receiver | None, set[asyncio.Future[None]]] = {}  # of those who wait for what is told there; None: for anything
        self._reasons: dict[int, str] = {}  # session -> why it was lost
        self._inboxes: dict[int, Receiver] = {}
        self._notices: dict[int, Notices] = {}  # by our number of the session
        self._nested: WeakKeyDictionary[asyncio.Task[object], list[SessionId]] = WeakKeyDictionary()
        self._is_closed = False

    # --- what callers ask ------------------------------------------------------------------------------------------

    async def call(self, request: Request[T], timeout_ms: int, session: int = 0) -> T:
        number = self._open_link().core.call(
            request.operation,
            now_ms(),
            deadline_ms=now_ms() + timeout_ms,
            session=session,
            request_id=request.request_id,
            stale=request.stale,
            min_revision=request.min_revision,
        )
        return request.convert((await self._outcome(number)).result)

    async def submit(self, command: ClientCommand, timeout_ms: int, *, is_safe_twice: bool = False) -> Result | None:
        core = self._open_link().core
        finished = await self._outcome(core.submit(command, now_ms(), deadline_ms=now_ms() + timeout_ms, is_safe_twice=is_safe_twice))
        return finished.result

    async def administer(self, ask: AdministrativeAsk, timeout_ms: int) -> None:
        await self._outcome(self._open_link().core.administer(ask, now_ms(), deadline_ms=now_ms() + timeout_ms))

    async def renew(self, session: SessionId, timeout_ms: int) -> int:
        """The session's TTL: it lives on for so long, counted from when this was asked."""
        number = self._open_link().core.renew(session, now_ms(), deadline_ms=now_ms() + timeout_ms)
        return (await self._outcome(number)).ttl_ms

    async def open_session(
        self, ttl_ms: int, owner: str, timeout_ms: int, first: FirstOperation | None = None, parent: SessionId = NO_SESSION
    ) -> tuple[int, SessionOpened]:
        """(our number of it, what was answered), once it is held."""
        core = self._open_link().core
        deadline_ms = now_ms() + timeout_ms
        number = core.open_session(now_ms(), deadline_ms=deadline_ms, ttl_ms=ttl_ms, owner=owner, first=first, parent=parent)
        try:
            opened = expect((await self._outcome(number)).result, SessionOpened)
            # An answer that came after the lease was half over says nothing yet: the first renewal does.
            await self.wait_until(lambda: core.session_state(number, now_ms()) is not SessionState.OPENING, None)
        except BaseException:  # nobody would ever close it
            if not self._is_closed:
                core.close_session(number, now_ms(), deadline_ms=now_ms() + timeout_ms)
                self._carry_out()
            raise
        return number, opened

    async def close_session(self, session: int, timeout_ms: int, last: Request[T] | None = None) -> T | None:
        """`last` is asked in the same breath, in that session: its answer, or its error."""
        core = self._open_link().core
        deadline_ms = now_ms() + timeout_ms
        self._end_notices(session)
        if last is None:
            await self._outcome(core.close_session(session, now_ms(), deadline_ms=deadline_ms))
            self._reasons.pop(session, None)
            return None
        asked = core.call(last.operation, now_ms(), deadline_ms=deadline_ms, session=session)
        closed = core.close_session(session, now_ms(), deadline_ms=deadline_ms)
        answered, ended = await asyncio.gather(self._outcome(asked), self._outcome(closed), return_exceptions=True)
        self._reasons.pop(session, None)
        if isinstance(answered, BaseException):
            raise answered
        if isinstance(ended, BaseException):
            raise ended
        return last.convert(answered.result)

    def notices(self, session: int, session_id: SessionId) -> Notices:
        """The session's only one; to be listened to with `listen`."""
        found = self._notices.get(session)
        if found is None:
            found = self._notices[session] = Notices(self._open_link().core, self._inboxes, session_id)
        return found

    def listen(self, notices: Notices, sink: Sink, from_revision: int) -> None:
        """From that revision on the sink takes note of what the session is told."""
        notices.attach(sink)
        notices.start(from_revision, now_ms())
        self._carry_out()

    def nesting(self) -> list[SessionId]:
        """The sessions through which this task holds something, the innermost last; the task's own list."""
        task = asyncio.current_task()
        assert task is not None
        return self._nested.setdefault(task, [])

    def _end_notices(self, session: int) -> None:
        notices = self._notices.pop(session, None)
        if notices is not None:
            notices.end()

    def session_state(self, session: int) -> tuple[SessionState, int, str]:
        """(state, until when on our clock, why it was lost), as of now."""
        core = self.link.core
        state = core.session_state(session, now_ms())
        return state, core.session_until_ms(session) if state is not SessionState.LOST else 0, self._reasons.get(session, "")

    def watch(self, scope: Scope, from_revision: int, waiting_bytes_max: int = WAITING_BYTES_MAX) -> Inbox:
        inbox = Inbox(self._open_link().core, self._inboxes, scope, from_revision, now_ms(), waiting_bytes_max)
        self._carry_out()
        return inbox

    def take_change(self, inbox: Inbox) -> Change | None:
        """Raises what ended the watch, once everything before it was taken."""
        change = inbox.take(now_ms())
        if change is None and inbox.error is not None:
            raise inbox.error
        self._carry_out()
        return change

    def end_watch(self, inbox: Inbox) -> None:
        inbox.end()
        self._carry_out()

    async def wait_until(self, is_done: Callable[[], bool], until_ms: int | None, told: Receiver | None = None) -> bool:
        """Whether it became true in time; None: waits until it does. `told`: nothing brings it about but what is told there, or the loss
        of that session: whatever else happens wakes nobody who waits so, and thousands may."""
        self._carry_out()
        while not is_done():
            if self._is_closed:
                raise BadRequest("the client is closed")
            wait_ms = None if until_ms is None else until_ms - now_ms()
            if told is None:
                wait_ms = SLEEP_MS_MAX if wait_ms is None else min(wait_ms, SLEEP_MS_MAX)
            if wait_ms is not None and wait_ms <= 0:
                return False
            await self._sleep(told, wait_ms)
        return True

    async def wait_watch(self, inbox: Inbox, until_ms: int) -> None:
        """Until something is told about this watch, or until then."""
        self._carry_out()
        wait_ms = min(until_ms - now_ms(), SLEEP_MS_MAX)
        if wait_ms > 0 and not self._is_closed:
            await self._sleep(inbox, wait_ms)

    async def _sleep(self, told: Receiver | None, wait_ms: int | None) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        waiters = self._waiters.setdefault(told, set())
        waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=None if wait_ms is None else wait_ms / 1000)
        finally:
            waiters.discard(waiter)
            if not waiters and self._waiters.get(told) is waiters:
                del self._waiters[told]

    async def close(self) -> None:
        """Sessions that are still open are left to their TTL; waiting callers are told."""
        if self._is_closed:
            return
        self.link.core.end_all(BadRequest("the client is closed"), now_ms())
        self._carry_out()
        self._is_closed = True
        self._hang_up()
        if self._timer is not None:
            self._timer.cancel()
        for told in list(self._waiters):
            self._wake(told)

    def _open_link(self) -> Link:
        if self._is_closed:
            raise BadRequest("the client is closed")
        return self.link

    async def _outcome(self, call: int) -> Finished:
        future: asyncio.Future[Finished] = self._loop.create_future()
        self._outcomes[call] = future
        self._carry_out()
        try:
            finished = await future
        finally:
            if self._outcomes.pop(call, None) is not None:  # cancelled: nobody waits any more
                self.link.core.give_up(call)
                self._carry_out()
        if finished.error is not None:
            raise finished.error
        self.revision = max(self.revision, revision_of(finished.result))
        return finished

    # --- the work --------------------------------------------------------------------------------------------------

    def _carry_out(self) -> None:
        if self._is_closed:
            return
        while steps := self.link.poll(now_ms()):
            for step in steps:
                self._step(step)
        if self._timer is not None:
            self._timer.cancel()
        wake_at_ms = self.link.wake_at_ms()
        if wake_at_ms is None:
            self._timer = None
        else:
            wait_ms = max(0, min(wake_at_ms - now_ms(), SLEEP_MS_MAX))
            self._timer = self._loop.call_later(wait_ms / 1000, self._carry_out)

    def _step(self, step: Step) -> None:
        if isinstance(step, Transmit):
            if self._connection is not None:
                self._connection.send(step.data)
        elif isinstance(step, Dial):
            self._hang_up()
            self._connection = _Connection(self, self._loop, step.address)
        elif isinstance(step, HangUp):
            self._hang_up()
        else:
            self._on_event(step)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Finished):
            future = self._outcomes.pop(event.call, None)
            if future is not None and not future.done():
                future.set_result(event)
        elif isinstance(event, SessionChanged):
            notices = self._notices.get(event.session)
            if event.state is SessionState.LOST:
                self._reasons[event.session] = event.reason
                self._end_notices(event.session)
            if notices is not None:
                self._wake(notices)
        elif isinstance(event, WatchEvents | WatchGapSeen | WatchFailed):
            inbox = self._inboxes.get(event.watch)
            if inbox is not None:
                inbox.on_event(event)
                if not (isinstance(inbox, Notices) and isinstance(event, WatchEvents) and not event.changes):
                    self._wake(inbox)  # how far a session has been told, when it was told nothing, is no news to anybody
        self._wake(None)

    def _wake(self, told: Receiver | None) -> None:
        for waiter in self._waiters.get(told, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- what the one connection brings ----------------------------------------------------------------------------

    def on_dialled(self, connection: "_Connection") -> None:
        if connection is self._connection:
            self.link.on_dialled()
            self._carry_out()

    def on_data(self, connection: "_Connection", data: bytes) -> None:
        if connection is self._connection:
            self.link.on_bytes(data, now_ms())
            self._carry_out()

    def on_gone(self, connection: "_Connection", why: str) -> None:
        if connection is self._connection:
            self._hang_up()
            self.link.on_hung_up(why, now_ms())
            self._carry_out()


class _Connection(asyncio.Protocol):
    def __init__(self, owner: Tasks, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._is_heard = False
        self._address = address
        self._is_dialling = False
        self._dial_task = loop.create_task(self._dial(loop))

    async def _dial(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            context = self._owner.tls()
            places = await self._places(loop)
            self._is_dialling = True
            dialled = await _dialled(loop, places)
            self._is_dialling = False
            host = self._address.host if context is not None else None
            await loop.create_connection(lambda: self, sock=dialled, ssl=context, server_hostname=host)
        except OSError as error:
            self._is_dialling = False
            self._owner.on_gone(self, _reason(error))

    async def _places(self, loop: asyncio.AbstractEventLoop) -> "list[Place]":
        lookups = self._owner.lookups
        while (places := lookups.places(self._address)) is None:
            known = asyncio.Event()

            def tell(known: asyncio.Event = known) -> None:
                with suppress(RuntimeError):  # the loop is over
                    loop.call_soon_threadsafe(known.set)

            lookups.tell(self._address, tell)
            await known.wait()
        return places

    def send(self, data: bytes | bytearray) -> None:
        if self._transport is not None:
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
                self._transport.abort()

    def close(self) -> None:
        if self._is_dialling:
            self._owner.lookups.on_given_up(self._address)
        self._dial_task.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's
        self._owner.on_dialled(self)

    def data_received(self, data: bytes) -> None:
        self._is_heard = True
        self._owner.on_data(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        if (
            error is None
            and not self._is_heard
            and self._transport is not None
            and self._transport.get_extra_info("ssl_object") is not None
        ):
            error = HungUpUnheard(is_greeted=True)
        self._owner.on_gone(self, "hung up" if error is None else _reason(error))


async def _dialled(loop: asyncio.AbstractEventLoop, places: "list[Place]") -> socket.socket:
    """The first of them where somebody is. Raises OSError."""
    trouble = OSError(errno.EADDRNOTAVAIL, "no address")
    for family, name in places:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(connection, name)
            return connection
        except OSError as error:
            connection.close()
            trouble = error
        except BaseException:
            connection.close()
            raise
    raise trouble


def _reason(error: Exception) -> str:
    """What the system calls it, without asyncio's words around it. (Errors of TLS have numbers of their own.)"""
    number = error.errno if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
    return os.strerror(number).lower() if number is not None and number > 0 else str(error).lower()
