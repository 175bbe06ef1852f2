"""Who is at the other end of a connection: what it says of itself, and what it proved. Pure."""

from hashlib import sha256
from typing import NamedTuple

MEMBER = "member:"  # what the user of a member's own certificate begins with; no user of roles has such a name


class Caller(NamedTuple):
    name: str = ""  # only shown
    user: str = ""  # as its certificate says
    token: bytes = b""  # the digest of the one it showed; then that decides who it is
    place: str = ""


NOBODY_KNOWN = Caller()


def digest_of(token: str) -> bytes:
    """Nothing of nothing. Tokens are drawn at random and long, so that nothing slower than this is needed."""
    return sha256(token.encode()).digest() if token else b""


def identity_of(caller: Caller) -> str:
    """Whose share what it takes is counted towards: its token's, else its certificate's user's, else its host's."""
    if caller.token:
        return f"token {caller.token.hex()[:16]}"
    return f"user {caller.user}" if caller.user else f"host {caller.place.rpartition(':')[0]}"
