"""What a replica wants done in one turn. The driver carries them out in the order of the fields: the first two before it lets the
replica apply what is committed, which fills in the others."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from coordnode.ids import Index, MemberId
from coordnode.raft.blobs import Blob, BlobWrite
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.messages import Message
from coordnode.raft.ready import ChunkWanted, Write
from coordnode.services.dialogue import Answer


class StoreSlice(msgspec.Struct):
    """Next slice of the snapshot that this member makes (number 0 begins it, last completes it)."""

    meta: SnapshotMeta
    number: int
    last: bool
    data: bytes


class StoreChunk(msgspec.Struct):
    """A received slice."""

    source: MemberId
    meta: SnapshotMeta
    number: int
    last: bool
    data: bytes


class RecordsWanted(msgspec.Struct, frozen=True):
    """Read frames of a journal, for a client; answered with RecordsFound of the same number."""

    number: int
    blob: Blob
    offset: int
    limit: int
    bytes_max: int


EMPTY: Mapping[int, Sequence[Answer]] = MappingProxyType({})
NONE_LOOKED: Mapping[int, int] = MappingProxyType({})


class Effects(msgspec.Struct):
    send_now: Sequence[Message] = ()
    write: Write | None = None  # its send_after leaves only once it is durable: the driver has them, the replica does not
    send_applied: Sequence[Message] = ()  # what members tell each other of their states
    to_clients: Mapping[int, Sequence[Answer]] = EMPTY  # by connection: one write to each socket per turn
    looked_bytes: Mapping[int, int] = NONE_LOOKED  # by connection: what its reads looked at, to be counted like what they were answered
    close: Sequence[int] = ()  # connections to cut off
    store_blobs: Sequence[BlobWrite] = ()  # what apply wants to have written beside the state; before a slice of a snapshot of it
    read_records: Sequence[RecordsWanted] = ()  # from what was written, this turn's writes included
    store_slice: StoreSlice | None = None
    store_chunks: Sequence[StoreChunk] = ()
    read_chunks: Sequence[ChunkWanted] = ()
    load_snapshot: SnapshotMeta | None = None  # read it back from storage
    release_before: Index = Index(0)  # WAL segments wholly below this may be recycled; 0: nothing new
    again: bool = False  # more work is waiting than one turn should carry: take another turn soon, even if nothing happens
    failed: str = ""  # our state is not the majority's: the driver raises Diverged, the shell opens the folder anew without its state
