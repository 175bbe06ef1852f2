"""A transport that keeps what is written, and a sink that keeps what arrives."""

from coordnode.net.clients import ClientLink
from coordnode.net.http import TEXT, HttpAnswer, Request
from coordnode.net.http_link import HttpLink
from coordnode.services.callers import Caller
from coordnode.services.dialogue import Answer, Ask
from coordnode.wire.bodies import decode_answers
from coordnode.wire.frames import ANSWERS, HELLO, REFUSAL, Frame, FrameReader
from coordnode.wire.hello import decode_refusal


class FakeTransport:
    def __init__(self) -> None:
        self.written = bytearray()
        self.unread = 0  # what the other side has not read; the test says
        self.reading = True
        self.closed = False
        self.aborted = False
        self.eof = False  # we say nothing more, and still read
        self.protocol: object = None
        self.high = 0

    def write(self, data: bytes | bytearray) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def set_protocol(self, protocol: object) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.unread

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 4000) if name == "peername" else None

    # --- what the other side sees ----------------------------------------------------------------------------------

    def frames(self) -> list[Frame]:
        found = FrameReader().feed(bytes(self.written)) if self.written else []
        self.written.clear()
        return found

    def answers(self) -> list[Answer]:
        return [answer for frame in self.frames() if frame.kind == ANSWERS for answer in decode_answers(frame)]

    def refusal(self) -> str:
        """The sentence that the connection was refused with; other frames before it are not looked at."""
        last = self.frames()[-1]
        assert last.kind == REFUSAL
        return decode_refusal(last).sentence

    def hellos(self) -> list[Frame]:
        return [frame for frame in self.frames() if frame.kind == HELLO]


class FakeHandler:
    """Answers HTTP at once, unless it is told to think."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.waiting: list[HttpLink] = []
        self.is_thinking = False
        self.gone = 0
        self.writable = 0

    def on_request(self, link: HttpLink, request: Request) -> None:
        self.requests.append(request)
        if self.is_thinking:
            self.waiting.append(link)
        else:
            link.answer(HttpAnswer(200 if request.path == "/x" else 404, TEXT, request.path.encode()))

    def on_writable(self, link: HttpLink) -> None:
        self.writable += 1

    def on_gone(self, link: HttpLink) -> None:
        self.gone += 1

    def refusal(self, status: int, sentence: str) -> HttpAnswer:
        return HttpAnswer(status, TEXT, sentence.encode())


class FakeSink:
    def __init__(self) -> None:
        self.opened: list[tuple[int, Caller]] = []
        self.asks: list[tuple[int, Ask]] = []
        self.eager: list[tuple[int, Ask]] = []  # of who asks for much
        self.patience_ms: list[int] = []
        self.closed: list[int] = []

    def on_opened(self, connection: int, caller: Caller) -> None:
        self.opened.append((connection, caller))

    def on_asks(self, connection: int, asks: list[Ask], patience_ms: int) -> None:
        self.asks += [(connection, ask) for ask in asks]
        self.patience_ms.append(patience_ms)

    def on_eager_asks(self, link: ClientLink, asks: list[Ask], patience_ms: int) -> None:
        self.eager += [(link.connection, ask) for ask in asks]

    def on_closed(self, connection: int) -> None:
        self.closed.append(connection)
