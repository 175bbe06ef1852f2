"""A link on which one byte follows the other, and so one message the other, so many in a tick."""

from collections import deque

from coordnode.raft.messages import Append, Chunk, Message

SMALL = 60  # bytes of whatever carries no data


class SlowLink:
    def __init__(self, bytes_per_tick: int) -> None:
        self.sent = 0
        self._bytes_per_tick = bytes_per_tick
        self._waiting: deque[tuple[int, Message]] = deque()  # the size of each
        self._passed = 0  # bytes of the first

    def send(self, message: Message) -> None:
        size = SMALL
        if isinstance(message, Chunk):
            size += len(message.data)
        elif isinstance(message, Append):
            size += sum(len(entry.data) for entry in message.entries)
        self.sent += size
        self._waiting.append((size, message))

    def tick(self) -> list[Message]:
        """What arrives."""
        arrived: list[Message] = []
        self._passed += self._bytes_per_tick
        while self._waiting and self._waiting[0][0] <= self._passed:
            size, message = self._waiting.popleft()
            self._passed -= size
            arrived.append(message)
        if not self._waiting:
            self._passed = 0
        return arrived
