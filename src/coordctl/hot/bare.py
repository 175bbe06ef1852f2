"""signal and socket as C has them: the modules around these wrap each constant into an enumeration, and are loaded in 9 ms.

To a type checker they are the originals. What only those have, such as socket.create_connection, is not there.
"""

from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    import socket
else:
    import _signal as signal
    import _socket as socket

__all__ = ["signal", "socket"]
