"""Barriers: nobody goes on before enough sessions are inside, and the round is over once all of them have left. Pure."""

from collections.abc import Mapping
from struct import Struct
from typing import ClassVar

import msgspec

from coordnode.errors import BadRequest, Conflict, CoordError, Full, NotHeld, StateFull
from coordnode.ids import NO_SESSION, Revision, SessionId, Token
from coordnode.services.commands import (
    BARRIER_OPENED,
    BARRIER_OVER,
    BARRIERS,
    BarrierChanged,
    BarrierInfo,
    BarrierPage,
    BarrierView,
    EnterBarrier,
    GetBarrier,
    LeaveBarrier,
    ListBarriers,
    Result,
    encode,
)
from coordnode.services.context import Check, Context, Service, failure
from coordnode.services.names import check_name, check_page, page_of
from coordnode.services.rights import BARRIER, PREFIX, READ, USE, Rights, needs
from coordnode.services.state import Settings
from coordnode.services.tables import Table

BARRIERS_ID = 80
INSIDE_ID = 81

BARRIER_CHARGE_BYTES = 250
INSIDE_CHARGE_BYTES = 160

SEPARATOR = b"\0"
NO_REVISION = Revision(0)

_pack_session = Struct(">Q").pack
_SESSION_BYTES = 8


