"""A claim on a line, as the runner wants to see it."""

from __future__ import annotations

import os
import select

from coordctl.local.clusters import spoken
from coordctl.runner import outcome
from coordctl.runner.claim import Claim, Terms
from coordctl.runner.source import Closed, heard
from coordnode.client.clock import now_ms
from coordnode.light import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from coordctl.local.clusters import Chosen
    from coordctl.runner.source import Source, Told
    from coordctl.runner.wish import Speech


LET_GO_MS = 2_000


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


def unable(source: Source, error: OSError, code: int, say: Callable[[str], None]) -> outcome.Outcome:
    """We lack what it takes to run anything: what we asked for is let go of at once, not when its lease ends, if that can be done soon."""
    say(f"coordctl: the command could not be started: {error.strerror or error}; try again")
    until_ms = now_ms() + LET_GO_MS
    source.close(now_ms(), succeeded=False)
    is_closed = False
    while not is_closed and now_ms() < until_ms:
        is_closed = any([isinstance(told, Closed) for told in heard(source, now_ms())])
        descriptor, interest = source.descriptor()
        poll = select.poll()
        if descriptor >= 0:
            poll.register(descriptor, interest)
        wake_at_ms = min(until_ms, source.wake_at_ms() or until_ms)
        if not is_closed and poll.poll(max(0, wake_at_ms - now_ms())):
            source.on_ready(now_ms())
    source.hang_up()
    return outcome.Outcome(outcome.NOT_ACQUIRED, code)
