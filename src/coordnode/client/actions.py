"""What the client core wants done, and what it tells its owner. The closed list; frozen values."""

import msgspec

from coordnode.client.lease import SessionState
from coordnode.errors import CoordError
from coordnode.ids import MemberId, Revision, SessionId
from coordnode.services.commands import Change, Result
from coordnode.services.dialogue import Ask


class Connect(msgspec.Struct, frozen=True, gc=False):
    member: MemberId


class Disconnect(msgspec.Struct, frozen=True, gc=False):
    """Close it. Nothing of this connection may be reported to the core any more."""

    member: MemberId


class Send(msgspec.Struct, frozen=True):
    member: MemberId
    ask: Ask


class Finished(msgspec.Struct, frozen=True):
    """The one and only outcome of a call. With `error` None it took effect at (index, position)."""

    call: int
    result: Result | None = None  # None for a barrier and for administrative calls
    error: CoordError | None = None  # an applied Failure arrives here too, with its place in the log
    index: int = 0
    position: int = 0
    age_ms: int = 0  # of a stale read
    ttl_ms: int = 0  # of a session that a renewal confirmed

    @property
    def definite(self) -> bool:
        """It surely did not happen."""
        return self.error is not None and self.error.definite


class SessionChanged(msgspec.Struct, frozen=True):
    session: int  # the number that open_session returned
    session_id: SessionId
    state: SessionState
    until_ms: int  # on the client's clock; 0 when LOST
    reason: str = ""


class WatchEvents(msgspec.Struct, frozen=True):
    """Changes in order, each exactly once. Nothing that matches is missing up to `up_to`."""

    watch: int
    changes: list[Change]
    up_to: Revision


class WatchGapSeen(msgspec.Struct, frozen=True, gc=False):
    """Changes before `floor` are gone from the history; the watch is over. Read, then watch from there."""

    watch: int
    floor: Revision


class WatchFailed(msgspec.Struct, frozen=True):
    """The cluster refuses this watch; it is over, unless it is a lasting one."""

    watch: int
    error: CoordError


Action = Connect | Disconnect | Send | Finished | SessionChanged | WatchEvents | WatchGapSeen | WatchFailed
