"""The part of docs/protocol.md that a one-question client needs: frames with JSON bodies, and what is inside them."""

import json
import struct
from base64 import b64decode, b64encode
from typing import Any
from zlib import crc32

from coordnode.errors import BY_CODE, CoordError, FrameError, Unknown

MAGIC, VERSION = 0xC5, 1
HELLO, ASKS, ANSWERS, REFUSAL = 1, 3, 4, 5
JSON = 1
HEADER_BYTES = 16
BODY_BYTES_MAX = 16 * 1024 * 1024 - HEADER_BYTES

WRITE, READ = 1, 2  # tags of asks
REPLY, ERROR = 1, 2  # tags of answers
DONE, GOT, PAGE, TRANSACTION_DONE, FAILURE, SESSIONS = 1, 2, 3, 4, 6, 7  # tags of results


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


def error_of(code: int, sentence: str) -> CoordError:
    return BY_CODE.get(code, Unknown)(sentence)


def packed(data: bytes) -> str:
    return b64encode(data).decode()


def unpacked(text: str) -> bytes:
    return b64decode(text)


def expect(result: Any, tag: int) -> None:
    if not result or result[0] != tag:
        raise Unknown("the member answered with something else; is its version the same as this one's?")
