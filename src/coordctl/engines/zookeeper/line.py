"""Moves the bytes of one Talk: a socket that never blocks its owner, who waits for it together with other things."""

from __future__ import annotations

from coordctl.engines.secrets import check, secured, user_here
from coordctl.engines.speaking import Send
from coordctl.engines.zookeeper import jute
from coordctl.engines.zookeeper.talk import Greet, Talk
from coordctl.hot.line import SmallChance
from coordctl.hot.secrecy import trouble
from coordctl.hot.talk import Connect, Disconnect
from coordctl.hot.wire import Wire
from coordnode.errors import FrameError
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from coordctl.local.clusters import Endpoint


def of(endpoints: list[Endpoint], _identity: str, wall_offset_ms: int) -> tuple[Talk, Line, Callable[[], None]]:
    check()
    talk = Talk([endpoint.address for endpoint in endpoints], SmallChance(), wall_offset_ms)
    return talk, Line(talk), lambda: None


NO_DIGEST = "it does not take a user's password"


class Line:
    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._wire = Wire()
        self._is_greeted = False
        self._frames = jute.Frames()
        self._xid = 0
        self._user = user_here()
        self._owners = jute.ANYBODY if self._user is None else jute.ITS_MAKER

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
                    case Greet(ttl_ms, session, password, seen_zxid):
                        self._wire.out += jute.greeting(ttl_ms, session, password, seen_zxid)
                    case Send(ask):
                        self._xid += 1
                        self._wire.out += jute.request(self._xid, ask, self._owners)
            try:
                self._wire.flush()
            except OSError as error:
                self._fail(error, now_ms)

    def on_ready(self, now_ms: int) -> None:
        if not self._wire.is_open:
            return
        try:
            if not self._wire.is_connected:
                if not self._wire.finish_dialling():
                    return
                self._wire.secure(lambda connection: secured(connection, self._talk.address()))
                self._talk.on_connected(now_ms)
                self.drive(now_ms)
                return
            self._wire.flush()
            part = self._wire.receive()
        except OSError as error:
            self._fail(error, now_ms)
            return
        try:
            for frame in self._frames.feed(part):
                self._on_frame(frame, now_ms)
        except FrameError as error:
            self._give_up(error.sentence, now_ms)

    def close(self) -> None:
        self._wire.close()

    def _connect(self, address: str, now_ms: int) -> None:
        self._is_greeted = False
        self._frames = jute.Frames()
        try:
            self._wire.dial(address)
        except OSError as error:
            self._fail(error, now_ms)
            return
        if self._wire.is_ready():
            self.on_ready(now_ms)

    def _on_frame(self, frame: bytes, now_ms: int) -> None:
        if not self._is_greeted:
            self._is_greeted = True
            if self._user is not None:
                self._wire.out += jute.authentication(self._user)
            self._talk.on_greeted(jute.greeted(frame), now_ms)
            return
        xid, answer = jute.answer(frame)
        if xid == jute.EVENT_XID:
            self._talk.on_event(jute.event(answer)[1], now_ms)
        elif xid in (self._xid, jute.PING_XID):
            self._talk.on_answer(answer, now_ms)
        elif xid == jute.AUTHENTICATE_XID and answer.error:
            self._give_up(NO_DIGEST, now_ms)

    def _fail(self, error: OSError, now_ms: int) -> None:
        self.close()
        self._give_up(trouble(error, "" if self._talk.heard_ms else self._talk.address()), now_ms)

    def _give_up(self, trouble: str, now_ms: int) -> None:
        self.close()
        self._talk.on_disconnected(trouble, now_ms)
