"""Barriers: what may be asked and what is answered. Pure.

A round begins with who comes first, opens when `count` sessions are inside, and is over when all of them have left.
"""

import msgspec

from coordnode.ids import NO_SESSION, Revision, SessionId, Token
from coordnode.services.commands.base import OperationBase, ResultBase


class EnterBarrier(OperationBase, frozen=True, array_like=True, gc=False, tag=90):
    """The command's session is inside until it leaves, or ends."""

    name: bytes
    count: int  # all who enter must say the same


class LeaveBarrier(OperationBase, frozen=True, array_like=True, gc=False, tag=91):
    name: bytes
    only_waiting: bool = False  # stay inside if the barrier is open: giving up must not come too late


class GetBarrier(OperationBase, frozen=True, array_like=True, gc=False, tag=92):
    """Only ever a read."""

    name: bytes
    after: SessionId = NO_SESSION  # the last one of the page before
    limit: int = 0  # 0: as many as one page may hold


class ListBarriers(OperationBase, frozen=True, array_like=True, gc=False, tag=93):
    prefix: bytes = b""
    after: bytes = b""
    limit: int = 0


# --- what is answered ----------------------------------------------------------------------------------------------


class BarrierInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    round: Token  # names it: no other round of any barrier has this number
    count: int
    inside: int
    opened: Revision  # 0: it waits for more


class BarrierChanged(ResultBase, frozen=True, array_like=True, gc=False, tag=90):
    """As it is after entering or leaving; with nobody inside the round is over."""

    revision: Revision
    barrier: BarrierInfo
    is_inside: bool  # who asked


class BarrierView(ResultBase, frozen=True, array_like=True, tag=91):
    revision: Revision
    barrier: BarrierInfo | None  # None: nobody is inside
    sessions: list[tuple[SessionId, str]]  # with their owners
    more: bool


class BarrierPage(ResultBase, frozen=True, array_like=True, tag=92):
    revision: Revision
    barriers: list[BarrierInfo]
    more: bool


# --- what watches see ----------------------------------------------------------------------------------------------

# One for all who wait: that somebody enters or leaves, nobody is told, or every round would cost the square of its sessions.
BARRIER_OPENED = 0
BARRIER_OVER = 1  # of one that was open: everybody has left

_info_decoder = msgspec.msgpack.Decoder(BarrierInfo)


def decode_barrier(value: bytes) -> BarrierInfo:
    """The value of a barrier's event."""
    return _info_decoder.decode(value)


# --- all of them --------------------------------------------------------------------------------------------------

BarrierOperation = EnterBarrier | LeaveBarrier
BarrierRead = GetBarrier | ListBarriers
BarrierResult = BarrierChanged | BarrierView | BarrierPage
