"""Who owns which shard, kept in the order of the log beside the code that assigns them. Pure.

Every move is told to watches; here each one must be allowed by the moves before it and by the command that made it, all together must
leave the assignment balanced with as few moves as possible, and owners must have been told of theirs.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from coordnode.errors import PromiseBroken

ASSIGNED, REVOKING, FREED = 0, 1, 2
NOT_HELD = 31

Table = tuple[tuple[int, bytes, int, int, bool], ...]  # (shard, member, session, token, is to be released), in the order of shards


class Move(NamedTuple):
    shard: int
    kind: int
    member: bytes
    session: int
    token: int


class _Owned:
    __slots__ = ("due_ms", "member", "session", "token")

    def __init__(self, move: Move) -> None:
        self.member = move.member
        self.session = move.session
        self.token = move.token
        self.due_ms = -1  # -1: it may keep it


class _Assignment:
    def __init__(self, group: bytes, shards: int, revoke_ms: int) -> None:
        self.group = group
        self.shards = shards
        self.revoke_ms = revoke_ms
        self.owned: dict[int, _Owned] = {}


class ShardOwners:
    name: ClassVar[str] = "shards-balanced"

    def __init__(self, wake_items_max: int) -> None:
        self._wake_items_max = wake_items_max
        self._assignments: dict[bytes, _Assignment] = {}
        self._members: dict[bytes, dict[tuple[bytes, int], int]] = {}  # by group: (member, session) → weight
        self._ended: dict[int, None] = {}
        self._token = 0
        self._revisions: dict[bytes, list[int]] = {}  # by assignment: at which it changed
        self._tables: dict[bytes, list[Table | None]] = {}  # and what it was then; None: it was not
        self._begin(0, False)

    def _begin(self, cluster_ms: int, is_wake: bool) -> None:
        self._cluster_ms = cluster_ms
        self._is_wake = is_wake
        self._released: tuple[bytes, int, int] | None = None  # by the command under way: (name, shard, token)
        self._ending: dict[int, None] = {}
        self._deleted = b""
        self._looked_at: dict[bytes, None] = {}  # assignments that the command under way had to balance
        self._moves = 0

    # --- commands, in the order of the log -----------------------------------------------------------------------------

    def begin(self, cluster_ms: int, is_wake: bool) -> None:
        self._finish()
        self._ended.update(self._ending)
        self._begin(cluster_ms, is_wake)

    def configured(self, name: bytes, group: bytes | None, shards: int | None, revoke_ms: int | None) -> None:
        known = self._assignments.get(name)
        if known is None:
            assert group is not None
            assert shards is not None
            assert revoke_ms is not None
            self._assignments[name] = _Assignment(group, shards, revoke_ms)
        else:
            known.shards = known.shards if shards is None else shards
            known.revoke_ms = known.revoke_ms if revoke_ms is None else revoke_ms
        self._looked_at[name] = None

    def deleted(self, name: bytes) -> None:
        self._deleted = name

    def released(self, session: int, name: bytes, shard: int, token: int, code: int) -> None:
        """`code` 0: it was done."""
        found = self._assignments.get(name)
        owned = None if found is None else found.owned.get(shard)
        holds = owned is not None and (owned.token, owned.session) == (token, session)
        if (code == 0) is not holds and code in (0, NOT_HELD):
            what = "released" if code == 0 else "was refused to release"
            self._not_one_owner(f"session {session} {what} shard {shard} of {name!r} under token {token}", holds)
        if code == 0:
            self._released = (name, shard, token)
            self._looked_at[name] = None

    def ended(self, session: int) -> bool:
        """Whether it owned anything."""
        self._ending[session] = None
        return any([owned.session == session for each in self._assignments.values() for owned in each.owned.values()])

    # --- what watches are told of each revision ------------------------------------------------------------------------

    def member(self, group: bytes, member: bytes, session: int, weight: int | None) -> None:
        """Joined, or updated; None: it left."""
        members = self._members.setdefault(group, {})
        members.pop((member, session), None)
        if weight is not None:
            members[member, session] = weight
        for name, assignment in self._assignments.items():
            if assignment.group == group:
                self._looked_at[name] = None

    def told(
        self, revision: int, moved: Sequence[tuple[bytes, Sequence[Move]]], notices: Sequence[tuple[int, bytes, Sequence[Move]]]
    ) -> None:
        """`moved`: by assignment; `notices`: (session, assignment, moves)."""
        wanted: dict[tuple[int, bytes], list[Move]] = {}
        for name, moves in moved:
            assignment = self._assignments.get(name)
            if assignment is None:
                self._unbalanced(f"shards of {name!r} move, and there is no such assignment", moves)
            assert assignment is not None
            revoked, least = 0, None
            for move in moves:
                self._moves += 1
                if move.kind == REVOKING and self._share(assignment, move) is not None:
                    least = self._least_revoked(assignment) if least is None else least
                    revoked += 1
                if self._move(name, assignment, move):
                    wanted.setdefault((move.session, name), []).append(move)
            if least is not None and revoked != least:
                self._unbalanced(f"{revoked} shards of {name!r} are revoked for its balance, {least} are enough", moves)
            self._note(name, revision)
        got = {(session, name): list(moves) for session, name, moves in notices}
        if got != wanted:
            self._not_told(f"revision {revision} tells owners {got}; it moved {wanted}", revision)

    def _move(self, name: bytes, assignment: _Assignment, move: Move) -> bool:
        """Whether its owner must be told."""
        owned = assignment.owned.get(move.shard)
        what = f"shard {move.shard} of {name!r}"
        if move.kind == ASSIGNED:
            if owned is not None:
                self._not_one_owner(f"{what} is given to {move.member!r}, and {owned.member!r} owns it", (move, owned.token))
            if move.token <= self._token:
                self._not_one_owner(f"{what} is given under token {move.token}, after {self._token}", move)
            if move.session in self._ended or not self._members.get(assignment.group, {}).get((move.member, move.session)):
                self._not_one_owner(f"{what} is given to {move.member!r} of session {move.session}, who has no share", move)
            self._token = move.token
            assignment.owned[move.shard] = _Owned(move)
            return True
        if owned is None or (owned.member, owned.session, owned.token) != (move.member, move.session, move.token):
            self._not_one_owner(f"{what} is taken from {move.member!r} under token {move.token}, who does not own it", move)
        assert owned is not None
        if move.kind == REVOKING:
            if owned.due_ms >= 0:
                self._unbalanced(f"{what} is revoked twice", move)
            owned.due_ms = self._cluster_ms + assignment.revoke_ms
            return True
        is_own = move.session in self._ending or self._released == (name, move.shard, move.token)
        is_late = self._is_wake and 0 <= owned.due_ms <= self._cluster_ms
        if not (is_own or is_late or name == self._deleted):
            self._not_one_owner(f"{what} is freed at {self._cluster_ms} ms while {move.member!r} may keep it", (move, owned.due_ms))
        del assignment.owned[move.shard]
        return not is_own

    # --- what must be so once a command is over ------------------------------------------------------------------------

    def _finish(self) -> None:
        if self._deleted:
            if self._assignments.pop(self._deleted).owned:
                self._not_one_owner(f"assignment {self._deleted!r} is deleted, and its shards are owned", self._deleted)
            self._looked_at.pop(self._deleted, None)
        for name in self._looked_at:
            self._must_be_balanced(name, self._assignments[name])
        for name, assignment in self._assignments.items() if self._ending else ():
            left = [shard for shard, owned in assignment.owned.items() if owned.session in self._ending]
            if left:
                self._not_one_owner(f"shards {left} of {name!r} are owned by a session that is over", left)
        if self._is_wake and self._moves < self._wake_items_max:
            late = [
                (name, shard)
                for name, assignment in self._assignments.items()
                for shard, owned in assignment.owned.items()
                if 0 <= owned.due_ms <= self._cluster_ms
            ]
            if late:
                self._unbalanced(f"at {self._cluster_ms} ms shards that had to be released by then are owned still", late)

    def _must_be_balanced(self, name: bytes, assignment: _Assignment) -> None:
        members = self._members.get(assignment.group, {})
        whole = sum(members.values())
        kept = self._kept(assignment)
        for place, count in kept.items():
            weight = members.get(place, 0)
            most = -(-assignment.shards * weight // whole) if whole else 0
            if count > most:
                self._unbalanced(f"{place} keeps {count} shards of {name!r}, at most {most} are its share", (members, kept))
        beyond = [shard for shard, owned in assignment.owned.items() if shard >= assignment.shards and owned.due_ms < 0]
        if beyond:
            self._unbalanced(f"{name!r} has {assignment.shards} shards, and these are owned, too", beyond)
        free = [shard for shard in range(assignment.shards) if shard not in assignment.owned]
        if whole and free:
            self._unbalanced(f"nobody owns shards {free} of {name!r}, and there are members", (members, kept))

    def _kept(self, assignment: _Assignment) -> dict[tuple[bytes, int], int]:
        """(member, session) → how many it may keep, below the number of shards."""
        kept: dict[tuple[bytes, int], int] = {}
        for shard, owned in assignment.owned.items():
            if owned.due_ms < 0 and shard < assignment.shards:
                kept[owned.member, owned.session] = kept.get((owned.member, owned.session), 0) + 1
        return kept

    def _share(self, assignment: _Assignment, move: Move) -> int | None:
        """Its weight, if whoever owns the shard may have any."""
        weight = self._members.get(assignment.group, {}).get((move.member, move.session))
        return weight if weight and move.shard < assignment.shards else None

    def _least_revoked(self, assignment: _Assignment) -> int:
        """How many must be, whoever else keeps one more than the floor of its share."""
        members = {place: weight for place, weight in self._members.get(assignment.group, {}).items() if weight}
        whole = sum(members.values())
        kept = self._kept(assignment)
        more = spare = 0
        left_over = assignment.shards
        for place, weight in members.items():
            floor, rest = divmod(assignment.shards * weight, whole)
            left_over -= floor
            more += max(0, kept.get(place, 0) - floor)
            spare += rest > 0 and kept.get(place, 0) > floor
        return more - min(spare, left_over)

    # --- what clients read ---------------------------------------------------------------------------------------------

    def read(self, name: bytes, revision: int, table: Table) -> None:
        revisions = self._revisions.get(name, [])
        place = bisect_right(revisions, revision) - 1
        truth = self._tables[name][place] if place >= 0 else ()
        if table != truth:
            self._not_one_owner(f"{name!r} was read at {revision} as {table}", truth)

    def listed(self) -> list[tuple[bytes, bytes, int, int, int]]:
        """(name, group, shards, owned, to be released) of each there is now."""
        known = [(name, each) for name, each in sorted(self._assignments.items()) if name != self._deleted]
        return [
            (name, each.group, each.shards, len(each.owned), sum([owned.due_ms >= 0 for owned in each.owned.values()]))
            for name, each in known
        ]

    def tokens(self) -> list[tuple[bytes, int]]:
        """As transactions ask for them, of all that are owned."""
        return [(b"%s/%d" % (name, shard), owned.token) for name, each in self._assignments.items() for shard, owned in each.owned.items()]

    def _note(self, name: bytes, revision: int) -> None:
        owned = self._assignments[name].owned
        table = tuple([(shard, one.member, one.session, one.token, one.due_ms >= 0) for shard, one in sorted(owned.items())])
        self._revisions.setdefault(name, []).append(revision)
        self._tables.setdefault(name, []).append(table)

    def _not_one_owner(self, sentence: str, evidence: Any) -> None:
        raise PromiseBroken("one-owner", sentence, (evidence,))

    def _not_told(self, sentence: str, evidence: Any) -> None:
        raise PromiseBroken("owner-told", sentence, (evidence,))

    def _unbalanced(self, sentence: str, evidence: Any) -> None:
        raise PromiseBroken(self.name, sentence, (evidence,))
