"""Frames: a header of 16 bytes, then a body. Bytes in, whole frames out.

0      magic 0xC5        the first byte of no text and of no HTTP method
1      version           1; the rest of the header is only understood once this is known
2      kind              HELLO .. REFUSAL
3      format            0 msgpack, 1 JSON
4..7   body length       big-endian
8..11  crc32 of the body
12..15 crc32 of bytes 0..11, so that a damaged length is noticed before anybody waits for it
"""

import struct
from zlib import crc32

import msgspec

from coordnode.errors import CoordError, FrameError, UnknownVersion
from coordnode.formats import WIRE
from coordnode.limits import FRAME_BYTES_MAX, FRAME_HEADER_BYTES

MAGIC = 0xC5
VERSION = WIRE

HELLO = 1  # the first frame of each direction
PEER = 2  # raft messages, between members
ASKS = 3  # client to member
ANSWERS = 4  # member to client
REFUSAL = 5  # the last frame before the sender closes the connection
KINDS = (HELLO, PEER, ASKS, ANSWERS, REFUSAL)

MSGPACK = 0
JSON = 1
FORMATS = (MSGPACK, JSON)

_pack_start = struct.Struct(">BBBBII").pack
_pack_check = struct.Struct(">I").pack
_unpack_header = struct.Struct(">BBBBIII").unpack_from
CHECKED_BYTES = 12  # of a header, by its own crc

BODY_BYTES_MAX = FRAME_BYTES_MAX - FRAME_HEADER_BYTES


class Frame(msgspec.Struct, frozen=True, gc=False):
    kind: int
    format: int
    body: bytes


def header(kind: int, body_format: int, body: bytes | memoryview, length: int) -> bytes:
    assert length <= BODY_BYTES_MAX
    start = _pack_start(MAGIC, VERSION, kind, body_format, length, crc32(body))
    return start + _pack_check(crc32(start))


def frame(kind: int, body_format: int, body: bytes) -> bytes:
    return header(kind, body_format, body, len(body)) + body


class FrameReader:
    """Feed it what arrived, in any pieces. After an error the stream cannot be trusted: each further feed raises it again.

    `body_bytes_max` may be changed between feeds: small until the other side has said who it is.
    """

    def __init__(self, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        assert body_bytes_max <= BODY_BYTES_MAX
        self.body_bytes_max = body_bytes_max
        self._rest = bytearray()
        self._wanted = FRAME_HEADER_BYTES  # nothing can be read before so many bytes are here
        self._error: CoordError | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that came before an error are lost with the connection, so they are not returned with it either."""
        if self._error is not None:
            raise self._error
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                if len(self._rest) <= FRAME_HEADER_BYTES:
                    self._refuse_early(self._rest)
                return []
            data = bytes(self._rest)
            self._rest.clear()
        try:
            frames, used = self._read(data)
        except CoordError as error:
            self._error = error
            raise
        if used < len(data):
            self._rest += memoryview(data)[used:]
            self._refuse_early(self._rest)
        return frames

    def is_between_frames(self) -> bool:
        """The stream may end here without anything cut in two."""
        return not self._rest

    def bytes_held(self) -> int:
        """Of a frame whose end has not come."""
        return len(self._rest)

    def _read(self, data: bytes) -> tuple[list[Frame], int]:
        frames: list[Frame] = []
        start = 0
        size = len(data)
        self._wanted = FRAME_HEADER_BYTES
        while size - start >= FRAME_HEADER_BYTES:
            magic, version, kind, body_format, length, body_crc, check = _unpack_header(data, start)
            if magic != MAGIC or version != VERSION:
                _refuse_stranger(magic, version)
            if crc32(data[start : start + CHECKED_BYTES]) != check:
                raise FrameError("a frame's header is damaged")
            if kind not in KINDS:
                raise FrameError(f"a frame of unknown kind {kind}")
            if body_format not in FORMATS:
                raise FrameError(f"a frame in unknown format {body_format}")
            if length > self.body_bytes_max:
                raise FrameError(f"a frame of {length} bytes, while {self.body_bytes_max} are accepted here")
            start += FRAME_HEADER_BYTES
            if size - start < length:
                self._wanted = FRAME_HEADER_BYTES + length
                start -= FRAME_HEADER_BYTES
                break
            body = data[start : start + length]
            if crc32(body) != body_crc:
                raise FrameError(f"the body of a frame of kind {kind}, {length} bytes, is not what was sent")
            frames.append(Frame(kind, body_format, body))
            start += length
        return frames, start

    def _refuse_early(self, rest: bytearray) -> None:
        """A stranger that sends less than a header and then waits is told at once."""
        try:
            _refuse_stranger(rest[0], rest[1] if len(rest) > 1 else VERSION)
        except CoordError as error:
            self._error = error
            self._rest = bytearray()
            raise


def _refuse_stranger(magic: int, version: int) -> None:
    if magic != MAGIC:
        raise FrameError(f"this is not coordnode's protocol: the first byte is {magic:#04x}, not {MAGIC:#04x}")
    if version != VERSION:
        raise UnknownVersion(f"wire version {version} is not spoken here, only {VERSION}: upgrade the older side first")
