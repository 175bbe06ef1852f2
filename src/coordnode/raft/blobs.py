"""Bytes that a state stands on and does not carry: what names them, and how a snapshot lists them. Pure.

A blob only grows. Its id is the place in the log of the command that began it, so no other is ever called the same, and what it
holds up to a size is equal on every member. Apply says what to write where; storage writes it, and a snapshot is in place only
once all bytes that it lists are durable.

A snapshot's list of blobs stands in slices of its own, behind those with the rows: each begins with a byte with which no rows do.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec

from coordnode.errors import RecordError
from coordnode.ids import Index
from coordnode.limits import BLOB_PIECE_BYTES, SLICE_BLOBS_MAX

_POSITION_BITS = 16
_LIST_MARK = b"\xc1"  # msgpack gives it no meaning


class Blob(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """As much of it as a state stands on."""

    id: int
    size: int
    checksum: int  # crc32 of these bytes


class BlobWrite(msgspec.Struct, frozen=True):
    """To be written at this place; carried out twice, it writes the same bytes to the same place."""

    blob: int
    position: int
    parts: Sequence[bytes]

    def size(self) -> int:
        return sum(map(len, self.parts))


class _List(msgspec.Struct, frozen=True, array_like=True):
    blobs: list[Blob]
    more: bool  # another slice of the list follows


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_List)


def blob_id(index: Index, position: int) -> int:
    assert 0 <= position < 1 << _POSITION_BITS
    return index << _POSITION_BITS | position


def begun_at(blob: int) -> int:
    """The index of the entry whose command began it."""
    return blob >> _POSITION_BITS


def encode_lists(blobs: Sequence[Blob]) -> Iterator[bytes]:
    """The slices that list these; none when there are none."""
    for start in range(0, len(blobs), SLICE_BLOBS_MAX):
        end = start + SLICE_BLOBS_MAX
        yield _LIST_MARK + _encode(_List(list(blobs[start:end]), end < len(blobs)))


def is_list(data: bytes) -> bool:
    return data[:1] == _LIST_MARK


def decode_list(data: bytes) -> tuple[list[Blob], bool]:
    """The blobs of one slice, and whether another slice of them follows."""
    try:
        found = _decoder.decode(memoryview(data)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RecordError(f"a snapshot's list of blobs cannot be decoded: {error}") from None
    for blob in found.blobs:
        if blob.id < 0 or blob.size < 0:
            raise RecordError(f"a snapshot's list of blobs has {blob} in it")
    return found.blobs, found.more


class Pieces:
    """In which pieces, counted from 0, the bytes of a snapshot's blobs travel: blob after blob, in the order of the list."""

    __slots__ = ("_firsts", "blobs", "count")

    def __init__(self, blobs: Sequence[Blob]) -> None:
        self.blobs = blobs
        counts = [-(-blob.size // BLOB_PIECE_BYTES) for blob in blobs]
        self._firsts = [0, *accumulate(counts)]  # the first piece of each blob; then how many there are in all
        self.count = self._firsts[-1]

    def first_of(self, number: int) -> int:
        """The first piece of the blob with that number in the list."""
        return self._firsts[number]

    def place_of(self, piece: int) -> tuple[int, int, int]:
        """Which blob of the list a piece is of, where in it the piece begins, and its size."""
        number = bisect_right(self._firsts, piece) - 1
        position = (piece - self._firsts[number]) * BLOB_PIECE_BYTES
        return number, position, min(BLOB_PIECE_BYTES, self.blobs[number].size - position)
