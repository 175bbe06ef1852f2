"""A claim on a line: what is held, as the runner wants to see it."""

import os

from coordctl.hot.line import Line, SmallChance
from coordctl.hot.talk import Talk
from coordctl.local.clusters import Endpoint, led_last, note_led
from coordctl.runner.claim import Claim, Terms
from coordctl.runner.source import Told
from coordnode.client.clock import now_ms


class HeldClaim:
    """A Source. Asks at once: what the runner prepares meanwhile costs no time."""

    def __init__(self, endpoints: list[Endpoint], terms: Terms) -> None:
        self._endpoints = endpoints
        self._led = led_last(endpoints)
        self.talk = Talk([endpoint.address for endpoint in endpoints], SmallChance(), self._led)
        self._line = Line(self.talk, terms.owner)
        self.claim = Claim(self.talk, terms, lambda: os.urandom(16), now_ms())
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
        if self.talk.led != self._led:
            note_led(self._endpoints, self.talk.led)
