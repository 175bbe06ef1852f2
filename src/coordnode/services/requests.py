"""Exactly once without a session: the newest replies by request id, and to the openings of sessions that are over. Pure."""

from struct import Struct

from coordnode.services.commands import Outcome
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
        self._order: Table[bytes] = Table(ORDER_ID, bytes)  # (index, position) -> name
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
        self._replies.set(name, outcome)
        self._order.set(_pack_place(outcome.index, outcome.position), name)
        self._count_bytes(_charge(name, outcome))
        settings, scalars = self._settings, self._scalars
        while self._replies.count > settings.request_ids_max or scalars.request_ids_bytes > settings.request_ids_bytes_max:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        oldest = self._order.first()
        assert oldest is not None
        place, name = oldest
        outcome = self._replies.get(name)
        assert outcome is not None
        self._replies.delete(name)
        self._order.delete(place)
        self._count_bytes(-_charge(name, outcome))

    def _count_bytes(self, grown: int) -> None:
        self._scalars.request_ids_bytes += grown
        self._scalars.state_bytes += grown


def _charge(name: bytes, outcome: Outcome) -> int:
    return 2 * len(name) + len(outcome.result) + REQUEST_CHARGE_BYTES
