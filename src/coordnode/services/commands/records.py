"""How records lie in a journal's bytes: frames of whole batches, each with its own checksum. Pure.

frame   checksum of all that follows, magic, format, bytes of the records, offset of the first record, how many, size of each
        the sizes, four bytes for each record, only where they differ
        the records, one behind the other

Nothing is done for each record: who writes a batch makes one piece of bytes of it, and who reads it takes it apart.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from struct import Struct, error, pack, unpack_from
from typing import NamedTuple
from zlib import crc32

from coordnode.errors import RecordError, UnknownFormat

MAGIC = 0x4E4A
FORMAT = 1
SIZES_DIFFER = 0xFFFFFFFF
SIZE_BYTES = 4
_HEAD = Struct("<IHHIQII")
FRAME_HEAD_BYTES = _HEAD.size


class Frame(NamedTuple):
    offset: int  # of its first record
    records: int  # how many
    size: int  # of the whole frame
    each: int  # bytes of each record, or SIZES_DIFFER


def pack_sizes(records: Sequence[bytes]) -> bytes:
    """Empty: all have the same size."""
    sizes = list(map(len, records))
    return b"" if not sizes or sizes.count(sizes[0]) == len(sizes) else pack(f"<{len(sizes)}I", *sizes)


def sizes_add_up(count: int, sizes: bytes, data_bytes: int) -> bool:
    """Whether so many records of these sizes are so many bytes."""
    if not sizes:
        return count > 0 and data_bytes % count == 0
    return len(sizes) == count * SIZE_BYTES and sum(unpack_from(f"<{count}I", sizes)) == data_bytes


def encode_head(offset: int, count: int, sizes: bytes, data: bytes) -> bytes:
    """What goes before sizes and data to make a frame of them."""
    each = SIZES_DIFFER if sizes else len(data) // count
    head = _HEAD.pack(0, MAGIC, FORMAT, len(data), offset, count, each)[4:]
    return crc32(data, crc32(sizes, crc32(head))).to_bytes(4, "little") + head


def decode_head(data: bytes | memoryview, position: int = 0) -> Frame:
    """Raises RecordError where no frame can begin; whether the frame is whole only `check_frame` says."""
    try:
        _, magic, format, size, offset, count, each = _HEAD.unpack_from(data, position)
    except error:
        raise RecordError("the bytes end where a frame of records should be") from None
    if magic != MAGIC:
        raise RecordError("no frame of records begins here")
    if format != FORMAT:
        raise UnknownFormat(f"the records are in frames of format {format}, this build knows {FORMAT}; run the build that wrote them")
    sizes_bytes = count * SIZE_BYTES if each == SIZES_DIFFER else 0
    return Frame(offset, count, FRAME_HEAD_BYTES + sizes_bytes + size, each)


def check_frame(data: bytes | memoryview, position: int, frame: Frame) -> None:
    """Raises RecordError when it is not what was written."""
    with memoryview(data)[position : position + frame.size] as whole:
        if len(whole) < frame.size or crc32(whole[4:]) != int.from_bytes(whole[:4], "little"):
            raise RecordError(f"the frame of records from offset {frame.offset} on does not match its checksum")


def frames_in(data: bytes) -> Iterator[tuple[int, Frame]]:
    """Each frame and where it begins, checked. Raises RecordError."""
    position = 0
    while position < len(data):
        frame = decode_head(data, position)
        check_frame(data, position, frame)
        yield position, frame
        position += frame.size


def records_in(data: bytes, start: int, limit: int = 0) -> list[bytes]:
    """The records of whole frames from offset `start` on, at most `limit` (0: all). Raises RecordError."""
    found: list[bytes] = []
    for position, frame in frames_in(data):
        body = position + FRAME_HEAD_BYTES
        skipped = max(0, start - frame.offset)
        if frame.each == SIZES_DIFFER:
            sizes = unpack_from(f"<{frame.records}I", data, body)
            ends = list(accumulate(sizes, initial=body + frame.records * SIZE_BYTES))
            found += [data[begin:end] for begin, end in pairwise(ends[skipped:])]
        elif frame.each:
            first, end = body + skipped * frame.each, body + frame.records * frame.each
            found += [data[begin : begin + frame.each] for begin in range(first, end, frame.each)]
        else:
            found += [b""] * (frame.records - skipped)
        if limit and len(found) >= limit:
            return found[:limit]
    return found
