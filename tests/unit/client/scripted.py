"""A conversation with the client core, told line by line: what it sends is picked up, what members say is handed in."""

import random
from typing import TypeVar

from coordnode.client.actions import Action, Connect, Disconnect, Finished, Send, SessionChanged
from coordnode.client.core import ClientCore
from coordnode.ids import MemberId, Revision, SessionId
from coordnode.services.commands import Done, OpenSession, Result, SessionOpened, decode_client_command, encode
from coordnode.services.dialogue import Answer, Ask, ErrorReply, KeepAliveAsk, ReadAsk, Reply, WatchAsk, WriteAsk

A, B, C = MemberId(1), MemberId(2), MemberId(3)
TTL_MS = 9_000
T = TypeVar("T")


class Conversation:
    def __init__(self, members: tuple[MemberId, ...] = (A, B, C), seed: int = 1) -> None:
        self.core = ClientCore(members, random.Random(seed), identity="tests", request_timeout_ms=600)
        self.now_ms = 1_000
        self.member: MemberId | None = None  # the one that the core is connected to
        self.said: list[Action] = []
        self.connection = 0  # counts them
        self.sent_on: dict[int, int] = {}  # request -> connection

    def poll(self) -> list[Action]:
        said = self.core.poll(self.now_ms)
        for action in said:
            if isinstance(action, Disconnect):
                assert action.member == self.member
                self.member = None
            elif isinstance(action, Connect):
                assert self.member is None, "at most one connection"
                self.member = action.member
                self.connection += 1
            elif isinstance(action, Send):
                assert action.member == self.member
                self.sent_on[action.ask.request] = self.connection
        self.said += said
        return said

    def take(self, kind: type[T]) -> list[T]:
        """What was said of this kind since it was last taken."""
        found = [action for action in self.said if isinstance(action, kind)]
        self.said = [action for action in self.said if not isinstance(action, kind)]
        return found

    def asks(self, kind: type[T]) -> list[T]:
        """What was sent of this kind since it was last taken."""
        found = [action.ask for action in self.said if isinstance(action, Send) and isinstance(action.ask, kind)]
        self.said = [action for action in self.said if not (isinstance(action, Send) and isinstance(action.ask, kind))]
        return found

    def one_ask(self, kind: type[T]) -> T:
        (ask,) = self.asks(kind)
        return ask

    def finished(self) -> Finished:
        (finished,) = self.take(Finished)
        return finished

    def changed(self) -> SessionChanged:
        (changed,) = self.take(SessionChanged)
        return changed

    def later(self, ms: int) -> None:
        """Time goes by as a shell would let it: woken whenever the core wants to be."""
        until_ms = self.now_ms + ms
        while (wake_at_ms := self.core.wake_at_ms()) is not None and wake_at_ms <= until_ms:
            before = self.now_ms
            self.now_ms = max(self.now_ms, wake_at_ms)
            said = self.poll()
            assert said or self.now_ms > before or self.core.wake_at_ms() != wake_at_ms, "woken for nothing, again and again"
        self.now_ms = until_ms
        self.poll()

    def connect(self) -> MemberId:
        """Until the core is connected to the member that it wants."""
        self.poll()
        if self.member is None:
            self.later(300)
        assert self.member is not None
        self.core.on_connected(self.member, self.now_ms)
        self.poll()
        return self.member

    def answer(self, *answers: Answer) -> None:
        assert self.member is not None
        for answer in answers:
            self.core.on_answer(self.member, answer, self.now_ms)
        self.poll()

    def is_heard(self, ask: Ask) -> bool:
        """Whether the connection on which this was sent still stands."""
        return self.member is not None and self.sent_on[ask.request] == self.connection

    def done(self, ask: Ask, result: Result | None = None, index: int = 7) -> None:
        self.answer(Reply(ask.request, index, 0, encode(result or Done(Revision(5)))))

    def refuse(self, ask: Ask, code: int, *, definite: bool = True, retry_after_ms: int = 0, leader: int = 0) -> None:
        self.answer(ErrorReply(ask.request, code, f"error {code}", definite, retry_after_ms, MemberId(leader)))

    def cut(self) -> None:
        assert self.member is not None
        member, self.member = self.member, None
        self.core.on_disconnected(member, self.now_ms)
        self.poll()

    def open_session(self, session_id: int = 77, ttl_ms: int = TTL_MS) -> int:
        number = self.core.open_session(self.now_ms, deadline_ms=self.now_ms + 5_000, ttl_ms=ttl_ms)
        if self.member is None:
            self.connect()
        self.poll()
        (ask,) = [ask for ask in self.asks(WriteAsk) if isinstance(decode_client_command(ask.body).operation, OpenSession)]
        self.done(ask, SessionOpened(SessionId(session_id), ttl_ms, Revision(1)))
        self.take(Finished)
        return number


__all__ = ["TTL_MS", "A", "B", "C", "Conversation", "KeepAliveAsk", "ReadAsk", "WatchAsk", "WriteAsk"]
