"""A link as its end on this host sees it: from where who sends reaches us, on which ports, and whether he answers."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from coordctl.chaos import lives, sockets
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.local.clusters import LocalMember, host_and_port
from coordctl.local.fleet import Failed

KNOCK_SECONDS = 0.3
SPEAK_SECONDS_MAX = 5.0  # who was just started connects with the others
ASKED = b"GET /livez HTTP/1.1\r\nHost: coordnode\r\nConnection: close\r\n\r\n"


class Ending(NamedTuple):
    """A link, where it ends."""

    family: str  # as nft names it: ip, ip6
    address: str  # of who sends
    ports: tuple[int, ...]  # of who sends, and of the member that is here
    own_ports: tuple[int, ...]

    @property
    def kind(self) -> str:
        """Of its address, as nft names it."""
        return "ipv6_addr" if self.family == "ip6" else "ipv4_addr"

    @property
    def arriving(self) -> tuple[str, str]:
        """In the words of a rule: what the sender asks us, and what it answers on our connections to it."""
        return f"tcp dport {_set(self.own_ports)}", f"tcp sport {_set(self.ports)}"


def of(ledger: Ledger, entry: Entry) -> list[Ending]:
    """Of each of its links. Raises Failed where nothing that members say would be hit."""
    found = [_ending(ledger, source, sink) for source, sink in entry.links]
    for (source, sink), ending in zip(entry.links, found, strict=True):
        if trouble := _unused(ledger, sink, ending):
            raise Failed(f"{source} -> {sink}: {trouble}")
    return found


def _ending(ledger: Ledger, source: str, sink: str) -> Ending:
    sender, receiver = lives.member_of(ledger.cluster_folder, source), lives.member_of(ledger.cluster_folder, sink)
    if sender is None or receiver is None:
        raise Failed(f"{source} -> {sink}: it is not known here where these are")
    family, _, _, _, place = socket.getaddrinfo(*host_and_port(sender.address), type=socket.SOCK_STREAM)[0]
    return Ending("ip6" if family == socket.AF_INET6 else "ip", str(place[0]), _ports(sender), _ports(receiver))


def _ports(member: LocalMember) -> tuple[int, ...]:
    """On which others speak with it: of coordnode that for clients."""
    return member.peers or (host_and_port(member.address)[1],)


def _unused(ledger: Ledger, sink: str, ending: Ending) -> str:
    """Why nothing that members say would be hit, as an inventory may have it wrong: who sends answers there, and is not spoken with."""
    receiver = lives.member_of(ledger.cluster_folder, sink)
    if receiver is None or not receiver.peers or not knock(ending):
        return ""
    otherwise = f"members do not speak with {ending.address} on {_set(ending.ports)}: correct address or peer-ports in the inventory"
    is_used = partial(sockets.is_connected, ending.address, ending.ports, ending.own_ports)
    return lives.wait_until(is_used, SPEAK_SECONDS_MAX, otherwise, 0.05)


def _set(ports: Sequence[int]) -> str:
    return str(ports[0]) if len(ports) == 1 else f"{{ {', '.join(map(str, ports))} }}"


def connected(ending: Ending, seconds: float) -> socket.socket:
    return socket.create_connection((ending.address, ending.ports[-1]), seconds)


def knock(ending: Ending) -> bool:
    """Whether who sends on that link answers."""
    with suppress(OSError), connected(ending, KNOCK_SECONDS) as connection:
        connection.sendall(ASKED)
        connection.recv(1)
        return True
    return False
