"""Exactly once without a session: the newest replies by request id, and to the openings of sessions that are over. Pure."""

from struct import Struct

from coordnode.services.commands import Outcome
from coordnode.services.levels import MENDED
from coordnode.services.state import Scalars, Settings
from coordnode.services.tables import Table

REPLIES_ID = 4
ORDER_ID = 5

OPENING = b"\xff"  # begins the name of an opening; no request id's UTF-8 begins so
REQUEST_CHARGE_BYTES = 400  # what a kept reply takes in both tables beside its own bytes

_pack_place = Struct(">QI").pack


class Requests:
    __slots__ = ("_order", "_replies", "_scalars", "_settings", "containers")

    def __init__(self, settings: Settings, scalars: Scalars) -> None:
        self._settings = settings
        self._scalars = scalars
        self._replies: Table[Outcome] = Table(REPLIES_ID, Outcome)  # name (a request id, or OPENING and a nonce) -> reply
        self._order: Table[bytes] = Table(ORDER_ID, bytes)  # (index, position) of a reply -> its name; from MENDED on one row for each
        self.containers = (self._replies, self._order)

    def find(self, request_id: str) -> Outcome | None:
        return self._replies.get(request_id.encode())

    def keep(self, request_id: str, outcome: Outcome) -> None:
        self._keep(request_id.encode(), outcome)

    def find_opening(self, nonce: bytes) -> Outcome | None:
        return self._replies.get(OPENING + nonce)

    def keep_opening(self, nonce: bytes, outcome: Outcome) -> None:
        """The session is over: a late retry of its opening must still not open another. Kept by the age of the opening."""
        self._keep(OPENING + nonce, outcome)

    def _keep(self, name: bytes, outcome: Outcome) -> None:
        place = _place(outcome)
        if self._scalars.level >= MENDED:
            self._clear(name, place)
        self._replies.set(name, outcome)
        self._order.set(place, name)
        self._count_bytes(_charge(name, outcome))
        settings, scalars = self._settings, self._scalars
        while self._replies.count > settings.request_ids_max or scalars.request_ids_bytes > settings.request_ids_bytes_max:
            oldest = self._order.first()
            assert oldest is not None
            self._forget(*oldest)

    def _clear(self, name: bytes, place: bytes) -> None:
        """Builds below may have opened the session with a request id, whose reply has this place, or another with this nonce."""
        if (earlier := self._replies.get(name)) is not None:
            self._forget(_place(earlier), name)
        if (other := self._order.get(place)) is not None:
            self._forget(place, other)

    def _forget(self, place: bytes, name: bytes) -> None:
        self._order.delete(place)
        outcome = self._replies.get(name)
        if outcome is not None:  # builds below gave two places to one reply, and may have done so in the log that is applied here
            self._replies.delete(name)
            self._count_bytes(-_charge(name, outcome))

    def mend(self) -> None:
        """Of what builds below left behind: replies that no place leads to, places that lead to no reply, and bytes that nothing has."""
        replies, order = self._replies, self._order
        for name, outcome in list(replies.items()):
            if order.get(_place(outcome)) != name:
                replies.delete(name)
        for place, name in list(order.items()):
            kept = replies.get(name)
            if kept is None or _place(kept) != place:
                order.delete(place)
        assert replies.count == order.count
        self._count_bytes(sum([_charge(name, outcome) for name, outcome in replies.items()]) - self._scalars.request_ids_bytes)

    def _count_bytes(self, grown: int) -> None:
        self._scalars.request_ids_bytes += grown
        self._scalars.state_bytes += grown


def _place(outcome: Outcome) -> bytes:
    return _pack_place(outcome.index, outcome.position)


def _charge(name: bytes, outcome: Outcome) -> int:
    return 2 * len(name) + len(outcome.result) + REQUEST_CHARGE_BYTES
