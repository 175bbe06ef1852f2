"""A connection that never blocks its owner, who waits for it together with other things."""

from __future__ import annotations

import os
import select

from coordctl.hot.bare import secured, socket
from coordctl.hot.dialling import prepare
from coordctl.local.clusters import host_and_port
from coordnode.address import Address
from coordnode.client.lookups import Lookups
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable

    from coordnode.client.lookups import Place
    from coordnode.client.tls import Secured

PART_BYTES = 1 << 18


class Wire:
    """What is to be sent waits here until the socket takes it. Everything raises OSError when the connection is of no use any more."""

    def __init__(self) -> None:
        self.is_connected = False
        self.out = bytearray()
        self._socket: socket.socket | Secured | None = None
        self._is_secured = False
        self._lookups = Lookups()
        self._is_looking_up = False  # the socket is no connection: it wakes whoever waits when it is known where to dial
        self._dialled = ""
        self._found: dict[str, list[Place]] = {}  # addresses are looked up once: that may take its time
        self._places: list[Place] = []  # that the name dialled stands for; begins with the one that is tried
        self._untried = 0

    @property
    def is_open(self) -> bool:
        """Connected, or about to be."""
        return self._socket is not None

    def descriptor(self) -> tuple[int, int]:
        if self._socket is None:
            return -1, 0
        if self._is_looking_up:
            return self._socket.fileno(), select.POLLIN
        unsent = self.out or not self.is_connected or (self._is_secured and self._socket.wants_to_write())  # type: ignore[union-attr]
        return self._socket.fileno(), select.POLLIN | (select.POLLOUT if unsent else 0)

    def dial(self, address: str) -> None:
        self.close()
        self._dialled = address
        self._dial()

    def _dial(self) -> None:
        """Whoever holds a lease cannot wait for a resolver: it goes on in `finish_dialling`."""
        places = self._found.get(self._dialled)
        if places is None:
            address = Address(*host_and_port(self._dialled))
            places = self._lookups.places(address)
            if places is None:
                self._socket, other_end = socket.socketpair()
                self._is_looking_up = True
                self._lookups.tell(address, other_end.close)
                return
            self._found[self._dialled] = places
        self._places = places
        self._untried = len(places)
        self._dial_next()

    def _dial_next(self) -> None:
        """`localhost` may stand for two places, and only at the second somebody listens."""
        while True:
            self._untried -= 1
            family, name = self._places[0]
            connection = self._socket = socket.socket(family, socket.SOCK_STREAM)
            connection.setblocking(False)
            prepare(connection)
            try:
                with suppress(BlockingIOError):
                    connection.connect(name)
                return
            except OSError:
                self._leave()
                if not self._untried:
                    raise

    def _leave(self) -> None:
        """Where nobody was, nobody is looked for first."""
        assert self._socket is not None
        self._socket.close()
        self._socket = None
        self._places.append(self._places.pop(0))

    def is_ready(self) -> bool:
        """Without waiting. A member on this machine is there before its owner waits for anything."""
        poll = select.poll()
        poll.register(*self.descriptor())
        return bool(poll.poll(0))

    def finish_dialling(self) -> bool:
        """False: nobody is there, and it goes on at the next of the places that the name stands for, with another descriptor."""
        assert self._socket is not None
        if self._is_looking_up:
            self._stop_looking_up()
            self._dial()
            return False
        if trouble := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            if not self._untried:
                raise OSError(trouble, os.strerror(trouble))
            self._leave()
            self._dial_next()
            return False
        self.is_connected = True
        return True

    def secure(self, how: Callable[[socket.socket], socket.socket | Secured] = secured) -> None:
        """As this process was told to speak."""
        connection = how(self._socket)  # type: ignore[arg-type]
        self._is_secured = connection is not self._socket
        self._socket = connection

    def flush(self) -> None:
        if self._socket is not None and self.is_connected and (self.out or self._is_secured):
            with suppress(BlockingIOError):
                del self.out[: self._socket.send(self.out)]

    def receive(self) -> bytes:
        """Empty: nothing has come."""
        if self._socket is None:
            return b""
        try:
            part = self._socket.recv(PART_BYTES)
        except BlockingIOError:
            return b""
        if not part:
            raise OSError(0, "hung up")
        return part

    def _stop_looking_up(self) -> None:
        assert self._socket is not None
        self._socket.close()
        self._socket = None
        self._is_looking_up = False

    def close(self) -> None:
        if self._is_looking_up:
            self._stop_looking_up()
        if self._socket is not None and not self.is_connected:
            self._leave()
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self.is_connected = self._is_secured = False
        self.out.clear()
