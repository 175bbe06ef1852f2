"""Counters: numbers that many add to, each addition exactly once. Pure."""

from collections.abc import Mapping
from typing import ClassVar

from coordnode.errors import BadRequest, CoordError, StateFull
from coordnode.ids import NO_SESSION
from coordnode.services.commands import (
    COUNTERS,
    DELETE_EVENT,
    PUT_EVENT,
    AddCounter,
    CounterInfo,
    CounterPage,
    CounterValue,
    DeleteCounter,
    Done,
    GetCounter,
    ListCounters,
    Result,
    encode,
)
from coordnode.services.context import Check, Context, Service, failure
from coordnode.services.names import check_name, check_page, page_of
from coordnode.services.rights import COUNTER, MANAGE, PREFIX, READ, USE, Rights, needs
from coordnode.services.state import Settings
from coordnode.services.tables import Table

COUNTERS_ID = 85

COUNTER_CHARGE_BYTES = 200
VALUE_MAX = 2**53 - 1  # JSON carries it unharmed


def _check_add(operation: AddCounter, settings: Settings) -> CoordError | None:
    if not -VALUE_MAX <= operation.delta <= VALUE_MAX:
        return BadRequest(f"{operation.delta} cannot be added to a counter: it holds whole numbers from -(2**53 - 1) to 2**53 - 1")
    return check_name("counter", operation.name, settings)


def _check_named(operation: GetCounter | DeleteCounter, settings: Settings) -> CoordError | None:
    return check_name("counter", operation.name, settings)


def _check_list(operation: ListCounters, settings: Settings) -> CoordError | None:
    return check_page("counter", operation.prefix, operation.after, operation.limit, settings)


class Counters(Service):
    LEVELS: ClassVar[Mapping[type, int]] = {AddCounter: 3, DeleteCounter: 3, GetCounter: 3, ListCounters: 3}
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        AddCounter: needs(COUNTER, USE),
        DeleteCounter: needs(COUNTER, MANAGE),
        GetCounter: needs(COUNTER, READ),
        ListCounters: needs(COUNTER, READ, "prefix", PREFIX),
    }
    CHECKS: ClassVar[Mapping[type, Check]] = {
        AddCounter: _check_add,
        DeleteCounter: _check_named,
        GetCounter: _check_named,
        ListCounters: _check_list,
    }
    ADDS_DATA: ClassVar[tuple[type, ...]] = (AddCounter,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._values: Table[int] = Table(COUNTERS_ID, int)
        self.containers = (self._values,)
        self.routes = {AddCounter: self.add, DeleteCounter: self.delete}
        self.reads = {GetCounter: self.get, ListCounters: self.page}

    def add(self, operation: AddCounter) -> Result:
        context = self.context
        name = operation.name
        old = self._values.get(name)
        value = (old or 0) + operation.delta
        if not -VALUE_MAX <= value <= VALUE_MAX:
            return failure(BadRequest(f"counter {name.decode(errors='replace')} would be {value}, beyond 2**53 - 1; nothing was added"))
        if old is None:
            charge = len(name) + COUNTER_CHARGE_BYTES
            if not context.has_room(charge):
                return failure(StateFull(f"another counter would pass {context.settings.state_bytes_max} bytes in all; delete something"))
            context.scalars.state_bytes += charge
        self._values.set(name, value)
        context.emit((PUT_EVENT, name, encode(value), 0, NO_SESSION, COUNTERS))
        return CounterValue(context.publish(), value)

    def delete(self, operation: DeleteCounter) -> Result:
        """`changed` 0: there was none."""
        context = self.context
        name = operation.name
        existed = self._values.delete(name)
        if existed:
            context.scalars.state_bytes -= len(name) + COUNTER_CHARGE_BYTES
            context.emit((DELETE_EVENT, name, b"", 0, NO_SESSION, COUNTERS))
        return Done(context.publish(), int(existed))

    def get(self, operation: GetCounter, items_max: int, bytes_max: int) -> Result:
        return CounterValue(self.context.scalars.revision, self._values.get(operation.name) or 0)

    def page(self, operation: ListCounters, items_max: int, bytes_max: int) -> Result:
        rows, more = page_of(self._values, operation.prefix, operation.after, operation.limit, items_max)
        return CounterPage(self.context.scalars.revision, [CounterInfo(name, value) for name, value in rows], more)
