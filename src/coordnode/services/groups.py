"""Groups: members bound to sessions, what they say of themselves, and a number for every view of who is there. Pure.

A group exists while it has members. Whatever one command, or the end of one session, changes in a group is one view, and its number is
the revision of that change: nothing must be kept of a group that is gone for its numbers never to go back.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import msgspec

from coordnode.errors import BadRequest, Conflict, CoordError, Full, NotHeld, StateFull, TooLarge
from coordnode.ids import Revision, SessionId
from coordnode.services.commands import (
    GROUPS,
    HAS_NOT,
    IS,
    IS_NOT,
    MEMBER_JOINED,
    MEMBER_LEFT,
    MEMBER_UPDATED,
    FindMembers,
    FoundMember,
    GetGroup,
    GroupChanged,
    GroupInfo,
    GroupPage,
    GroupView,
    JoinGroup,
    LeaveGroup,
    ListGroups,
    Member,
    MemberPage,
    Require,
    Result,
    UpdateMember,
    encode,
)
from coordnode.services.commands.groups import Labels
from coordnode.services.context import Check, Context, Service, failure
from coordnode.services.names import check_name, check_page, page_of
from coordnode.services.rights import GROUP, PREFIX, READ, USE, Rights, needs
from coordnode.services.state import Settings
from coordnode.services.tables import Table

GROUPS_ID = 40
MEMBERS_ID = 41

GROUP_CHARGE_BYTES = 200
MEMBER_CHARGE_BYTES = 500
OWNER_BYTES_MAX = 200  # of a member that is called after its session's owner: with the session's id behind it, it is still a name

SEPARATOR = b"\0"


class Group(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    view: Revision
    members: int  # how many; never 0


class Joined(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """commands.Member without its name."""

    session: SessionId
    data: bytes
    labels: Labels
    weight: int
    joined: Revision


# --- what can be wrong, whatever the state -----------------------------------------------------------------------------


def _check_about(data: bytes, labels: Labels, weight: int, settings: Settings) -> CoordError | None:
    size = len(data) + sum([len(key.encode()) + len(value.encode()) for key, value in labels])
    if size > settings.member_bytes_max:
        return TooLarge(f"a member's data and labels have {size} bytes, at most {settings.member_bytes_max}; keep them elsewhere, by name")
    keys = [key for key, _ in labels]
    if not all(keys):
        return BadRequest("a label has no key; give key=value")
    if len(dict.fromkeys(keys)) < len(keys):
        return BadRequest("a label is given twice; give each key once")
    if not 0 <= weight <= settings.member_weight_max:
        return BadRequest(f"a member's weight is {weight}; give 0 to {settings.member_weight_max}")
    return None


def _check_join(operation: JoinGroup, settings: Settings) -> CoordError | None:
    error = check_name("group", operation.group, settings)
    if error is None and operation.member:
        error = check_name("member", operation.member, settings)
    return error or _check_about(operation.data, operation.labels, operation.weight, settings)


def _check_update(operation: UpdateMember, settings: Settings) -> CoordError | None:
    weight = 1 if operation.weight is None else operation.weight
    return _check_member(operation, settings) or _check_about(operation.data or b"", operation.labels or (), weight, settings)


def _check_member(operation: UpdateMember | LeaveGroup, settings: Settings) -> CoordError | None:
    return check_name("group", operation.group, settings) or check_name("member", operation.member, settings)


def _check_get(operation: GetGroup, settings: Settings) -> CoordError | None:
    return check_name("group", operation.group, settings)


def _check_list(operation: ListGroups, settings: Settings) -> CoordError | None:
    return check_page("group", operation.prefix, operation.after, operation.limit, settings)


def _check_find(operation: FindMembers, settings: Settings) -> CoordError | None:
    if len(operation.requires) > settings.requires_max:
        return TooLarge(f"a search for members has {len(operation.requires)} conditions, at most {settings.requires_max}")
    for require in operation.requires:
        if not require.key or not IS <= require.relation <= HAS_NOT:
            return BadRequest(f"a condition on a label names key {require.key!r} and relation {require.relation}; relations are 0 to 3")
    if operation.after_member and (error := check_name("member", operation.after_member, settings)) is not None:
        return error
    return check_page("group", operation.prefix, operation.after_group, operation.limit, settings)


class Groups(Service):
    LEVELS: ClassVar[Mapping[type, int]] = {
        JoinGroup: 3,
        UpdateMember: 3,
        LeaveGroup: 3,
        GetGroup: 3,
        ListGroups: 3,
        FindMembers: 3,
    }
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        JoinGroup: needs(GROUP, USE, "group"),
        UpdateMember: needs(GROUP, USE, "group"),
        LeaveGroup: needs(GROUP, USE, "group"),
        GetGroup: needs(GROUP, READ, "group"),
        ListGroups: needs(GROUP, READ, "prefix", PREFIX),
        FindMembers: needs(GROUP, READ, "prefix", PREFIX),
    }
    CHECKS: ClassVar[Mapping[type, Check]] = {
        JoinGroup: _check_join,
        UpdateMember: _check_update,
        LeaveGroup: _check_member,
        GetGroup: _check_get,
        ListGroups: _check_list,
        FindMembers: _check_find,
    }
    ADDS_DATA: ClassVar[tuple[type, ...]] = (JoinGroup, UpdateMember)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._groups: Table[Group] = Table(GROUPS_ID, Group)
        self._members: Table[Joined] = Table(MEMBERS_ID, Joined)  # group, zero byte, member
        self.containers = (self._groups, self._members)
        self.routes = {JoinGroup: self.join, UpdateMember: self.update, LeaveGroup: self.leave}
        self.reads = {GetGroup: self.get, ListGroups: self.page, FindMembers: self.find}
        context.weights_of = self.weights_of

    def members_of(self, group: bytes) -> Iterator[Member]:
        """In the order of their names."""
        start = group + SEPARATOR
        for key, joined in self._members.scan(start, group + b"\1"):
            yield _member(key[len(start) :], joined)

    def weights_of(self, group: bytes) -> list[tuple[bytes, SessionId, int]]:
        """(member, session, weight) of those with any weight, in the order of their names."""
        at = len(group) + 1
        rows = self._members.scan(group + SEPARATOR, group + b"\1")
        return [(key[at:], joined.session, joined.weight) for key, joined in rows if joined.weight]

    # --- handlers ------------------------------------------------------------------------------------------------------

    def join(self, operation: JoinGroup) -> Result:
        context = self.context
        group, session = operation.group, context.session
        if not session:
            return failure(BadRequest(f"nobody can join group {_shown(group)} without a session; open one first"))
        name = operation.member or self._name_for(group, session)
        key = group + SEPARATOR + name
        there = self._members.get(key)
        if there is not None:
            if there.session == session:
                who = f"this session itself, since view {there.joined}; update it instead"
            else:
                who = f"session {there.session} ({context.owner_of(there.session)}), since view {there.joined}; choose another name"
            return failure(Conflict(f"member {_shown(name)} of group {_shown(group)} is there already: {who}"))
        found = self._groups.get(group)
        if found is not None and found.members >= context.settings.group_members_max:
            return failure(Full(f"group {_shown(group)} has {found.members} members, which is the most; join another, or let some leave"))
        view = Revision(context.scalars.revision + 1)
        new = Joined(session, operation.data, tuple(sorted(operation.labels)), operation.weight, view)
        charge = _charge(key, new) + (0 if found is not None else len(group) + GROUP_CHARGE_BYTES)
        if not context.has_room(charge):
            return failure(StateFull(f"another member would pass {context.settings.state_bytes_max} bytes in all; delete something"))
        context.scalars.state_bytes += charge
        context.holdings.claim(session, GROUPS, key)
        self._members.set(key, new)
        self._groups.set(group, Group(view, 1 if found is None else found.members + 1))
        self._tell(MEMBER_JOINED, group, name, new)
        return GroupChanged(context.publish(), view, name)

    def update(self, operation: UpdateMember) -> Result:
        """What changes nothing makes no view."""
        context = self.context
        group, name = operation.group, operation.member
        old = self._held(group, name)
        if isinstance(old, CoordError):
            return failure(old)
        new = Joined(
            old.session,
            old.data if operation.data is None else operation.data,
            old.labels if operation.labels is None else tuple(sorted(operation.labels)),
            old.weight if operation.weight is None else operation.weight,
            old.joined,
        )
        if (error := _check_about(new.data, new.labels, new.weight, context.settings)) is not None:
            return failure(error)
        key = group + SEPARATOR + name
        grown = _charge(key, new) - _charge(key, old)
        if grown > 0 and not context.has_room(grown):
            return failure(StateFull(f"this would pass {context.settings.state_bytes_max} bytes in all; delete something"))
        found = self._groups.get(group)
        assert found is not None
        if new == old:
            return GroupChanged(context.scalars.revision, found.view, name)
        context.scalars.state_bytes += grown
        self._members.set(key, new)
        self._groups.set(group, Group(Revision(context.scalars.revision + 1), found.members))
        self._tell(MEMBER_UPDATED, group, name, new)
        revision = context.publish()
        return GroupChanged(revision, revision, name)

    def leave(self, operation: LeaveGroup) -> Result:
        held = self._held(operation.group, operation.member)
        if isinstance(held, CoordError):
            return failure(held)
        self._remove(operation.group, operation.member, held)
        self._tell(MEMBER_LEFT, operation.group, operation.member, held)
        revision = self.context.publish()
        return GroupChanged(revision, revision, operation.member)

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        for claimed in self.context.holdings.claims(session, GROUPS):
            group, _, name = claimed.partition(SEPARATOR)
            joined = self._members.get(claimed)
            assert joined is not None
            self._remove(group, name, joined)
            self._tell(MEMBER_LEFT, group, name, joined, is_ending=True)

    # --- reads ---------------------------------------------------------------------------------------------------------

    def get(self, operation: GetGroup, items_max: int, bytes_max: int) -> Result:
        """Whole, whatever a page may hold: half a view is none. group_members_max and member_bytes_max bound it."""
        found = self._groups.get(operation.group)
        if found is None:
            return GroupView(self.context.scalars.revision, Revision(0), [])
        return GroupView(self.context.scalars.revision, found.view, list(self.members_of(operation.group)))

    def page(self, operation: ListGroups, items_max: int, bytes_max: int) -> Result:
        rows, more = page_of(self._groups, operation.prefix, operation.after, operation.limit, items_max)
        return GroupPage(self.context.scalars.revision, [GroupInfo(name, group.view, group.members) for name, group in rows], more)

    def find(self, operation: FindMembers, items_max: int, bytes_max: int) -> Result:
        """Looks at as many members as a page may hold: who asks for the next page asks for the next look, too."""
        context = self.context
        count = min(operation.limit or items_max, items_max)
        start = operation.prefix
        if operation.after_group:
            start = max(start, operation.after_group + SEPARATOR + operation.after_member + b"\0")
        members: list[FoundMember] = []
        at = (operation.after_group, operation.after_member)
        size = 0
        for scanned, (key, joined) in enumerate(self._members.scan(start)):
            if not key.startswith(operation.prefix):
                break
            if len(members) == count or size >= bytes_max or scanned == items_max:
                return MemberPage(context.scalars.revision, members, True, *at)
            context.rows_looked_at += 1
            group, _, name = key.partition(SEPARATOR)
            at = (group, name)
            if _meets(joined.labels, operation.requires):
                members.append(FoundMember(group, _member(name, joined)))
                size += _charge(key, joined)
        return MemberPage(context.scalars.revision, members, False, *at)

    # --- what handlers share -------------------------------------------------------------------------------------------

    def _held(self, group: bytes, name: bytes) -> Joined | CoordError:
        joined = self._members.get(group + SEPARATOR + name)
        if joined is None:
            return NotHeld(f"group {_shown(group)} has no member {_shown(name)}; join it first")
        if joined.session != self.context.session:
            whose = f"session {joined.session} ({self.context.owner_of(joined.session)})"
            return NotHeld(f"member {_shown(name)} of group {_shown(group)} belongs to {whose}; only that session can change it")
        return joined

    def _remove(self, group: bytes, name: bytes, joined: Joined) -> None:
        context = self.context
        key = group + SEPARATOR + name
        found = self._groups.get(group)
        assert found is not None
        context.scalars.state_bytes -= _charge(key, joined)
        context.holdings.unclaim(joined.session, GROUPS, key)
        self._members.delete(key)
        if found.members > 1:
            self._groups.set(group, Group(Revision(context.scalars.revision + 1), found.members - 1))
        else:
            self._groups.delete(group)
            context.scalars.state_bytes -= len(group) + GROUP_CHARGE_BYTES

    def _tell(self, kind: int, group: bytes, name: bytes, joined: Joined, *, is_ending: bool = False) -> None:
        self.context.emit((kind, group, encode(_member(name, joined)), 0, joined.session, GROUPS))
        self.context.on_group_changed(group, is_ending)

    def _name_for(self, group: bytes, session: SessionId) -> bytes:
        """The session's owner, as far as that is a name, and its id where it alone is taken or empty."""
        owner = "".join([letter if " " <= letter != "\x7f" else " " for letter in self.context.owner_of(session)])
        name = owner.encode()[:OWNER_BYTES_MAX].decode(errors="ignore").encode()
        if name and self._members.get(group + SEPARATOR + name) is None:
            return name
        return b"%s/%d" % (name or b"session", session)


def _charge(key: bytes, joined: Joined) -> int:
    labels = sum([len(label.encode()) + len(value.encode()) for label, value in joined.labels])
    return len(key) + len(joined.data) + labels + MEMBER_CHARGE_BYTES


def _member(name: bytes, joined: Joined) -> Member:
    return Member(name, joined.session, joined.data, joined.labels, joined.weight, joined.joined)


def _meets(labels: Labels, requires: list[Require]) -> bool:
    values = dict(labels)
    for require in requires:
        value = values.get(require.key)
        if require.relation == IS:
            met = value == require.value
        elif require.relation == IS_NOT:
            met = value != require.value
        else:
            met = (value is None) == (require.relation == HAS_NOT)
        if not met:
            return False
    return True


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")
