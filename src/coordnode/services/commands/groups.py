"""Groups: what may be asked and what is answered. Pure.

A view's number is the revision that made it: it never goes back, also when a group ends and begins anew, and a read with that
`min_revision` shows this view or a later one.
"""

import msgspec

from coordnode.ids import Revision, SessionId
from coordnode.services.commands.base import OperationBase, ResultBase

Labels = tuple[tuple[str, str], ...]  # (key, value), each key once


class JoinGroup(OperationBase, frozen=True, array_like=True, gc=False, tag=50):
    """The member lives no longer than the command's session. Without a name it is called after the session's owner."""

    group: bytes
    member: bytes = b""
    data: bytes = b""  # whatever others shall know: an address, a version
    labels: Labels = ()
    weight: int = 1  # its share of what is assigned over the group; 0: none


class UpdateMember(OperationBase, frozen=True, array_like=True, gc=False, tag=51):
    """Of the command's session only. None: stays as it is."""

    group: bytes
    member: bytes
    data: bytes | None = None
    labels: Labels | None = None
    weight: int | None = None


class LeaveGroup(OperationBase, frozen=True, array_like=True, gc=False, tag=52):
    group: bytes
    member: bytes


class GetGroup(OperationBase, frozen=True, array_like=True, gc=False, tag=53):
    """Its view, whole; only ever a read."""

    group: bytes


class ListGroups(OperationBase, frozen=True, array_like=True, gc=False, tag=54):
    prefix: bytes = b""
    after: bytes = b""  # the last name of the page before
    limit: int = 0  # 0: as many as one page may hold


IS = 0
IS_NOT = 1  # also true of a member without the label
HAS = 2
HAS_NOT = 3


class Require(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One condition on a member's labels."""

    key: str
    relation: int = HAS  # IS, IS_NOT, HAS, HAS_NOT
    value: str = ""


class FindMembers(OperationBase, frozen=True, array_like=True, tag=55):
    """Members that meet all requirements, in all groups of that prefix, in the order of (group, member)."""

    prefix: bytes = b""
    requires: list[Require] = []
    after_group: bytes = b""  # where the page before ended
    after_member: bytes = b""
    limit: int = 0


# --- what is answered ----------------------------------------------------------------------------------------------


class Member(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    session: SessionId
    data: bytes
    labels: Labels  # sorted
    weight: int
    joined: Revision  # the first view that it is in


class GroupChanged(ResultBase, frozen=True, array_like=True, gc=False, tag=50):
    """`view` is the one that this made, or, where it changed nothing, the one there is."""

    revision: Revision
    view: Revision
    member: bytes


class GroupView(ResultBase, frozen=True, array_like=True, tag=51):
    """A group without members has no view: `view` is 0."""

    revision: Revision
    view: Revision
    members: list[Member]  # in the order of their names


class GroupInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    view: Revision
    members: int


class GroupPage(ResultBase, frozen=True, array_like=True, tag=52):
    revision: Revision
    groups: list[GroupInfo]
    more: bool


class FoundMember(msgspec.Struct, frozen=True, array_like=True):
    group: bytes
    member: Member


class MemberPage(ResultBase, frozen=True, array_like=True, tag=53):
    """A page may be short, even empty, with more to come: it ends where enough was looked at."""

    revision: Revision
    members: list[FoundMember]
    more: bool
    at_group: bytes  # where the next page goes on
    at_member: bytes


# --- what watches see ----------------------------------------------------------------------------------------------

MEMBER_JOINED = 0
MEMBER_UPDATED = 1
MEMBER_LEFT = 2

_member_decoder = msgspec.msgpack.Decoder(Member)


def decode_member(value: bytes) -> Member:
    """The value of a group's event: the member as it is, or was when it left. Its key is the group; the change's revision the view."""
    return _member_decoder.decode(value)


# --- all of them --------------------------------------------------------------------------------------------------

GroupOperation = JoinGroup | UpdateMember | LeaveGroup
GroupRead = GetGroup | ListGroups | FindMembers
GroupResult = GroupChanged | GroupView | GroupPage | MemberPage
