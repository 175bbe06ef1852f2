"""The replica's two times, both fed from outside. Pure."""

from coordnode.limits import TICK_ADVANCE_TICKS_MAX


class Clock:
    """`now_ms` is this member's monotonic clock. `lease_ms` is the same, less the time in which this process was not
    scheduled, or in which nothing of what is committed was applied: a paused leader finds its sessions as it left them, not all
    expired, and so does one whose clients' signs of life wait for what cannot be applied."""

    __slots__ = ("_started", "_step_ms_max", "before_ms", "lease_ms", "now_ms", "wall_ms")

    def __init__(self, tick_ms: int) -> None:
        self._step_ms_max = TICK_ADVANCE_TICKS_MAX * tick_ms
        self._started = False
        self.now_ms = 0
        self.before_ms = 0  # the turn before this one: what is heard now may have come right after it
        self.lease_ms = 0
        self.wall_ms = 0  # only shown

    def advance(self, now_ms: int, wall_ms: int, *, stands_still: bool = False) -> None:
        if not self._started:
            self._started = True
            self.now_ms = now_ms
        passed = now_ms - self.now_ms
        assert passed >= 0, "the monotonic clock went back"
        self.before_ms = self.now_ms
        self.now_ms = now_ms
        if not stands_still:
            self.lease_ms += min(passed, self._step_ms_max)
        self.wall_ms = wall_ms
