"""What the log is made of. Frozen values that travel and are stored; bytes of `data` are never copied or re-encoded."""

import msgspec

from coordnode.errors import RecordError
from coordnode.ids import Index, MemberId, Term

BATCH = 0  # data: one services.commands.Batch, encoded; raft never looks inside
CONFIG = 1  # data: one Config, encoded
NOOP = 2  # data: empty; a new leader's first entry


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    term: Term
    index: Index
    kind: int
    data: bytes


class Config(msgspec.Struct, frozen=True, array_like=True):
    """Who belongs to the cluster. Each CONFIG entry holds all of it; it takes effect when appended."""

    voters: tuple[MemberId, ...] = ()  # sorted
    outgoing: tuple[MemberId, ...] = ()  # sorted; not empty while joint: both majorities are needed
    learners: tuple[MemberId, ...] = ()  # sorted, disjoint from voters and outgoing
    contacts: tuple[tuple[MemberId, str], ...] = ()  # sorted; where each member says it can be reached
    learners_next: tuple[MemberId, ...] = ()  # while joint: the learners once the joint state is left

    def is_joint(self) -> bool:
        return bool(self.outgoing)

    def members(self) -> list[MemberId]:
        """Everyone who receives the log, each once, in order."""
        return sorted({*self.voters, *self.outgoing, *self.learners})


class HardState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a member must never forget. Durable, twice, before any message of its term leaves."""

    term: Term
    vote: MemberId
    boot: int  # grows by one each time the member starts: acknowledgements of an earlier boot are void
    lost_entries: bool  # log entries were lost to rot: no vote is granted until a leader confirmed what was regained


class SnapshotMeta(msgspec.Struct, frozen=True, array_like=True):
    """Names one snapshot. Two snapshots with equal meta have equal slices."""

    index: Index  # the last entry it covers
    term: Term  # that entry's term
    author: MemberId  # who made it: only its own slices may be joined
    chain: int  # chain hash of the log up to and including `index`
    config: Config
    config_index: Index


_config_encoder = msgspec.msgpack.Encoder()
_config_decoder = msgspec.msgpack.Decoder(Config)


def encode_config(config: Config) -> bytes:
    return _config_encoder.encode(config)


def decode_config(data: bytes) -> Config:
    try:
        return _config_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"a configuration cannot be decoded: {error}") from None
