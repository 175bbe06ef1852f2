"""Every format there and back, and every decoder fed with damaged bytes: a named error or the very content, never anything else."""

import os
from collections.abc import Callable
from random import Random
from zlib import crc32

import pytest

from coordnode.errors import Damaged, FolderRefused, RecordError, UnknownFormat
from coordnode.ids import MemberId, Term
from coordnode.raft.entry import HardState
from coordnode.storage.block import HEAD_BYTES, seal, unseal
from coordnode.storage.disk import BLOCK_BYTES
from coordnode.storage.hard_state import Copy, decode_copy, encode_copy
from coordnode.storage.identity import MAGIC as IDENTITY_MAGIC
from coordnode.storage.identity import decode_identity
from coordnode.storage.mark import Mark, decode_mark, encode_mark
from coordnode.storage.record import (
    BATCH,
    BATCH_RECORD_BYTES,
    ENTRY,
    PADDING,
    RESET,
    TRUNCATE,
    decode_batch_data,
    decode_meta,
    decode_record,
    encode_batch,
    encode_meta,
    encode_record,
    link_chain,
    segment_seed,
)
from coordnode.storage.segment import Header, decode_header, encode_header, segment_number, segment_path
from coordnode.storage.snapshot_file import (
    FOOTER_MAGIC,
    SLICE_MAGIC,
    decode_slice_header,
    encode_footer,
    encode_slice,
    padded,
)
from tests.unit.storage.lives import IDENTITY, OTHER, meta_at

INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000"))
SEED = segment_seed(3, 4)
HEADER = Header(3, 4, 2, 9000, 17, 0xDEADBEEF, 99, 4096)
MARK = Mark(3, 4096, 16, 12, 11, 10)
COPY = Copy(8, HardState(Term(7), MemberId(6), 5, True))


def whole_record(kind: int, data: bytes) -> bytes:
    return encode_record(SEED, kind, 1, 7, 70, 700, 1 << 40, data, crc32(data)) + data + PADDING[-len(data) & 7]


@pytest.mark.parametrize("kind", [ENTRY, TRUNCATE, RESET])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000])
def test_records(kind: int, size: int) -> None:
    data = Random(size).randbytes(size)
    encoded = b"before.." + whole_record(kind, data) + b"behind"
    record = decode_record(encoded, 8, len(encoded), SEED)
    assert (record.kind, record.entry_kind, record.term, record.index, record.chain, record.batch) == (kind, 1, 7, 70, 700, 0)
    assert record.data == data
    assert 8 + record.size + 6 == len(encoded)
    with pytest.raises(RecordError):
        decode_record(encoded, 8, 8 + record.size - 1, SEED)
    for other in (segment_seed(3, 5), segment_seed(4, 4)):
        with pytest.raises(RecordError):
            decode_record(encoded, 8, len(encoded), other)


def test_batches() -> None:
    encoded = encode_batch(SEED, 1 << 35, 12, 34, 4096, 777)
    assert len(encoded) == BATCH_RECORD_BYTES
    record = decode_record(encoded, 0, len(encoded), SEED)
    assert (record.kind, record.term, record.index, record.chain) == (BATCH, 1 << 35, 12, 34)
    assert decode_batch_data(record) == (4096, 777)
    with pytest.raises(RecordError):
        decode_batch_data(decode_record(whole_record(ENTRY, b""), 0, 40, SEED))


def test_the_chain_depends_on_everything() -> None:
    base = (1, 2, 3, 0, 5)
    links = {link_chain(*base)} | {link_chain(*(value + (place == at) for at, value in enumerate(base))) for place in range(5)}
    assert len(links) == 6


def test_the_rest() -> None:
    assert decode_header(encode_header(IDENTITY, HEADER), "x", IDENTITY) == HEADER
    assert decode_mark(encode_mark(IDENTITY, 3, MARK), "x", IDENTITY) == (3, MARK)
    assert decode_copy(encode_copy(IDENTITY, COPY), "x", IDENTITY) == COPY
    assert decode_meta(encode_meta(meta_at(4, 3, chain=2))) == meta_at(4, 3, chain=2)
    assert segment_number(segment_path(12).split("/")[1]) == 12
    assert segment_number("0012.seg") is None
    data = b"slice"
    assert decode_slice_header(encode_slice(3, data)) == (SLICE_MAGIC, 3, 5, crc32(data))
    assert len(encode_slice(3, data)) == 24 + padded(5)
    assert decode_slice_header(encode_footer(9, 1234)) == (FOOTER_MAGIC, 9, 0, 1234)


def test_blocks_are_refused_by_what_is_wrong_with_them() -> None:
    block = seal(b"coordtst", IDENTITY, b"body")
    assert unseal(b"coordtst", block + b"more", "x", expected=IDENTITY) == (IDENTITY, b"body", HEAD_BYTES + 4)
    with pytest.raises(RecordError):
        unseal(b"coordxxx", block, "x")
    with pytest.raises(RecordError):
        unseal(b"coordtst", block[:-1], "x")
    with pytest.raises(FolderRefused, match="x belongs to member 7"):
        unseal(b"coordtst", block, "x", expected=OTHER)
    with pytest.raises(UnknownFormat, match="version 9"):
        unseal(b"coordtst", seal(b"coordtst", IDENTITY, b"", version=9), "x")


def mutate(data: bytes, rng: Random) -> bytes:
    mutated = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        if not mutated:
            break
        place = rng.randrange(len(mutated))
        choice = rng.randrange(5)
        if choice == 0:
            mutated[place] ^= 1 << rng.randrange(8)
        elif choice == 1:
            mutated[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif choice == 2:
            del mutated[place : place + rng.randint(1, 16)]
        elif choice == 3:
            mutated[place:place] = rng.randbytes(rng.randint(1, 16))
        else:
            mutated[place : place + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f"))
    return bytes(mutated)


def slice_header(data: bytes) -> object:
    return decode_slice_header(data)


DECODERS: dict[str, tuple[bytes, Callable[[bytes], object], bool]] = {
    "record": (whole_record(ENTRY, b"some data"), lambda data: decode_record(data, 0, len(data), SEED), True),
    "batch": (encode_batch(SEED, 5, 6, 7, 8, 9), lambda data: decode_batch_data(decode_record(data, 0, len(data), SEED)), True),
    "segment header": (encode_header(IDENTITY, HEADER)[:120], lambda data: decode_header(data, "x"), True),
    "mark": (encode_mark(IDENTITY, 3, MARK), lambda data: decode_mark(data, "x"), True),
    "hard state": (encode_copy(IDENTITY, COPY), lambda data: decode_copy(data, "x"), True),
    "identity": (seal(IDENTITY_MAGIC, IDENTITY, bytes(8)), lambda data: decode_identity(data, "x"), True),
    "slice header": (encode_slice(1, b"data")[:24], slice_header, True),
    "snapshot meta": (encode_meta(meta_at(5, 6)), decode_meta, False),  # stands inside a checksum
}


@pytest.mark.parametrize("name", DECODERS)
def test_damaged_bytes_raise_a_named_error_or_decode_to_what_was_written(name: str) -> None:
    data, decode, has_checksum = DECODERS[name]
    written = decode(data)
    rng = Random(name)
    refused = 0
    for _ in range(INPUTS):
        mutated = mutate(data, rng)
        try:
            found = decode(mutated)
        except Damaged:
            refused += 1
            continue
        assert not has_checksum or found == written
    assert refused > INPUTS // 2


def test_the_header_keeps_to_its_block() -> None:
    assert len(encode_header(IDENTITY, HEADER)) == BLOCK_BYTES
