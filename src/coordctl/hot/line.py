"""Moves the bytes of one Talk: a socket that never blocks its owner, who waits for it together with other things."""

from __future__ import annotations

import os

from coordctl.hot import frames
from coordctl.hot.dialling import in_words
from coordctl.hot.talk import Connect, Disconnect, Send, Talk
from coordctl.hot.wire import Wire
from coordctl.local.clusters import Endpoint, led_last, note_led
from coordnode import __version__
from coordnode.client.identity import token_here
from coordnode.errors import CoordError
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
        self._wire = Wire()
        self._is_greeted = False
        self._held_back = bytearray()  # too much for a member that has not said hello yet
        self._in = bytearray()

    def descriptor(self) -> tuple[int, int]:
        return self._wire.descriptor()

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
            try:
                self._wire.flush()
            except OSError as error:
                self._on_trouble(error, now_ms)

    def on_ready(self, now_ms: int) -> None:
        if not self._wire.is_open:
            return
        try:
            if not self._wire.is_connected:
                self._on_connected(now_ms)
                return
            self._wire.flush()
            part = self._wire.receive()
        except OSError as error:
            self._on_trouble(error, now_ms)
            return
        self._receive(part, now_ms)

    def close(self) -> None:
        self._wire.close()

    # --- bytes -----------------------------------------------------------------------------------------------------

    def _connect(self, address: str, now_ms: int) -> None:
        self._is_greeted = False
        self._in.clear()
        self._held_back.clear()
        try:
            self._wire.dial(address)
        except OSError as error:
            self._give_up(in_words(error), now_ms)
            return
        if self._wire.is_ready():
            self.on_ready(now_ms)

    def _on_connected(self, now_ms: int) -> None:
        if not self._wire.finish_dialling():
            return
        self._wire.secure()
        self._wire.out += frames.hello_of_follower(self._identity, __version__, self._token, self._talk.cluster)
        self._talk.on_connected(now_ms)
        self.drive(now_ms)

    def _send(self, asks: Sequence[list[object]]) -> None:
        asked = frames.asks(asks, 0)
        waits = not self._is_greeted and (self._held_back or len(asked) > frames.FIRST_BYTES_MAX)
        (self._held_back if waits else self._wire.out).extend(asked)

    def _receive(self, part: bytes, now_ms: int) -> None:
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
                self._wire.out += self._held_back
                self._held_back.clear()
                self._talk.on_hello(content, now_ms)
            elif kind == frames.REFUSAL:
                self.close()
                self._talk.on_refused(frames.error_of(content[0], content[1]), now_ms)
                return
            elif kind == frames.ANSWERS:
                for answer in content:
                    self._talk.on_answer(answer, now_ms)

    def _on_trouble(self, error: OSError, now_ms: int) -> None:
        if self._wire.is_connected and not self._is_greeted:
            from coordctl.hot.secrecy import shut_out  # for troubles only

            # Whether it speaks TLS is asked there, and waited for: nobody who holds something may stand still for that.
            if why := shut_out(error, "" if self._talk.heard_ms else self._talk.address()):
                self.close()
                self._talk.on_shut_out(why, now_ms)
                return
        self._give_up(in_words(error), now_ms)

    def _give_up(self, trouble: str, now_ms: int) -> None:
        self.close()
        self._talk.on_disconnected(trouble, now_ms)
