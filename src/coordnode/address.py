"""`host:port` as people write it. Pure."""

from __future__ import annotations

from coordnode.errors import BadRequest
from coordnode.light import NamedTuple

PORT_MAX = 65_535
LABEL_CHARACTERS_MAX = 63  # of a name, between two dots


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadRequest(f"the endpoint {text!r} is ambiguous: write an IPv6 address in brackets, as in [::1]:7001")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= PORT_MAX:
        raise BadRequest(f"the endpoint {text!r} is not host:port; give for example 127.0.0.1:7001")
    if not _can_be_looked_up(host):
        raise BadRequest(f"the endpoint {text!r} names no host: each part between two dots has 1 to {LABEL_CHARACTERS_MAX} characters")
    return Address(host, int(port))


def _can_be_looked_up(host: str) -> bool:
    """What is no name at all would be an error of the encoding, not of the search."""
    if host.isascii():
        return all(0 < len(label) <= LABEL_CHARACTERS_MAX for label in host.removesuffix(".").split("."))
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True
