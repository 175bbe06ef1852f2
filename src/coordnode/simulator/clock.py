"""One host's clocks in virtual time: a monotonic one with its own rate, and a wall clock that may jump."""

from coordnode.limits import CLOCK_RATE_ERROR_PPM
from coordnode.simulator.world import MILLISECOND, World

_MILLION = 1_000_000


class HostClock:
    """Rates stay within the bound that leases are computed with; anything beyond it is outside the promises."""

    __slots__ = ("_own_ns", "_rate_ppm", "_since_ns", "_wall_offset_ms", "_world")

    def __init__(self, world: World, *, start_ms: int, rate_ppm: int, wall_ms: int) -> None:
        self._world = world
        self._since_ns = world.now_ns
        self._own_ns = start_ms * MILLISECOND
        self._rate_ppm = 0
        self._wall_offset_ms = wall_ms - start_ms
        self.set_rate(rate_ppm)

    def own_ns(self) -> int:
        passed = self._world.now_ns - self._since_ns
        return self._own_ns + passed + passed * self._rate_ppm // _MILLION

    def own_ms(self) -> int:
        return self.own_ns() // MILLISECOND

    def read_ms(self) -> tuple[int, int]:
        """Monotonic and wall time of one moment."""
        own_ms = self.own_ns() // MILLISECOND
        return own_ms, own_ms + self._wall_offset_ms

    def world_ns(self, own_delay_ns: int) -> int:
        """How much true time passes until this clock has moved on by that much."""
        return -(-own_delay_ns * _MILLION // (_MILLION + self._rate_ppm))

    def set_rate(self, rate_ppm: int) -> None:
        assert -CLOCK_RATE_ERROR_PPM <= rate_ppm <= CLOCK_RATE_ERROR_PPM
        self._own_ns = self.own_ns()
        self._since_ns = self._world.now_ns
        self._rate_ppm = rate_ppm

    def jump_wall(self, by_ms: int) -> None:
        self._wall_offset_ms += by_ms
