"""The one door every request passes before anything is proposed or read. Pure."""

from collections.abc import Sequence

from coordnode.errors import BadRequest, LevelMissing, NoSpace, WritesStopped
from coordnode.ids import MemberId
from coordnode.raft.core import Raft
from coordnode.raft.quorum import has_quorum
from coordnode.services.auth.permits import Permit
from coordnode.services.commands import ClientCommand, OpenSession, Transaction
from coordnode.services.machine import Machine
from coordnode.services.registry import ADDS_DATA


def authorise(permit: Permit, operations: Sequence[object]) -> None:
    """May this caller do all of these? Raises NotPermitted. Until roles exist everybody may do everything."""
    for operation in operations:
        permit.check(operation)


HIDING = (Transaction, OpenSession)


def resolved(operation: object) -> Sequence[object]:
    """What is hidden in an operation that is HIDING: what a transaction compares and would do, or a session's first command."""
    if type(operation) is Transaction:
        return [operation, *operation.compares, *operation.then, *operation.otherwise]
    if type(operation) is OpenSession and operation.first is not None:
        return [operation, *resolved(operation.first)]
    return (operation,)


def has_space_quorum(raft: Raft) -> bool:
    def has_space(member: MemberId) -> bool:
        if member == raft.member:
            return raft.space_ok
        peer = raft.progress.get(member)
        return peer is not None and peer.is_heard() and peer.space_ok  # the last word of who is dead is no room

    return has_quorum(raft.config, has_space)


def check_level(raft: Raft, present: int, level: int) -> None:
    """Whether the cluster's feature level may be raised to this one."""
    if level <= present:
        raise BadRequest(f"the cluster's feature level is {present} already and never goes back")
    if level > raft.level_max:
        raise LevelMissing(f"this leader's build knows feature levels up to {raft.level_max}, not {level}")
    for member, peer in raft.progress.items():
        if peer.level_max < level:
            known = f"knows levels up to {peer.level_max}" if peer.level_max else "has not been heard of yet"
            raise LevelMissing(f"member {member} {known}; upgrade every member before raising the level to {level}")


def admit_write(machine: Machine, command: ClientCommand, permit: Permit, stopped_at: int, *, has_space: bool) -> None:
    """Raises the error that says why it may not be proposed."""
    operation = command.operation
    authorise(permit, resolved(operation) if type(operation) in HIDING else (operation,))
    if command.session and not permit.may_all:
        permit.check_session(command.session)
    error = machine.admit(command)
    if error is not None:
        raise error
    if stopped_at:
        raise WritesStopped(f"members' states differ at index {stopped_at} and none has a majority; see `coordctl status`")
    if not has_space and isinstance(operation, ADDS_DATA):
        raise NoSpace("the disks of too many members are full; free space, or delete keys", retry_after_ms=1_000)
