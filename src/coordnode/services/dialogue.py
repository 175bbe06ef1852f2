"""What a client and a member say to each other. The closed list; wire/ frames it, replica/ answers it, client/ speaks it.

`request` is the client's own number for this request on this connection; answers name it. Bodies (`bytes`) are encoded
commands.ClientCommand, commands.ReadOperation and commands.Result: spliced through, never re-encoded.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from coordnode.ids import MemberId, Revision, SessionId
from coordnode.limits import KEEP_ALIVE_NAMED_MAX
from coordnode.raft.entry import Config
from coordnode.services.commands import KV, Change


class _Ask(msgspec.Struct, frozen=True, array_like=True, tag=True):
    request: int


class WriteAsk(_Ask, frozen=True, array_like=True, gc=False, tag=1):
    """`body` is one encoded ClientCommand, spliced into the log as it is."""

    body: bytes


class ReadAsk(_Ask, frozen=True, array_like=True, gc=False, tag=2):
    body: bytes  # one encoded ReadOperation
    stale: bool = False  # answered at once from local state, with its age; the only weaker read there is
    min_revision: Revision = Revision(0)  # answered at or after this revision
    here: bool = False  # whoever does not lead is to ask the leader what is committed, and to answer by itself


class KeepAliveAsk(_Ask, frozen=True, array_like=True, tag=3):
    """One frame for many sessions."""

    sessions: Annotated[list[SessionId], Meta(max_length=KEEP_ALIVE_NAMED_MAX)]


class WatchAsk(_Ask, frozen=True, array_like=True, gc=False, tag=4):
    """Keys of one space in [start, end) (end empty: no end), from `start_revision` on (0: from now on). `request` names the watch."""

    start: bytes
    end: bytes
    start_revision: Revision
    space: int = KV  # commands.KV, NOTICES, LOCKS …: only events of this space


class UnwatchAsk(_Ask, frozen=True, array_like=True, gc=False, tag=5):
    """Ends the watch named `request`; not answered."""


class TransferAsk(_Ask, frozen=True, array_like=True, gc=False, tag=6):
    target: MemberId


class ConfigAsk(_Ask, frozen=True, array_like=True, tag=7):
    """Change the membership to exactly these voters, learners and contacts (`outgoing` empty)."""

    config: Config


class LevelAsk(_Ask, frozen=True, array_like=True, gc=False, tag=8):
    level: int


Ask = WriteAsk | ReadAsk | KeepAliveAsk | WatchAsk | UnwatchAsk | TransferAsk | ConfigAsk | LevelAsk


class _Answer(msgspec.Struct, frozen=True, array_like=True, tag=True):
    request: int


class Reply(_Answer, frozen=True, array_like=True, gc=False, tag=1):
    """(index, position) is where it took effect: a write's own place in the log, a read's applied index (position 0)."""

    index: int
    position: int
    result: bytes  # one encoded commands.Result; empty for a barrier and for administrative requests
    age_ms: int = 0  # of a stale read


class ErrorReply(_Answer, frozen=True, array_like=True, gc=False, tag=2):
    code: int
    sentence: str
    definite: bool
    retry_after_ms: int = 0
    leader: MemberId = MemberId(0)


class KeepAliveReply(_Answer, frozen=True, array_like=True, tag=3):
    """`alive` live on, `expired` are over; one that is in neither cannot be confirmed now: ask again."""

    alive: list[tuple[SessionId, int]]  # (session, ttl_ms)
    expired: list[SessionId]


class WatchPush(_Answer, frozen=True, array_like=True, tag=4):
    """Whole changes, in order, each exactly once. `up_to`: nothing that matches is missing up to this revision."""

    changes: list[Change]
    up_to: Revision


class WatchGap(_Answer, frozen=True, array_like=True, gc=False, tag=5):
    """The history no longer reaches back to where the watch wanted to go on; the watch is over. Read, then watch from there."""

    floor: Revision


class WatchProgress(_Answer, frozen=True, array_like=True, gc=False, tag=6):
    """For all watches of this connection (`request` is 0): whatever matches up to this revision has been pushed."""

    up_to: Revision


Answer = Reply | ErrorReply | KeepAliveReply | WatchPush | WatchGap | WatchProgress
