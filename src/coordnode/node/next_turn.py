"""The turn that is wanted: there is at most one, however often it is asked for and whoever begins it."""

import asyncio
from collections.abc import Callable


class NextTurn:
    """`turn` calls begins() first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turn: Callable[[], None]) -> None:
        self._loop = loop
        self._turn = turn
        self._handle: asyncio.Handle | None = None

    def is_due(self) -> bool:
        return self._handle is not None

    def soon(self) -> None:
        """Whatever else arrives until the loop comes to it shares it."""
        if self._handle is None:
            self._handle = self._loop.call_soon(self._turn)

    def begins(self) -> None:
        """A tick's turn is the one that was due. Were it one more, each tick of a busy member would leave one turn more between
        two looks at sockets and timers, until its heartbeats are late."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
