"""The one TCP connection of a Link, never waited for: whoever polls its socket says what became ready. For threads and for load."""

import os
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from coordnode.address import Address
from coordnode.client.clock import now_ms
from coordnode.client.link import Dial, Event, HangUp, Link, Step, Transmit
from coordnode.client.lookups import Lookups
from coordnode.client.tls import Secured
from coordnode.limits import MIB

if TYPE_CHECKING:
    import ssl

    from coordnode.client.lookups import Place

READ_BYTES = 256 * 1024
UNSENT_BYTES_MAX = 64 * MIB


class Stream:
    def __init__(self, link: Link, on_event: Callable[[Event], None], context: "Callable[[], ssl.SSLContext | None]") -> None:
        """`context`: asked for each connection; None to speak in the clear."""
        self.link = link
        self.socket: socket.socket | Secured | None = None
        self._context = context
        self._on_event = on_event
        self._lookups = Lookups()
        self._is_looking_up = False  # the socket is no connection: it wakes us when it is known where to dial
        self._candidates: list[Place] = []  # not tried yet for this dial
        self._is_dialling = False
        self._dialled = Address("", 0)
        self._unsent = bytearray()
        self._broken = ""  # sending failed, why; told once the steps under way are done, which may speak of the next connection

    def wanted(self) -> int:
        """What to poll the socket for."""
        if self._is_looking_up:
            return select.POLLIN
        if self._is_dialling:
            return select.POLLOUT
        has_unsent = self._unsent or (isinstance(self.socket, Secured) and self.socket.wants_to_write())
        return select.POLLIN | (select.POLLOUT if has_unsent else 0)

    def carry_out(self) -> None:
        """After anything was asked of the link, and when its time has come."""
        is_told = True  # the link, of something since it was polled
        while is_told:
            is_told = False
            for step in self.link.poll(now_ms()):
                self._step(step)
                is_told = is_told or not isinstance(step, Transmit)
            if self._broken:
                self.cut(self._broken)
                is_told = True

    def on_ready(self, event: int) -> None:
        """What the poll found; then `carry_out`."""
        connection = self.socket
        assert connection is not None
        if self._is_looking_up:
            self._close()
            self._dial(self._dialled)
            return
        if self._is_dialling:
            trouble = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if trouble:
                self._dial_next(os.strerror(trouble).lower())
            else:
                self._on_dialled()
            return
        if event & select.POLLOUT:
            self._flush()
        if connection is self.socket and event & ~select.POLLOUT:
            self._receive(connection)

    def hang_up(self) -> None:
        if self._is_dialling:
            self._lookups.on_given_up(self._dialled)
        self._candidates = []
        self._close()

    def cut(self, why: str) -> None:
        """As if the other side had; then `carry_out`."""
        self.hang_up()
        self.link.on_hung_up(why, now_ms())

    def _close(self) -> None:
        self._unsent.clear()
        self._broken = ""
        self._is_looking_up = self._is_dialling = False
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def _step(self, step: Step) -> None:
        if isinstance(step, Transmit):
            self._send(step.data)
        elif isinstance(step, Dial):
            self._dial(step.address)
        elif isinstance(step, HangUp):
            self.hang_up()
        else:
            self._on_event(step)

    def _dial(self, address: Address) -> None:
        self._dialled = address
        try:
            places = self._lookups.places(address)
        except OSError as error:
            self.link.on_hung_up(f"cannot be resolved: {error.strerror}", now_ms())
            return
        if places is None:
            self.socket, other_end = socket.socketpair()
            self._is_looking_up = True
            self._lookups.tell(address, other_end.close)
            return
        self._candidates = places
        self._dial_next("no address")

    def _dial_next(self, trouble: str) -> None:
        self._close()
        if not self._candidates:
            self.link.on_hung_up(trouble, now_ms())
            return
        family, name = self._candidates.pop(0)
        try:
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = connection
            self._is_dialling = True
            connection.connect(name)
        except BlockingIOError:
            return
        except OSError as error:
            self._dial_next((error.strerror or str(error)).lower())
            return
        self._on_dialled()

    def _on_dialled(self) -> None:
        self._is_dialling = False
        self._candidates = []
        context = self._context()
        if context is not None:
            assert isinstance(self.socket, socket.socket)
            try:
                self.socket = Secured(self.socket, context)
            except OSError as error:
                self.cut((error.strerror or str(error)).lower())
                return
        self.link.on_dialled()

    def _send(self, data: bytes | bytearray) -> None:
        if self.socket is None:
            return
        self._unsent += data
        if len(self._unsent) > UNSENT_BYTES_MAX:
            self._broken = "takes in nothing"
        else:
            self._flush()

    def _flush(self) -> None:
        assert self.socket is not None
        try:
            sent = self.socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken = (error.strerror or str(error)).lower()
            return
        del self._unsent[:sent]

    def _receive(self, connection: socket.socket | Secured) -> None:
        try:
            data = connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.cut((error.strerror or str(error)).lower())
            return
        if data:
            self.link.on_bytes(data, now_ms())
        else:
            self.cut("hung up")
