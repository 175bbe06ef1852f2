"""Moves the bytes of one Talk: a socket that never blocks its owner, who waits for it together with other things."""

from __future__ import annotations

import os
import select

from coordctl.hot import frames
from coordctl.hot.bare import secured, socket
from coordctl.hot.talk import Connect, Disconnect, Send, Talk
from coordctl.local.clusters import Endpoint, host_and_port, led_last, note_led
from coordnode import __version__
from coordnode.client.identity import token_here
from coordnode.errors import CoordError
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from coordnode.client.tls import Secured


class SmallChance:
    """Enough for jitter; the module random would cost more than all of this."""

    def randrange(self, start: int, stop: int) -> int:
        return start + int.from_bytes(os.urandom(4)) % (stop - start)


def of(endpoints: list[Endpoint], identity: str, _wall_offset_ms: int) -> tuple[Talk, Line, Callable[[], None]]:
    """A talk, what moves its bytes, and what to do when it is over: who led is remembered here."""
    led = led_last(endpoints)
    talk = Talk([endpoint.address for endpoint in endpoints], SmallChance(), led)
    return talk, Line(talk, identity), lambda: note_led(endpoints, talk.led) if talk.led != led else None


class Line:
    def __init__(self, talk: Talk, identity: str) -> None:
        self._talk = talk
        self._identity = identity
        self._token = token_here()
        self._socket: socket.socket | Secured | None = None
        self._is_secured = False
        self._is_connected = False
        self._is_greeted = False
        self._out = bytearray()
        self._held_back = bytearray()  # too much for a member that has not said hello yet
        self._in = bytearray()
        self._found: dict[str, list[Any]] = {}  # addresses are looked up once: that may take its time

    def descriptor(self) -> tuple[int, int]:
        if self._socket is None:
            return -1, 0
        unsent = self._out or not self._is_connected or (self._is_secured and self._socket.wants_to_write())  # type: ignore[union-attr]
        writes = select.POLLOUT if unsent else 0
        return self._socket.fileno(), select.POLLIN | writes

    def drive(self, now_ms: int) -> None:
        """Carries out what the talk wants now."""
        while actions := self._talk.poll(now_ms):
            for action in actions:
                match action:
                    case Connect(address):
                        self._connect(address, now_ms)
                    case Disconnect():
                        self.close()
                    case Send(ask):
                        self._send([ask])
            self._flush(now_ms)

    def on_ready(self, now_ms: int) -> None:
        if self._socket is None:
            return
        if not self._is_connected:
            trouble = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if trouble:
                self._give_up(os.strerror(trouble).lower(), now_ms)
                return
            self._on_connected(now_ms)
            return
        self._flush(now_ms)
        self._receive(now_ms)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # --- bytes -----------------------------------------------------------------------------------------------------

    def _connect(self, address: str, now_ms: int) -> None:
        self.close()
        try:
            family, name = self._look_up(address)[:2]
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._is_connected = self._is_greeted = self._is_secured = False
            self._out.clear()
            self._in.clear()
            self._held_back.clear()
            self._socket.connect(name)
        except BlockingIOError:
            if self._is_writable():  # a member on this machine is there at once, before its owner waits for anything
                self.on_ready(now_ms)
            return
        except OSError as error:
            self._give_up((error.strerror or str(error)).lower(), now_ms)
            return
        self._on_connected(now_ms)

    def _is_writable(self) -> bool:
        poll = select.poll()
        poll.register(*self.descriptor())
        return bool(poll.poll(0))

    def _look_up(self, address: str) -> list[Any]:
        if address not in self._found:
            host, port = host_and_port(address)
            # As bytes, an ASCII name is looked up without loading the tables of international ones.
            found = socket.getaddrinfo(host.encode() if host.isascii() else host, port, type=socket.SOCK_STREAM)
            self._found[address] = [found[0][0], found[0][4]]
        return self._found[address]

    def _on_connected(self, now_ms: int) -> None:
        self._is_connected = True
        try:
            connection = secured(self._socket)  # type: ignore[arg-type]
        except OSError as error:
            self._give_up((error.strerror or str(error)).lower(), now_ms)
            return
        self._is_secured = connection is not self._socket
        self._socket = connection
        self._out += frames.hello_of_follower(self._identity, __version__, self._token)
        self._talk.on_connected(now_ms)
        self.drive(now_ms)

    def _send(self, asks: Sequence[list[object]]) -> None:
        asked = frames.asks(asks, 0)
        waits = not self._is_greeted and (self._held_back or len(asked) > frames.FIRST_BYTES_MAX)
        (self._held_back if waits else self._out).extend(asked)

    def _flush(self, now_ms: int) -> None:
        if self._socket is None or not self._is_connected or not (self._out or self._is_secured):
            return
        try:
            del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            pass
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
        self._in += part
        try:
            self._read_frames(now_ms)
        except CoordError as error:
            self._give_up(error.sentence, now_ms)
        except (IndexError, TypeError, KeyError, ValueError) as error:
            self._give_up(f"answered with something else ({error!r})", now_ms)

    def _read_frames(self, now_ms: int) -> None:
        while len(self._in) >= frames.HEADER_BYTES:
            header = bytes(self._in[: frames.HEADER_BYTES])
            kind, length = frames.body_bytes(header)
            if len(self._in) < frames.HEADER_BYTES + length:
                return
            body = bytes(self._in[frames.HEADER_BYTES : frames.HEADER_BYTES + length])
            del self._in[: frames.HEADER_BYTES + length]
            content = frames.content(header, body)
            if kind == frames.HELLO:
                self._is_greeted = True
                self._out += self._held_back
                self._held_back.clear()
                self._talk.on_hello(content)
            elif kind == frames.REFUSAL:
                self.close()
                self._talk.on_refused(frames.error_of(content[0], content[1]), now_ms)
                return
            elif kind == frames.ANSWERS:
                for answer in content:
                    self._talk.on_answer(answer, now_ms)

    def _give_up(self, trouble: str, now_ms: int) -> None:
        self.close()
        self._talk.on_disconnected(trouble, now_ms)
