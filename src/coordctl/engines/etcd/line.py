"""Moves the bytes of one Talk: two sockets, one of them for what is watched, behind one descriptor that never blocks its owner."""

from __future__ import annotations

import select

from coordctl.engines.etcd.gateway import Ask, Reader, authenticate, is_of_no_token, request, token_of
from coordctl.engines.etcd.talk import Talk, Watch
from coordctl.engines.secrets import check, secured, user_here
from coordctl.engines.speaking import Send
from coordctl.hot.line import SmallChance
from coordctl.hot.secrecy import trouble
from coordctl.hot.talk import Connect, Disconnect
from coordctl.hot.wire import Wire
from coordnode.errors import CoordError, FrameError
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from coordctl.engines.etcd.gateway import Answer
    from coordctl.local.clusters import Endpoint


class Answers:
    """One connection, and what comes over it; an error says that it is of no use any more, also when the other side hangs up."""

    def __init__(self, watched: select.epoll, *, streams: bool) -> None:
        self._watched = watched
        self._streams = streams
        self._wire = Wire()
        self._address = ""
        self._reader = Reader()

    @property
    def is_connected(self) -> bool:
        return self._wire.is_connected

    def connect(self, address: str) -> None:
        """Raises OSError."""
        self.close()
        self._reader = Reader(streams=self._streams)
        self._address = address
        self._wire.dial(address)
        self._watched.register(*self._wire.descriptor())

    def send(self, content: bytes) -> None:
        """Raises OSError."""
        self._wire.out += content
        self._flush()

    def descriptor(self) -> int:
        return self._wire.descriptor()[0]

    def on_ready(self) -> list[Answer]:
        """Raises OSError and FrameError."""
        if not self._wire.is_connected:
            if not self._wire.finish_dialling():
                self._watched.register(*self._wire.descriptor())
                return []
            self._wire.secure(lambda connection: secured(connection, self._address))
        self._flush()
        received = self._wire.receive()
        self._flush()  # what a handshake has to say
        return self._reader.feed(received)

    def close(self) -> None:
        if self._wire.is_open:
            self._watched.unregister(self.descriptor())
        self.leave()

    def leave(self) -> None:
        """Still watched, if a process that was forked has it, too."""
        self._wire.close()

    def _flush(self) -> None:
        self._wire.flush()
        if self._wire.is_open:
            self._watched.modify(*self._wire.descriptor())


def of(endpoints: list[Endpoint], _identity: str, wall_offset_ms: int) -> tuple[Talk, Line, Callable[[], None]]:
    check()
    talk = Talk([endpoint.address for endpoint in endpoints], SmallChance(), wall_offset_ms)
    return talk, Line(talk), lambda: None


class Line:
    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._watched = select.epoll()
        self._asking = Answers(self._watched, streams=False)
        self._watching = Answers(self._watched, streams=True)
        self._user = user_here()
        self._token = ""  # every member knows it; it takes long to get, by design
        self._is_known = False  # who we are

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
        """A keeper that was forked goes on with the same epoll: nothing is taken out of it."""
        self._asking.leave()
        self._watching.leave()
        self._watched.close()

    def _hang_up(self) -> None:
        self._asking.close()
        self._watching.close()

    def _connect(self, address: str, now_ms: int) -> None:
        self._is_known = self._user is None or bool(self._token)
        try:
            self._asking.connect(address)
        except OSError as error:
            self._give_up(error, now_ms)
            return
        self.on_ready(now_ms)  # a member on this machine is there at once, before its owner waits for anything

    def _send(self, ask: Ask, now_ms: int) -> None:
        try:
            self._asking.send(request(ask, self._talk.address(), self._token))
        except OSError as error:
            self._give_up(error, now_ms)

    def _watch(self, ask: Ask) -> None:
        try:
            self._watching.connect(self._talk.address())
            self._watching.send(request(ask, self._talk.address(), self._token))
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
            self._on_connected(now_ms)
        for answer in answers:
            if not self._is_known:
                self._on_token(answer, now_ms)
                continue
            if is_of_no_token(answer):
                self._token = ""
            self._talk.on_answer(answer, now_ms)

    def _on_connected(self, now_ms: int) -> None:
        if self._user is None or self._is_known:
            self._talk.on_connected(now_ms)
        else:
            self._send(authenticate(self._user), now_ms)

    def _on_token(self, answer: Answer, now_ms: int) -> None:
        try:
            self._token = token_of(answer)
        except CoordError as error:
            self._give_up(error, now_ms)
            return
        self._is_known = True
        self._talk.on_connected(now_ms)

    def _on_watching(self, now_ms: int) -> None:
        try:
            answers = self._watching.on_ready()
        except (OSError, FrameError):
            self._watching.close()
            self._talk.on_watch_lost()
            return
        for answer in answers:
            self._talk.on_watched(answer, now_ms)

    def _give_up(self, error: OSError | CoordError, now_ms: int) -> None:
        self._hang_up()
        unheard = "" if self._talk.heard_ms else self._talk.address()
        self._talk.on_disconnected(error.sentence if isinstance(error, CoordError) else trouble(error, unheard), now_ms)
