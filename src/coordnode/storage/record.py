"""One record of the log: encode, decode, and the chain that joins entries. Pure bytes, no file.

A record: a header of 40 bytes, its data, zeros up to a multiple of 8. The header's crc begins with the segment's seed, so
that what a recycled file held in its earlier life never looks like a record; the data's own crc is part of the header.

    kind       entry_kind   term       index                         chain                       data
    BATCH      0            sequence   the log's last index          chain there                 its offset, its bytes
    ENTRY      entry.kind   term       index                         chain up to and with it     entry.data
    TRUNCATE   0            0          the first index undone        chain before it             -
    RESET      0            term       the installed snapshot's      chain there                 SnapshotMeta
"""

from struct import Struct
from zlib import crc32

import msgspec

from coordnode.errors import RecordError
from coordnode.raft.entry import SnapshotMeta

BATCH = 1
ENTRY = 2
TRUNCATE = 3
RESET = 4
KIND_NAMES = {BATCH: "batch", ENTRY: "entry", TRUNCATE: "truncate", RESET: "reset"}

MAGIC = 0xC7A5
HEADER_BYTES = 40
_HEADER = Struct("<IHBBIIQQII")  # crc, magic, kind, entry_kind, data bytes, data crc, term, index, chain, batch
_BODY = Struct("<HBBIIQQII")  # the same without crc
_LINK = Struct("<QQBI")
_BATCH_DATA = Struct("<QQ")
_SEED = Struct("<QQ")
PADDING = tuple(bytes(count) for count in range(8))
BATCH_MARKER = Struct("<HB").pack(MAGIC, BATCH)  # at offset 4 of every batch record: what a search for one looks for
MARKER_OFFSET = 4
BATCH_RECORD_BYTES = HEADER_BYTES + _BATCH_DATA.size
LOW_BITS = 0xFFFF_FFFF

assert _HEADER.size == HEADER_BYTES
assert BATCH_RECORD_BYTES % 8 == 0


class Record(msgspec.Struct, frozen=True, gc=False):
    kind: int
    entry_kind: int
    term: int
    index: int
    chain: int
    batch: int  # low 32 bits of the sequence of the batch it belongs to
    data: bytes
    data_crc: int
    size: int  # with header and padding


def segment_seed(number: int, boot: int) -> int:
    """The boot keeps two attempts to make the same segment apart."""
    return crc32(_SEED.pack(number, boot))


def link_chain(chain: int, term: int, index: int, entry_kind: int, data_crc: int) -> int:
    """The chain hash after one more entry; equal on all members whose logs are equal so far."""
    return crc32(_LINK.pack(term, index, entry_kind, data_crc), chain)


def record_size(data_bytes: int) -> int:
    return HEADER_BYTES + data_bytes + (-data_bytes & 7)


def encode_record(
    seed: int, kind: int, entry_kind: int, term: int, index: int, chain: int, batch: int, data: bytes, data_crc: int
) -> bytes:
    """The header alone; the caller joins header, data and padding, so that data is copied once."""
    body = _BODY.pack(MAGIC, kind, entry_kind, len(data), data_crc, term, index, chain, batch & LOW_BITS)
    return crc32(body, seed).to_bytes(4, "little") + body


def encode_batch(seed: int, sequence: int, last_index: int, chain: int, offset: int, size: int) -> bytes:
    """`size`: of all records of the batch, without this one."""
    data = _BATCH_DATA.pack(offset, size)
    return encode_record(seed, BATCH, 0, sequence, last_index, chain, sequence, data, crc32(data)) + data


def decode_batch_data(record: Record) -> tuple[int, int]:
    """Where the batch stands, and the bytes of its records."""
    if record.kind != BATCH or len(record.data) != _BATCH_DATA.size:
        raise RecordError("a batch record has no offset and size")
    offset, size = _BATCH_DATA.unpack(record.data)
    return offset, size


def decode_record(buffer: bytes, offset: int, end: int, seed: int) -> Record:
    """The record at `offset`, which must end by `end`. Raises RecordError with the reason."""
    end = min(end, len(buffer))
    if offset + HEADER_BYTES > end:
        raise RecordError("no room for a record")
    crc, magic, kind, entry_kind, size, data_crc, term, index, chain, batch = _HEADER.unpack_from(buffer, offset)
    if magic != MAGIC:
        raise RecordError("no record begins here")
    start = offset + HEADER_BYTES
    if crc32(buffer[offset + 4 : start], seed) != crc:
        raise RecordError("the record's header does not match its checksum")
    if kind not in KIND_NAMES:
        raise RecordError(f"records of kind {kind} are not known to this build")
    whole = record_size(size)
    if offset + whole > end:
        raise RecordError("the record runs past the end")
    data = bytes(buffer[start : start + size])
    if crc32(data) != data_crc:
        raise RecordError("the record's data does not match its checksum")
    return Record(kind, entry_kind, term, index, chain, batch, data, data_crc, whole)


_meta_encoder = msgspec.msgpack.Encoder()
_meta_decoder = msgspec.msgpack.Decoder(SnapshotMeta)


def encode_meta(meta: SnapshotMeta) -> bytes:
    return _meta_encoder.encode(meta)


def decode_meta(data: bytes) -> SnapshotMeta:
    try:
        return _meta_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"a snapshot's description cannot be decoded: {error}") from None
