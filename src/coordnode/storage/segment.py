"""One file of the log: its name, its header, and how it becomes part of the log."""

import re
from struct import Struct
from typing import NamedTuple

from coordnode.errors import DiskFailed, RecordError
from coordnode.storage.block import Identity, seal, unseal
from coordnode.storage.disk import BLOCK_BYTES, Disk, read_all
from coordnode.storage.record import segment_seed

WAL_FOLDER = "wal"
RECORDS_FROM = BLOCK_BYTES  # the header has a block of its own: writing records never touches it
MAGIC = b"coordwal"
_BODY = Struct("<QQQQQIQQ")
_NAME = re.compile(r"(\d{20})\.seg")


class Header(NamedTuple):
    number: int
    boot: int  # of the member, when it made this
    previous_segment: int  # what lies in that one behind previous_offset, and all between it and this, counts no more; 0: none
    previous_offset: int
    next_index: int  # the log's last index + 1, where this segment begins
    chain: int  # the chain there
    batch: int  # the last batch before this segment: it is synced, and all before it
    proven: int  # records of this segment below this offset were synced before it got its name

    def seed(self) -> int:
        return segment_seed(self.number, self.boot)


def segment_path(number: int) -> str:
    return f"{WAL_FOLDER}/{number:020d}.seg"


def segment_number(name: str) -> int | None:
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def encode_header(identity: Identity, header: Header) -> bytes:
    block = seal(MAGIC, identity, _BODY.pack(*header))
    return block + bytes(BLOCK_BYTES - len(block))


def decode_header(data: bytes, where: str, expected: Identity | None = None) -> Header:
    body = unseal(MAGIC, data[:BLOCK_BYTES], where, expected=expected).body
    if len(body) != _BODY.size:
        raise RecordError(f"{where} has a header of {len(body)} bytes")
    return Header(*_BODY.unpack(body))


class Segment(NamedTuple):
    number: int
    path: str
    header: Header | None  # None: damaged, and since a segment gets its name only when its header is synced, that is rot
    problem: str


def read_segments(disk: Disk, identity: Identity | None) -> list[Segment]:
    """All segments there are, by number, with their headers."""
    found = []
    for name in disk.list(WAL_FOLDER):
        number = segment_number(name)
        if number is None:
            continue
        path = segment_path(number)
        try:
            header = decode_header(_first_block(disk, path), path, identity)
            if header.number != number:
                raise RecordError(f"{path} has the header of segment {header.number}")
            found.append(Segment(number, path, header, ""))
        except FileNotFoundError:
            continue  # released while we looked
        except RecordError as error:
            found.append(Segment(number, path, None, error.sentence))
    return found


def _first_block(disk: Disk, path: str) -> bytes:
    file = disk.open(path, past_cache=True)
    try:
        return file.read(0, BLOCK_BYTES)
    except DiskFailed:
        return b""  # bytes that cannot be read are damaged bytes
    finally:
        file.close()


def read_segment(disk: Disk, segment: Segment) -> bytes:
    return read_all(disk, segment.path)
