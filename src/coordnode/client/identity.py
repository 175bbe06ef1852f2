"""How a client introduces itself to operators when it is not told a name."""

import os
import socket


def who() -> str:
    return f"{_user()}@{socket.gethostname()}, pid {os.getpid()}"


def _user() -> str:
    named = os.environ.get("USER") or os.environ.get("LOGNAME")  # what cron and containers leave out
    if named:
        return named
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return str(os.getuid())
