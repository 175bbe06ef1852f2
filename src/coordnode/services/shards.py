"""Assignments: shards over the members of a group, each with one owner and one token at a time. Pure.

                  ┌── nobody owns it: no row ──┐
    released,     │                            │ granted: a new token, and a notice
    out of time,  │                            ▼
    or its session│◄─── revoking ◄─────────── owned
    is over       └──── (token still live) ◄── wanted elsewhere: a notice

A shard is granted only while it has no row, and its row goes only with its token: that is why it never has two owners. Whoever still
works on it with a token of the past is kept out by whatever checks tokens.
"""

from collections.abc import Mapping
from struct import Struct
from typing import ClassVar

import msgspec

from coordnode.errors import BadRequest, Conflict, CoordError, Full, Missing, NotHeld, StateFull
from coordnode.ids import NO_SESSION, SessionId, Token
from coordnode.services.balance import hand_out, quotas
from coordnode.services.commands import (
    ASSIGNED,
    ASSIGNMENT_CONFIGURED,
    ASSIGNMENT_DELETED,
    ASSIGNMENT_MOVED,
    FREED,
    REVOKING,
    SHARDS,
    AssignmentChanged,
    AssignmentInfo,
    AssignmentPage,
    AssignmentView,
    ConfigureAssignment,
    CreateAssignment,
    DeleteAssignment,
    Done,
    GetAssignment,
    ListAssignments,
    OwnedShard,
    ReleaseShard,
    Result,
    ShardChange,
    encode,
)
from coordnode.services.context import Check, Context, Service, failure
from coordnode.services.names import check_name, check_page, page_of
from coordnode.services.rights import GROUP, MANAGE, PREFIX, READ, SHARD, USE, Right, Rights, needs
from coordnode.services.state import TOKEN_MAX, Settings
from coordnode.services.tables import Table

ASSIGNMENTS_ID = 70
OWNED_ID = 71
DUE_ID = 72
OF_GROUP_ID = 73

ASSIGNMENT_CHARGE_BYTES = 400
SHARD_CHARGE_BYTES = 500

SEPARATOR = b"\0"

_pack_shard = Struct(">H").pack
_pack_due = Struct(">Q").pack
_DUE_BYTES = 8
_SHARD_BYTES = 2