class Barrier(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """commands.BarrierInfo without its name."""

    round: Token
    count: int
    inside: int  # never 0
    opened: Revision


def _check_enter(operation: EnterBarrier, settings: Settings) -> CoordError | None:
    if not 1 <= operation.count <= settings.barrier_count_max:
        return BadRequest(f"a barrier waits for 1 to {settings.barrier_count_max} sessions, not {operation.count}")
    return check_name("barrier", operation.name, settings)


def _check_leave(operation: LeaveBarrier, settings: Settings) -> CoordError | None:
    return check_name("barrier", operation.name, settings)


def _check_get(operation: GetBarrier, settings: Settings) -> CoordError | None:
    if not 0 <= operation.after < 2**53 or operation.limit < 0:
        return BadRequest("a list of sessions begins after an id and has a limit: neither is below 0")
    return check_name("barrier", operation.name, settings)


def _check_list(operation: ListBarriers, settings: Settings) -> CoordError | None:
    return check_page("barrier", operation.prefix, operation.after, operation.limit, settings)


class Barriers(Service):
    LEVELS: ClassVar[Mapping[type, int]] = {EnterBarrier: 3, LeaveBarrier: 3, GetBarrier: 3, ListBarriers: 3}
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        EnterBarrier: needs(BARRIER, USE),
        LeaveBarrier: needs(BARRIER, USE),
        GetBarrier: needs(BARRIER, READ),
        ListBarriers: needs(BARRIER, READ, "prefix", PREFIX),
    }
    CHECKS: ClassVar[Mapping[type, Check]] = {
        EnterBarrier: _check_enter,
        LeaveBarrier: _check_leave,
        GetBarrier: _check_get,
        ListBarriers: _check_list,
    }
    ADDS_DATA: ClassVar[tuple[type, ...]] = (EnterBarrier,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._barriers: Table[Barrier] = Table(BARRIERS_ID, Barrier)
        self._inside: Table[int] = Table(INSIDE_ID, int)  # name, zero byte, session -> 1
        self.containers = (self._barriers, self._inside)
        self.routes = {EnterBarrier: self.enter, LeaveBarrier: self.leave}
        self.reads = {GetBarrier: self.get, ListBarriers: self.page}

    def enter(self, operation: EnterBarrier) -> Result:
        context = self.context
        name, session = operation.name, context.session
        if not session:
            return failure(BadRequest(f"nobody can enter barrier {_shown(name)} without a session; open one first"))
        old = self._barriers.get(name)
        key = name + SEPARATOR + _pack_session(session)
        if old is not None:
            if self._inside.get(key) is not None:
                return failure(Conflict(f"session {session} is inside barrier {_shown(name)} already; leave it first"))
            if old.count != operation.count:
                return failure(
                    Conflict(f"barrier {_shown(name)} waits for {old.count} sessions, not {operation.count}; say the same number")
                )
            if old.opened:
                still = f"{old.inside} of its {old.count} sessions have not left yet"
                return failure(Full(f"barrier {_shown(name)} is open, and {still}; enter once all of them have"))
        charge = len(key) + INSIDE_CHARGE_BYTES + (0 if old is not None else len(name) + BARRIER_CHARGE_BYTES)
        if not context.has_room(charge):
            return failure(
                StateFull(f"another session inside would pass {context.settings.state_bytes_max} bytes in all; delete something")
            )
        inside = 1 if old is None else old.inside + 1
        opened = Revision(context.scalars.revision + 1) if inside == operation.count else NO_REVISION
        new = Barrier(context.holdings.next_number() if old is None else old.round, operation.count, inside, opened)
        context.scalars.state_bytes += charge
        context.holdings.claim(session, BARRIERS, name)
        self._inside.set(key, 1)
        self._barriers.set(name, new)
        if opened:
            self._tell(BARRIER_OPENED, name, new)
        return BarrierChanged(context.publish(), _info(name, new), True)

    def leave(self, operation: LeaveBarrier) -> Result:
        context = self.context
        name = operation.name
        old = self._barriers.get(name)
        if old is None or self._inside.get(name + SEPARATOR + _pack_session(context.session)) is None:
            who = f"session {context.session}" if context.session != NO_SESSION else "a command without session"
            return failure(NotHeld(f"{who} is not inside barrier {_shown(name)}; enter it first"))
        if operation.only_waiting and old.opened:
            return BarrierChanged(context.scalars.revision, _info(name, old), True)
        left = self._remove(name, old, context.session)
        return BarrierChanged(context.publish(), _info(name, left), False)

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        for name in self.context.holdings.claims(session, BARRIERS):
            old = self._barriers.get(name)
            assert old is not None
            self._remove(name, old, session)

    def get(self, operation: GetBarrier, items_max: int, bytes_max: int) -> Result:
        revision = self.context.scalars.revision
        barrier = self._barriers.get(operation.name)
        if barrier is None:
            return BarrierView(revision, None, [], False)
        count = min(operation.limit or items_max, items_max)
        sessions: list[tuple[SessionId, str]] = []
        start = operation.name + SEPARATOR + _pack_session(operation.after + 1)
        for key, _ in self._inside.scan(start, operation.name + b"\1"):
            if len(sessions) == count:
                return BarrierView(revision, _info(operation.name, barrier), sessions, True)
            session = SessionId(int.from_bytes(key[-_SESSION_BYTES:], "big"))
            sessions.append((session, self.context.owner_of(session)))
        return BarrierView(revision, _info(operation.name, barrier), sessions, False)

    def page(self, operation: ListBarriers, items_max: int, bytes_max: int) -> Result:
        rows, more = page_of(self._barriers, operation.prefix, operation.after, operation.limit, items_max)
        return BarrierPage(self.context.scalars.revision, [_info(name, barrier) for name, barrier in rows], more)

    def _remove(self, name: bytes, old: Barrier, session: SessionId) -> Barrier:
        context = self.context
        key = name + SEPARATOR + _pack_session(session)
        new = Barrier(old.round, old.count, old.inside - 1, old.opened)
        self._inside.delete(key)
        context.holdings.unclaim(session, BARRIERS, name)
        context.scalars.state_bytes -= len(key) + INSIDE_CHARGE_BYTES
        if new.inside:
            self._barriers.set(name, new)
        else:
            self._barriers.delete(name)
            context.scalars.state_bytes -= len(name) + BARRIER_CHARGE_BYTES
            if old.opened:
                self._tell(BARRIER_OVER, name, new)
        return new

    def _tell(self, kind: int, name: bytes, barrier: Barrier) -> None:
        self.context.emit((kind, name, encode(_info(name, barrier)), 0, NO_SESSION, BARRIERS))


def _info(name: bytes, barrier: Barrier) -> BarrierInfo:
    return BarrierInfo(name, barrier.round, barrier.count, barrier.inside, barrier.opened)


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")
