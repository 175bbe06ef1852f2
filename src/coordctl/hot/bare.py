"""signal and socket as C has them: the modules around these wrap each constant into an enumeration, and are loaded in 9 ms.

To a type checker they are the originals. What only those have, such as socket.create_connection, is not there.
"""

from __future__ import annotations

import os

from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    import socket

    from coordnode.client.tls import Secured
else:
    import _signal as signal
    import _socket as socket

__all__ = ["secured", "signal", "socket"]


def secured(connection: socket.socket) -> socket.socket | Secured:
    """A connection as this process was told to speak on it."""
    if not os.environ.get("COORD_TLS"):
        return connection
    from coordnode.client import tls  # ssl alone is loaded in 20 ms

    return tls.secured(connection)
