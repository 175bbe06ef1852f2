"""Where a name is found, and at which of its places a dial begins. Names are looked up in threads of their own: who dials never waits.

Whoever dials asks `places`, and again once it was told that they are known. What comes late, for a dial that was given up, is for the
next one: else a slow resolver would keep everybody out for good.
"""

from __future__ import annotations

from _thread import start_new_thread

from coordnode.client.clock import now_ms
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from coordnode.address import Address

    Place = tuple[int, Any]  # (family, address) of a socket
else:
    import _socket as socket  # as C has it: the module around it is loaded in 9 ms

KEPT_MS = 10_000  # an answer that nobody dialled by is of use
LOOKUP_MS_MAX = 30_000  # then its thread is gone: it is the parent's, say, of a process that was forked meanwhile


class _Lookup:
    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.waiting: list[Callable[[], None]] = []


class Lookups:
    """Without a lock, which a process might be forked with: an answer is there before its lookup is not under way any more."""

    def __init__(self) -> None:
        self._under_way: dict[Address, _Lookup] = {}
        self._answers: dict[Address, tuple[int, list[Place] | OSError]] = {}  # when it came, what; until a dial takes it
        self._given_up: dict[Address, int] = {}  # how often a dial was, there: the next begins at another of its places

    def places(self, address: Address) -> list[Place] | None:
        """In the order in which to try them; None: not known yet, see `tell`. Raises OSError."""
        try:
            found = _look_up(address, socket.AI_NUMERICHOST)
        except OSError:  # it is a name
            answer = self._take(address)
            if answer is None:
                return None
            found = answer
        first = self._given_up.get(address, 0) % len(found)
        return found[first:] + found[:first]

    def tell(self, address: Address, on_known: Callable[[], None]) -> None:
        """From another thread, or at once, or both: then `places` has an answer."""
        lookup = self._under_way.get(address)
        if lookup is not None:
            lookup.waiting.append(on_known)
        if self._under_way.get(address) is not lookup or lookup is None:
            on_known()

    def on_given_up(self, address: Address) -> None:
        """Somewhere there nobody answers a dial, neither yes nor no."""
        self._given_up[address] = self._given_up.get(address, 0) + 1

    def _take(self, address: Address) -> list[Place] | None:
        lookup = self._under_way.get(address)
        at_ms, answer = self._answers.pop(address, (0, None))
        if answer is None or now_ms() - at_ms > KEPT_MS:
            if lookup is None or now_ms() - lookup.since_ms > LOOKUP_MS_MAX:
                self._under_way[address] = lookup = _Lookup(now_ms())
                start_new_thread(self._work, (address, lookup))
            return None
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _work(self, address: Address, lookup: _Lookup) -> None:
        answer: list[Place] | OSError
        try:
            answer = _look_up(address, 0)
        except OSError as error:
            answer = error
        self._answers[address] = (now_ms(), answer)
        if self._under_way.get(address) is lookup:
            del self._under_way[address]
        for on_known in lookup.waiting:
            on_known()


def _look_up(address: Address, flags: int) -> list[Place]:
    # As bytes, an ASCII name is looked up without loading the tables of international ones.
    host = address.host.encode() if address.host.isascii() else address.host
    found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, name) for family, _, _, _, name in found]
