"""What operations cost to apply, counted in plain puts: entries and turns are cut by it, so that none takes long. Pure.

An estimate from what an operation says, whatever it finds; nothing that is replicated depends on it.
"""

from coordnode.services.commands import (
    Acquire,
    AppendRecords,
    Checkpoint,
    CloseSession,
    Delete,
    DeleteRange,
    Expire,
    Get,
    OpenSession,
    Operation,
    Put,
    Transaction,
    Wake,
    Withdraw,
)

BYTES_WEIGHT = 1024  # so many bytes of an entry count as one put, beside what its commands count

_WORK: dict[type, int] = {Put: 1, Get: 1, Delete: 2, Acquire: 12, AppendRecords: 8, Wake: 256}
_USUAL = 10
_OPENED = 5
_ENDED = 16  # with what it held
_NOTED = 3  # a lease's checkpoint, or its withdrawal


def work_of(operation: Operation) -> int:
    work = _WORK.get(type(operation))
    if work is not None:
        return work
    if isinstance(operation, OpenSession):
        return _OPENED + (work_of(operation.first) if operation.first is not None else 0)
    if isinstance(operation, Transaction):
        return _USUAL + len(operation.compares) + 2 * (len(operation.then) + len(operation.otherwise))
    if isinstance(operation, CloseSession):
        return _ENDED
    if isinstance(operation, Expire):
        return _ENDED * len(operation.sessions)
    if isinstance(operation, Checkpoint):
        return _NOTED * len(operation.remaining_ms)
    if isinstance(operation, Withdraw):
        return _NOTED * len(operation.sessions)
    if isinstance(operation, DeleteRange):
        return _USUAL + operation.limit
    return _USUAL
