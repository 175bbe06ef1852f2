"""TLS as a member speaks it: contexts for both directions, and which member a certificate stands for.

A member's certificate names its id in a URI, a client's its user. Addresses are in none: a peer may be reached through anything that
carries its bytes.
"""

import asyncio
import ssl
from typing import NamedTuple

from coordnode.client.tls import dialling, loaded
from coordnode.errors import NotPermitted
from coordnode.ids import MemberId
from coordnode.services.callers import MEMBER

MEMBER_URI, CLIENT_URI = "urn:coordnode:member:", "urn:coordnode:client:"
HANDSHAKE_SECONDS_MAX = 5.0


class Tls(NamedTuple):
    listening: ssl.SSLContext
    dialling: ssl.SSLContext


def contexts(folder: str) -> Tls | None:
    """None: in the clear. Raises BadRequest."""
    ours = dialling(folder)
    return None if ours is None else Tls(loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), folder), ours)


def user_of(transport: asyncio.BaseTransport) -> str:
    """Whom the certificate at the other end stands for, as permits names users; nobody in the clear."""
    for name in _names(transport):
        if name.startswith(CLIENT_URI):
            return name.removeprefix(CLIENT_URI)
        if name.startswith(MEMBER_URI):
            return MEMBER + name.removeprefix(MEMBER_URI)
    return ""


def _names(transport: asyncio.BaseTransport) -> list[str]:
    certificate = transport.get_extra_info("peercert") or {}
    return [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]


def check_member(transport: asyncio.BaseTransport, member: MemberId) -> None:
    """Whoever says that it is a member has its certificate. Nothing is checked in the clear."""
    if transport.get_extra_info("peercert") is None:
        return
    names = _names(transport)
    if f"{MEMBER_URI}{member}" not in names:
        shown = ", ".join(names) or "nobody"
        raise NotPermitted(f"the certificate stands for {shown}, not for member {member}")
