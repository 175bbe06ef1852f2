"""Reads msgpack: what is told to a session is in it, whatever the format of the connection."""

from typing import Any

from coordnode.errors import FrameError


def unpack(data: bytes) -> Any:
    value, end = _value(data, 0)
    if end != len(data):
        raise FrameError(f"{len(data) - end} bytes too many behind a value")
    return value


def _value(data: bytes, at: int) -> tuple[Any, int]:
    try:
        tag = data[at]
    except IndexError:
        raise FrameError("a value ends too early") from None
    at += 1
    if tag < 0x80:
        return tag, at
    if tag >= 0xE0:
        return tag - 0x100, at
    if 0x90 <= tag < 0xA0:
        return _array(data, at, tag & 0x0F)
    if 0xA0 <= tag < 0xC0:
        return _taken(data, at, tag & 0x1F).decode(), at + (tag & 0x1F)
    if tag in CONSTANTS:
        return CONSTANTS[tag], at
    if tag in NUMBERS:
        size, signed = NUMBERS[tag]
        return int.from_bytes(_taken(data, at, size), signed=signed), at + size
    if tag in LENGTHS:
        size, kind = LENGTHS[tag]
        length = int.from_bytes(_taken(data, at, size))
        at += size
        if kind == "array":
            return _array(data, at, length)
        content = _taken(data, at, length)
        return content.decode() if kind == "text" else content, at + length
    raise FrameError(f"a value of kind {tag:#04x} is not expected here")


CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
NUMBERS = {0xCC + power: (1 << power, False) for power in range(4)} | {0xD0 + power: (1 << power, True) for power in range(4)}
LENGTHS = {
    **{0xC4 + power: (1 << power, "bytes") for power in range(3)},
    **{0xD9 + power: (1 << power, "text") for power in range(3)},
    **{0xDC + power: (2 << power, "array") for power in range(2)},
}


def _taken(data: bytes, at: int, count: int) -> bytes:
    part = data[at : at + count]
    if len(part) != count:
        raise FrameError("a value ends too early")
    return part


def _array(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    values = []
    for _ in range(count):
        value, at = _value(data, at)
        values.append(value)
    return values, at
