"""What can be wrong with a lock operation, whatever the state: asked before it is proposed, and again when it is applied. Pure."""

from collections.abc import Mapping

from coordnode.errors import BadRequest, CoordError
from coordnode.services.commands import (
    EXCLUSIVE,
    SEMAPHORE,
    SHARED,
    Acquire,
    BreakLock,
    ListLocks,
    ReadHeldLocks,
    ReadLock,
    Release,
)
from coordnode.services.context import Check
from coordnode.services.names import check_name, check_page, check_text
from coordnode.services.numbered import check_claimed, check_number, check_rows
from coordnode.services.state import Settings


def _check_acquire(operation: Acquire, settings: Settings) -> CoordError | None:
    kind, permits, limit = operation.kind, operation.permits, operation.limit
    if kind not in (EXCLUSIVE, SHARED, SEMAPHORE):
        return BadRequest(f"there is no kind {kind} of lock: {EXCLUSIVE} is exclusive, {SHARED} shared, {SEMAPHORE} a semaphore")
    if kind != SEMAPHORE and (permits, limit) != (1, 0):
        return BadRequest(f"{permits} permits of {limit} make sense for a semaphore only; give 1 of 0 for another lock")
    if kind == SEMAPHORE and not 1 <= limit <= settings.lock_permits_max:
        return BadRequest(f"a semaphore of {limit} permits cannot be; give it 1 to {settings.lock_permits_max}")
    if kind == SEMAPHORE and not 1 <= permits <= limit:
        return BadRequest(f"{permits} permits cannot be had from a semaphore of {limit}; ask for 1 to {limit}")
    if not 0 <= operation.delay_ms <= settings.lock_delay_ms_max:
        return BadRequest(f"a lock-delay of {operation.delay_ms} ms cannot be; give 0 to {settings.lock_delay_ms_max} ms")
    return check_name("lock", operation.name, settings) or check_text("lock's note", operation.note, settings.note_bytes_max)


def _check_release(operation: Release, settings: Settings) -> CoordError | None:
    return check_number(operation.number, "the token or ticket to release") or check_name("lock", operation.name, settings)


def _check_break(operation: BreakLock, settings: Settings) -> CoordError | None:
    if operation.token and (error := check_number(operation.token, "the token to break")) is not None:
        return error
    for what, text in (("reason", operation.reason), ("name of who breaks it", operation.by)):
        if (error := check_text(what, text, settings.note_bytes_max)) is not None:
            return error
    return check_name("lock", operation.name, settings)


def _check_read(operation: ReadLock, settings: Settings) -> CoordError | None:
    return check_name("lock", operation.name, settings) or check_rows(operation.limit, operation.after_token, operation.after_ticket)


def _check_list(operation: ListLocks, settings: Settings) -> CoordError | None:
    return check_page("lock", operation.prefix, operation.after, operation.limit, settings)


def _check_held(operation: ReadHeldLocks, settings: Settings) -> CoordError | None:
    return check_claimed(operation.session, operation.after_name, operation.after_number, operation.limit, settings)


CHECKS: Mapping[type, Check] = {
    Acquire: _check_acquire,
    Release: _check_release,
    BreakLock: _check_break,
    ReadLock: _check_read,
    ListLocks: _check_list,
    ReadHeldLocks: _check_held,
}
