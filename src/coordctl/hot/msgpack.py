"""Writes and reads msgpack, as much of it as the protocol has. Pure Python: loading a package takes longer than all that a command says."""

from __future__ import annotations

from coordnode.errors import BadRequest, FrameError
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


def pack(value: object) -> bytes:
    out = bytearray()
    _pack(value, out)
    return bytes(out)


def _pack(value: object, out: bytearray) -> None:
    if value is None:
        out.append(0xC0)
    elif isinstance(value, bool):
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        _pack_number(value, out)
    elif isinstance(value, str):
        try:
            content = value.encode()
        except UnicodeEncodeError:
            raise BadRequest(f"{value!r} is no text: it must be UTF-8") from None
        _pack_length(len(content), 0xA0, 32, 0xD9, out)
        out += content
    elif isinstance(value, bytes):
        _pack_length(len(value), 0, 0, 0xC4, out)
        out += value
    else:
        assert isinstance(value, list | tuple), value
        _pack_length(len(value), 0x90, 16, 0xDB, out)
        for item in value:
            _pack(item, out)


def _pack_number(value: int, out: bytearray) -> None:
    if -32 <= value < 128:
        out.append(value & 0xFF)
        return
    first, bits = (0xCC, value.bit_length()) if value > 0 else (0xD0, (~value).bit_length() + 1)
    if bits > 64:
        raise BadRequest(f"{value} is too large a number")
    power = 0 if bits <= 8 else 1 if bits <= 16 else 2 if bits <= 32 else 3
    out.append(first + power)
    out += value.to_bytes(1 << power, signed=value < 0)


def _pack_length(length: int, short: int, short_end: int, first: int, out: bytearray) -> None:
    """Below `short_end` inside of the tag; else `first` is the tag with one byte for it, which arrays do not have."""
    if length < short_end:
        out.append(short + length)
        return
    power = 0 if length < 1 << 8 and first != 0xDB else 1 if length < 1 << 16 else 2
    out.append(first + power)
    out += length.to_bytes(1 << power)


def unpack(data: bytes) -> Any:
    try:
        value, end = _value(data, 0)
    except RecursionError:
        raise FrameError("values are nested too deeply") from None
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
        return _text(data, at, tag & 0x1F), at + (tag & 0x1F)
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
        return _text(data, at, length) if kind == "text" else _taken(data, at, length), at + length
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


def _text(data: bytes, at: int, count: int) -> str:
    try:
        return _taken(data, at, count).decode()
    except UnicodeDecodeError as error:
        raise FrameError(f"a text is none: {error}") from None


def _array(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    values = []
    for _ in range(count):
        value, at = _value(data, at)
        values.append(value)
    return values, at
