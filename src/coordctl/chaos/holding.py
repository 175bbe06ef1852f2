"""How long a link that is broken holds each packet that comes. Pure: times are seconds, on a clock that the caller has.

Of packets that are to pass at the same time, the one that came first is the first.
"""

import random
from typing import NamedTuple, Protocol

from coordctl.chaos import values

NARROW_SECONDS_MAX = 2.0  # what would wait longer before a narrow link finds no room there
FLOWS_MAX = 4096
TCP = 6


class Packet(NamedTuple):
    id: int
    size_bytes: int  # of all of it
    head: bytes  # from the header of IP on


class Shape(Protocol):
    def passes_at(self, packet: Packet, now: float) -> float | None:
        """None: there is no room for it, and it is lost."""


class Late:
    """All by the same."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def passes_at(self, packet: Packet, now: float) -> float | None:
        return now + self._seconds


class Uneven:
    """By up to so much, as chance has it; of one connection none overtakes another."""

    def __init__(self, seconds: float, chance: random.Random) -> None:
        self._seconds = seconds
        self._chance = chance
        self._last: dict[bytes, float] = {}  # when the last one of a connection passes

    def passes_at(self, packet: Packet, now: float) -> float | None:
        flow = ends_of(packet.head).flow
        if len(self._last) >= FLOWS_MAX:
            self._last = {one: last for one, last in self._last.items() if last > now}
        self._last[flow] = max(self._last.get(flow, 0.0), now + self._chance.uniform(0.0, self._seconds))
        return self._last[flow]


class Narrow:
    """One after the other, each as long as its bytes take; each sender has a link of its own."""

    def __init__(self, bytes_each_second: int) -> None:
        self._rate = bytes_each_second
        self._free: dict[bytes, float] = {}  # when a link has nothing left to carry

    def passes_at(self, packet: Packet, now: float) -> float | None:
        sender = ends_of(packet.head).sender
        begins = max(now, self._free.get(sender, 0.0))
        if begins - now > NARROW_SECONDS_MAX:
            return None
        self._free[sender] = begins + packet.size_bytes / self._rate
        return self._free[sender]


def shape_of(fault: str, by: str) -> Shape:
    if fault == "bandwidth":
        return Narrow(values.bytes_each_second(by))
    seconds = values.duration_ms(by) / 1000
    return Uneven(seconds, random.Random()) if fault == "jitter" else Late(seconds)


class Ends(NamedTuple):
    sender: bytes  # its address
    flow: bytes  # what tells its connections apart; where that is not seen, all are one


def ends_of(head: bytes) -> Ends:
    """By its headers, of IP and of TCP."""
    if head[:1] and head[0] >> 4 == 4 and len(head) >= 20:
        length = (head[0] & 15) * 4
        return Ends(head[12:16], head[12:20] + (head[length : length + 4] if head[9] == TCP else b""))
    if head[:1] and head[0] >> 4 == 6 and len(head) >= 40:
        return Ends(head[8:24], head[8:40] + (head[40:44] if head[6] == TCP else b""))
    return Ends(b"", b"")
