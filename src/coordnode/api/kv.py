"""Routes of keys and values: one key, ranges of keys, conditional puts, transactions. Pure."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.route import NUMBER_MAX, RAW_TYPE, Asked, Number, Plain, Query, Read, ReadQuery, Route, Shown, Work, Write
from coordnode.api.values import Base64, ShownItem, in_query, one_of, shown_item
from coordnode.client.requests import absent, at_revision
from coordnode.errors import BadRequest
from coordnode.ranges import prefix_end
from coordnode.services import commands
from coordnode.services.commands import Compare, Delete, DeleteRange, Done, Get, Got, Page, Put, Range, Result, Transaction, TransactionDone

Listed = Annotated[str, Meta(max_length=1025)]


# --- one key -----------------------------------------------------------------------------------------------------------


class KvItem(msgspec.Struct, frozen=True):
    revision: int  # of the state that was read
    item: ShownItem | None  # null: there is no such key


class KvChanged(msgspec.Struct, frozen=True):
    revision: int


class KvDeleted(msgspec.Struct, frozen=True):
    revision: int
    deleted: int  # how many keys there were
    more: bool  # of a range: keys remain, ask again


class KvUnchanged(msgspec.Struct, frozen=True):
    """The condition did not hold, and nothing was changed: this is what is there."""

    revision: int
    item: ShownItem | None


class PutQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prev_revision: (
        Annotated[
            int, Meta(ge=0, le=NUMBER_MAX, description="only if the key was last changed at this revision; 0: only if it does not exist")
        ]
        | None
    ) = None
    bound: Annotated[bool, Meta(description="the key ends with the session that Coord-Session names")] = False


class PutBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the two. A body of any other content type than JSON is the value itself."""

    value: str | None = None
    value_base64: Base64 | None = None


def _get(asked: Asked[ReadQuery, None]) -> Work:
    return Read(Get(asked.path["key"]))


def _show_got(asked: Asked[ReadQuery, None], result: Result) -> Plain | Shown:
    got = expect(result, Got)
    if asked.wants_raw and got.item is not None:
        return Shown(200, RAW_TYPE, got.item.value, (("Coord-Mod-Revision", str(got.item.mod_revision)),))
    item = shown_item(got.item) if got.item is not None else None
    return Plain(200 if item is not None else 404, KvItem(got.revision, item))


def _put(asked: Asked[PutQuery, PutBody | bytes]) -> Work:
    body, query, key = asked.body, asked.query, asked.path["key"]
    value = body if isinstance(body, bytes) else one_of(body.value, body.value_base64, "value")
    put = Put(key, value, query.bound)
    if query.prev_revision is None:
        return Write(put)
    compare = at_revision(key, query.prev_revision) if query.prev_revision else absent(key)
    return Write(Transaction([compare], [put], [Get(key)]))


def _show_put(asked: Asked[PutQuery, PutBody | bytes], result: Result) -> msgspec.Struct | Plain:
    if asked.query.prev_revision is None:
        return KvChanged(expect(result, Done).revision)
    done = expect(result, TransactionDone)
    if done.succeeded:
        return KvChanged(done.revision)
    got = done.results[0]
    return Plain(412, KvUnchanged(done.revision, shown_item(got.item) if isinstance(got, Got) and got.item is not None else None))


def _delete(asked: Asked[Query, None]) -> Work:
    return Write(Delete(asked.path["key"]))


def _show_deleted(asked: Asked[Query, None], result: Result) -> msgspec.Struct:
    done = expect(result, Done)
    return KvDeleted(done.revision, done.changed, done.more)


# --- ranges ------------------------------------------------------------------------------------------------------------


class RangeQuery(ReadQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prefix: Annotated[Listed, Meta(description="keys that begin so; instead of start and end")] | None = None
    start: Annotated[Listed, Meta(description="the first key")] = ""
    end: Annotated[Listed, Meta(description="the first key that is not meant; empty: none")] = ""
    limit: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="0: as many as one page may hold")] = 0
    keys_only: bool = False


class DeleteRangeQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prefix: Annotated[Listed, Meta(description="keys that begin so; instead of start and end")] | None = None
    start: Listed = ""
    end: Annotated[Listed, Meta(description="the first key that is not meant; empty: none")] = ""
    limit: Annotated[int, Meta(ge=1, le=1024, description="at most so many at a time; `more` says whether to go on")] = 128


class KvPage(msgspec.Struct, frozen=True):
    """One moment: `revision`. Go on with `start` = `next_start`, if that is not null; the next page may be of a later moment."""

    revision: int
    items: list[ShownItem]
    more: bool
    next_start: str | None  # percent-encoded


def bounds_of(prefix: str | None, start: str, end: str) -> tuple[bytes, bytes]:
    if prefix is None:
        return in_query(start), in_query(end)
    if start or end:
        raise BadRequest("give either prefix, or start and end")
    stem = in_query(prefix)
    return stem, prefix_end(stem)


def _range(asked: Asked[RangeQuery, None]) -> Work:
    query = asked.query
    start, end = bounds_of(query.prefix, query.start, query.end)
    return Read(Range(start, end, query.limit, query.keys_only))


