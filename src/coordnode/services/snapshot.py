"""A snapshot's bytes: how frozen containers become slices, and how a slice is taken apart. Pure.

A slice is an encoded list of sections (container id, rows). The first section of a snapshot is the header, the last the trailer.
Equal states give equal slices: rows are in key order and slices end by size alone.
"""

from collections.abc import Iterator, Sequence

import msgspec

from coordnode.errors import RecordError, UnknownFormat
from coordnode.limits import SLICE_BYTES_MAX
from coordnode.services.commands import array_header
from coordnode.services.state import Scalars, Settings

FORMAT = 1
HEADER_ID = 0
TRAILER_ID = 255

_encode = msgspec.msgpack.Encoder().encode


class Header(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    format: int
    settings: Settings
    scalars: Scalars


class _AnyHeader(msgspec.Struct, frozen=True, array_like=True):
    """What can be read of a header before the rest may be understood."""

    format: int


class Trailer(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    digest: int  # of the whole state
    rows: int


class Section(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    id: int
    rows: msgspec.Raw


_slice_decoder = msgspec.msgpack.Decoder(list[Section])
_header_decoder = msgspec.msgpack.Decoder(tuple[Header])
_trailer_decoder = msgspec.msgpack.Decoder(tuple[Trailer])
_format_decoder = msgspec.msgpack.Decoder(tuple[_AnyHeader])


def slices(header: bytes, digest: int, frozen: Sequence[tuple[int, Iterator[bytes]]]) -> Iterator[bytes]:
    """Each step encodes one slice: it ends with the row that reaches SLICE_BYTES_MAX."""
    sections = [_section(HEADER_ID, [header])]
    size = len(header)
    count = 0
    for container, all_rows in frozen:
        rows: list[bytes] = []
        for row in all_rows:
            rows.append(row)
            size += len(row)
            if size >= SLICE_BYTES_MAX:
                count += len(rows)
                sections.append(_section(container, rows))
                yield _slice(sections)
                sections, rows, size = [], [], 0
        if rows:
            count += len(rows)
            sections.append(_section(container, rows))
    sections.append(_section(TRAILER_ID, [_encode(Trailer(digest, count))]))
    yield _slice(sections)


def encode_header(settings: Settings, scalars: Scalars) -> bytes:
    return _encode(Header(FORMAT, settings, scalars))


def decode_slice(data: bytes) -> list[Section]:
    return _slice_decoder.decode(data)


def decode_header(rows: msgspec.Raw) -> Header:
    format = _format_decoder.decode(rows)[0].format
    if format != FORMAT:
        raise UnknownFormat(f"the snapshot has format {format}, this build knows {FORMAT}; run the build that wrote it")
    return _header_decoder.decode(rows)[0]


def decode_trailer(rows: msgspec.Raw) -> Trailer:
    return _trailer_decoder.decode(rows)[0]


def damaged(what: object) -> RecordError:
    return RecordError(f"a snapshot slice cannot be decoded: {what}; fetch the snapshot anew")


def _section(id: int, rows: list[bytes]) -> bytes:
    return b"".join((b"\x92", _encode(id), array_header(len(rows)), *rows))


def _slice(sections: list[bytes]) -> bytes:
    return b"".join((array_header(len(sections)), *sections))
