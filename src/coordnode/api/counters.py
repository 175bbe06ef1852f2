"""Routes of counters: numbers that many add to. Pure."""

from base64 import b64encode
from typing import Annotated

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.kv import KvDeleted
from coordnode.api.route import NUMBER_MAX, Asked, ListQuery, Query, Read, ReadQuery, Route, Work, Write
from coordnode.api.values import in_query, text_of
from coordnode.services.commands import AddCounter, CounterPage, CounterValue, DeleteCounter, Done, GetCounter, ListCounters, Result


class AddBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    delta: Annotated[int, Meta(ge=-NUMBER_MAX, le=NUMBER_MAX)] = 1


class Counted(msgspec.Struct, frozen=True):
    """0 stands for a counter that does not exist, too."""

    revision: int
    value: int


class ShownCounter(msgspec.Struct, frozen=True):
    name: str | None
    name_base64: str
    value: int


class ShownCounters(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = the last name."""

    revision: int
    counters: list[ShownCounter]
    more: bool


def _add(asked: Asked[Query, AddBody]) -> Work:
    return Write(AddCounter(asked.path["name"], asked.body.delta))


def _get(asked: Asked[ReadQuery, None]) -> Work:
    return Read(GetCounter(asked.path["name"]))


def _show_value(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    counted = expect(result, CounterValue)
    return Counted(counted.revision, counted.value)


def _delete(asked: Asked[Query, None]) -> Work:
    return Write(DeleteCounter(asked.path["name"]))


def _show_deleted(asked: Asked[Query, None], result: Result) -> msgspec.Struct:
    done = expect(result, Done)
    return KvDeleted(done.revision, done.changed, done.more)


def _list(asked: Asked[ListQuery, None]) -> Work:
    query = asked.query
    return Read(ListCounters(in_query(query.prefix), in_query(query.after), query.limit))


def _show_page(asked: Asked[ListQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, CounterPage)
    shown = [ShownCounter(text_of(one.name), b64encode(one.name).decode(), one.value) for one in page.counters]
    return ShownCounters(page.revision, shown, page.more)


ROUTES = (
    Route("GET", "/v1/counters/{name...}", "counter-get", "What a counter stands at.", _get, _show_value, {200: Counted}, ReadQuery),
    Route(
        "POST", "/v1/counters/{name...}", "counter-add", "Add to a counter; give an Idempotency-Key, so that it is added once.",
        _add, _show_value, {200: Counted}, body=AddBody, is_write=True,
    ),
    Route(
        "DELETE", "/v1/counters/{name...}", "counter-delete", "Delete a counter: it stands at 0 again.",
        _delete, _show_deleted, {200: KvDeleted}, is_write=True,
    ),
    Route("GET", "/v1/counters", "counter-list", "Counters by name, a page at a time.", _list, _show_page, {200: ShownCounters}, ListQuery),
)  # fmt: skip
