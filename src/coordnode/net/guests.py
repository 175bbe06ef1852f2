"""Who somebody is to the quotas: all connections of one identity together, over the client protocol and HTTP alike.

A guest that has too much under way is not read for a while, on any of its connections; the others go on as before.
"""

from typing import Protocol

from coordnode.net.limits import GUEST_EAGER_ASKS, Limits
from coordnode.services.callers import Caller, identity_of

RELEASED_AT_ONCE = 4  # connections: each may have much to say, and no turn should be long
RELEASED_PER_SWEEP = 64


class Held(Protocol):
    """A connection that is not read because of what its guest has under way."""

    connection: int

    def released(self) -> None: ...


class Guest:
    __slots__ = ("connections", "held", "name", "outstanding", "pending_bytes", "watches")

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0
        self.outstanding = 0  # asks that will be answered once
        self.pending_bytes = 0  # theirs
        self.watches = 0
        self.held: dict[int, Held] = {}

    def is_eager(self) -> bool:
        return self.outstanding > GUEST_EAGER_ASKS


class Guests:
    def __init__(self) -> None:
        self.by_name: dict[str, Guest] = {}
        self.holding: dict[str, Guest] = {}  # have connections that are not read
        self.pending_bytes = 0  # of all
        self.unheard_bytes = 0  # arrived, and not looked at while their guest is held

    def connections_of(self, caller: Caller) -> int:
        guest = self.by_name.get(identity_of(caller))
        return guest.connections if guest is not None else 0

    def enter(self, caller: Caller) -> Guest:
        name = identity_of(caller)
        guest = self.by_name.get(name)
        if guest is None:
            guest = self.by_name[name] = Guest(name)
        guest.connections += 1
        return guest

    def leave(self, guest: Guest) -> None:
        guest.connections -= 1
        if not guest.connections:
            del self.by_name[guest.name]

    def busiest(self, count_max: int) -> list[Guest]:
        return sorted(self.by_name.values(), key=lambda guest: (-guest.outstanding, -guest.connections, guest.name))[:count_max]

    # --- too much under way ----------------------------------------------------------------------------------------

    def is_over(self, guest: Guest, limits: Limits, share: int = 1) -> bool:
        """Beyond a `share`-th of its bounds. Where all together have too much, whoever has more than an even part of it goes on later."""
        if guest.outstanding * share >= limits.client_requests_max or guest.pending_bytes * share >= limits.client_pending_bytes_max:
            return True
        even = limits.pending_bytes_max // (1 + len(self.by_name))
        return self.pending_bytes * share >= limits.pending_bytes_max and guest.pending_bytes * share >= even

    def hold(self, guest: Guest, link: Held) -> None:
        guest.held[link.connection] = link
        self.holding[guest.name] = guest

    def forget(self, guest: Guest, connection: int) -> None:
        guest.held.pop(connection, None)
        if not guest.held:
            self.holding.pop(guest.name, None)

    def maybe_release(self, limits: Limits, count_max: int = RELEASED_AT_ONCE) -> None:
        """Those that were stopped first, a few at a time: what the first have to say may be enough again."""
        for guest in list(self.holding.values()):
            for link in list(guest.held.values())[:count_max]:
                if self.is_over(guest, limits, 2):
                    break
                self.forget(guest, link.connection)
                link.released()
