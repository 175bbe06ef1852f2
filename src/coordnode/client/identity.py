"""How a client introduces itself to operators when it is not told a name."""

import os

from coordnode.errors import BadRequest

TOKEN_VARIABLE = "COORD_AUTH_TOKEN_FILE"


def token_here() -> str:
    """What proves to members which user this is; "": nothing does, or a certificate."""
    path = os.environ.get(TOKEN_VARIABLE)
    if not path:
        return ""
    try:
        with open(path, encoding="ascii") as file:
            token = file.read(1024).strip()
    except (OSError, ValueError) as error:
        raise BadRequest(f"{TOKEN_VARIABLE}={path}: {getattr(error, 'strerror', None) or 'there is no token in it'}") from None
    if not token or len(token.split()) > 1 or len(token) > 256:
        raise BadRequest(f"{TOKEN_VARIABLE}={path}: one token belongs in it, as `coordctl auth token add` prints it")
    return token


def bearer() -> dict[str, str]:
    """The same as HTTP has it: a header, or none."""
    token = token_here()
    return {"Authorization": f"Bearer {token}"} if token else {}


def who() -> str:
    return f"{_user()}@{_host()}, pid {os.getpid()}".encode(errors="replace").decode()  # the environment may be any bytes


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
