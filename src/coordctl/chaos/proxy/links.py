"""One proxied connection: two directions, each a chain of stages between two sockets. Without toxics a piece is passed on as it came."""

import asyncio
import random
import socket
import struct
from itertools import pairwise
from typing import Protocol, cast

from coordctl.chaos.proxy.stages import STAGES, Stage
from coordctl.chaos.proxy.toxics import DOWNSTREAM, UPSTREAM, ApiError, Toxic

HELD_BYTES_MAX = 1 << 20  # of one direction; then its sender has to wait
DIAL_SECONDS_MAX = 10.0


class Listener(Protocol):
    """Whose links these are."""

    toxics: list[Toxic]
    links: dict["Link", None]

    def upstream_place(self) -> tuple[str, int]: ...

    def on_link_over(self, link: "Link") -> None: ...


class Direction:
    """Implements stages.Carrier."""

    def __init__(self, link: "Link", loop: asyncio.AbstractEventLoop) -> None:
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.received = 0
        self.passed = 0
        self.is_done = False  # its end was passed on
        self._stages: list[Stage] = []
        self._early: list[bytes] = []
        self._link = link
        self._loop = loop
        self._held = 0
        self._is_sink_full = False
        self._is_paused = False

    # --- bytes -----------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        self.received += len(data)
        if self._stages:
            self._stages[0].feed(data)
        else:
            self._pass(data)

    def end(self) -> None:
        if self._stages:
            self._stages[0].end()
        else:
            self._finish()

    def _pass(self, data: bytes) -> None:
        if self.is_done:
            return
        if self.sink is not None:
            self.passed += len(data)
            self.sink.write(data)
        else:
            self._early.append(data)
            self.hold(len(data))

    def on_sink(self, sink: asyncio.Transport) -> None:
        """What came before there was anybody to pass it to."""
        self.sink = sink
        early, self._early = self._early, []
        for data in early:
            self.passed += len(data)
            self.hold(-len(data))
            sink.write(data)
        if self.is_done:
            sink.write_eof()

    def _finish(self) -> None:
        if not self.is_done:
            self.is_done = True
            self._link.on_done()
            if self.sink is not None and self.sink.can_write_eof() and not self.sink.is_closing():
                self.sink.write_eof()

    # --- flow ------------------------------------------------------------------------------------------------------

    def hold(self, size: int) -> None:
        self._held += size
        self._regulate()

    def on_sink_full(self, *, is_full: bool) -> None:
        self._is_sink_full = is_full
        self._regulate()

    def _regulate(self) -> None:
        wants_pause = self._is_sink_full or self._held >= (HELD_BYTES_MAX // 2 if self._is_paused else HELD_BYTES_MAX)
        if self.source is None or self.source.is_closing() or wants_pause == self._is_paused:
            return
        self._is_paused = wants_pause
        if wants_pause:
            self.source.pause_reading()
        else:
            self.source.resume_reading()

    def close(self) -> None:
        self._link.close()

    def reset(self) -> None:
        self._link.reset()

    # --- toxics ----------------------------------------------------------------------------------------------------

    def add(self, toxic: Toxic) -> None:
        if random.random() < toxic.toxicity:
            self._stages.append(STAGES[toxic.kind](toxic, self, self._loop))
            self._relink()

    def update(self, toxic: Toxic) -> None:
        """Its chance is rolled again."""
        found = next((stage for stage in self._stages if stage.toxic is toxic), None)
        if found is None:
            self.add(toxic)
        elif random.random() < toxic.toxicity:
            found.refresh()
        else:
            self.remove(toxic)

    def remove(self, toxic: Toxic) -> None:
        gone = [stage for stage in self._stages if stage.toxic is toxic]
        self._stages = [stage for stage in self._stages if stage.toxic is not toxic]
        for stage in gone:
            stage.release()  # to what follows it; it may also close all
        self._relink()

    def _relink(self) -> None:
        for stage, following in pairwise(self._stages):
            stage.onward, stage.onward_end = following.feed, following.end
        if self._stages:
            self._stages[-1].onward, self._stages[-1].onward_end = self._pass, self._finish

    def stop(self) -> None:
        for stage in self._stages:
            stage.stop()
        self._stages.clear()


class Link:
    def __init__(self, proxy: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self.directions = {UPSTREAM: Direction(self, loop), DOWNSTREAM: Direction(self, loop)}
        self._proxy = proxy
        self._loop = loop
        self._transports: list[asyncio.Transport] = []
        self._dialling: asyncio.Task[None] | None = None
        self._is_over = False
        for toxic in proxy.toxics:
            self.directions[toxic.direction].add(toxic)

    def on_accepted(self, client: asyncio.Transport) -> None:
        self._proxy.links[self] = None
        self._add(client, self.directions[UPSTREAM], self.directions[DOWNSTREAM])
        self._dialling = self._loop.create_task(self._dial())

    def _add(self, transport: asyncio.Transport, outward: Direction, inward: Direction) -> None:
        self._transports.append(transport)
        outward.source = transport
        transport.set_write_buffer_limits(high=HELD_BYTES_MAX)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        inward.on_sink(transport)

    async def _dial(self) -> None:
        try:
            host, port = self._proxy.upstream_place()
            async with asyncio.timeout(DIAL_SECONDS_MAX):
                await self._loop.create_connection(lambda: Server(self), host, port)
        except (OSError, TimeoutError, ValueError, ApiError):
            self.close()  # as the original: the client was connected, and now sees the end

    def on_connected(self, server: asyncio.Transport) -> None:
        if self._is_over:
            server.abort()
        else:
            self._add(server, self.directions[DOWNSTREAM], self.directions[UPSTREAM])

    def on_done(self) -> None:
        if all(direction.is_done for direction in self.directions.values()):
            self.close()

    def on_lost(self) -> None:
        """Of either socket: what was passed to the other is still sent."""
        self.close()

    def close(self) -> None:
        self._end()
        for transport in self._transports:
            transport.close()

    def reset(self) -> None:
        self._end()
        for transport in self._transports:
            sock = transport.get_extra_info("socket")
            if sock is not None and not transport.is_closing():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._dialling is not None:
            self._dialling.cancel()
        for direction in self.directions.values():
            direction.stop()
        self._proxy.on_link_over(self)


class _Side(asyncio.Protocol):
    def __init__(self, outward: Direction, inward: Direction, link: Link) -> None:
        self._link = link
        self._outward = outward  # what this side sends
        self._inward = inward
        self.data_received = outward.feed  # type: ignore[method-assign]

    def eof_received(self) -> bool:
        self._outward.end()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self._inward.on_sink_full(is_full=True)

    def resume_writing(self) -> None:
        self._inward.on_sink_full(is_full=False)

    def connection_lost(self, error: Exception | None) -> None:
        self._link.on_lost()


class Client(_Side):
    """Who connected to the proxy."""

    def __init__(self, proxy: Listener, loop: asyncio.AbstractEventLoop) -> None:
        link = Link(proxy, loop)
        super().__init__(link.directions[UPSTREAM], link.directions[DOWNSTREAM], link)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link.on_accepted(cast(asyncio.Transport, transport))


class Server(_Side):
    """Whom the proxy connected to."""

    def __init__(self, link: Link) -> None:
        super().__init__(link.directions[DOWNSTREAM], link.directions[UPSTREAM], link)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link.on_connected(cast(asyncio.Transport, transport))
