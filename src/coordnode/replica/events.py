"""What can happen to a replica. At most one of each kind per turn, so that a turn's cost is shared by all it carries."""

import msgspec

from coordnode.ids import Index, MemberId, Term, WriteId
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.messages import Message
from coordnode.services.callers import Caller
from coordnode.services.dialogue import Ask


class Persisted(msgspec.Struct, gc=False):
    """All writes up to `write_id` are durable; after it the log ended with (term, index)."""

    write_id: WriteId
    term: Term
    index: Index


class SliceStored(msgspec.Struct, gc=False):
    """A slice of the snapshot that this member is making is synced; the next may be handed over."""

    number: int


class SnapshotStored(msgspec.Struct):
    """The snapshot that this member made is complete, durable and in place."""

    meta: SnapshotMeta


class SnapshotFailed(msgspec.Struct):
    """Making or receiving stopped (disk full); nothing of it remains, the older one is whole. Tried again later."""

    meta: SnapshotMeta


class ChunkRead(msgspec.Struct):
    """A slice of our stored snapshot, for a peer. `found` False: that snapshot is gone or rotten. `rotten`: a blob is that it stands
    on, in words; no other snapshot of ours could help."""

    target: MemberId
    meta: SnapshotMeta
    number: int
    last: bool
    data: bytes
    found: bool = True
    rotten: str = ""


class ChunkStored(msgspec.Struct):
    """A received slice is durable; `complete`: the whole snapshot is verified and in place."""

    source: MemberId
    meta: SnapshotMeta
    next_number: int
    complete: bool


class SnapshotLoaded(msgspec.Struct):
    """Slices of an installed snapshot, read back to rebuild the machine; a few per turn, `last` with the final ones."""

    meta: SnapshotMeta
    slices: list[bytes]
    last: bool


class RecordsFound(msgspec.Struct):
    """Frames of a journal that a client asked for. `problem`: why there are none; `is_rotten`: they are not what was written."""

    number: int
    frames: bytes
    problem: str = ""
    is_rotten: bool = False


class BlobsWritten(msgspec.Struct, gc=False):
    """Of all bytes that were ever to be written beside the log, so many are."""

    total: int


class Events(msgspec.Struct):
    """What came in since the last turn."""

    now_ms: int = 0  # this member's monotonic clock, read once per turn
    wall_ms: int = 0
    ticked: bool = False
    opened: list[tuple[int, Caller]] = []  # (connection, who is there)
    asks: list[tuple[int, Ask]] = []  # (connection, what it asks)
    closed: list[int] = []  # connections that are gone
    messages: list[Message] = []
    peers_gone: list[MemberId] = []  # no connection with them is left; after what they said on it
    persisted: Persisted | None = None  # the newest one covers the older ones
    slice_stored: SliceStored | None = None
    snapshot_stored: SnapshotStored | None = None
    snapshot_failed: SnapshotFailed | None = None
    chunks_read: list[ChunkRead] = []
    chunks_stored: list[ChunkStored] = []
    snapshot_loaded: SnapshotLoaded | None = None
    records_found: list[RecordsFound] = []
    blobs_written: BlobsWritten | None = None  # the newest one covers the older ones
    space_ok: bool | None = None  # storage says whether data-adding commands have room here; None: unchanged

    def has_snapshot_news(self) -> bool:
        """Seldom: snapshots are rare, turns are not."""
        return bool(
            self.slice_stored is not None
            or self.chunks_read
            or self.chunks_stored
            or self.snapshot_loaded is not None
            or self.snapshot_stored is not None
            or self.snapshot_failed is not None
        )
