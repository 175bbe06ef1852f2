"""What another member sends us, on the connection that it opened. We answer on our own connection to it, never on this one."""

import asyncio
from collections.abc import Callable

from coordnode.errors import CoordError, FrameError
from coordnode.ids import MemberId
from coordnode.raft.messages import Message
from coordnode.wire.bodies import decode_messages
from coordnode.wire.frames import MSGPACK, Frame, FrameReader
from coordnode.wire.hello import encode_refusal


class MemberLink(asyncio.Protocol):
    def __init__(
        self,
        transport: asyncio.Transport,
        reader: FrameReader,
        theirs: MemberId,
        ours: MemberId,
        on_messages: Callable[[list[Message]], None],
        on_lost: Callable[["MemberLink"], None],
    ) -> None:
        self.theirs = theirs
        self._ours = ours
        self.transport = transport
        self._reader = reader
        self._on_messages = on_messages
        self._on_lost = on_lost

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self.on_frame(frame)
        except CoordError as error:
            self.refuse(error)

    def on_frame(self, frame: Frame) -> None:
        messages = decode_messages(frame)
        for message in messages:
            if message.source != self.theirs or message.target != self._ours:
                raise FrameError(f"member {self.theirs} sent a message from {message.source} to {message.target} here")
        self._on_messages(messages)

    def refuse(self, error: CoordError) -> None:
        if not self.transport.is_closing():
            self.transport.write(encode_refusal(error, MSGPACK))
            self.transport.close()

    def close(self) -> None:
        self.transport.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._on_lost(self)
