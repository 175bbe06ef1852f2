"""What one member of another engine tells of keys that are watched through it, to who waits for nothing else."""

import time
from abc import abstractmethod
from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any, NamedTuple

from coordctl.engines.secrets import check, secured
from coordctl.hot.dialling import connect, seconds_left
from coordctl.hot.secrecy import trouble
from coordctl.local.clusters import Chosen, spoken
from coordnode.errors import Disconnected, TimedOut

PUT, GONE = "put", "delete"  # kinds


class Change(NamedTuple):
    kind: str
    revision: int  # 0: it does not say
    key: str
    value: str = ""


class Watching:
    """In force once it is made. Raises CoordErrors."""

    def __init__(self, address: str, prefix: str, seconds: float) -> None:
        self.is_hung_up = False  # by us
        check()
        self._address = address
        self._until: float | None = time.monotonic() + seconds  # until it is in force; None: from then on it waits for what comes
        self._connection: Any = secured(connect(address, seconds), address)
        try:
            self._begin(prefix)
        except BaseException:
            self._connection.close()
            raise
        self._until = None
        self._connection.settimeout(None)

    @abstractmethod
    def _begin(self, prefix: str) -> None: ...

    @abstractmethod
    def take(self) -> list[Change]:
        """What came, once something has. Ends with Disconnected, also when it is hung up meanwhile."""

    def _send(self, content: bytes) -> None:
        try:
            self._connection.sendall(content)
        except OSError as error:
            raise Disconnected(trouble(error)) from None

    def _receive(self) -> bytes:
        try:
            if self._until is not None:  # whoever sends a byte now and then has no more time than who sends none
                self._connection.settimeout(seconds_left(self._until))
            part: bytes = self._connection.recv(1 << 18)
        except TimeoutError:
            raise TimedOut("fell silent before it watched") from None
        except OSError as error:
            raise Disconnected(trouble(error)) from None
        if not part:
            raise Disconnected("hung up")
        return part

    def hang_up(self) -> None:
        """Also while somebody waits for it."""
        self.is_hung_up = True
        with suppress(OSError):
            self._connection.shutdown(SHUT_RDWR)

    def close(self) -> None:
        self._connection.close()


def watch(chosen: Chosen, prefix: str, seconds: float) -> Watching:
    """Through its only endpoint."""
    (endpoint,) = chosen.endpoints
    made: Watching = spoken(chosen.engine, "watching").Watching(endpoint.address, prefix, seconds)
    return made
