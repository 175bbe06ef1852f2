"""A member's two clocks, as they go when they were told to jump, to drift or to flicker. The monotonic one never goes back."""

import time

from coordnode.harm.orders import CLOCK_DRIFT, CLOCK_JUMP, CLOCK_STROBE, Orders

MS = 1_000_000
STROBE_NS = 200 * MS  # the clock on the wall is so long right, and then as long wrong


class HarmedClock:
    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._asked_ns = time.monotonic_ns()  # when it was last asked, without any harm
        self._drifted_ns = 0  # since the present drift began
        self._ahead_ns = 0  # of what is over: the monotonic clock keeps it
        self._leapt: set[str] = set()  # jumps that the monotonic clock has made

    def now_ms(self) -> int:
        return (self._advance() + self._ahead_ns + self._drifted_ns) // MS

    def wall_ms(self) -> int:
        real_ns = self._advance()
        wall_ns = time.time_ns() + self._drifted_ns
        for order in self._orders.current():
            if order.fault == CLOCK_JUMP or (order.fault == CLOCK_STROBE and real_ns // STROBE_NS % 2):
                wall_ns += int(order.amount * MS)
        return wall_ns // MS

    def _advance(self) -> int:
        real_ns = time.monotonic_ns()
        passed_ns, self._asked_ns = max(0, real_ns - self._asked_ns), real_ns
        is_drifting = False
        for order in self._orders.current():
            if order.fault == CLOCK_DRIFT:
                is_drifting = True
                self._drifted_ns += int(passed_ns * order.amount / 100)
            elif order.fault == CLOCK_JUMP and order.amount > 0 and order.id not in self._leapt:
                self._leapt.add(order.id)
                self._ahead_ns += int(order.amount * MS)
        if self._drifted_ns and not is_drifting:  # the wall's is set right, the other goes on from where it is
            self._ahead_ns += self._drifted_ns
            self._drifted_ns = 0
        return real_ns
