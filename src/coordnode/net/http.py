"""HTTP/1.1 as bytes: what a request's head says, and how an answer is written. Every size is bounded. No socket here."""

from collections.abc import Mapping
from typing import NamedTuple

from coordnode.net.limits import HTTP_BODY_BYTES_MAX

REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
TOKEN_BYTES = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpAnswer(NamedTuple):
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class HttpRefused(Exception):
    """The request cannot be understood; the connection ends after the answer."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Request(NamedTuple):
    method: str
    path: str  # as it was sent, still percent-encoded, without the query
    query: str
    headers: Mapping[str, str]  # names in lower case
    keep_alive: bool
    body_bytes: int
    body: bytes = b""


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
    headers = _headers(lines[1:])
    if "transfer-encoding" in headers:
        raise HttpRefused(501, "a body must come with its content length")
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or len(length) > 18:
        raise HttpRefused(400, "the content length is not a number")
    if int(length) > HTTP_BODY_BYTES_MAX:
        raise HttpRefused(413, f"bodies have at most {HTTP_BODY_BYTES_MAX} bytes")
    if not target.startswith(b"/") or not target.isascii() or min(target) < 33:
        raise HttpRefused(400, "the path must begin with / and be ASCII")
    options = [option.strip(" \t").lower() for option in headers.get("connection", "").split(",")]
    keep_alive = "close" not in options and (version == b"HTTP/1.1" or "keep-alive" in options)
    path, _, query = target.decode("ascii").partition("?")
    return Request(method.decode("ascii"), path, query, headers, keep_alive, int(length))


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        raw_name, colon, raw_value = line.partition(b":")
        if not colon or not raw_name or not TOKEN_BYTES.issuperset(raw_name):
            raise HttpRefused(400, "a header is not NAME: VALUE")
        name, value = raw_name.decode("ascii").lower(), raw_value.strip(b" \t").decode("latin-1")
        if "\0" in value or "\r" in value or "\n" in value:
            raise HttpRefused(400, "a header has a line break or a zero byte inside")
        if name not in headers:
            headers[name] = value
        elif name == "content-length" and headers[name] != value:
            raise HttpRefused(400, "two content lengths")
        elif name != "content-length":
            headers[name] += ", " + value
    return headers


def encode_answer(answer: HttpAnswer, *, keep_alive: bool, with_body: bool = True) -> bytes:
    head = _head(answer.status, answer.content_type, answer.headers, f"Content-Length: {len(answer.body)}", keep_alive=keep_alive)
    return head + (answer.body if with_body else b"")


def encode_stream_head(content_type: str) -> bytes:
    """What follows ends with the connection."""
    return _head(200, content_type, (), "", keep_alive=False)


def _head(status: int, content_type: str, headers: tuple[tuple[str, str], ...], length: str, *, keep_alive: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {REASONS[status]}",
        f"Content-Type: {content_type}",
        *([length] if length else []),
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        *(f"{name}: {value}" for name, value in headers),
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
