"""The format of one snapshot: header, slices, footer. Whole or partial, it is read by the same code.

header   sealed block: the encoded SnapshotMeta; padded to a multiple of 8
slice    magic, number, bytes, crc of the data, crc of this header; the data; padded to a multiple of 8
footer   a slice header with its own magic: count of slices, checksum over all slice headers
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from coordnode.errors import DiskFailed, RecordError
from coordnode.limits import SLICE_BYTES_HARD_MAX
from coordnode.raft.blobs import Blob, decode_list, is_list
from coordnode.raft.entry import SnapshotMeta
from coordnode.storage.block import HEAD_BYTES, Identity, seal, unseal
from coordnode.storage.disk import DiskFile
from coordnode.storage.record import decode_meta, encode_meta

MAGIC = b"coordsnp"
META_BYTES_MAX = 1 << 20
SLICE_MAGIC = 0x43494C53
FOOTER_MAGIC = 0x444E4553
_SLICE = Struct("<IIIII")  # magic, number, data bytes, crc of the data, crc of what stands before
SLICE_HEADER_BYTES = 24
_PAD = bytes(SLICE_HEADER_BYTES - _SLICE.size)


class Slice(NamedTuple):
    number: int
    offset: int  # of its header
    size: int  # of its data
    data_crc: int


class Contents(NamedTuple):
    """What a file holds as far as it is whole."""

    identity: Identity
    meta: SnapshotMeta
    slices: list[Slice]
    checksum: int  # over the headers of these slices
    end: int  # where the next slice or the footer goes
    complete: bool
    problem: str  # why it is not complete


def without_last(contents: Contents) -> Contents:
    """As if the last slice had not been written yet; what stands there is written over."""
    slices = contents.slices[:-1]
    checksum = 0
    for part in slices:
        checksum = add_to_checksum(checksum, part)
    return contents._replace(slices=slices, checksum=checksum, end=contents.slices[-1].offset, complete=False)


def padded(size: int) -> int:
    return -(-size // 8) * 8


def encode_header(identity: Identity, meta: SnapshotMeta) -> bytes:
    block = seal(MAGIC, identity, encode_meta(meta))
    return block + bytes(padded(len(block)) - len(block))


def _encode_slice_header(magic: int, number: int, size: int, crc: int) -> bytes:
    head = _SLICE.pack(magic, number, size, crc, 0)[:16]
    return head + crc32(head).to_bytes(4, "little") + _PAD


def encode_slice(number: int, data: bytes) -> bytes:
    return _encode_slice_header(SLICE_MAGIC, number, len(data), crc32(data)) + data + bytes(padded(len(data)) - len(data))


def encode_footer(count: int, checksum: int) -> bytes:
    return _encode_slice_header(FOOTER_MAGIC, count, 0, checksum)


def add_to_checksum(checksum: int, part: Slice) -> int:
    return crc32(_SLICE.pack(SLICE_MAGIC, part.number, part.size, part.data_crc, 0), checksum)


def decode_slice_header(data: bytes) -> tuple[int, int, int, int]:
    """Magic, number, size, crc. Raises RecordError."""
    if len(data) < SLICE_HEADER_BYTES:
        raise RecordError("the file ends where a slice or the footer should be")
    magic, number, size, crc, own = _SLICE.unpack_from(data)
    if crc32(data[:16]) != own or magic not in (SLICE_MAGIC, FOOTER_MAGIC):
        raise RecordError("a slice's header does not match its checksum")
    if size > SLICE_BYTES_HARD_MAX:
        raise RecordError(f"a slice of {size} bytes is larger than any may be")
    return magic, number, size, crc


def read_contents(file: DiskFile, expected: Identity | None = None, *, verify: bool = True) -> Contents:
    """Walks the file; `verify` reads the slices too. Raises RecordError when not even the header is whole."""
    try:
        return _read_contents(file, expected, verify=verify)
    except DiskFailed as error:
        raise RecordError(f"{file.path}: {error.sentence}") from error


def _read_contents(file: DiskFile, expected: Identity | None, *, verify: bool) -> Contents:
    identity, meta, end = read_meta(file, expected)
    slices: list[Slice] = []
    checksum = 0
    problem = ""
    complete = False
    try:
        while not complete:
            magic, number, size, crc = decode_slice_header(file.read(end, SLICE_HEADER_BYTES))
            if number != len(slices):
                raise RecordError(f"slice {number} where {len(slices)} should be")
            if magic == FOOTER_MAGIC:
                if crc != checksum:
                    raise RecordError("the footer does not match the slices")
                complete = True
                continue
            part = Slice(number, end, size, crc)
            if verify:
                read_slice(file, part)
            slices.append(part)
            checksum = add_to_checksum(checksum, part)
            end += SLICE_HEADER_BYTES + padded(size)
    except RecordError as error:
        problem = f"{error.sentence} (offset {end})"
    return Contents(identity, meta, slices, checksum, end, complete, problem)


def read_meta(file: DiskFile, expected: Identity | None = None) -> tuple[Identity, SnapshotMeta, int]:
    """Whose it is, what it holds, and where the slices begin."""
    head = file.read(0, HEAD_BYTES + META_BYTES_MAX)
    identity, body, size = unseal(MAGIC, head, file.path, expected=expected, bytes_max=META_BYTES_MAX)
    return identity, decode_meta(body), padded(size)


def read_slice(file: DiskFile, part: Slice) -> bytes:
    """Raises RecordError when it is not what was written."""
    data = file.read(part.offset + SLICE_HEADER_BYTES, part.size)
    if len(data) != part.size or crc32(data) != part.data_crc:
        raise RecordError(f"slice {part.number} at offset {part.offset} does not match its checksum")
    return data


def read_lists(file: DiskFile, slices: Sequence[Slice]) -> tuple[list[Blob], bool]:
    """The blobs that the last of these slices list, and whether slices with more may follow."""
    lists: list[bytes] = []
    for part in reversed(slices):
        data = read_slice(file, part)
        if not is_list(data):
            break
        lists.append(data)
    blobs: list[Blob] = []
    more = True
    for data in reversed(lists):
        found, more = decode_list(data)
        blobs += found
    return blobs, more


def read_slices(file: DiskFile, contents: Contents) -> Iterator[bytes]:
    for part in contents.slices:
        yield read_slice(file, part)