def _show_page(asked: Asked[RangeQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, Page)
    next_start = None
    if page.more and page.items:
        next_start = "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}" for byte in page.items[-1].key + b"\0")
    return KvPage(page.revision, [shown_item(item) for item in page.items], page.more, next_start)


def _delete_range(asked: Asked[DeleteRangeQuery, None]) -> Work:
    query = asked.query
    if query.prefix is None and not query.start and not query.end:
        raise BadRequest("deleting every key needs prefix= (empty) said in so many words")
    start, end = bounds_of(query.prefix, query.start, query.end)
    return Write(DeleteRange(start, end, query.limit))


# --- transactions ------------------------------------------------------------------------------------------------------

FIELDS = {
    "value": commands.VALUE,
    "mod_revision": commands.MOD_REVISION,
    "create_revision": commands.CREATE_REVISION,
    "version": commands.VERSION,
    "token": commands.TOKEN,
}
RELATIONS = {"=": commands.EQUAL, "!=": commands.NOT_EQUAL, "<": commands.LESS, ">": commands.GREATER}


class _Keyed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: Listed | None = None
    key_base64: Base64 | None = None

    def named(self) -> bytes:
        return one_of(self.key, self.key_base64, "key")


class CompareBody(_Keyed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`number` for revisions and versions (all 0 where there is no key), and for a token that is held for what `key` names;
    one of the values for `value`."""

    field: Literal["value", "mod_revision", "create_revision", "version", "token"]
    relation: Literal["=", "!=", "<", ">"] = "="
    number: Number = 0
    value: str | None = None
    value_base64: Base64 | None = None


class PutStep(_Keyed, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="put", tag_field="op"):
    value: str | None = None
    value_base64: Base64 | None = None
    bound: bool = False


class DeleteStep(_Keyed, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="delete", tag_field="op"):
    pass


class GetStep(_Keyed, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="get", tag_field="op"):
    pass


Step = PutStep | DeleteStep | GetStep
Steps = Annotated[list[Step], Meta(max_length=128)]


class TransactionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All comparisons hold: `then`, else `otherwise`. One revision for all of it."""

    compares: Annotated[list[CompareBody], Meta(max_length=128)] = []
    then: Steps = []
    otherwise: Steps = []


class StepResult(msgspec.Struct, frozen=True):
    changed: int | None = None  # of put and delete: how many keys
    item: ShownItem | None = None  # of get


class TransactionResult(msgspec.Struct, frozen=True):
    revision: int
    succeeded: bool  # whether the comparisons held
    results: list[StepResult]


def _compare(body: CompareBody) -> Compare:
    field = FIELDS[body.field]
    value = None
    if field == commands.VALUE:
        value = one_of(body.value, body.value_base64, "value")
    elif body.value is not None or body.value_base64 is not None:
        raise BadRequest(f"a comparison of {body.field} takes a number, not a value")
    return Compare(body.named(), field, RELATIONS[body.relation], body.number, value)


def _step(step: Step) -> Put | Delete | Get:
    if isinstance(step, PutStep):
        return Put(step.named(), one_of(step.value, step.value_base64, "value"), step.bound)
    return Delete(step.named()) if isinstance(step, DeleteStep) else Get(step.named())


def _transaction(asked: Asked[Query, TransactionBody]) -> Work:
    body = asked.body
    return Write(
        Transaction(
            [_compare(compare) for compare in body.compares], [_step(step) for step in body.then], [_step(step) for step in body.otherwise]
        )
    )


def _show_transaction(asked: Asked[Query, TransactionBody], result: Result) -> msgspec.Struct:
    done = expect(result, TransactionDone)
    return TransactionResult(done.revision, done.succeeded, [_step_result(one) for one in done.results])


def _step_result(result: Done | Got) -> StepResult:
    if isinstance(result, Done):
        return StepResult(changed=result.changed)
    return StepResult(item=shown_item(result.item) if result.item is not None else None)


ROUTES = (
    Route(
        "GET", "/v1/kv/{key...}", "kv-get", "One key; with `Accept: application/octet-stream` its value alone.",
        _get, _show_got, {200: KvItem, 404: KvItem}, ReadQuery, gives_raw=True,
    ),
    Route(
        "PUT", "/v1/kv/{key...}", "kv-put", "Put a value: the body itself, or JSON that holds it.",
        _put, _show_put, {200: KvChanged, 412: KvUnchanged}, PutQuery, PutBody, takes_raw=True, is_write=True,
    ),
    Route(
        "DELETE", "/v1/kv/{key...}", "kv-delete", "Delete one key. It is no error if it was not there.",
        _delete, _show_deleted, {200: KvDeleted}, is_write=True,
    ),
    Route("GET", "/v1/kv", "kv-range", "Keys in order, a page at a time.", _range, _show_page, {200: KvPage}, RangeQuery),
    Route(
        "DELETE", "/v1/kv", "kv-delete-range", "Delete the first keys of a range, as many as `limit` says.",
        _delete_range, _show_deleted, {200: KvDeleted}, DeleteRangeQuery, is_write=True,
    ),
    Route(
        "POST", "/v1/transactions", "transaction", "Compare, then change, at one moment.",
        _transaction, _show_transaction, {200: TransactionResult}, body=TransactionBody, is_write=True,
    ),
)  # fmt: skip
