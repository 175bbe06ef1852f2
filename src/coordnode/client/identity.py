"""How a client introduces itself to operators when it is not told a name."""

import os


def who() -> str:
    return f"{_user()}@{_host()}, pid {os.getpid()}"


def _host() -> str:
    if hasattr(os, "uname"):
        return os.uname().nodename
    import socket  # takes as long to load as the rest of a command, for the one thing that os says, too

    return socket.gethostname()


def _user() -> str:
    named = os.environ.get("USER") or os.environ.get("LOGNAME")  # what cron and containers leave out
    if named:
        return named
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return str(os.getuid())
