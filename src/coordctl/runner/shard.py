"""One shard as the runner of its command wants to see it: told by the process that owns it, which it does not outlive."""

from __future__ import annotations

import select

from coordctl.runner import ending, words
from coordctl.runner.source import Closed, Granted, Lost, Renewed, Revoked, Told
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from coordctl.runner.words import Channel


class HeldShard:
    """A Source."""

    def __init__(self, channel: Channel, granted: Granted) -> None:
        self._channel = channel
        self._told: list[Told] = [granted]
        self._is_ready = False  # signals are listened to: what comes before that would be lost

    def descriptor(self) -> tuple[int, int]:
        return (-1, 0) if self._channel.is_closed else (self._channel.fileno(), select.POLLIN)

    def on_ready(self, now_ms: int) -> None:
        for word, *details in self._channel.receive():
            if word == words.DEADLINE:
                self._told.append(Renewed(details[0]))
            else:
                sentence, is_lost = details
                self._told.append(Lost(ending.LOST, sentence) if is_lost else Revoked(sentence))
        if self._channel.is_closed:
            self._told.append(Revoked("the run that owns its shard was killed"))

    def poll(self, now_ms: int) -> list[Told]:
        if not self._is_ready:
            self._is_ready = True
            self._channel.tell(words.READY)
        told, self._told = self._told, []
        return told

    def wake_at_ms(self) -> int | None:
        return None

    def close(self, now_ms: int, *, succeeded: bool) -> None:
        self._told.append(Closed())

    def hang_up(self) -> None:
        self._channel.close()
