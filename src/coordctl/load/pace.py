"""When requests are meant to be sent, whatever becomes of those before: an open loop. Pure."""

NS = 1_000_000_000


class Pace:
    """Evenly, `rate` times a second, from `begin_ns` until before `end_ns`. Of several that share a rate, number `part` of `parts` takes
    every `parts`-th time."""

    def __init__(self, rate: float, begin_ns: int, end_ns: int, *, part: int = 0, parts: int = 1) -> None:
        assert rate > 0
        assert 0 <= part < parts
        self._rate = rate
        self._begin_ns = begin_ns
        self._end_ns = end_ns
        self._part = part
        self._parts = parts
        self._taken = 0

    @property
    def next_ns(self) -> int:
        """Reckoned from the beginning, so that nothing adds up."""
        return self._begin_ns + round((self._taken * self._parts + self._part) * NS / self._rate)

    @property
    def is_over(self) -> bool:
        return self.next_ns >= self._end_ns

    def take(self, now_ns: int) -> int | None:
        """When the oldest that is due and not taken was meant to be sent; None: none is due."""
        due_ns = self.next_ns
        if due_ns > now_ns or due_ns >= self._end_ns:
            return None
        self._taken += 1
        return due_ns
