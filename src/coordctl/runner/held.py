"""A claim on a line, as the runner wants to see it."""

from __future__ import annotations

import os

from coordctl.local.clusters import spoken
from coordctl.runner.claim import Claim, Terms
from coordnode.client.clock import now_ms
from coordnode.light import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from coordctl.local.clusters import Chosen
    from coordctl.runner.source import Told
    from coordctl.runner.wish import Speech


class Moves(Protocol):
    """The bytes of a talk, on a connection that never blocks."""

    def descriptor(self) -> tuple[int, int]: ...

    def on_ready(self, now_ms: int) -> None: ...

    def drive(self, now_ms: int) -> None: ...

    def close(self) -> None: ...


def hold(chosen: Chosen, terms: Terms) -> HeldClaim:
    talk, line, on_end = spoken(chosen.engine, "line").of(chosen.endpoints, terms.owner, terms.wall_offset_ms)
    return HeldClaim(talk, line, terms, on_end)


class HeldClaim:
    """A Source. Asks at once: what the runner prepares meanwhile costs no time."""

    def __init__(self, talk: Speech, line: Moves, terms: Terms, on_end: Callable[[], None]) -> None:
        self.talk = talk
        self._line = line
        self._on_end = on_end
        self.claim = Claim(talk, terms, lambda: os.urandom(16), now_ms())
        self._line.drive(now_ms())

    def look(self) -> None:
        """For an owner with other things to do before it polls: who does not lead says so, and the leader is asked at once."""
        self._line.on_ready(now_ms())
        self._line.drive(now_ms())

    def descriptor(self) -> tuple[int, int]:
        return self._line.descriptor()

    def on_ready(self, now_ms: int) -> None:
        self._line.on_ready(now_ms)

    def poll(self, now_ms: int) -> list[Told]:
        """What is told is acted on before more is asked: a command starts before its session's notices are watched."""
        told = self.claim.poll(now_ms)
        if not told:
            self._line.drive(now_ms)
        return told

    def wake_at_ms(self) -> int | None:
        times = [self.claim.wake_at_ms(), self.talk.wake_at_ms()]
        return min((time for time in times if time is not None), default=None)

    def close(self, now_ms: int, *, succeeded: bool) -> None:
        self.claim.close(now_ms, succeeded=succeeded)

    def hang_up(self) -> None:
        self._line.close()
        self._on_end()
