"""Where members are reached, and which member was met at which of these addresses. Pure.

The core knows members by place: 1, 2, 3 … in the order in which their addresses became known. Members name each other by
their ids; the hello of each connection says which id is at which place, and what other addresses there are.
"""

from __future__ import annotations

from coordnode.address import Address, parse_address
from coordnode.errors import BadRequest, NotPermitted, UnknownVersion, WrongCluster
from coordnode.ids import NOBODY, MemberId
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordnode.errors import CoordError

FOR_GOOD = (NotPermitted, UnknownVersion, WrongCluster)  # asking the same place again does not change it; others may let us in


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
        self._members: set[MemberId] = set()  # the places of those whom the cluster named last
        self._tried: dict[MemberId, CoordError | None] = {}  # in vain, since anybody let us in; None: no connection could be made

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
        self._members = {place}
        self._tried.clear()
        self._current = [MemberId(number) for number in range(1, len(self._given) + 1)]
        for other, text in contacts:
            if other != member:
                self._learn(other, text)
        if place not in self._current:
            self._current.append(place)

    def on_refused(self, place: MemberId, error: CoordError) -> None:
        """In place of a hello."""
        if isinstance(error, FOR_GOOD):
            self._tried[place] = error

    def on_unreached(self, place: MemberId) -> None:
        """No connection could be made."""
        self._tried.setdefault(place, None)

    def shut_out(self) -> CoordError | None:
        """Why nobody lets us in, once every place was tried in vain; then all are to be tried anew before that is said again.

        One that the cluster does not name may be a stranger's by now: what it says counts for nothing where others were met.
        """
        if not all(place in self._tried for place in self._current):
            return None
        believed = self._members or set(self._current)
        why = next((error for place, error in self._tried.items() if error is not None and place in believed), None)
        if why is not None:
            self._tried.clear()
        return why

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
        self._members.add(self._place_of[member])
        if self._place_of[member] not in self._current:
            self._current.append(self._place_of[member])
