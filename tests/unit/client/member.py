"""A member made of one thread and a dict: speaks the real wire on a real socket, and misbehaves on request."""

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from coordnode.errors import CoordError
from coordnode.ids import ClusterId, MemberId, Revision, SessionId
from coordnode.services.commands import (
    PUT_EVENT,
    Change,
    CloseSession,
    Delete,
    Done,
    Event,
    Get,
    Got,
    Item,
    OpenSession,
    Page,
    Put,
    Range,
    Result,
    SessionOpened,
    Transaction,
    TransactionDone,
    decode_client_command,
    decode_read,
    encode,
)
from coordnode.services.dialogue import Answer, Ask, ErrorReply, KeepAliveAsk, KeepAliveReply, ReadAsk, Reply, WatchAsk, WatchPush, WriteAsk
from coordnode.wire.bodies import decode_asks, encode_answers
from coordnode.wire.frames import FrameReader
from coordnode.wire.hello import Hello, check_hello, decode_hello, encode_hello, encode_refusal

CLUSTER = ClusterId(77)
Handler = Callable[[Ask], "Sequence[Answer] | None"]  # None: carry on as a leader does


class FakeMember:
    """`handler` is asked first about every ask; what it does not answer is done to the dict, as by a leader."""

    def __init__(self, member: int = 1, *, cluster: ClusterId = CLUSTER, refusal: CoordError | None = None) -> None:
        self.id = MemberId(member)
        self.cluster = cluster
        self.refusal = refusal
        self.handler: Handler = lambda _ask: None
        self.contacts: tuple[tuple[MemberId, str], ...] = ()
        self.asks: list[Ask] = []
        self.kv: dict[bytes, Item] = {}
        self.revision = Revision(0)
        self.hellos = 0
        self._sessions = 0
        self._watches: list[tuple[socket.socket, int, WatchAsk]] = []
        self._connections: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join(30)

    def cut(self) -> None:
        """Ends every connection."""
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "FakeMember":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        reader = FrameReader()
        body_format = None
        with connection, suppress(OSError):
            while data := connection.recv(65536):
                for frame in reader.feed(data):
                    if body_format is None:
                        body_format = frame.format
                        self.hellos += 1
                        if (refusal := self.refusal or self._refused(decode_hello(frame))) is not None:
                            connection.sendall(encode_refusal(refusal, body_format))
                            return
                        hello = Hello(self.cluster, self.id, MemberId(0), 1, "", "fake", self.contacts)
                        connection.sendall(encode_hello(hello, body_format))
                        continue
                    for ask in decode_asks(frame)[0]:
                        self._on_ask(connection, body_format, ask)

    def _refused(self, hello: Hello) -> CoordError | None:
        try:
            check_hello(hello, self.cluster, self.id)
        except CoordError as error:
            return error
        return None

    def _on_ask(self, connection: socket.socket, body_format: int, ask: Ask) -> None:
        self.asks.append(ask)
        answers = self.handler(ask)
        if answers is None:
            answers = self._carry_out(connection, body_format, ask)
        for frame in encode_answers(answers, body_format) if answers else ():
            connection.sendall(frame)

    def _carry_out(self, connection: socket.socket, body_format: int, ask: Ask) -> list[Answer]:
        if isinstance(ask, WriteAsk):
            command = decode_client_command(ask.body)
            return [Reply(ask.request, int(self.revision), 0, encode(self.write(command.operation)))]
        if isinstance(ask, ReadAsk):
            operation = decode_read(ask.body)
            if operation is None:
                return [Reply(ask.request, int(self.revision), 0, b"")]
            return [Reply(ask.request, int(self.revision), 0, encode(self._read(operation)))]
        if isinstance(ask, KeepAliveAsk):
            return [KeepAliveReply(ask.request, [(session, 3_000) for session in ask.sessions], [])]
        if isinstance(ask, WatchAsk):
            self._watches.append((connection, body_format, ask))
            return [WatchPush(ask.request, [], self.revision)]
        return []

    def _read(self, operation: Get | Range) -> Result:
        if isinstance(operation, Get):
            return Got(self.revision, self.kv.get(operation.key))
        keys = [key for key in sorted(self.kv) if key >= operation.start and (not operation.end or key < operation.end)]
        return Page(self.revision, [self.kv[key] for key in keys[:2]], len(keys) > 2)  # small pages

    def write(self, operation: object) -> Result:
        if isinstance(operation, OpenSession):
            self._sessions += 1
            return SessionOpened(SessionId(self._sessions), operation.ttl_ms, self.revision)
        if isinstance(operation, CloseSession):
            return Done(self.revision)
        if isinstance(operation, Transaction):
            (compare,) = operation.compares
            found = self.kv.get(compare.key)
            if compare.number != (found.mod_revision if found else 0):
                return TransactionDone(self.revision, False, [Got(self.revision, found) for _ in operation.otherwise])
            return TransactionDone(Revision(self.revision + 1), True, [self.write(each) for each in operation.then])  # type: ignore[misc]
        if isinstance(operation, Delete):
            return Done(self.revision, int(self.kv.pop(operation.key, None) is not None))
        assert isinstance(operation, Put)
        self.revision = Revision(self.revision + 1)
        self.kv[operation.key] = Item(operation.key, operation.value, self.revision, self.revision, 1)
        change = Change(self.revision, [Event(PUT_EVENT, operation.key, operation.value, 1)])
        for connection, body_format, ask in self._watches:
            for frame in encode_answers([WatchPush(ask.request, [change], self.revision)], body_format):
                with suppress(OSError):
                    connection.sendall(frame)
        return Done(self.revision)


def not_leader(ask: Ask, leader: int = 0) -> list[Answer]:
    return [ErrorReply(ask.request, 10, "another member leads", True, 0, MemberId(leader))]
