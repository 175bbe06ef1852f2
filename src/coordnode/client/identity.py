"""How a client introduces itself to operators when it is not told a name."""

import os
import socket


def who() -> str:
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or str(os.getuid())
    return f"{user}@{socket.gethostname()}, pid {os.getpid()}"
