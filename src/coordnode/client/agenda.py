"""The calls that are not finished: which of them may be sent now, which later, and until when each is waited for. Pure."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from coordnode.client.calls import Call
from coordnode.client.sessions import NEVER
from coordnode.errors import Overloaded
from coordnode.limits import CLIENT_CALLS_MAX


class Agenda:
    """A heap may name calls that are finished: they are passed over."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._ready: list[int] = []  # heap: calls to send now, in the order they were asked
        self._later: list[tuple[int, int]] = []  # heap: (not before, call)
        self._deadlines: list[tuple[int, int]] = []  # heap: (deadline, call)

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls.values())

    def __contains__(self, number: int) -> bool:
        return number in self._calls

    def get(self, number: int) -> Call | None:
        return self._calls.get(number)

    def is_full(self) -> bool:
        return len(self._calls) >= CLIENT_CALLS_MAX

    def add(self, call: Call) -> None:
        if self.is_full():
            raise Overloaded(f"{CLIENT_CALLS_MAX} calls of this client are not finished yet")
        self._calls[call.id] = call
        heappush(self._deadlines, (call.deadline_ms, call.id))
        if len(self._deadlines) > 2 * len(self._calls) + 64:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._calls]
            heapify(self._deadlines)

    def remove(self, call: Call) -> None:
        del self._calls[call.id]

    def send_now(self, call: Call) -> None:
        heappush(self._ready, call.id)

    def send_later(self, call: Call, at_ms: int) -> None:
        heappush(self._later, (at_ms, call.id))

    def next_to_send(self, now_ms: int) -> Call | None:
        while self._later and self._later[0][0] <= now_ms:
            heappush(self._ready, heappop(self._later)[1])
        while self._ready:
            call = self._calls.get(heappop(self._ready))
            if call is not None:
                return call
        return None

    def next_too_late(self, now_ms: int) -> Call | None:
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            call = self._calls.get(heappop(self._deadlines)[1])
            if call is not None:
                return call
        return None

    def send_at_ms(self) -> int:
        return self._later[0][0] if self._later else NEVER

    def late_at_ms(self) -> int:
        return self._deadlines[0][0] if self._deadlines else NEVER
