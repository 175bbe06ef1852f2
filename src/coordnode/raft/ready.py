"""What the core wants done, and in which order. The order is in the types: what may only leave after a write is inside that write."""

from collections.abc import Sequence

import msgspec

from coordnode.ids import Index, MemberId, Term, WriteId
from coordnode.raft.entry import Config, Entry, HardState, SnapshotMeta
from coordnode.raft.messages import Message


class Write(msgspec.Struct):
    """One submission to the ordered storage queue. Carried out in this order, then made durable as a whole:
    hard_state (both copies), reset_to, truncate_from, entries. Only when it is durable may `send_after` leave."""

    write_id: WriteId
    hard_state: HardState | None = None
    reset_to: SnapshotMeta | None = None  # an installed snapshot replaces the whole log
    truncate_from: Index = Index(0)  # 0: nothing; else this index and all after it are undone
    entries: list[Entry] = []
    send_after: list[Message] = []
    last_term: Term = Term(0)  # the log's last entry once this write is done: what Persisted will name
    last_index: Index = Index(0)
    commit: Index = Index(0)  # a hint for the mark file


class ChunkWanted(msgspec.Struct, frozen=True):
    """Read a slice of our newest snapshot for a peer; answer with Raft.chunk_read."""

    target: MemberId
    meta: SnapshotMeta
    number: int


class Ready(msgspec.Struct):
    """Most turns want little: what is not wanted costs nothing."""

    send_now: Sequence[Message] = ()
    write: Write | None = None
    committed: Sequence[Entry] = ()  # in order, each exactly once; apply them
    reads: Sequence[tuple[int, Index]] = ()  # (read id, index): may be served once applied >= index
    reads_lost: Sequence[int] = ()  # leadership was lost before they were confirmed
    chunks_wanted: Sequence[ChunkWanted] = ()
    chunk_received: Sequence[tuple[MemberId, SnapshotMeta, int, bool, bytes]] = ()  # store; then Raft.chunk_stored
    restore: SnapshotMeta | None = None  # an installed snapshot replaces the state: rebuild the machine from it, then apply `committed`
    role_changed: bool = False
    config: Config | None = None  # the configuration in force changed
