"""What a member reads from its own disk: small sealed files, log segments' headers, snapshots from their header to their slices.

A checksum would hide nearly every mutation from what stands behind it, so each format is also fed with mutations that are sealed
again: the disk of a member whose build was wrong, not only that of one that rots.
"""

from collections.abc import Callable
from zlib import crc32

from coordnode.errors import RecordError
from coordnode.ids import ClusterId, MemberId, Term
from coordnode.raft.entry import HardState
from coordnode.services.machine import Restorer
from coordnode.storage import hard_state, identity, mark, segment, snapshot_file
from coordnode.storage.block import Identity, seal
from tests.unit.services.driven import Driven
from tests.unit.services.random_life import SMALL, Life
from tests.unit.wire import samples

OURS = Identity(ClusterId(77), MemberId(7))
MARK = mark.encode_mark(OURS, 9, mark.Mark(2, 8192, 70, 69, 68, 40))
HARD_STATE = hard_state.encode_copy(OURS, hard_state.Copy(9, HardState(Term(4), MemberId(7), 3, True)))
IDENTITY = seal(identity.MAGIC, OURS, (2**60).to_bytes(8, "little"))
SEGMENT = segment.encode_header(OURS, segment.Header(3, 4, 2, 8192, 71, 99, 5, 4096))[:200]


class InMemory:
    """A file as storage sees one; reads past the end return what there is."""

    path = "a file"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    def size(self) -> int:
        return len(self._data)

    def write(self, offset: int, data: bytes) -> None:
        raise AssertionError("reading a file writes it")

    def datasync(self) -> None:
        raise AssertionError("reading a file syncs it")

    def close(self) -> None:
        pass


def life(seed: int, batches: int) -> list[bytes]:
    """The slices of a small state."""
    driven = Driven(**SMALL)
    for batch in Life(seed, keys=batches).batches(batches):
        driven.apply(*batch)
    return list(driven.machine.snapshot())


SLICES = [*life(3, 12), *life(1, 1), *life(2, 2)]  # with something in each of its tables; and two of which each byte matters
BODY_AT = len(seal(mark.MAGIC, OURS, b""))


def sealed_again(magic: bytes, decode: Callable[[bytes, str], object]) -> Callable[[bytes], object]:
    return lambda body: decode(seal(magic, OURS, body), "a file")


def snapshot_of(slices: list[bytes]) -> bytes:
    """A whole snapshot file."""
    data = snapshot_file.encode_header(OURS, samples.META)
    checksum = 0
    for number, one in enumerate(slices):
        checksum = snapshot_file.add_to_checksum(checksum, snapshot_file.Slice(number, len(data), len(one), crc32(one)))
        data += snapshot_file.encode_slice(number, one)
    return data + snapshot_file.encode_footer(len(slices), checksum)


def read_snapshot(data: bytes) -> object:
    """As start-up does: the whole file, and each slice of what is whole, also where the end is missing."""
    file = InMemory(data)
    contents = snapshot_file.read_contents(file)
    slices = list(snapshot_file.read_slices(file, contents))
    if not contents.complete:
        raise RecordError(contents.problem)
    return slices


def read_slice_headers(heads: bytes) -> object:
    """Slice headers whose own checksum is right, whatever they say."""
    data = snapshot_file.encode_header(OURS, samples.META)
    for start in range(0, len(heads), 16):
        head = heads[start : start + 16].ljust(16, b"\0")
        data += head + crc32(head).to_bytes(4, "little") + bytes(snapshot_file.SLICE_HEADER_BYTES - 20)
    return read_snapshot(data)


def restore(data: bytes) -> object:
    restorer = Restorer()
    restorer.feed(data)
    return restorer.finish()


def slice_heads() -> bytes:
    """Of each slice of a file with empty ones, the part of its header that the header's checksum covers."""
    data = snapshot_of([b"", b""])
    start = len(snapshot_file.encode_header(OURS, samples.META))
    return b"".join(data[at : at + 16] for at in range(start, len(data), snapshot_file.SLICE_HEADER_BYTES))


FILES: dict[str, tuple[list[bytes], Callable[[bytes], object]]] = {
    "mark": ([MARK], lambda data: mark.decode_mark(data, "mark slot 0")),
    "mark-sealed": ([MARK[BODY_AT:]], sealed_again(mark.MAGIC, mark.decode_mark)),
    "identity": ([IDENTITY], lambda data: identity.decode_identity(data, "identity")),
    "identity-sealed": ([IDENTITY[BODY_AT:]], sealed_again(identity.MAGIC, identity.decode_identity)),
    "hard-state": ([HARD_STATE], lambda data: hard_state.decode_copy(data, "hard_state.0")),
    "hard-state-sealed": ([HARD_STATE[BODY_AT:]], sealed_again(hard_state.MAGIC, hard_state.decode_copy)),
    "segments": ([SEGMENT], lambda data: segment.decode_header(data, "a segment")),
    "snapshots": ([snapshot_of([b"slice" * 20, b"", b"x" * 33]), snapshot_of([])], read_snapshot),
    "snapshots-sealed": ([slice_heads()], read_slice_headers),
    "slices": (SLICES, restore),
}
