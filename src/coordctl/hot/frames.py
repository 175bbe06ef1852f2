"""The part of docs/protocol.md that a one-question client needs: frames with JSON bodies, and what is inside them."""

import json
import socket
import struct
import time
from base64 import b64decode, b64encode
from typing import Any
from zlib import crc32

from coordnode.errors import BY_CODE, CoordError, FrameError, Unknown

MAGIC, VERSION = 0xC5, 1
HELLO, ASKS, ANSWERS, REFUSAL = 1, 3, 4, 5
JSON = 1
HEADER_BYTES = 16
BODY_BYTES_MAX = 16 * 1024 * 1024 - HEADER_BYTES

WRITE, READ, KEEP_ALIVE, WATCH = 1, 2, 3, 4  # tags of asks
REPLY, ERROR, ALIVE, PUSH, GAP, PROGRESS = 1, 2, 3, 4, 5, 6  # tags of answers
DONE, GOT, PAGE, TRANSACTION_DONE, OPENED, FAILURE, SESSIONS = 1, 2, 3, 4, 5, 6, 7  # tags of results
LOCKS = 2  # space of an event, kind of a notice


def frame(kind: int, content: object) -> bytes:
    body = json.dumps(content, separators=(",", ":")).encode()
    start = struct.pack(">BBBBII", MAGIC, VERSION, kind, JSON, len(body), crc32(body))
    return start + struct.pack(">I", crc32(start)) + body


def body_bytes(header: bytes) -> tuple[int, int]:
    """(kind, length of the body) of a header that was not damaged."""
    magic, version, kind, body_format, length, _ = struct.unpack(">BBBBII", header[:12])
    if (magic, version) != (MAGIC, VERSION) or struct.unpack(">I", header[12:])[0] != crc32(header[:12]):
        raise FrameError("what answers there does not speak coordnode's protocol, version 1: check the endpoint")
    if body_format != JSON or length > BODY_BYTES_MAX:
        raise FrameError(f"a frame of format {body_format} with {length} bytes was not asked for")
    return kind, length


def content(header: bytes, body: bytes) -> Any:
    if struct.unpack(">I", header[8:12])[0] != crc32(body):
        raise FrameError("a frame was damaged on its way")
    try:
        return json.loads(body)
    except ValueError as error:
        raise FrameError(f"a frame is not JSON: {error}") from None


def receive(connection: socket.socket, until: float) -> tuple[int, Any]:
    """(kind, content) of the next frame. Raises TimeoutError."""
    header = _exactly(connection, HEADER_BYTES, until)
    kind, length = body_bytes(header)
    return kind, content(header, _exactly(connection, length, until))


def _exactly(connection: socket.socket, count: int, until: float) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise ConnectionError("hung up")
        parts += part
    return bytes(parts)


def error_of(code: int, sentence: str) -> CoordError:
    return BY_CODE.get(code, Unknown)(sentence)


def packed(data: bytes) -> str:
    return b64encode(data).decode()


def unpacked(text: str) -> bytes:
    return b64decode(text)


def expect(result: Any, tag: int) -> None:
    if not result or result[0] != tag:
        raise Unknown("the member answered with something else; is its version the same as this one's?")
