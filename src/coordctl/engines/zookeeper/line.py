"""Moves the bytes of one Talk: a socket that never blocks its owner, who waits for it together with other things."""

from __future__ import annotations

import os
import select

from coordctl.engines.speaking import Send
from coordctl.engines.zookeeper import jute
from coordctl.engines.zookeeper.talk import Greet, Talk
from coordctl.hot.bare import socket
from coordctl.hot.line import SmallChance
from coordctl.hot.talk import Connect, Disconnect
from coordctl.local.clusters import Endpoint, host_and_port
from coordnode.errors import FrameError
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def of(endpoints: list[Endpoint], _identity: str, wall_offset_ms: int) -> tuple[Talk, Line, Callable[[], None]]:
    talk = Talk([endpoint.address for endpoint in endpoints], SmallChance(), wall_offset_ms)
    return talk, Line(talk), lambda: None


class Line:
    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._socket: socket.socket | None = None
        self._is_connected = self._is_greeted = False
        self._frames = jute.Frames()
        self._out = bytearray()
        self._xid = 0
        self._found: dict[str, list[Any]] = {}  # addresses are looked up once: that may take its time

    def descriptor(self) -> tuple[int, int]:
        if self._socket is None:
            return -1, 0
        return self._socket.fileno(), select.POLLIN | (select.POLLOUT if self._out or not self._is_connected else 0)

    def drive(self, now_ms: int) -> None:
        """Carries out what the talk wants now."""
        while actions := self._talk.poll(now_ms):
            for action in actions:
                match action:
                    case Connect(address):
                        self._connect(address, now_ms)
                    case Disconnect():
                        self.close()
                    case Greet(ttl_ms, session, password, seen_zxid):
                        self._out += jute.greeting(ttl_ms, session, password, seen_zxid)
                    case Send(ask):
                        self._xid += 1
                        self._out += jute.request(self._xid, ask)
            self._flush(now_ms)

    def on_ready(self, now_ms: int) -> None:
        if self._socket is None:
            return
        if not self._is_connected:
            trouble = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if trouble:
                self._give_up(os.strerror(trouble).lower(), now_ms)
                return
            self._is_connected = True
            self._talk.on_connected(now_ms)
            self.drive(now_ms)
            return
        self._flush(now_ms)
        self._receive(now_ms)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self, address: str, now_ms: int) -> None:
        self.close()
        try:
            if address not in self._found:
                host, port = host_and_port(address)
                found = socket.getaddrinfo(host.encode() if host.isascii() else host, port, type=socket.SOCK_STREAM)
                self._found[address] = [found[0][0], found[0][4]]
            family, name = self._found[address]
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._is_connected = self._is_greeted = False
            self._frames = jute.Frames()
            self._out.clear()
            with suppress(BlockingIOError):
                self._socket.connect(name)
        except OSError as error:
            self._give_up((error.strerror or str(error)).lower(), now_ms)
            return
        poll = select.poll()
        poll.register(*self.descriptor())
        if poll.poll(0):  # a member on this machine is there at once, before its owner waits for anything
            self.on_ready(now_ms)

    def _flush(self, now_ms: int) -> None:
        if self._socket is None or not self._is_connected or not self._out:
            return
        try:
            with suppress(BlockingIOError):
                del self._out[: self._socket.send(self._out)]
        except OSError as error:
            self._give_up((error.strerror or str(error)).lower(), now_ms)

    def _receive(self, now_ms: int) -> None:
        if self._socket is None:
            return
        try:
            part = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as error:
            self._give_up((error.strerror or str(error)).lower(), now_ms)
            return
        if not part:
            self._give_up("hung up", now_ms)
            return
        try:
            for frame in self._frames.feed(part):
                self._on_frame(frame, now_ms)
        except FrameError as error:
            self._give_up(error.sentence, now_ms)

    def _on_frame(self, frame: bytes, now_ms: int) -> None:
        if not self._is_greeted:
            self._is_greeted = True
            self._talk.on_greeted(jute.greeted(frame), now_ms)
            return
        xid, answer = jute.answer(frame)
        if xid == jute.EVENT_XID:
            self._talk.on_event(jute.event_path(answer), now_ms)
        elif xid in (self._xid, jute.PING_XID):
            self._talk.on_answer(answer, now_ms)

    def _give_up(self, trouble: str, now_ms: int) -> None:
        self.close()
        self._talk.on_disconnected(trouble, now_ms)
