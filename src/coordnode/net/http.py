"""HTTP/1.1 for health checks, metrics and status: a small server of GET and HEAD, with every size and time bounded."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from coordnode.net.limits import HTTP_BODY_BYTES_MAX, HTTP_HEAD_BYTES_MAX, HTTP_IDLE_SECONDS_MAX, HTTP_SECONDS_MAX

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
TOKEN_BYTES = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class HttpAnswer(NamedTuple):
    status: int
    content_type: str
    body: bytes


Answerer = Callable[[str], HttpAnswer]
"""From the path, without its query, to what is answered there."""


class HttpRefused(Exception):
    """The request cannot be understood; the connection ends after the answer."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Request(NamedTuple):
    method: str
    path: str
    keep_alive: bool
    body_bytes: int


def parse_head(head: bytes) -> Request:
    """From the request line to the last header, without the empty line. Raises HttpRefused."""
    lines = head.split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or not words[0] or not TOKEN_BYTES.issuperset(words[0]):
        raise HttpRefused(400, "the first line is not METHOD PATH HTTP/1.1")
    method, target, version = words
    if not version.startswith(b"HTTP/"):
        raise HttpRefused(400, "the first line is not METHOD PATH HTTP/1.1")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise HttpRefused(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    keep_alive = version == b"HTTP/1.1"
    body_bytes = -1
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or not TOKEN_BYTES.issuperset(name):
            raise HttpRefused(400, "a header is not NAME: VALUE")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"content-length":
            if not value.isdigit() or len(value) > 18 or body_bytes not in (-1, int(value)):
                raise HttpRefused(400, "the content length is not a number")
            body_bytes = int(value)
        elif name == b"transfer-encoding":
            raise HttpRefused(501, "a body must come with its content length")
        elif name == b"connection":
            options = [option.strip(b" \t").lower() for option in value.split(b",")]
            keep_alive = b"close" not in options and (keep_alive or b"keep-alive" in options)
    if body_bytes > HTTP_BODY_BYTES_MAX:
        raise HttpRefused(413, f"bodies have at most {HTTP_BODY_BYTES_MAX} bytes")
    if not target.startswith(b"/") or not target.isascii():
        raise HttpRefused(400, "the path must begin with / and be ASCII")
    path = target.partition(b"?")[0].decode("ascii")
    return Request(method.decode("ascii"), path, keep_alive, max(body_bytes, 0))


def encode_answer(answer: HttpAnswer, *, keep_alive: bool, with_body: bool = True) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {REASONS[answer.status]}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
        *(["Allow: GET, HEAD"] if answer.status == 405 else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + (answer.body if with_body else b"")


class HttpLink(asyncio.Protocol):
    def __init__(
        self, transport: asyncio.Transport, answer: Answerer, now_s: Callable[[], float], on_lost: Callable[["HttpLink"], object]
    ) -> None:
        self._transport = transport
        self._answer = answer
        self._now_s = now_s
        self._on_lost = on_lost
        self._rest = bytearray()
        self._skip = 0  # bytes of a request's body that are still to come
        self._searched = 0
        self._until = now_s() + HTTP_SECONDS_MAX
        self._over = False

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        if not self._rest and not self._skip:
            self._until = self._now_s() + HTTP_SECONDS_MAX
        self._rest += data
        try:
            while self._rest and not self._over and self._take_request():
                pass
        except HttpRefused as error:
            self._finish(error.status, error.sentence)

    def _take_request(self) -> bool:
        """Answers one request, or takes what there is of it; False: more must come first."""
        rest = self._rest
        if self._skip:
            skipped = min(self._skip, len(rest))
            del rest[:skipped]
            self._skip -= skipped
            return not self._skip
        end = rest.find(b"\r\n\r\n", max(self._searched - 3, 0))
        if end < 0 or end > HTTP_HEAD_BYTES_MAX:
            if len(rest) > HTTP_HEAD_BYTES_MAX:
                raise HttpRefused(431, f"a request's head has at most {HTTP_HEAD_BYTES_MAX} bytes")
            self._searched = len(rest)
            return False
        request = parse_head(bytes(rest[:end]))
        del rest[: end + 4]
        self._searched = 0
        self._skip = request.body_bytes
        is_read = request.method in ("GET", "HEAD")
        answer = self._answer(request.path) if is_read else HttpAnswer(405, TEXT, b"only GET and HEAD\n")
        self._transport.write(encode_answer(answer, keep_alive=request.keep_alive, with_body=request.method != "HEAD"))
        self._until = self._now_s() + HTTP_IDLE_SECONDS_MAX
        if not request.keep_alive:
            self.close()
        return True

    # --- time and back-pressure ------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """It asks and does not read: nothing more is taken from it until it does."""
        if not self._over:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if not self._over:
            self._transport.resume_reading()

    def is_late(self, now_s: float) -> bool:
        return now_s >= self._until

    def time_out(self) -> None:
        if self._over or self._transport.get_write_buffer_size():
            self._transport.abort()
        elif self._rest or self._skip:
            self._finish(408, "the request did not arrive in time")
        else:
            self.close()

    def _finish(self, status: int, sentence: str) -> None:
        if not self._over:
            self._transport.write(encode_answer(HttpAnswer(status, TEXT, f"{sentence}\n".encode()), keep_alive=False))
            self.close()

    def close(self) -> None:
        self._over = True
        self._until = self._now_s() + HTTP_SECONDS_MAX
        self._rest.clear()
        self._transport.close()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._over = True
        self._on_lost(self)
