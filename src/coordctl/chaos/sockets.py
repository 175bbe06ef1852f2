"""Who listens on this host, and who is connected with whom, as the kernel lists it in /proc/net. Of this network namespace only."""

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

ESTABLISHED, LISTENS = "01", "0A"
FILES = ("/proc/net/tcp", "/proc/net/tcp6")


class Socket(NamedTuple):
    state: str
    address: str  # IPv4 also where it is written as IPv6
    port: int
    other: str
    other_port: int
    inode: str


def sockets(texts: list[str]) -> Iterator[Socket]:
    """`texts`: what is in FILES. Pure."""
    for text in texts:
        for line in text.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9:
                yield Socket(fields[3], *_place(fields[1]), *_place(fields[2]), fields[9])


def _place(text: str) -> tuple[str, int]:
    """Words of four bytes, each in this machine's order."""
    packed, _, port = text.partition(":")
    words = [bytes.fromhex(packed[start : start + 8]) for start in range(0, len(packed), 8)]
    raw = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    found = ipaddress.ip_address(raw)
    return str(getattr(found, "ipv4_mapped", None) or found), int(port, 16)


def _here() -> list[Socket]:
    texts = []
    for path in FILES:
        with suppress(OSError), open(path, encoding="ascii") as file:
            texts.append(file.read())
    return list(sockets(texts))


def listener(address: str, port: int) -> int:
    """The process that listens there; 0: none is seen. Whose it is root alone sees, but for one's own."""
    at = {"0.0.0.0", "::", *_addresses(address)}
    found = [one for one in _here() if one.state == LISTENS and one.port == port]
    inodes = {f"socket:[{one.inode}]" for one in found if one.address in at}
    return _owner(inodes) if inodes else 0


def _addresses(host: str) -> list[str]:
    with suppress(OSError):
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    return []


def _owner(inodes: set[str]) -> int:
    """The one that was there first, where it shares the socket with whom it started."""
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        with suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{descriptor}") in inodes:
                        return pid
    return 0


def is_connected(other: str, other_ports: tuple[int, ...], own_ports: tuple[int, ...]) -> bool:
    """Whether there is a connection to one of these ports there, or from there to one of ours."""
    return any(
        one.state == ESTABLISHED and one.other == other and (one.other_port in other_ports or one.port in own_ports) for one in _here()
    )
