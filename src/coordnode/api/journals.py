"""Routes of journals: batches appended, read from an offset on, trimmed. Pure."""

from base64 import b64encode
from typing import Annotated

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.route import NUMBER_MAX, Asked, ListQuery, Query, Read, ReadQuery, Route, Work, Write
from coordnode.api.values import Base64, in_query, text_of
from coordnode.errors import BadRequest
from coordnode.services.commands import (
    JOURNAL_BYTES_USUAL,
    AppendRecords,
    ConfigureJournal,
    DeleteJournal,
    Done,
    GetJournal,
    JournalInfo,
    JournalPage,
    JournalView,
    ListJournals,
    ReadRecords,
    RecordsAppended,
    RecordsRead,
    Result,
    TrimJournal,
)
from coordnode.services.commands.records import pack_sizes, records_in

READ_BYTES_MAX = 262_144  # of one answer: JSON shows each record twice

Offset = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]


# --- what is asked -----------------------------------------------------------------------------------------------------


class RecordsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Records as text or as base64: all are appended, one behind the other, or none. Or send the bytes of one alone, with another
    content type."""

    records: Annotated[list[str], Meta(max_length=65_536)] | None = None
    records_base64: Annotated[list[Base64], Meta(max_length=65_536)] | None = None


class BoundBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bytes_max: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="what is beyond it is dropped, the oldest first")] = JOURNAL_BYTES_USUAL


class TrimBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    before: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="records before this offset are gone")]


class RecordsQuery(ReadQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    offset: Annotated[Offset, Meta(description="of the first record that is wanted")] = 0
    limit: Annotated[Offset, Meta(description="0: as many as one answer holds")] = 0


# --- what is answered ----------------------------------------------------------------------------------------------------


class RecordsAreAppended(msgspec.Struct, frozen=True):
    revision: int
    first: int  # the first record's offset; the others follow
    next: int  # what the next record will get


class ShownRecord(msgspec.Struct, frozen=True):
    offset: int
    record: str | None
    record_base64: str


class RecordsShown(msgspec.Struct, frozen=True):
    """None: the journal ends there. Go on with `offset` = the last one's + 1."""

    revision: int
    first: int  # the oldest record that is still here
    next: int  # what the next record will get
    records: list[ShownRecord]


class ShownJournal(msgspec.Struct, frozen=True):
    journal: str | None
    journal_base64: str
    bytes_max: int
    first: int
    next: int
    size_bytes: int


class JournalShown(msgspec.Struct, frozen=True):
    revision: int
    journal: ShownJournal


class JournalsShown(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = the last name."""

    revision: int
    journals: list[ShownJournal]
    more: bool


class JournalIsDeleted(msgspec.Struct, frozen=True):
    revision: int
    changed: int


# --- from one to the other ---------------------------------------------------------------------------------------------


def _append(asked: Asked[Query, RecordsBody | bytes]) -> Work:
    body = asked.body
    if isinstance(body, bytes):
        records = [body]
    elif (body.records is None) == (body.records_base64 is None):
        raise BadRequest("give either records (text) or records_base64")
    else:
        records = [text.encode() for text in body.records or ()] or list(body.records_base64 or ())
    return Write(AppendRecords(asked.path["journal"], len(records), b"".join(records), pack_sizes(records)))


def _show_appended(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    appended = expect(result, RecordsAppended)
    return RecordsAreAppended(appended.revision, appended.first, appended.next)


def _read(asked: Asked[RecordsQuery, None]) -> Work:
    query = asked.query
    return Read(ReadRecords(asked.path["journal"], query.offset, query.limit, READ_BYTES_MAX))


def _show_records(asked: Asked[RecordsQuery, None], result: Result) -> msgspec.Struct:
    found = expect(result, RecordsRead)
    offset = asked.query.offset
    records = enumerate(records_in(found.frames, offset, asked.query.limit), offset)
    shown = [ShownRecord(number, text_of(data), b64encode(data).decode()) for number, data in records]
    return RecordsShown(found.revision, found.first, found.next, shown)


def _trim(asked: Asked[Query, TrimBody]) -> Work:
    return Write(TrimJournal(asked.path["journal"], asked.body.before))


def _configure(asked: Asked[Query, BoundBody]) -> Work:
    return Write(ConfigureJournal(asked.path["journal"], asked.body.bytes_max))


def _delete(asked: Asked[Query, None]) -> Work:
    return Write(DeleteJournal(asked.path["journal"]))


def _show_deleted(asked: Asked[Query, None], result: Result) -> msgspec.Struct:
    done = expect(result, Done)
    return JournalIsDeleted(done.revision, done.changed)


def _get(asked: Asked[ReadQuery, None]) -> Work:
    return Read(GetJournal(asked.path["journal"]))


def _show_journal(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    view = expect(result, JournalView)
    return JournalShown(view.revision, _journal(view.journal))


def _list(asked: Asked[ListQuery, None]) -> Work:
    query = asked.query
    return Read(ListJournals(in_query(query.prefix), in_query(query.after), query.limit))


def _show_page(asked: Asked[ListQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, JournalPage)
    return JournalsShown(page.revision, [_journal(journal) for journal in page.journals], page.more)


def _journal(info: JournalInfo) -> ShownJournal:
    name = b64encode(info.name).decode()
    return ShownJournal(text_of(info.name), name, info.bytes_max, info.first, info.next, info.size)


ROUTES = (
    Route("GET", "/v1/journals", "journal-list", "Journals by name, a page at a time.", _list, _show_page, {200: JournalsShown}, ListQuery),
    Route(
        "GET", "/v1/journals/{journal}", "journal-get", "A journal: its bound, where it begins and ends.",
        _get, _show_journal, {200: JournalShown}, ReadQuery,
    ),
    Route(
        "PUT", "/v1/journals/{journal}", "journal-configure", "Make a journal, or give it another bound.",
        _configure, _show_journal, {200: JournalShown}, body=BoundBody, is_write=True,
    ),
    Route(
        "DELETE", "/v1/journals/{journal}", "journal-delete", "Delete a journal with all that is in it.",
        _delete, _show_deleted, {200: JournalIsDeleted}, is_write=True,
    ),
    Route(
        "POST", "/v1/journals/{journal}/records", "records-append",
        "Append a batch; a journal that does not exist is made. Give an Idempotency-Key, so that it is appended once.",
        _append, _show_appended, {200: RecordsAreAppended}, body=RecordsBody, takes_raw=True, is_write=True,
    ),
    Route(
        "GET", "/v1/journals/{journal}/records", "records-read", "Records from an offset on.",
        _read, _show_records, {200: RecordsShown}, RecordsQuery,
    ),
    Route(
        "POST", "/v1/journals/{journal}/trim", "journal-trim", "Drop the records before an offset.",
        _trim, _show_journal, {200: JournalShown}, body=TrimBody, is_write=True,
    ),
)  # fmt: skip
