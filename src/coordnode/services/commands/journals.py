"""Journals: what may be asked and what is answered. Pure.

An offset counts records, from 0; it is never given twice.
"""

import msgspec

from coordnode.errors import RecordError
from coordnode.ids import Revision
from coordnode.services.commands.base import OperationBase, ResultBase

JOURNAL_BYTES_USUAL = 268_435_456


class ConfigureJournal(OperationBase, frozen=True, array_like=True, gc=False, tag=100):
    """Makes it, or changes its bound: what is beyond a smaller one is dropped at once, the oldest first."""

    journal: bytes
    bytes_max: int = JOURNAL_BYTES_USUAL


class AppendRecords(OperationBase, frozen=True, array_like=True, gc=False, tag=101):
    """All of them or none, one behind the other. A journal that does not exist is made, with the usual bound."""

    journal: bytes
    count: int
    data: bytes  # the records, one behind the other
    sizes: bytes = b""  # as records.pack_sizes makes it


class TrimJournal(OperationBase, frozen=True, array_like=True, gc=False, tag=102):
    """Records before this offset are gone."""

    journal: bytes
    before: int


class DeleteJournal(OperationBase, frozen=True, array_like=True, gc=False, tag=103):
    """With all that is in it. One of the same name that is made later is another one: it begins at 0."""

    journal: bytes


class GetJournal(OperationBase, frozen=True, array_like=True, gc=False, tag=104):
    journal: bytes


class ListJournals(OperationBase, frozen=True, array_like=True, gc=False, tag=105):
    prefix: bytes = b""
    after: bytes = b""  # the last name of the page before
    limit: int = 0  # 0: as many as one page may hold


class ReadRecords(OperationBase, frozen=True, array_like=True, gc=False, tag=106):
    """Whole frames, from the one with this offset on, until they hold so many records or bytes: at least one frame, where there is any."""

    journal: bytes
    offset: int
    limit: int = 0  # 0: as many as one answer may hold
    bytes_max: int = 0


# --- what is answered ----------------------------------------------------------------------------------------------


class RecordsAppended(ResultBase, frozen=True, array_like=True, gc=False, tag=100):
    revision: Revision
    first: int  # the first record's offset; the others follow
    next: int  # what the next record will get


class JournalInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    bytes_max: int
    first: int  # the oldest record that is still here
    next: int  # what the next record will get; as `first`: it is empty
    size: int  # bytes that its records take, boundaries and checksums included


class JournalView(ResultBase, frozen=True, array_like=True, gc=False, tag=101):
    revision: Revision
    journal: JournalInfo


class JournalPage(ResultBase, frozen=True, array_like=True, tag=102):
    revision: Revision
    journals: list[JournalInfo]
    more: bool


class RecordsRead(ResultBase, frozen=True, array_like=True, gc=False, tag=103):
    revision: Revision
    first: int  # the oldest record that is still here
    next: int  # what the next record will get
    frames: bytes  # as records.records_in takes them apart; the first of them may begin before the offset that was asked for


# --- what everybody may watch (space JOURNALS), under the journal's name ------------------------------------------

JOURNAL_CHANGED = 0  # a JournalInfo: made, configured, appended to or trimmed
JOURNAL_DELETED = 1

_info_decoder = msgspec.msgpack.Decoder(JournalInfo)


def decode_journal(data: bytes) -> JournalInfo:
    """What an event of the space JOURNALS tells."""
    try:
        return _info_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"a journal's event cannot be decoded: {error}") from None


# --- all of them --------------------------------------------------------------------------------------------------

JournalOperation = AppendRecords | TrimJournal | ConfigureJournal | DeleteJournal
JournalRead = ReadRecords | GetJournal | ListJournals
JournalResult = RecordsAppended | RecordsRead | JournalView | JournalPage
