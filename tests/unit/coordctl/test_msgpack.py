"""What the hot verbs write and read as msgpack is what the wire room does, byte for byte."""

import pytest

from coordctl.hot.msgpack import pack, unpack
from coordnode.errors import BadRequest, FrameError
from coordnode.services.commands import LockGiven, LockTaken, encode

NUMBERS = [sign * (1 << power) + near for power in (0, 5, 7, 8, 15, 16, 31, 32, 53, 62) for near in (-1, 0, 1) for sign in (1, -1)]
LENGTHS = [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536]


def test_every_kind_of_value_at_every_length() -> None:
    samples: list[object] = [None, True, False, [], *NUMBERS, 2**64 - 1, 2**63, -(2**63)]
    for length in LENGTHS:
        samples += ["x" * length, b"x" * length, [1] * length]
    for sample in [*samples, samples, [[["ä", b"\xff", [None]]]]]:
        assert pack(sample) == encode(sample)
        assert unpack(pack(sample)) == sample
    assert pack((1, ("a",))) == encode([1, ["a"]])


def test_notices_are_read_as_the_services_write_them() -> None:
    name = b"n" * 300
    assert unpack(encode(LockGiven(name, 2**52, 7))) == [30, name, 2**52, 7]
    assert unpack(encode(LockTaken(b"x", 70_000, "ä" * 40, "me"))) == [31, b"x", 70_000, "ä" * 40, "me"]


def test_what_ends_early_or_late_or_is_no_text_is_refused() -> None:
    data = pack([*NUMBERS, "a" * 32, b"", [], list(range(20)), "x" * 300, b"x" * 70_000])
    for end in range(0, len(data) - 70_000):
        with pytest.raises(FrameError):
            unpack(data[:end])
    with pytest.raises(FrameError, match="too many"):
        unpack(data + b"\x00")
    with pytest.raises(FrameError, match="not expected"):
        unpack(b"\x80")
    with pytest.raises(FrameError, match="text"):
        unpack(b"\xa1\xff")
    with pytest.raises(FrameError, match="nested too deeply"):
        unpack(b"\x91" * 5_000)


def test_what_msgpack_has_no_place_for_is_a_mistake_of_whoever_said_it() -> None:
    for wrong in ("\udcff", 2**64, -(2**63) - 1):
        with pytest.raises(BadRequest):
            pack(wrong)
