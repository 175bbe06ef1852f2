"""Taking a lock or a leadership away, and finding out when its holder was told: we listen to what the leader tells its session."""

from __future__ import annotations

import socket
import time

from coordctl.hot import frames
from coordctl.hot.asking import Asking
from coordctl.hot.bare import secured
from coordctl.hot.talk import NOTICES
from coordctl.local.clusters import host_and_port
from coordnode import __version__
from coordnode.client.identity import token_here
from coordnode.errors import CoordError
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordnode.client.tls import Secured

LISTEN_SECONDS = 1.0
SESSIONS_MAX = 32


def told_after_ms(asking: Asking, operation: list[object], sessions: Sequence[int]) -> int | None:
    """Does it. After how many milliseconds the last of these sessions was told; None: that was not heard within a second."""
    sessions = sessions[:SESSIONS_MAX]
    listening = _listen(asking, sessions)
    begun = time.monotonic()
    try:
        asking.ask(frames.WRITE, [0, 0, 0, frames.new_request_id(), operation], is_safe_twice=True)
        if listening is None or not _are_all_told(listening, len(sessions), begun + LISTEN_SECONDS):
            return None
        return round((time.monotonic() - begun) * 1000)
    finally:
        if listening is not None:
            listening.close()


def _are_all_told(listening: socket.socket | Secured, count: int, until: float) -> bool:
    """Whether that was heard. What they are told of is done, whatever becomes of this connection."""
    heard: set[int] = set()
    try:
        while len(heard) < count:
            heard.update([request for request, changes in _pushes(listening, until) if changes])
    except (OSError, CoordError):
        return False
    return True


def _listen(asking: Asking, sessions: Sequence[int]) -> socket.socket | Secured | None:
    """A connection on which their notices are watched, and known to be; None: that could not be had."""
    if not sessions:
        return None
    until = time.monotonic() + LISTEN_SECONDS
    asks: list[list[object]] = []
    for number, session in enumerate(sessions, 1):
        key = session.to_bytes(8)
        asks.append([frames.WATCH, number, key, key + b"\0", 0, NOTICES])
    connection: socket.socket | Secured | None = None
    try:
        connection = raw = socket.create_connection(host_and_port(asking.answered_by), timeout=LISTEN_SECONDS)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = secured(raw)
        hello = frames.hello("coordctl", __version__, token_here(), asking.cluster)
        connection.sendall(hello + frames.asks(asks, 0))
        answered: list[int] = []
        while len(answered) < len(asks):
            answered += [request for request, _ in _pushes(connection, until)]
        return connection
    except (OSError, CoordError):
        if connection is not None:
            connection.close()
        return None


def _pushes(connection: socket.socket | Secured, until: float) -> list[tuple[int, int]]:
    """(request, how many changes) of the next frame's."""
    kind, content = frames.receive(connection, until)
    return [(answer[1], len(answer[2])) for answer in content if answer[0] == frames.PUSH] if kind == frames.ANSWERS else []