class Assignment(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    group: bytes
    shards: int
    revoke_ms: int


class Owned(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    member: bytes
    session: SessionId
    token: Token
    due_ms: int = 0  # of cluster_ms: until then its owner shall let go; 0: it may keep it


# --- what can be wrong, whatever the state -----------------------------------------------------------------------------


def _check_numbers(shards: int, revoke_ms: int, settings: Settings) -> CoordError | None:
    if not 1 <= shards <= settings.shards_max:
        return BadRequest(f"an assignment has 1 to {settings.shards_max} shards, not {shards}")
    if not 1 <= revoke_ms <= settings.revoke_ms_max:
        return BadRequest(f"an owner has {revoke_ms} ms to let go of a shard; give 1 to {settings.revoke_ms_max}")
    return None


def _check_create(operation: CreateAssignment, settings: Settings) -> CoordError | None:
    names = check_name("assignment", operation.name, settings) or check_name("group", operation.group, settings)
    return names or _check_numbers(operation.shards, operation.revoke_ms, settings)


def _check_configure(operation: ConfigureAssignment, settings: Settings) -> CoordError | None:
    shards = 1 if operation.shards is None else operation.shards
    revoke_ms = 1 if operation.revoke_ms is None else operation.revoke_ms
    return check_name("assignment", operation.name, settings) or _check_numbers(shards, revoke_ms, settings)


def _check_named(operation: DeleteAssignment | GetAssignment, settings: Settings) -> CoordError | None:
    return check_name("assignment", operation.name, settings)


def _check_release(operation: ReleaseShard, settings: Settings) -> CoordError | None:
    if not 0 <= operation.shard < settings.shards_max:
        return BadRequest(f"there is no shard {operation.shard}: they count from 0, and are at most {settings.shards_max}")
    if not 0 < operation.token <= TOKEN_MAX:
        return BadRequest(f"{operation.token} is no token; give the one that came with the shard")
    return check_name("assignment", operation.name, settings)


def _check_list(operation: ListAssignments, settings: Settings) -> CoordError | None:
    return check_page("assignment", operation.prefix, operation.after, operation.limit, settings)


class Shards(Service):
    LEVELS: ClassVar[Mapping[type, int]] = {
        CreateAssignment: 3,
        ConfigureAssignment: 3,
        DeleteAssignment: 3,
        ReleaseShard: 3,
        GetAssignment: 3,
        ListAssignments: 3,
    }
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        CreateAssignment: (Right(SHARD, MANAGE), Right(GROUP, READ, "group")),
        ConfigureAssignment: needs(SHARD, MANAGE),
        DeleteAssignment: needs(SHARD, MANAGE),
        ReleaseShard: needs(SHARD, USE),
        GetAssignment: needs(SHARD, READ),
        ListAssignments: needs(SHARD, READ, "prefix", PREFIX),
    }
    CHECKS: ClassVar[Mapping[type, Check]] = {
        CreateAssignment: _check_create,
        ConfigureAssignment: _check_configure,
        DeleteAssignment: _check_named,
        ReleaseShard: _check_release,
        GetAssignment: _check_named,
        ListAssignments: _check_list,
    }
    ADDS_DATA: ClassVar[tuple[type, ...]] = (CreateAssignment,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._assignments: Table[Assignment] = Table(ASSIGNMENTS_ID, Assignment)
        self._owned: Table[Owned] = Table(OWNED_ID, Owned)  # name, zero byte, shard; no row: nobody owns it
        self._due: Table[int] = Table(DUE_ID, int)  # due_ms and the key of the row -> 1
        self._of_group: Table[int] = Table(OF_GROUP_ID, int)  # group, zero byte, name -> 1
        self.containers = (self._assignments, self._owned, self._due, self._of_group)
        self.routes = {
            CreateAssignment: self.create,
            ConfigureAssignment: self.configure,
            DeleteAssignment: self.delete,
            ReleaseShard: self.release,
        }
        self.reads = {GetAssignment: self.get, ListAssignments: self.page}
        context.on_group_changed = self.on_group_changed
        self._unsettled: dict[bytes, _Moves] = {}  # assignments that sessions ended by this command had to do with

    # --- handlers ------------------------------------------------------------------------------------------------------

    def create(self, operation: CreateAssignment) -> Result:
        """`changed` 0: it is there already, the same."""
        context = self.context
        name, settings = operation.name, context.settings
        new = Assignment(operation.group, operation.shards, operation.revoke_ms)
        old = self._assignments.get(name)
        if old == new:
            return Done(context.scalars.revision, 0)
        if old is not None:
            what = f"{old.shards} shards over group {_shown(old.group)}, {old.revoke_ms} ms to let go"
            return failure(Conflict(f"assignment {_shown(name)} is there already, with {what}; configure it, or choose another name"))
        if len(self._names_of(operation.group)) >= settings.group_assignments_max:
            most = f"{settings.group_assignments_max} assignments, which is the most"
            return failure(Full(f"group {_shown(operation.group)} has {most}; delete one, or give one of them more shards"))
        if not context.has_room(_charge(name, new) + new.shards * SHARD_CHARGE_BYTES):
            return failure(StateFull(f"the assignment could pass {settings.state_bytes_max} bytes in all; delete something"))
        context.scalars.state_bytes += _charge(name, new)
        self._assignments.set(name, new)
        self._of_group.set(new.group + SEPARATOR + name, 1)
        self._emit(ASSIGNMENT_CONFIGURED, name, [])
        self._rebalance(name, new, _Moves())
        return Done(context.publish())

    def configure(self, operation: ConfigureAssignment) -> Result:
        context = self.context
        name = operation.name
        old = self._assignments.get(name)
        if old is None:
            return failure(_missing(name))
        shards = old.shards if operation.shards is None else operation.shards
        new = Assignment(old.group, shards, old.revoke_ms if operation.revoke_ms is None else operation.revoke_ms)
        if new == old:
            return Done(context.scalars.revision, 0)
        if not context.has_room(max(0, new.shards - old.shards) * SHARD_CHARGE_BYTES):
            return failure(StateFull(f"more shards could pass {context.settings.state_bytes_max} bytes in all; delete something"))
        self._assignments.set(name, new)
        self._emit(ASSIGNMENT_CONFIGURED, name, [])
        self._rebalance(name, new, _Moves())
        return Done(context.publish())

    def delete(self, operation: DeleteAssignment) -> Result:
        """`changed` 0: there was none."""
        context = self.context
        name = operation.name
        old = self._assignments.get(name)
        if old is None:
            return Done(context.scalars.revision, 0)
        moves = _Moves()
        for key, owned in list(self._owned.scan(name + SEPARATOR, name + b"\1")):
            self._free(name, key, owned, moves)
        self._assignments.delete(name)
        self._of_group.delete(old.group + SEPARATOR + name)
        context.scalars.state_bytes -= _charge(name, old)
        self._tell(name, moves, ASSIGNMENT_DELETED)
        return Done(context.publish())

    def release(self, operation: ReleaseShard) -> Result:
        """A shard that nobody wanted elsewhere may come back, with a new token: the balance wants it where it was."""
        context = self.context
        name = operation.name
        assignment = self._assignments.get(name)
        if assignment is None:
            return failure(_missing(name))
        key = _key(name, operation.shard)
        owned = self._owned.get(key)
        if owned is None or owned.token != operation.token or owned.session != context.session:
            what = f"shard {operation.shard} of {_shown(name)}"
            if owned is None:
                return failure(NotHeld(f"{what} has no owner: token {operation.token} is over; stop working on it"))
            if owned.token != operation.token:
                return failure(NotHeld(f"{what} is owned under token {owned.token}: {operation.token} is over; stop working on it"))
            return failure(NotHeld(f"{what} belongs to session {owned.session}: only that one can release it"))
        moves = _Moves()
        self._free(name, key, owned, moves, by=owned.session)
        self._rebalance(name, assignment, moves)
        return Done(context.publish())

    # --- what others and time bring ------------------------------------------------------------------------------------

    def on_group_changed(self, group: bytes, is_ending: bool) -> None:
        for name in self._names_of(group):
            if is_ending:
                self._unsettled.setdefault(name, _Moves())
            else:
                self._rebalance(name, self._found(name), _Moves())

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        for key in self.context.holdings.claims(session, SHARDS):
            owned = self._owned.get(key)
            assert owned is not None
            name = _name_of(key)
            self._free(name, key, owned, self._unsettled.setdefault(name, _Moves()), by=session)

    def settle(self) -> None:
        """A whole group may end at once, and to balance is to look at all of its members and shards."""
        unsettled, self._unsettled = self._unsettled, {}
        for name, moves in unsettled.items():
            self._rebalance(name, self._found(name), moves)

    def due(self) -> int | None:
        first = self._due.first()
        return None if first is None else int.from_bytes(first[0][:_DUE_BYTES], "big")

    def on_wake(self) -> None:
        touched: dict[bytes, _Moves] = {}
        for _ in range(self.context.settings.wake_items_max):
            first = self._due.first()
            if first is None or int.from_bytes(first[0][:_DUE_BYTES], "big") > self.context.cluster_ms:
                break
            key = first[0][_DUE_BYTES:]
            owned = self._owned.get(key)
            assert owned is not None
            name = _name_of(key)
            self._free(name, key, owned, touched.setdefault(name, _Moves()))
        for name, moves in touched.items():
            self._rebalance(name, self._found(name), moves)

    # --- reads ---------------------------------------------------------------------------------------------------------

    def get(self, operation: GetAssignment, items_max: int, bytes_max: int) -> Result:
        """Whole, whatever a page may hold; shards_max bounds it."""
        assignment = self._assignments.get(operation.name)
        if assignment is None:
            return failure(_missing(operation.name))
        found: list[OwnedShard] = []
        for key, owned in self._owned.scan(operation.name + SEPARATOR, operation.name + b"\1"):
            left_ms = max(0, owned.due_ms - self.context.shown_ms) if owned.due_ms else None
            found.append(OwnedShard(_shard_of(key), owned.member, owned.session, owned.token, left_ms))
        return AssignmentView(self.context.scalars.revision, assignment.group, assignment.shards, assignment.revoke_ms, found)

    def page(self, operation: ListAssignments, items_max: int, bytes_max: int) -> Result:
        """As many as there are shards to be counted for."""
        rows, more = page_of(self._assignments, operation.prefix, operation.after, operation.limit, min(items_max, LISTED_MAX))
        found: list[AssignmentInfo] = []
        for name, assignment in rows:
            owned = [row.due_ms for _, row in self._owned.scan(name + SEPARATOR, name + b"\1")]
            self.context.rows_looked_at += len(owned) // COUNTED_AT_ONCE
            found.append(AssignmentInfo(name, assignment.group, assignment.shards, len(owned), len(owned) - owned.count(0)))
        return AssignmentPage(self.context.scalars.revision, found, more)

    # --- moving shards -------------------------------------------------------------------------------------------------

    def _rebalance(self, name: bytes, assignment: Assignment, moves: "_Moves") -> None:
        """Revokes what is too much somewhere, grants what is free, and tells of all moves."""
        members = self.context.weights_of(assignment.group)
        places = {member[:2]: at for at, member in enumerate(members)}
        kept: list[list[tuple[bytes, Owned]]] = [[] for _ in members]
        taken = bytearray(max(assignment.shards, self.context.settings.shards_max))  # by shard: 1 where anybody owns it
        for key, owned in list(self._owned.scan(name + SEPARATOR, name + b"\1")):
            shard = key[-2] << 8 | key[-1]  # _shard_of, written out
            taken[shard] = 1
            if owned.due_ms:
                continue
            at = places.get((owned.member, owned.session))
            if at is None or shard >= assignment.shards:
                self._revoke(assignment, key, owned, moves)
            else:
                kept[at].append((key, owned))
        wanted = quotas(assignment.shards, [weight for _, _, weight in members], [len(each) for each in kept])
        for each, quota in zip(kept, wanted, strict=True):
            for key, owned in each[quota:]:
                self._revoke(assignment, key, owned, moves)
        free = [shard for shard in range(assignment.shards) if not taken[shard]]
        for shard, at in hand_out(free, [quota - len(each) for quota, each in zip(wanted, kept, strict=True)]):
            self._grant(name, shard, members[at][0], members[at][1], moves)
        self._tell(name, moves, ASSIGNMENT_MOVED)

    def _grant(self, name: bytes, shard: int, member: bytes, session: SessionId, moves: "_Moves") -> None:
        key = _key(name, shard)
        assert self._owned.get(key) is None, f"shard {shard} of {name!r} has an owner"
        token = self.context.holdings.grant(SHARDS, token_name(name, shard), session)
        self.context.holdings.claim(session, SHARDS, key)
        self._owned.set(key, Owned(member, session, token))
        self.context.scalars.state_bytes += len(key) + len(member) + SHARD_CHARGE_BYTES
        moves.add(ShardChange(shard, ASSIGNED, member, session, token), is_told=True)

    def _revoke(self, assignment: Assignment, key: bytes, owned: Owned, moves: "_Moves") -> None:
        due_ms = self.context.cluster_ms + assignment.revoke_ms
        self._owned.set(key, Owned(owned.member, owned.session, owned.token, due_ms))
        self._due.set(_pack_due(due_ms) + key, 1)
        moves.add(ShardChange(_shard_of(key), REVOKING, owned.member, owned.session, owned.token), is_told=True)

    def _free(self, name: bytes, key: bytes, owned: Owned, moves: "_Moves", by: SessionId = NO_SESSION) -> None:
        """`by`: the session that let go, which needs no telling."""
        if owned.due_ms:
            self._due.delete(_pack_due(owned.due_ms) + key)
        self._owned.delete(key)
        self.context.holdings.revoke(owned.token)
        self.context.holdings.unclaim(owned.session, SHARDS, key)
        self.context.scalars.state_bytes -= len(key) + len(owned.member) + SHARD_CHARGE_BYTES
        moves.add(ShardChange(_shard_of(key), FREED, owned.member, owned.session, owned.token), is_told=owned.session != by)

    def _tell(self, name: bytes, moves: "_Moves", kind: int) -> None:
        if moves.all or kind == ASSIGNMENT_DELETED:
            self._emit(kind, name, moves.all)
        for session, changes in moves.told.items():
            self.context.notify(session, SHARDS, encode(AssignmentChanged(name, changes)))

    def _emit(self, kind: int, name: bytes, changes: list[ShardChange]) -> None:
        self.context.emit((kind, name, encode(AssignmentChanged(name, changes)), 0, NO_SESSION, SHARDS))

    def _found(self, name: bytes) -> Assignment:
        assignment = self._assignments.get(name)
        assert assignment is not None
        return assignment

    def _names_of(self, group: bytes) -> list[bytes]:
        return [key[len(group) + 1 :] for key, _ in self._of_group.scan(group + SEPARATOR, group + b"\1")]


class _Moves:
    """What one command moves in one assignment."""

    __slots__ = ("all", "told")

    def __init__(self) -> None:
        self.all: list[ShardChange] = []
        self.told: dict[SessionId, list[ShardChange]] = {}

    def add(self, change: ShardChange, *, is_told: bool) -> None:
        self.all.append(change)
        if is_told:
            self.told.setdefault(change.session, []).append(change)


LISTED_MAX = 16  # assignments of one page: all their shards are counted for it
COUNTED_AT_ONCE = 4  # shards, in the time in which one row is looked at


def token_name(name: bytes, shard: int) -> bytes:
    """What a transaction asks for when it names a shard's token: `jobs/7`."""
    return b"%s/%d" % (name, shard)


def _key(name: bytes, shard: int) -> bytes:
    return name + SEPARATOR + _pack_shard(shard)


def _name_of(key: bytes) -> bytes:
    return key[: -_SHARD_BYTES - 1]


def _shard_of(key: bytes) -> int:
    return int.from_bytes(key[-_SHARD_BYTES:], "big")


def _charge(name: bytes, assignment: Assignment) -> int:
    return 2 * (len(name) + len(assignment.group)) + ASSIGNMENT_CHARGE_BYTES


def _missing(name: bytes) -> Missing:
    return Missing(f"there is no assignment {_shown(name)}; create it first")


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")
