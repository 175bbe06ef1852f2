"""Moves the bytes of one Talk: two sockets, one of them for what is watched, behind one descriptor that never blocks its owner."""

from __future__ import annotations

import os
import select

from coordctl.engines.etcd.gateway import Ask, Reader, request
from coordctl.engines.etcd.talk import Talk, Watch
from coordctl.engines.speaking import Send
from coordctl.hot.bare import socket
from coordctl.hot.line import SmallChance
from coordctl.hot.talk import Connect, Disconnect
from coordctl.local.clusters import Endpoint, host_and_port
from coordnode.errors import FrameError
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coordctl.engines.etcd.gateway import Answer


class Wire:
    """One connection."""

    def __init__(self, watched: select.epoll, *, streams: bool) -> None:
        self.is_connected = False
        self._watched = watched
        self._streams = streams
        self._socket: socket.socket | None = None
        self._reader = Reader()
        self._out = bytearray()

    def connect(self, place: list[Any]) -> None:
        """Raises OSError."""
        self.close()
        self._reader = Reader(streams=self._streams)
        family, name = place
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BlockingIOError):
            self._socket.connect(name)
        self._watched.register(self._socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def send(self, content: bytes) -> None:
        """Raises OSError."""
        self._out += content
        if self.is_connected:
            self._flush()

    def descriptor(self) -> int:
        return self._socket.fileno() if self._socket is not None else -1

    def on_ready(self) -> list[Answer]:
        """Raises OSError, also when the other side hangs up, and FrameError."""
        assert self._socket is not None
        if not self.is_connected:
            trouble = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if trouble:
                raise OSError(trouble, os.strerror(trouble))
            self.is_connected = True
        self._flush()
        try:
            part = self._socket.recv(1 << 18)
        except BlockingIOError:
            return []
        if not part:
            raise OSError(0, "hung up")
        return self._reader.feed(part)

    def close(self) -> None:
        if self._socket is not None:
            self._watched.unregister(self._socket.fileno())
            self._socket.close()
        self._socket = None
        self.is_connected = False
        self._out.clear()

    def _flush(self) -> None:
        assert self._socket is not None
        if self._out:
            with suppress(BlockingIOError):
                del self._out[: self._socket.send(self._out)]
        self._watched.modify(self._socket.fileno(), select.EPOLLIN | (select.EPOLLOUT if self._out else 0))


def of(endpoints: list[Endpoint], _identity: str, wall_offset_ms: int) -> tuple[Talk, Line, Callable[[], None]]:
    talk = Talk([endpoint.address for endpoint in endpoints], SmallChance(), wall_offset_ms)
    return talk, Line(talk), lambda: None


class Line:
    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._watched = select.epoll()
        self._asking = Wire(self._watched, streams=False)
        self._watching = Wire(self._watched, streams=True)
        self._found: dict[str, list[Any]] = {}  # addresses are looked up once: that may take its time

    def descriptor(self) -> tuple[int, int]:
        return self._watched.fileno(), select.POLLIN

    def drive(self, now_ms: int) -> None:
        """Carries out what the talk wants now."""
        while actions := self._talk.poll(now_ms):
            for action in actions:
                match action:
                    case Connect(address):
                        self._connect(address, now_ms)
                    case Disconnect():
                        self._hang_up()
                    case Send(ask):
                        self._send(ask, now_ms)
                    case Watch(ask):
                        self._watch(ask)

    def on_ready(self, now_ms: int) -> None:
        for descriptor, _ in self._watched.poll(0):
            if descriptor == self._watching.descriptor():
                self._on_watching(now_ms)
            elif descriptor == self._asking.descriptor():
                self._on_asking(now_ms)

    def close(self) -> None:
        self._hang_up()
        self._watched.close()

    def _hang_up(self) -> None:
        self._asking.close()
        self._watching.close()

    def _look_up(self, address: str) -> list[Any]:
        if address not in self._found:
            host, port = host_and_port(address)
            found = socket.getaddrinfo(host.encode() if host.isascii() else host, port, type=socket.SOCK_STREAM)
            self._found[address] = [found[0][0], found[0][4]]
        return self._found[address]

    def _connect(self, address: str, now_ms: int) -> None:
        try:
            self._asking.connect(self._look_up(address))
        except OSError as error:
            self._give_up(error, now_ms)
            return
        self.on_ready(now_ms)  # a member on this machine is there at once, before its owner waits for anything

    def _send(self, ask: Ask, now_ms: int) -> None:
        try:
            self._asking.send(request(ask, self._talk.address()))
        except OSError as error:
            self._give_up(error, now_ms)

    def _watch(self, ask: Ask) -> None:
        try:
            self._watching.connect(self._look_up(self._talk.address()))
            self._watching.send(request(ask, self._talk.address()))
        except OSError:
            self._watching.close()
            self._talk.on_watch_lost()

    def _on_asking(self, now_ms: int) -> None:
        was_connected = self._asking.is_connected
        try:
            answers = self._asking.on_ready()
        except (OSError, FrameError) as error:
            self._give_up(error, now_ms)
            return
        if not was_connected:
            self._talk.on_connected(now_ms)
        for answer in answers:
            self._talk.on_answer(answer, now_ms)

    def _on_watching(self, now_ms: int) -> None:
        try:
            answers = self._watching.on_ready()
        except (OSError, FrameError):
            self._watching.close()
            self._talk.on_watch_lost()
            return
        for answer in answers:
            self._talk.on_watched(answer, now_ms)

    def _give_up(self, error: OSError | FrameError, now_ms: int) -> None:
        self._hang_up()
        trouble = error.sentence if isinstance(error, FrameError) else (error.strerror or str(error)).lower()
        self._talk.on_disconnected(trouble, now_ms)
