"""Connected clients: asks in, answers out, and nobody may make us hold more than the bounds say.

A connection is not read while it, or its guest, has too much unanswered or unread; the client's own send then blocks. A client that
does not read its answers at all is cut off. Who asks for much at once is eager, until it is calm for a while: its asks are handed on
apart from the others'.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

from coordnode.errors import CoordError, FrameError, Overloaded, TimedOut
from coordnode.net.guests import RELEASED_PER_SWEEP, Guests
from coordnode.net.limits import (
    CALM_SWEEPS_MIN,
    EAGER_ASKS,
    EAGER_BYTES,
    EAGER_SENT_BYTES,
    GUEST_EAGER_ASKS,
    LINK_PENDING_BYTES_MAX,
    OUTSTANDING_MAX,
    PARTIAL_BYTES_ALL_MAX,
    PARTIAL_SECONDS_MAX,
    RENEWAL_BYTES,
    UNREAD_BYTES_ALL_MAX,
    UNREAD_BYTES_MAX,
    UNREAD_BYTES_PAUSE,
    Limits,
)
from coordnode.raft.entry import encode_config
from coordnode.services.callers import Caller
from coordnode.services.dialogue import (
    Answer,
    Ask,
    ConfigAsk,
    ErrorReply,
    KeepAliveAsk,
    UnwatchAsk,
    WatchAsk,
    WatchGap,
    WatchProgress,
    WatchPush,
)
from coordnode.wire.bodies import decode_asks, encode_answers
from coordnode.wire.frames import ASKS, Frame, FrameReader
from coordnode.wire.hello import encode_refusal

UNUSUAL = (KeepAliveAsk, WatchAsk, UnwatchAsk, ConfigAsk)
WATCHES_RETRY_MS = 1_000


class ClientSink(Protocol):
    """Who carries on with what clients say."""

    def on_opened(self, connection: int, caller: Caller) -> None: ...

    def on_asks(self, connection: int, asks: list[Ask], patience_ms: int) -> None: ...

    def on_eager_asks(self, link: "ClientLink", asks: list[Ask], patience_ms: int) -> None: ...

    def on_closed(self, connection: int) -> None: ...


class ClientTraffic:
    """Counters; they only grow, but for `connections`."""

    def __init__(self) -> None:
        self.connections = 0
        self.accepted = 0
        self.refused = 0
        self.cut_off = 0
        self.asks = 0
        self.answers = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.pauses = 0
        self.watches_refused = 0


class Clients:
    def __init__(self, sink: ClientSink, limits: Limits) -> None:
        self.sink = sink
        self.limits = limits
        self.traffic = ClientTraffic()
        self.links: dict[int, ClientLink] = {}
        self.guests = Guests()
        self._last = 0
        self.eager: dict[int, ClientLink] = {}
        self.slow: dict[int, ClientLink] = {}  # have not read UNREAD_BYTES_PAUSE of answers
        self.partial: dict[int, ClientLink] = {}  # are in the middle of a frame

    def open(
        self, transport: asyncio.Transport, reader: FrameReader, caller: Caller, body_format: int, *, follows: bool = False
    ) -> "ClientLink":
        """0 is nobody's connection: the leader's own commands carry it."""
        self._last += 1
        link = ClientLink(self, self._last, transport, reader, caller, body_format, follows=follows)
        self.links[link.connection] = link
        self.traffic.connections += 1
        self.sink.on_opened(link.connection, caller)
        return link

    def gone(self, link: "ClientLink") -> None:
        if self.links.pop(link.connection, None) is None:
            return
        self.eager.pop(link.connection, None)
        self.slow.pop(link.connection, None)
        self.partial.pop(link.connection, None)
        guest = link.guest
        link.forget_unheard()
        self.guests.pending_bytes -= link.pending_bytes
        guest.pending_bytes -= link.pending_bytes
        guest.outstanding -= link.outstanding
        guest.watches -= len(link.watches)
        self.guests.forget(guest, link.connection)
        self.guests.leave(guest)
        self.traffic.connections -= 1
        self.sink.on_closed(link.connection)
        self.guests.maybe_release(self.limits)

    # --- what the node wants ---------------------------------------------------------------------------------------

    def answer(self, connection: int, answers: Sequence[Answer]) -> None:
        link = self.links.get(connection)
        if link is not None:
            link.answer(answers)

    def charge(self, connection: int, looked_bytes: int) -> None:
        link = self.links.get(connection)
        if link is not None:
            link.charge(looked_bytes)

    def close(self, connection: int) -> None:
        link = self.links.get(connection)
        if link is not None:
            link.cut_off(Overloaded("this connection was closed by the member; connect again"))

    def sweep(self, now_s: float) -> None:
        """Once a tick: those who read slowly, and those who send slowly, must not make us hold too much together."""
        if self.partial:
            self._sweep_partial(now_s)
        for link in list(self.eager.values()):
            link.maybe_calm()
        if self.guests.holding:
            self.guests.maybe_release(self.limits, RELEASED_PER_SWEEP)
        if not self.slow:
            return
        unread = {link: link.unread_bytes() for link in self.slow.values()}
        while sum(unread.values()) > UNREAD_BYTES_ALL_MAX:
            slowest = max(unread, key=lambda link: unread[link])
            del unread[slowest]
            slowest.cut_off(Overloaded("answers were not read and memory is short; read faster, or ask for less"))

    def _sweep_partial(self, now_s: float) -> None:
        held = {link: link.partial_bytes() for link in self.partial.values()}
        for link in list(held):
            if link.is_late_with_frame(now_s):
                del held[link]
                link.cut_off(TimedOut(f"a frame did not arrive within {PARTIAL_SECONDS_MAX:g} s"))
        while sum(held.values()) > PARTIAL_BYTES_ALL_MAX:
            largest = max(held, key=lambda link: held[link])
            del held[largest]
            largest.cut_off(Overloaded("too many large frames are under way at once; send smaller ones, or one after the other"))

    def close_all(self, error: CoordError) -> None:
        for link in list(self.links.values()):
            link.refuse(error)

    def abort_all(self) -> None:
        for link in list(self.links.values()):
            link.abort()


class ClientLink(asyncio.Protocol):
    def __init__(
        self,
        clients: Clients,
        connection: int,
        transport: asyncio.Transport,
        reader: FrameReader,
        caller: Caller,
        body_format: int,
        *,
        follows: bool,
    ) -> None:
        self.connection = connection
        self.caller = caller
        self.guest = clients.guests.enter(caller)
        self.outstanding = 0  # asks that will be answered once
        self.pending_bytes = 0  # theirs, and what the sessions that they renew count as
        self.charged_bytes = 0  # answered, and looked at for it; only grows
        self.watches: set[int] = set()
        self._is_eager = False
        self._calm_sweeps = 0
        self._calm_bytes = EAGER_SENT_BYTES  # who was charged more by the next look was answered much
        self._has_watched = False  # answers may be pushes
        self._clients = clients
        self._traffic = clients.traffic
        self.transport = transport
        self._reader = reader
        self.body_format = body_format
        self.follows = follows  # wants to be greeted anew whenever contacts have changed
        self._reading = True
        self._held = False
        self._unheard = b""  # arrived while it was held, or its guest was
        self._unread = False
        self._over = False
        self._partial_since_s = 0.0  # when the sweep first saw the frame that is under way; 0: none is
        transport.set_write_buffer_limits(high=UNREAD_BYTES_PAUSE)

    # --- bytes in --------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.guest.held:
            self._hold()
        if self._held:
            self._unheard += data
            guests = self._clients.guests
            guests.unheard_bytes += len(data)
            if guests.unheard_bytes > PARTIAL_BYTES_ALL_MAX:
                self.cut_off(Overloaded("too much arrives at once on this client's connections; use fewer"))
        else:
            self._hear(data)

    def _hear(self, data: bytes) -> None:
        self._traffic.bytes_in += len(data)
        try:
            frames = self._reader.feed(data)
            for frame in frames:
                self.on_frame(frame)
        except CoordError as error:
            self.refuse(error)
            return
        if frames:
            self._partial_since_s = 0.0
        if not self._reader.is_between_frames():
            self._clients.partial[self.connection] = self
        elif self._clients.partial:
            self._clients.partial.pop(self.connection, None)

    def partial_bytes(self) -> int:
        return self._reader.bytes_held()

    def is_late_with_frame(self, now_s: float) -> bool:
        """Counted while we read: who is made to wait is not late."""
        if not self._reading or not self._partial_since_s:
            self._partial_since_s = now_s
        return now_s - self._partial_since_s >= PARTIAL_SECONDS_MAX

    def on_frame(self, frame: Frame) -> None:
        if self._over:
            return
        if frame.kind != ASKS:
            raise FrameError(f"a frame of kind {frame.kind} where only asks make sense")
        if frame.format != self.body_format:
            raise FrameError("a connection keeps the format of its hello")
        asks, patience_ms = decode_asks(frame)
        if not asks:
            return
        outstanding, refused = self.outstanding, None
        size = len(frame.body)
        for ask in asks:
            if type(ask) in UNUSUAL:
                if type(ask) is KeepAliveAsk:
                    self.outstanding += 1
                    size += RENEWAL_BYTES * len(ask.sessions)
                elif not self._on_unusual(ask):
                    refused = [*(refused or ()), ask]
            else:
                self.outstanding += 1
        clients, guest = self._clients, self.guest
        guests = clients.guests
        self._traffic.asks += len(asks)
        guest.outstanding += self.outstanding - outstanding
        if self.outstanding:
            self.pending_bytes += size
            guest.pending_bytes += size
            guests.pending_bytes += size
        if refused is not None:
            asks = self._without(asks, refused)
        if (
            self._is_eager
            or self.outstanding > EAGER_ASKS
            or self.pending_bytes > EAGER_BYTES
            or guest.outstanding > GUEST_EAGER_ASKS
            or guests.pending_bytes >= clients.limits.pending_bytes_max
        ):
            self._become_eager()
            if guests.is_over(guest, clients.limits):
                self._hold()
            self._settle_reading()
            clients.sink.on_eager_asks(self, asks, patience_ms)
        else:
            clients.sink.on_asks(self.connection, asks, patience_ms)

    def _become_eager(self) -> None:
        self._is_eager = True
        self._calm_sweeps = 0
        self._clients.eager[self.connection] = self

    def _maybe_become_eager(self) -> None:
        if self.charged_bytes > self._calm_bytes and not self._is_eager:
            self._become_eager()

    def charge(self, looked_bytes: int) -> None:
        """For what its reads looked at."""
        self.charged_bytes += looked_bytes
        self._maybe_become_eager()

    def maybe_calm(self) -> None:
        """Looked at once a tick."""
        was_charged_much = self.charged_bytes > self._calm_bytes
        self._calm_bytes = self.charged_bytes + EAGER_SENT_BYTES // 2
        is_calm = self.outstanding <= EAGER_ASKS // 2 and self.pending_bytes <= EAGER_BYTES // 2 and not was_charged_much
        self._calm_sweeps = self._calm_sweeps + 1 if is_calm and self.guest.outstanding <= GUEST_EAGER_ASKS // 2 else 0
        if self._calm_sweeps >= CALM_SWEEPS_MIN:
            self._is_eager = False
            self._calm_bytes = self.charged_bytes + EAGER_SENT_BYTES
            del self._clients.eager[self.connection]

    def _without(self, asks: list[Ask], refused: list[Ask]) -> list[Ask]:
        """Told at once, and nobody else hears of them."""
        self._traffic.watches_refused += len(refused)
        watches_max = self._clients.limits.client_watches_max
        sentence = f"this client has {watches_max} watches already; end some, or watch a prefix instead of its keys"
        self.answer([ErrorReply(ask.request, Overloaded.code, sentence, True, WATCHES_RETRY_MS) for ask in refused])
        return [ask for ask in asks if ask not in refused]

    def _on_unusual(self, ask: Ask) -> bool:
        """False: one watch too many."""
        if isinstance(ask, WatchAsk):
            if ask.request not in self.watches:
                if self.guest.watches >= self._clients.limits.client_watches_max:
                    return False
                self.watches.add(ask.request)
                self.guest.watches += 1
            self._has_watched = True
        elif isinstance(ask, UnwatchAsk):
            self._end_watch(ask.request)
        else:
            assert isinstance(ask, ConfigAsk)
            try:
                encode_config(ask.config)
            except (OverflowError, ValueError) as error:
                raise FrameError(f"a configuration cannot be stored: {error}") from None
            self.outstanding += 1
        return True

    def _end_watch(self, request: int) -> None:
        if request in self.watches:
            self.watches.remove(request)
            self.guest.watches -= 1

    def eof_received(self) -> bool:
        return False

    # --- answers out -----------------------------------------------------------------------------------------------

    def answer(self, answers: Sequence[Answer]) -> None:
        answered = self._count_answered(answers) if self._has_watched else len(answers)
        if answered:
            self._on_answered(answered)
        if self._over:
            return
        try:
            frames = encode_answers(answers, self.body_format)
        except (CoordError, OverflowError, ValueError) as error:
            self.refuse(FrameError(f"an answer cannot be put into a frame: {error}"))
            return
        traffic = self._traffic
        traffic.answers += len(answers)
        write = self.transport.write
        for frame in frames:
            size = len(frame)
            traffic.bytes_out += size
            self.charged_bytes += size
            write(frame)
        self._maybe_become_eager()
        if self._unread and self.unread_bytes() > UNREAD_BYTES_MAX:
            self.cut_off(Overloaded("answers were not read"))

    def greet(self, hello: bytes) -> None:
        if not self._over:
            self._traffic.bytes_out += len(hello)
            self.transport.write(hello)

    def _count_answered(self, answers: Sequence[Answer]) -> int:
        """Asks that are done with. What ends a watch does not answer an ask."""
        answered = 0
        for answer in answers:
            kind = type(answer)
            if kind is WatchPush or kind is WatchProgress:
                continue
            if kind is WatchGap or (kind is ErrorReply and answer.request in self.watches):
                self._end_watch(answer.request)
            else:
                answered += 1
        return answered

    def _on_answered(self, count: int) -> None:
        outstanding = self.outstanding
        if count >= outstanding:
            released = self.pending_bytes
            self.outstanding = 0
        else:
            released = self.pending_bytes * count // outstanding
            self.outstanding = outstanding - count
        guest, guests = self.guest, self._clients.guests
        guest.outstanding -= outstanding - self.outstanding
        self.pending_bytes -= released
        guest.pending_bytes -= released
        guests.pending_bytes -= released
        if guests.holding:
            guests.maybe_release(self._clients.limits)
        if not self._reading:
            self._settle_reading()

    def unread_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def pause_writing(self) -> None:
        self._unread = True
        self._clients.slow[self.connection] = self
        self._settle_reading()

    def resume_writing(self) -> None:
        self._unread = False
        self._clients.slow.pop(self.connection, None)
        self._settle_reading()

    # --- back-pressure ---------------------------------------------------------------------------------------------

    def _hold(self) -> None:
        self._held = True
        self._clients.guests.hold(self.guest, self)
        self._settle_reading()

    def forget_unheard(self) -> bytes:
        unheard, self._unheard = self._unheard, b""
        self._clients.guests.unheard_bytes -= len(unheard)
        return unheard

    def released(self) -> None:
        self._held = False
        unheard = self.forget_unheard()
        if unheard:
            self._hear(unheard)
        self._settle_reading()

    def _settle_reading(self) -> None:
        """Stops at the bounds, goes on at half of them."""
        share = 1 if self._reading else 2
        full = self.outstanding * share >= OUTSTANDING_MAX or self.pending_bytes * share >= LINK_PENDING_BYTES_MAX
        wanted = not (full or self._held or self._unread or self._over)
        if wanted == self._reading or self.transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self._traffic.pauses += 1
            self.transport.pause_reading()

    # --- the end ---------------------------------------------------------------------------------------------------

    def refuse(self, error: CoordError) -> None:
        """Says why and closes; what was answered before still arrives."""
        if not self._over:
            self._over = True
            self._traffic.refused += 1
            self.transport.write(encode_refusal(error, self.body_format))
            self.transport.close()

    def cut_off(self, error: CoordError) -> None:
        """Closes at once, whatever was not read."""
        self._traffic.cut_off += 1
        self.refuse(error)
        self.transport.abort()

    def abort(self) -> None:
        self._over = True
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._over = True
        self._clients.gone(self)


def as_transport(transport: asyncio.BaseTransport) -> asyncio.Transport:
    """What asyncio hands to stream protocols; uvloop's transports do not inherit from asyncio's."""
    return cast(asyncio.Transport, transport)
