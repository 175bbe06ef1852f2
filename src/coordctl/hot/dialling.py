"""A connection that is waited for, by a process that starts fast; and what went wrong, in words."""

from __future__ import annotations

import time

from coordctl.hot.bare import socket
from coordctl.local.clusters import host_and_port
from coordnode.errors import Unreachable
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

PATIENCE_SECONDS_MIN = 0.01  # a deadline that has passed still lets the operating system say what it knows
QUIET_SECONDS, PROBE_SECONDS, PROBES = 15, 5, 3  # of a connection on which nothing comes, before it is given up: half a minute


def in_words(error: OSError) -> str:
    return "fell silent" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()


def seconds_left(until: float) -> float:
    """For what is waited for next. Raises TimeoutError when there is none, whatever has come: bytes that drip wait for nobody."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def prepare(connection: socket.socket) -> None:
    """What is sent goes at once. Whoever only listens hears of it when the other side went, or was forgotten on the way, without a word."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # elsewhere the system's own times hold
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, QUIET_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)


def look_up(address: str) -> list[Any]:
    """Raises OSError."""
    host, port = host_and_port(address)
    # As bytes, an ASCII name is looked up without loading the tables of international ones.
    return socket.getaddrinfo(host.encode() if host.isascii() else host, port, type=socket.SOCK_STREAM)


def connect(address: str, seconds: float) -> socket.socket:
    """At the first of the places that the name stands for where somebody listens; none takes the time of those behind it."""
    until = time.monotonic() + seconds
    try:
        found = look_up(address)
    except OSError as error:
        raise Unreachable(f"cannot be resolved: {error.strerror}") from None
    trouble = ""
    for number, (family, kind, protocol, _, name) in enumerate(found):
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(max(PATIENCE_SECONDS_MIN, (until - time.monotonic()) / (len(found) - number)))
        try:
            connection.connect(name)
            prepare(connection)
            return connection
        except OSError as error:
            connection.close()
            trouble = in_words(error)
    raise Unreachable(trouble)
