"""What members say to each other. The closed list; wire/ encodes `Message`.

Every message carries source, target, the sender's boot number and the sender's term. A peer's messages of an earlier boot are
ignored once a later boot was seen: what was acknowledged then may have been lost to rot since.
"""

import msgspec

from coordnode.ids import Index, MemberId, Term
from coordnode.raft.entry import Entry, SnapshotMeta


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    source: MemberId
    target: MemberId
    boot: int
    term: Term


class VoteAsk(_Message, frozen=True, array_like=True, tag=1):
    """Asks for a vote; with `pre`, only whether one would be granted for `term` (which nobody has entered yet)."""

    last_index: Index
    last_term: Term
    pre: bool
    transfer: bool  # the leader asked for this election: a peer's recent contact with that leader is no reason to refuse


class VoteReply(_Message, frozen=True, array_like=True, tag=2):
    pre: bool
    granted: bool
    lost_entries: bool  # refused because the voter lost log entries: shown to operators


class Append(_Message, frozen=True, array_like=True, tag=3):
    """The leader's entries; empty ones probe. Also carries commit and the newest read round."""

    prev_index: Index
    prev_term: Term
    commit: Index
    round: int
    entries: list[Entry]


class AppendReply(_Message, frozen=True, array_like=True, tag=4):
    """`match`: durable here and equal to the leader's, up to this. When refused: a hint for the leader's next probe."""

    accepted: bool
    match: Index  # accepted: durable match; refused: the prev_index that was refused
    hint_index: Index  # refused: our last index whose term is <= the refused prev_term; -1: no state at all, a snapshot is needed
    hint_term: Term
    round: int
    space_ok: bool
    level_max: int


class Heartbeat(_Message, frozen=True, array_like=True, tag=5):
    commit: Index  # never beyond what the target is known to have
    round: int
    current: bool  # the target is known to have everything that is committed


class HeartbeatReply(_Message, frozen=True, array_like=True, tag=6):
    """Confirms the term; never an acknowledgement of entries."""

    round: int
    space_ok: bool  # room on disk for commands that add data
    level_max: int  # the highest feature level this member's build can apply


class Chunk(_Message, frozen=True, array_like=True, tag=7):
    """One slice of the leader's snapshot."""

    meta: SnapshotMeta
    number: int  # slices count from 0
    last: bool
    data: bytes


class ChunkReply(_Message, frozen=True, array_like=True, tag=8):
    index: Index  # of the snapshot spoken of
    next_number: int  # send this slice next; everything before it is durable here
    installed: bool  # the snapshot is installed (or was not needed): carry on with entries after `match`
    match: Index


class TakeOver(_Message, frozen=True, array_like=True, tag=9):
    """The leader hands over: the target starts an election at once."""


class ConfirmAsk(_Message, frozen=True, array_like=True, tag=10):
    """What is committed, by a round that begins now? From a member that lost entries, which must come so far before it votes again;
    with a number, for reads that clients asked of it: that is how far it must have applied before it answers them."""

    number: int = 0  # counts the questions of this boot


class ConfirmReply(_Message, frozen=True, array_like=True, tag=11):
    commit: Index  # of a confirmation round that began after the question of this boot arrived
    asked_boot: int
    number: int = 0


class DigestReport(_Message, frozen=True, array_like=True, tag=12):
    """State digest at an agreed index; from a member to its leader."""

    index: Index
    digest: int


class Heal(_Message, frozen=True, array_like=True, tag=13):
    """The leader says that the state with this digest at `index` is not the majority's: who still has it must rebuild it.

    The digest names the very state that was reported: a word that comes late does not reach a member that was rebuilt meanwhile.
    """

    index: Index
    digest: int


Message = (
    VoteAsk
    | VoteReply
    | Append
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | Chunk
    | ChunkReply
    | TakeOver
    | ConfirmAsk
    | ConfirmReply
    | DigestReport
    | Heal
)
