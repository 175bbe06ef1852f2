"""The one door every request passes before anything is proposed or read. Pure."""

from collections.abc import Sequence

from coordnode.errors import NoSpace, WritesStopped
from coordnode.ids import MemberId
from coordnode.raft.core import Raft
from coordnode.raft.quorum import has_quorum
from coordnode.services.commands import ClientCommand, OpenSession, Transaction, decode_client_command
from coordnode.services.machine import Machine
from coordnode.services.registry import ADDS_DATA


def authorise(identity: str, operations: Sequence[object]) -> None:
    """May `identity` do all of these? Raises NotPermitted. Until roles exist everybody may do everything."""


HIDING = (Transaction, OpenSession)


def resolved(operation: object) -> Sequence[object]:
    """The operations hidden in one that is HIDING: what a transaction or a session's first command would do."""
    if type(operation) is Transaction:
        return [operation, *operation.then, *operation.otherwise]
    if type(operation) is OpenSession and operation.first is not None:
        return [operation, *resolved(operation.first)]
    return (operation,)


def has_space_quorum(raft: Raft) -> bool:
    def has_space(member: MemberId) -> bool:
        if member == raft.member:
            return raft.space_ok
        peer = raft.progress.get(member)
        return peer is None or peer.space_ok

    return has_quorum(raft.config, has_space)


def admit_write(machine: Machine, body: bytes, identity: str, stopped_at: int, *, has_space: bool) -> ClientCommand:
    """The decoded command, or the error that says why it may not be proposed."""
    command = decode_client_command(body)
    operation = command.operation
    authorise(identity, resolved(operation) if type(operation) in HIDING else (operation,))
    error = machine.admit(command)
    if error is not None:
        raise error
    if stopped_at:
        raise WritesStopped(f"members' states differ at index {stopped_at} and none has a majority; see `coordctl status`")
    if not has_space and isinstance(operation, ADDS_DATA):
        raise NoSpace("the disks of too many members are full; free space, or delete keys", retry_after_ms=1_000)
    return command
