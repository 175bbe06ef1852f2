"""Where members are reached: `host:port` as people write it, and which member was met at which of them. Pure.

The core knows members by place: 1, 2, 3 … in the order in which their addresses became known. Members name each other by
their ids; the hello of each connection says which id is at which place, and what other addresses there are.
"""

from __future__ import annotations

from coordnode.errors import BadRequest
from coordnode.ids import NOBODY, MemberId
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def parse_addresses(endpoints: str | Sequence[str]) -> list[Address]:
    """One string with commas, or several; each address once, in the order given."""
    texts = endpoints.split(",") if isinstance(endpoints, str) else endpoints
    addresses = list(dict.fromkeys(parse_address(text) for text in texts if text.strip()))
    if not addresses:
        raise BadRequest("no endpoint is given: name at least one member as host:port")
    return addresses


def reached_at(listening: str, contacts: Sequence[str]) -> list[Address]:
    """A member from within its own process first, then the members that those contacts name, as far as they can be read."""
    host, port = parse_address(listening)
    found = [Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)]
    for contact in contacts:
        try:
            found.append(parse_address(contact))
        except BadRequest:
            continue
    return list(dict.fromkeys(found))


class Places:
    def __init__(self, given: Sequence[Address]) -> None:
        assert given
        self._given = list(given)
        self._addresses = list(given)  # place p is at [p - 1]; grows, so that a place never changes its meaning
        self._place_of: dict[MemberId, MemberId] = {}  # a member's id -> its place
        self._current = [MemberId(number) for number in range(1, len(given) + 1)]

    def current(self) -> list[MemberId]:
        """The places worth trying: those given, and those that the cluster named last."""
        return list(self._current)

    def address(self, place: MemberId) -> Address:
        return self._addresses[place - 1]

    def place_of(self, member: MemberId) -> MemberId:
        """NOBODY: never heard of."""
        return self._place_of.get(member, NOBODY)

    def on_hello(self, place: MemberId, member: MemberId, contacts: Sequence[tuple[MemberId, str]]) -> None:
        """A member is here, and says where the others are. What cannot be read as an address is left out."""
        self._place_of = {known: where for known, where in self._place_of.items() if where != place}
        self._place_of[member] = place
        self._current = [MemberId(number) for number in range(1, len(self._given) + 1)]
        for other, text in contacts:
            if other != member:
                self._learn(other, text)
        if place not in self._current:
            self._current.append(place)

    def _learn(self, member: MemberId, text: str) -> None:
        try:
            address = parse_address(text)
        except BadRequest:
            return
        if address not in self._addresses:
            self._addresses.append(address)
        place = MemberId(self._addresses.index(address) + 1)
        met = self._place_of.get(member)
        if met is None or met not in self._current:
            self._place_of[member] = place
        if self._place_of[member] not in self._current:
            self._current.append(self._place_of[member])
