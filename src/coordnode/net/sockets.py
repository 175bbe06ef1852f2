"""What every connection is set to: no delay, and dead ends are noticed by the kernel."""

import asyncio
import socket
from typing import cast

KEEPALIVE_IDLE_S = 10
KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_PROBES = 3
CLIENT_UNACKNOWLEDGED_MS_MAX = 20_000  # bytes that nobody acknowledges for so long end the connection
PEER_UNACKNOWLEDGED_MS_MAX = 4_000  # a new connection finds the way sooner than the kernel's growing pauses once a cut is over


def tune(transport: asyncio.BaseTransport, unacknowledged_ms_max: int) -> None:
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    options = (
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", KEEPALIVE_PROBES),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", unacknowledged_ms_max),
    )
    for level, name, value in options:
        option = getattr(socket, name, None)
        if option is not None:
            try:
                sock.setsockopt(level, option, value)
            except OSError:  # the other side is gone already, or this system does not know the option
                return


def place_of(transport: asyncio.BaseTransport) -> str:
    """Where the other side is, for operators."""
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return "unknown"
    host, port = cast("tuple[str, int]", name[:2])
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
