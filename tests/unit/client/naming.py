"""Names for tests: looked up in no time or in as much as the test wants, at places that the test says."""

import _socket
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

PATIENCE_S = 30.0
STUCK_S = 60.0  # who waits for it is late, and then goes on
DEAF_S = 0.3  # a loopback address that does not take a connection for so long takes none

Place = tuple[str, int]
Resolver = Callable[[], Sequence[Place]]


class Names:
    """Each name asks its own resolver, every time."""

    def __init__(self) -> None:
        self.of: dict[str, Resolver] = {}
        self.asked: list[str] = []
        self._system = _socket.getaddrinfo

    def getaddrinfo(self, host: str | bytes, port: int, *arguments: Any, **more: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.of or more.get("flags", 0) & socket.AI_NUMERICHOST:
            return self._system(host, port, *arguments, **more)
        self.asked.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in self.of[name]()]


class Stuck:
    """A resolver that is waited for in vain until it is let go."""

    def __init__(self, *places: Place) -> None:
        self.has_answered = False
        self.may_answer = threading.Event()
        self._places = places

    def __call__(self) -> Sequence[Place]:
        self.may_answer.wait(STUCK_S)
        self.has_answered = True
        return self._places


@contextmanager
def deaf() -> Iterator[Place]:
    """A place that takes no connection and refuses none: whoever dials waits."""
    with ExitStack() as kept:
        listening = kept.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        place = listening.getsockname()
        while True:
            dialling = kept.enter_context(socket.socket())
            dialling.settimeout(DEAF_S)
            try:
                dialling.connect(place)
            except TimeoutError:
                yield place
                return
