"""Whether a member's wall clock was set while it ran: by the time and the uptime of its pulses. Pure.

A pulse's uptime is taken first, and its time when it is written: a member that stalls between the two tells it late, and its next
pulse says how late that may have been. So a clock that seems to go forward is believed once the next pulse is there, and one that
seems to go back if it does so by more than the pulses before it may have been late.
"""

from typing import NamedTuple

JUMP_MS = 500  # a wall clock that moves otherwise than the monotonic one by so much was set, or runs too fast or too slowly
TICK_MS = 100  # a stall begins between two ticks, and is so much longer than what the tick was late
STALL_MS_MAX = 5_000  # more is believed of the very last pulse, too
PULSES_COMPARED = 10  # so that one that runs too fast is seen as well as one that is set


class _Pulse(NamedTuple):
    ahead_ms: int  # its time less its uptime
    late_ms: float  # it may have been told so late


class Move(NamedTuple):
    at_ms: int  # as if the clock had not been set
    by_ms: int


class WallClock:
    """Of one member."""

    def __init__(self) -> None:
        self.shift_ms = 0  # so far it was set, in all
        self._moves: list[Move] = []
        self._uptime_ms = 0
        self._pulses: list[_Pulse] = []
        self._doubted: list[_Pulse] | None = None  # pulses before the newest move, which may be a late pulse

    def restart(self) -> None:
        """Its uptime begins anew."""
        self._pulses, self._doubted = [], None

    def moves(self) -> list[Move]:
        is_unsure = self._doubted is not None and self._moves[-1].by_ms <= STALL_MS_MAX
        return self._moves[:-1] if is_unsure else self._moves

    def see(self, at_ms: int, uptime_ms: int, late_ms: float) -> None:
        """`late_ms`: the latest tick since the pulse before."""
        if uptime_ms <= self._uptime_ms:
            self.restart()
        self._uptime_ms = uptime_ms
        if self._pulses:
            self._pulses[-1] = self._pulses[-1]._replace(late_ms=late_ms + TICK_MS)
        if self._doubted is not None and self._moves[-1].by_ms <= late_ms + TICK_MS:
            self.shift_ms -= self._moves.pop().by_ms
            self._pulses = self._doubted
        self._doubted = None
        ahead_ms = at_ms - uptime_ms
        moved_ms = self._moved_ms(ahead_ms)
        if moved_ms:
            self._doubted = self._pulses if moved_ms > 0 else None
            self._pulses = []
            self.shift_ms += moved_ms
            self._moves.append(Move(at_ms - self.shift_ms, moved_ms))
        self._pulses = [*self._pulses[1 - PULSES_COMPARED :], _Pulse(ahead_ms, 0)]

    def _moved_ms(self, ahead_ms: int) -> int:
        if not self._pulses:
            return 0
        lowest_ms = min(pulse.ahead_ms for pulse in self._pulses)
        if ahead_ms - lowest_ms > JUMP_MS:
            return ahead_ms - lowest_ms
        surest = max(self._pulses, key=lambda pulse: pulse.ahead_ms - pulse.late_ms)
        return ahead_ms - surest.ahead_ms if surest.ahead_ms - surest.late_ms - ahead_ms > JUMP_MS else 0
