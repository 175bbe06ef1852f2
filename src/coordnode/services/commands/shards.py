"""Assignments of shards over the members of a group: what may be asked and what is answered. Pure."""

import msgspec

from coordnode.ids import NO_SESSION, Revision, SessionId, Token
from coordnode.services.commands.base import NoticeBase, OperationBase, ResultBase


class CreateAssignment(OperationBase, frozen=True, array_like=True, gc=False, tag=80):
    """Shards 0 … shards - 1, each owned by one member of the group at a time. The group may have no members yet."""

    name: bytes
    group: bytes
    shards: int
    revoke_ms: int = 10_000  # so long an owner may take to let go of a shard that is wanted elsewhere


class ConfigureAssignment(OperationBase, frozen=True, array_like=True, gc=False, tag=81):
    """None: stays as it is. Shards beyond a lower number are revoked like any other, and are gone once they are free."""

    name: bytes
    shards: int | None = None
    revoke_ms: int | None = None


class DeleteAssignment(OperationBase, frozen=True, array_like=True, gc=False, tag=82):
    """At once: every owner is told, and every token is void."""

    name: bytes


class ReleaseShard(OperationBase, frozen=True, array_like=True, gc=False, tag=83):
    """By its owner, once it has stopped working on it: the token says which ownership is meant."""

    name: bytes
    shard: int
    token: Token


class GetAssignment(OperationBase, frozen=True, array_like=True, gc=False, tag=84):
    """Whole; only ever a read."""

    name: bytes


class ListAssignments(OperationBase, frozen=True, array_like=True, gc=False, tag=85):
    prefix: bytes = b""
    after: bytes = b""  # the last name of the page before
    limit: int = 0  # 0: as many as one page may hold


# --- what is answered ----------------------------------------------------------------------------------------------


class OwnedShard(msgspec.Struct, frozen=True, array_like=True, gc=False):
    shard: int
    member: bytes
    session: SessionId
    token: Token
    revoke_left_ms: int | None = None  # to be released, within this time; None: nobody wants it elsewhere


class AssignmentView(ResultBase, frozen=True, array_like=True, tag=80):
    """A shard that is not in `owned` has no owner now."""

    revision: Revision
    group: bytes
    shards: int
    revoke_ms: int
    owned: list[OwnedShard]  # in the order of shards


class AssignmentInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    group: bytes
    shards: int
    owned: int
    revoking: int


class AssignmentPage(ResultBase, frozen=True, array_like=True, tag=81):
    revision: Revision
    assignments: list[AssignmentInfo]
    more: bool


# --- what watches and owners see -----------------------------------------------------------------------------------

ASSIGNED = 0
REVOKING = 1  # the owner shall let go, and is the owner until it did or its time is over
FREED = 2  # its owner let go, left with its session, or its time was over


class ShardChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    shard: int
    kind: int  # ASSIGNED, REVOKING, FREED
    member: bytes
    session: SessionId = NO_SESSION
    token: Token = Token(0)


ASSIGNMENT_CONFIGURED = 0  # created, or changed in number or time
ASSIGNMENT_MOVED = 1
ASSIGNMENT_DELETED = 2


class AssignmentChanged(NoticeBase, frozen=True, array_like=True, tag=80):
    """The value of an assignment's event and, about the own shards only, of an owner's notice."""

    name: bytes
    changes: list[ShardChange]  # in the order in which they happened


_changed_decoder = msgspec.msgpack.Decoder(AssignmentChanged)


def decode_assignment_changed(value: bytes) -> AssignmentChanged:
    return _changed_decoder.decode(value)


# --- all of them --------------------------------------------------------------------------------------------------

ShardOperation = CreateAssignment | ConfigureAssignment | DeleteAssignment | ReleaseShard
ShardRead = GetAssignment | ListAssignments
ShardResult = AssignmentView | AssignmentPage
ShardNotice = AssignmentChanged
