"""TLS as a member speaks it: contexts for both directions, and which member a certificate stands for.

A member's certificate names its id in a URI. Addresses are in none: a peer may be reached through anything that carries its bytes.
"""

import asyncio
import ssl
from typing import NamedTuple

from coordnode.client.tls import dialling, loaded
from coordnode.errors import NotPermitted
from coordnode.ids import MemberId

MEMBER_URI = "urn:coordnode:member:"
HANDSHAKE_SECONDS_MAX = 5.0


class Tls(NamedTuple):
    listening: ssl.SSLContext
    dialling: ssl.SSLContext


def contexts(folder: str) -> Tls | None:
    """None: in the clear. Raises BadRequest."""
    ours = dialling(folder)
    return None if ours is None else Tls(loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), folder), ours)


def check_member(transport: asyncio.BaseTransport, member: MemberId) -> None:
    """Whoever says that it is a member has its certificate. Nothing is checked in the clear."""
    certificate = transport.get_extra_info("peercert")
    if certificate is None:
        return
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    if f"{MEMBER_URI}{member}" not in names:
        shown = ", ".join(names) or "nobody"
        raise NotPermitted(f"the certificate stands for {shown}, not for member {member}")
