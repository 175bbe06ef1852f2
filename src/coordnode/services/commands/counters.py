"""Counters: what may be asked and what is answered. Pure."""

import msgspec

from coordnode.ids import Revision
from coordnode.services.commands.base import OperationBase, ResultBase


class AddCounter(OperationBase, frozen=True, array_like=True, gc=False, tag=95):
    """A counter that does not exist is made, from 0."""

    name: bytes
    delta: int


class DeleteCounter(OperationBase, frozen=True, array_like=True, gc=False, tag=96):
    name: bytes


class GetCounter(OperationBase, frozen=True, array_like=True, gc=False, tag=97):
    name: bytes


class ListCounters(OperationBase, frozen=True, array_like=True, gc=False, tag=98):
    prefix: bytes = b""
    after: bytes = b""  # the last name of the page before
    limit: int = 0  # 0: as many as one page may hold


# --- what is answered ----------------------------------------------------------------------------------------------


class CounterValue(ResultBase, frozen=True, array_like=True, gc=False, tag=95):
    """0 stands for a counter that does not exist, too."""

    revision: Revision
    value: int


class CounterInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    value: int


class CounterPage(ResultBase, frozen=True, array_like=True, gc=False, tag=96):
    revision: Revision
    counters: list[CounterInfo]
    more: bool


# --- all of them --------------------------------------------------------------------------------------------------

CounterOperation = AddCounter | DeleteCounter
CounterRead = GetCounter | ListCounters
CounterResult = CounterValue | CounterPage
