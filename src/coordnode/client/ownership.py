"""Which shards of one assignment a session owns: put together from reads and from what the session is told. Pure.

A token names one ownership, which only ever goes on: gained, to be given back, lost. That is why whatever is heard twice, or late,
changes nothing.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from coordnode.ids import NO_SESSION, Revision, SessionId, Token
from coordnode.services.commands import (
    ASSIGNED,
    ASSIGNMENT_CONFIGURED,
    ASSIGNMENT_DELETED,
    FREED,
    REVOKING,
    AssignmentChanged,
    AssignmentView,
    Change,
    Notice,
    ShardChange,
    decode_assignment_changed,
    decode_notice,
)

NO_TOKEN = Token(0)

GAINED = "gained"
REVOKED = "revoked"
LOST = "lost"


@dataclass(frozen=True, slots=True)
class OwnedChange:
    """gained: work on it, under this token. revoked: stop, then release it. lost: stop at once; others may own it already."""

    kind: str
    shard: int
    token: Token


class Row(NamedTuple):
    """Who owns a shard, in a read."""

    shard: int
    session: SessionId
    token: Token
    is_revoked: bool


@dataclass(slots=True)
class _Owned:
    token: Token
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """As everybody sees it: a shard is assigned, revoking or freed; or the assignment was configured, or deleted (shard -1)."""

    revision: Revision
    kind: str
    shard: int = -1
    member: bytes = b""
    session: SessionId = NO_SESSION
    token: Token = NO_TOKEN


_KINDS = {ASSIGNED: "assigned", REVOKING: "revoking", FREED: "freed"}


def moves_of(change: Change) -> list[Move]:
    """Of one change that a watch of one assignment saw."""
    moves: list[Move] = []
    for event in change.events:
        told = decode_assignment_changed(event.value).changes
        moves += [Move(change.revision, _KINDS[each.kind], each.shard, each.member, each.session, each.token) for each in told]
        if event.kind == ASSIGNMENT_CONFIGURED:
            moves.append(Move(change.revision, "configured"))
        elif event.kind == ASSIGNMENT_DELETED:
            moves.append(Move(change.revision, "deleted"))
    return moves


class Ownership:
    def __init__(self, name: bytes, session: SessionId) -> None:
        self.name = name
        self._session = session
        self._owned: dict[int, _Owned] = {}
        self._taken: dict[int, Token] = {}
        self._noted: deque[ShardChange] = deque()
        self._changes: deque[OwnedChange] = deque()
        self._newest = Token(0)  # of a read: ownerships up to it that the read did not show are over

    def on_notice(self, notice: Notice) -> None:
        if isinstance(notice, AssignmentChanged) and notice.name == self.name:
            self._noted.extend([change for change in notice.changes if change.session == self._session])

    def on_told(self, notice: bytes) -> None:
        """As it came over the wire."""
        self.on_notice(decode_notice(notice))

    def on_read(self, view: AssignmentView | None) -> None:
        """None: there is no such assignment."""
        rows = view.owned if view is not None else []
        self.on_rows([Row(row.shard, row.session, row.token, row.revoke_left_ms is not None) for row in rows])

    def on_rows(self, rows: list[Row]) -> None:
        """All that are owned, by whomever."""
        mine = {row.shard: row for row in rows if row.session == self._session}
        self._newest = max([self._newest, *[row.token for row in rows]])
        for shard, owned in list(self._owned.items()):
            if shard not in mine or mine[shard].token != owned.token:
                self._lose(shard, owned.token)
        for shard, row in mine.items():
            if shard not in self._owned:
                self._gain(shard, row.token)
            if row.is_revoked:
                self._revoke(shard, row.token)

    def has_something(self) -> bool:
        return bool(self._changes or self._noted)

    def take(self) -> OwnedChange | None:
        while self._noted and not self._changes:
            change = self._noted.popleft()
            if change.kind == ASSIGNED:
                if change.token > self._newest:
                    self._gain(change.shard, change.token)
            elif change.kind == REVOKING:
                self._revoke(change.shard, change.token)
            else:
                self._lose(change.shard, change.token)
        if not self._changes:
            return None
        taken = self._changes.popleft()
        if taken.kind == GAINED:
            self._taken[taken.shard] = taken.token
        elif taken.kind == LOST:
            self._drop(taken.shard, taken.token)
        return taken

    def owned(self) -> dict[int, Token]:
        """As far as changes were taken: shard -> token, those that are to be given back, too."""
        return dict(sorted(self._taken.items()))

    def released(self, shard: int, token: Token) -> None:
        self._drop(shard, token)
        if self._holds(shard, token):
            del self._owned[shard]

    def _drop(self, shard: int, token: Token) -> None:
        if self._taken.get(shard) == token:
            del self._taken[shard]

    def lose_all(self) -> None:
        self._noted.clear()
        for shard, owned in list(self._owned.items()):
            self._lose(shard, owned.token)

    def _holds(self, shard: int, token: Token) -> bool:
        return shard in self._owned and self._owned[shard].token == token

    def _gain(self, shard: int, token: Token) -> None:
        known = self._owned.get(shard)
        if known is not None and known.token >= token:
            return
        if known is not None:
            self._lose(shard, known.token)
        self._owned[shard] = _Owned(token)
        self._changes.append(OwnedChange(GAINED, shard, token))

    def _revoke(self, shard: int, token: Token) -> None:
        if self._holds(shard, token) and not self._owned[shard].is_revoked:
            self._owned[shard].is_revoked = True
            self._changes.append(OwnedChange(REVOKED, shard, token))

    def _lose(self, shard: int, token: Token) -> None:
        if self._holds(shard, token):
            del self._owned[shard]
            self._changes.append(OwnedChange(LOST, shard, token))
