"""Watches: each client puts, and is told what all put, by a watch that it moves from member to member."""

import time
from contextlib import suppress
from typing import Any, ClassVar

from coordctl.chaos.loads.clients import FINISH_SECONDS, Client
from coordnode.client.sync import Watch
from coordnode.errors import CoordError, HistoryGone

KEYS = 4
MOVES_SHARE = 0.08  # of the turns
TAKES_SECONDS = 0.02


class WatchClient(Client):
    pause_seconds_max: ClassVar[float] = 0.05

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._watch: Watch | None = None
        self._next = 0  # the first revision that it was not told of; 0: it does not watch yet

    def turn(self, turn: int) -> None:
        if self.chance.random() < MOVES_SHARE:
            self.come_again()
            self._watch = None
        if not self._next or self.chance.random() < 0.5:
            revision = self._put(f"{self.number}-{turn}")
            self._next = self._next or revision + 1
        self._listen()

    def leave(self) -> None:
        """Everybody is told of what it writes last: then it has everything up to there, or it says for what it waited."""
        if not self._next:
            return
        last = self._put(f"{self.number}-last")
        until = time.monotonic() + FINISH_SECONDS
        while self._next <= last and time.monotonic() < until:
            with suppress(CoordError):
                self._listen()
        self.ask("whole" if self._next > last else "awaits", self.number, lambda: last)

    def _put(self, value: str) -> int:
        key = f"{self.prefix}k{self.chance.randrange(KEYS)}"
        request_id = f"{self.prefix}{value}"
        revision: int = self.ask("put", [key, value], lambda: int(self.cluster.kv.put(key, value, request_id=request_id)))
        return revision

    def _listen(self) -> None:
        if self._watch is None:
            self.ask("open", [self.number, self._next], lambda: None)
            self._watch = self.cluster.kv.watch(self.prefix, from_revision=self._next)
        try:
            while (change := self._watch.take(TAKES_SECONDS)) is not None:
                revision = int(change.revision)
                events = [[one.key.decode(), one.value.decode()] for one in change.events]
                self.ask("told", self.number, lambda revision=revision, events=events: [revision, events])  # type: ignore[misc]
                self._next = revision + 1
        except HistoryGone as gone:
            self._watch = None
            self._next = gone.floor
            self.ask("gap", self.number, lambda floor=gone.floor: floor)  # type: ignore[misc]
