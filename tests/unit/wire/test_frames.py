"""The frame reader: fed whole, byte by byte, with trailing bytes, and with what no honest side would send."""

import random
from zlib import crc32

import pytest

from coordnode.errors import CoordError, FrameError, UnknownVersion
from coordnode.limits import FRAME_HEADER_BYTES
from coordnode.wire.frames import ANSWERS, ASKS, BODY_BYTES_MAX, HELLO, JSON, MSGPACK, PEER, Frame, FrameReader, frame

FRAMES = [Frame(HELLO, JSON, b"{}"), Frame(PEER, MSGPACK, bytes(range(256)) * 40), Frame(ASKS, MSGPACK, b""), Frame(ANSWERS, JSON, b"[]")]
STREAM = b"".join(frame(one.kind, one.format, one.body) for one in FRAMES)


def with_header(start: bytes) -> bytes:
    """A header whose own checksum is right, whatever it says."""
    return start + crc32(start).to_bytes(4, "big")


def test_whole() -> None:
    reader = FrameReader()
    assert reader.feed(STREAM) == FRAMES
    assert reader.is_between_frames()


def test_byte_by_byte() -> None:
    reader = FrameReader()
    received = []
    for at in range(len(STREAM)):
        received += reader.feed(STREAM[at : at + 1])
    assert received == FRAMES
    assert reader.is_between_frames()


def test_in_random_pieces() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        reader = FrameReader()
        received = []
        at = 0
        while at < len(STREAM):
            step = rng.choice((1, 3, 16, 17, 4000, 12_000))
            received += reader.feed(STREAM[at : at + step])
            at += step
        assert received == FRAMES, seed


def test_trailing_bytes_wait_for_the_rest() -> None:
    reader = FrameReader()
    assert reader.feed(STREAM + STREAM[:20]) == [*FRAMES, FRAMES[0]]
    assert not reader.is_between_frames()
    assert reader.feed(STREAM[20:]) == FRAMES[1:]


def test_nothing_is_returned_for_nothing() -> None:
    reader = FrameReader()
    assert reader.feed(b"") == []
    assert reader.feed(STREAM[:5]) == []
    assert reader.feed(b"") == []


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", FrameError, "not coordnode's protocol"),
        (b"G", FrameError, "not coordnode's protocol"),
        (b"\xc5\x02", UnknownVersion, "version 2"),
        (with_header(b"\xc5\x02\x01\x00" + bytes(8)), UnknownVersion, "version 2"),
        (with_header(b"\xc5\x01\x09\x00" + bytes(8)), FrameError, "unknown kind 9"),
        (with_header(b"\xc5\x01\x01\x07" + bytes(8)), FrameError, "unknown format 7"),
        (with_header(b"\xc5\x01\x01\x00" + (BODY_BYTES_MAX + 1).to_bytes(4, "big") + bytes(4)), FrameError, "accepted here"),
        (with_header(b"\xc5\x01\x01\x00" + (2).to_bytes(4, "big") + bytes(4)) + b"hi", FrameError, "not what was sent"),
        (b"\xc5\x01\x01\x00" + bytes(12), FrameError, "header is damaged"),
    ],
)
def test_refused_by_name(data: bytes, error: type[CoordError], words: str) -> None:
    whole = FrameReader()
    with pytest.raises(error, match=words):
        whole.feed(data)
    with pytest.raises(error, match=words):
        whole.feed(STREAM)
    pieces = FrameReader()
    with pytest.raises(error, match=words):
        for at in range(len(data)):
            pieces.feed(data[at : at + 1])


def test_a_frame_beyond_the_bound_of_this_connection_is_refused_before_its_body_arrives() -> None:
    reader = FrameReader(body_bytes_max=100)
    with pytest.raises(FrameError, match="101 bytes, while 100"):
        reader.feed(frame(HELLO, MSGPACK, bytes(101))[:FRAME_HEADER_BYTES])


def test_the_bound_may_be_raised_between_frames() -> None:
    reader = FrameReader(body_bytes_max=2)
    assert reader.feed(STREAM[:18]) == FRAMES[:1]
    reader.body_bytes_max = BODY_BYTES_MAX
    assert reader.feed(STREAM[18:]) == FRAMES[1:]


def test_every_flipped_bit_is_noticed() -> None:
    one = frame(ASKS, MSGPACK, b"body")
    for bit in range(len(one) * 8):
        damaged = bytearray(one)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((FrameError, UnknownVersion)):
            FrameReader().feed(bytes(damaged))
