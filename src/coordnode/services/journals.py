"""Journals: named durable logs. Here is what decides: names, offsets, which bytes are whose. The bytes lie in files. Pure.

A journal's bytes are a row of segments, each one blob; records are appended to the last, the open one. Apply says which bytes go
where (`context.blobs`); checksums of what was told stand in the rows, so that members which were told different bytes differ in
their digests.

Retention is by bytes and has no exception: an append first makes the room it takes, by dropping whole segments from the front.
"""

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import ClassVar
from zlib import crc32

import msgspec

from coordnode.errors import BadRequest, Conflict, CoordError, HistoryGone, Missing, StateFull, TooLarge
from coordnode.ids import NO_SESSION, Revision
from coordnode.raft.blobs import Blob, BlobWrite, blob_id
from coordnode.services.commands import (
    JOURNAL_BYTES_USUAL,
    JOURNAL_CHANGED,
    JOURNAL_DELETED,
    JOURNALS,
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
    encode,
)
from coordnode.services.commands.records import FRAME_HEAD_BYTES, encode_head, sizes_add_up
from coordnode.services.context import Check, Context, Located, Service, failure
from coordnode.services.names import check_name, check_page, page_of
from coordnode.services.rights import JOURNAL, MANAGE, PREFIX, READ, USE, Rights, needs
from coordnode.services.state import Settings
from coordnode.services.tables import Table

JOURNALS_ID = 90
SEGMENTS_ID = 91
LEVEL = 3

JOURNAL_CHARGE_BYTES = 400  # the open segment included
SEGMENT_CHARGE_BYTES = 250
SEGMENTS_WANTED = 8  # of a journal at its bound: so much of it goes at a time
SEGMENT_BYTES_MAX = 16_777_216
OFFSET_MAX = 2**53 - 1  # JSON carries it unharmed

_pack_offset = Struct(">Q").pack


class _Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    blob: int
    next: int  # the offset behind its last record
    size: int
    checksum: int


class _Journal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    bytes_max: int
    first: int  # records before it are gone, though bytes of them may still be here
    next: int
    size: int  # of all segments, the open one included
    open_blob: int = 0  # 0: there is none, the next append begins one
    open_first: int = 0
    open_size: int = 0
    open_checksum: int = 0


def _check_bound(operation: ConfigureJournal, settings: Settings) -> CoordError | None:
    if operation.bytes_max < settings.journal_bytes_min:
        return BadRequest(f"a journal of {operation.bytes_max} bytes at most is too small; give it at least {settings.journal_bytes_min}")
    if operation.bytes_max > settings.journals_bytes_max:
        return TooLarge(f"all journals together hold {settings.journals_bytes_max} bytes; give this one less than {operation.bytes_max}")
    return check_name("journal", operation.journal, settings)


def _check_append(operation: AppendRecords, settings: Settings) -> CoordError | None:
    count, size = operation.count, len(operation.data) + len(operation.sizes)
    if not 0 < count <= settings.journal_batch_records_max:
        return BadRequest(f"an append has from 1 to {settings.journal_batch_records_max} records, not {count}")
    if size > settings.journal_batch_bytes_max:
        return TooLarge(
            f"an append of {size} bytes is too large, at most {settings.journal_batch_bytes_max}; append fewer records at a time"
        )
    if not sizes_add_up(count, operation.sizes, len(operation.data)):
        return BadRequest(f"the sizes of {count} records do not add up to the {len(operation.data)} bytes that came")
    return check_name("journal", operation.journal, settings)


def _check_trim(operation: TrimJournal, settings: Settings) -> CoordError | None:
    if not 0 <= operation.before <= OFFSET_MAX:
        return BadRequest(f"{operation.before} is no offset; they count from 0")
    return check_name("journal", operation.journal, settings)


def _check_read(operation: ReadRecords, settings: Settings) -> CoordError | None:
    if not 0 <= operation.offset <= OFFSET_MAX:
        return BadRequest(f"{operation.offset} is no offset; they count from 0")
    if operation.limit < 0 or operation.bytes_max < 0:
        return BadRequest("the limit of a read is negative; give 0 for as much as one answer may hold, or more")
    return check_name("journal", operation.journal, settings)


def _check_named(operation: GetJournal | DeleteJournal, settings: Settings) -> CoordError | None:
    return check_name("journal", operation.journal, settings)


def _check_list(operation: ListJournals, settings: Settings) -> CoordError | None:
    return check_page("journal", operation.prefix, operation.after, operation.limit, settings)


CHECKS: Mapping[type, Check] = {
    ConfigureJournal: _check_bound,
    AppendRecords: _check_append,
    TrimJournal: _check_trim,
    DeleteJournal: _check_named,
    GetJournal: _check_named,
    ListJournals: _check_list,
    ReadRecords: _check_read,
}


class Journals(Service):
    LEVELS: ClassVar[Mapping[type, int]] = dict.fromkeys(CHECKS, LEVEL)
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        ConfigureJournal: needs(JOURNAL, MANAGE, "journal"),
        AppendRecords: needs(JOURNAL, USE, "journal"),
        TrimJournal: needs(JOURNAL, MANAGE, "journal"),
        DeleteJournal: needs(JOURNAL, MANAGE, "journal"),
        GetJournal: needs(JOURNAL, READ, "journal"),
        ListJournals: needs(JOURNAL, READ, "prefix", PREFIX),
        ReadRecords: needs(JOURNAL, READ, "journal"),
    }
    CHECKS: ClassVar[Mapping[type, Check]] = CHECKS
    ADDS_DATA: ClassVar[tuple[type, ...]] = (ConfigureJournal, AppendRecords)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._journals: Table[_Journal] = Table(JOURNALS_ID, _Journal)
        self._segments: Table[_Segment] = Table(SEGMENTS_ID, _Segment)  # the sealed ones, by name and first offset
        self.containers = (self._journals, self._segments)
        self.routes = {
            ConfigureJournal: self.configure,
            AppendRecords: self.append,
            TrimJournal: self.trim,
            DeleteJournal: self.delete,
        }
        self.reads = {GetJournal: self.show, ListJournals: self.page, ReadRecords: self.read_here}
        self.locators = {ReadRecords: self.locate}

    # --- what changes it -----------------------------------------------------------------------------------------------

    def configure(self, operation: ConfigureJournal) -> Result:
        name, bytes_max = operation.journal, operation.bytes_max
        journal = self._journals.get(name)
        error = self._no_room(name, journal, bytes_max)
        if error is not None:
            return failure(error)
        if journal is None:
            return self._tell(name, self._make(name, bytes_max))
        if journal.bytes_max == bytes_max:
            return JournalView(self.context.publish(), _info(name, journal))
        if journal.open_size > bytes_max:
            return failure(
                Conflict(f"the newest part of {_shown(name)} has {journal.open_size} bytes; give it at least so many, or trim it first")
            )
        self.context.scalars.journals_bytes += bytes_max - journal.bytes_max
        journal = self._retain(name, msgspec.structs.replace(journal, bytes_max=bytes_max), 0)
        self._journals.set(name, journal)
        return self._tell(name, journal)

    def append(self, operation: AppendRecords) -> Result:
        context = self.context
        name, count, sizes, data = operation.journal, operation.count, operation.sizes, operation.data
        journal = self._journals.get(name)
        is_new = journal is None
        if journal is None:
            error = self._no_room(name, None, JOURNAL_BYTES_USUAL)
            if error is not None:
                return failure(error)
            journal = _Journal(JOURNAL_BYTES_USUAL, 0, 0, 0)
        first = journal.next
        size = FRAME_HEAD_BYTES + len(sizes) + len(data)
        if size > journal.bytes_max // 2:
            return failure(
                TooLarge(f"an append of {size} bytes is more than half of what {_shown(name)} may hold; append fewer records at a time")
            )
        if first + count > OFFSET_MAX:
            return failure(StateFull(f"{_shown(name)} has had its last offset; begin another journal"))
        if journal.open_size >= _segment_bytes(journal.bytes_max):
            charge = len(name) + SEGMENT_CHARGE_BYTES
            if not context.has_room(charge):
                return failure(self._state_full())
            context.scalars.state_bytes += charge
            journal = self._seal(name, journal)
        if is_new:
            self._make(name, JOURNAL_BYTES_USUAL)
        if journal.size + size > journal.bytes_max:
            journal = self._retain(name, journal, size)
        head = encode_head(first, count, sizes, data)
        blob, begins, position, checksum = journal.open_blob, journal.open_first, journal.open_size, journal.open_checksum
        if not blob:
            blob, begins, position, checksum = blob_id(context.index, context.position), first, 0, 0
        checksum = crc32(data, crc32(sizes, crc32(head, checksum)))
        context.blobs.append(BlobWrite(blob, position, (head, sizes, data)))
        next = first + count
        journal = _Journal(journal.bytes_max, journal.first, next, journal.size + size, blob, begins, position + size, checksum)
        self._journals.set(name, journal)
        self._emit(name, journal)
        return RecordsAppended(context.publish(), first, next)

    def trim(self, operation: TrimJournal) -> Result:
        """Up to the end of the journal at most. Bytes go by whole segments."""
        name = operation.journal
        journal = self._journals.get(name)
        if journal is None:
            return failure(_missing(name))
        first = min(operation.before, journal.next)
        if first <= journal.first:
            return JournalView(self.context.publish(), _info(name, journal))
        journal = self._drop_before(name, journal, first)
        self._journals.set(name, journal)
        return self._tell(name, journal)

    def delete(self, operation: DeleteJournal) -> Result:
        """`changed` 0: there was none."""
        context, name = self.context, operation.journal
        journal = self._journals.get(name)
        if journal is None:
            return Done(context.publish(), 0)
        self._drop_before(name, journal, journal.next)
        self._journals.delete(name)
        context.scalars.state_bytes -= len(name) + JOURNAL_CHARGE_BYTES
        context.scalars.journals_bytes -= journal.bytes_max
        context.emit((JOURNAL_DELETED, name, b"", 0, NO_SESSION, JOURNALS))
        return Done(context.publish())

    # --- segments ------------------------------------------------------------------------------------------------------

    def _no_room(self, name: bytes, journal: _Journal | None, bytes_max: int) -> CoordError | None:
        """For a journal to be made, or for a larger bound."""
        scalars, settings = self.context.scalars, self.context.settings
        grown = bytes_max - (journal.bytes_max if journal is not None else 0)
        if scalars.journals_bytes + grown > settings.journals_bytes_max:
            left = settings.journals_bytes_max - scalars.journals_bytes
            return StateFull(f"all journals together may hold {settings.journals_bytes_max} bytes, {left} of them are not given away yet")
        if journal is None and not self.context.has_room(len(name) + JOURNAL_CHARGE_BYTES):
            return self._state_full()
        return None

    def _make(self, name: bytes, bytes_max: int) -> _Journal:
        self.context.scalars.state_bytes += len(name) + JOURNAL_CHARGE_BYTES
        self.context.scalars.journals_bytes += bytes_max
        journal = _Journal(bytes_max, 0, 0, 0)
        self._journals.set(name, journal)
        return journal

    def _seal(self, name: bytes, journal: _Journal) -> _Journal:
        sealed = _Segment(journal.open_blob, journal.next, journal.open_size, journal.open_checksum)
        self._segments.set(_key(name, journal.open_first), sealed)
        return _Journal(journal.bytes_max, journal.first, journal.next, journal.size)

    def _retain(self, name: bytes, journal: _Journal, wanted: int) -> _Journal:
        """Without as many segments from the front as must go so that `wanted` bytes fit in."""
        size, first = journal.size, journal.first
        for _, segment in self._sealed(name):
            if size + wanted <= journal.bytes_max:
                break
            size -= segment.size
            first = max(first, segment.next)
        return self._drop_before(name, journal, first)

    def _drop_before(self, name: bytes, journal: _Journal, first: int) -> _Journal:
        size = journal.size
        gone = [(key, segment.size) for key, segment in self._sealed(name) if segment.next <= first]
        for key, bytes_gone in gone:
            self._segments.delete(key)
            size -= bytes_gone
        self.context.scalars.state_bytes -= len(gone) * (len(name) + SEGMENT_CHARGE_BYTES)
        if first == journal.next:
            return _Journal(journal.bytes_max, first, journal.next, 0)
        return msgspec.structs.replace(journal, first=first, size=size)

    def _sealed(self, name: bytes) -> Iterator[tuple[bytes, _Segment]]:
        return self._segments.scan(_key(name, 0), name + b"\1")

    def blobs(self) -> list[Blob]:
        """Everything that the state stands on, in the order of ids."""
        found = [Blob(segment.blob, segment.size, segment.checksum) for _, segment in self._segments.items()]
        for _, journal in self._journals.items():
            if journal.open_blob:
                found.append(Blob(journal.open_blob, journal.open_size, journal.open_checksum))
        return sorted(found, key=lambda blob: blob.id)

    # --- what is told --------------------------------------------------------------------------------------------------

    def _emit(self, name: bytes, journal: _Journal) -> None:
        self.context.emit((JOURNAL_CHANGED, name, encode(_info(name, journal)), 0, NO_SESSION, JOURNALS))

    def _tell(self, name: bytes, journal: _Journal) -> Result:
        self._emit(name, journal)
        return JournalView(self.context.publish(), _info(name, journal))

    def _state_full(self) -> StateFull:
        return StateFull(f"more would pass {self.context.settings.state_bytes_max} bytes of state in all; delete or trim something")

    # --- reads ---------------------------------------------------------------------------------------------------------

    def show(self, operation: GetJournal, items_max: int, bytes_max: int) -> Result:
        journal = self._journals.get(operation.journal)
        if journal is None:
            return failure(_missing(operation.journal))
        return JournalView(self.context.scalars.revision, _info(operation.journal, journal))

    def page(self, operation: ListJournals, items_max: int, bytes_max: int) -> Result:
        rows, more = page_of(self._journals, operation.prefix, operation.after, operation.limit, items_max)
        return JournalPage(self.context.scalars.revision, [_info(name, journal) for name, journal in rows], more)

    def read_here(self, operation: ReadRecords, items_max: int, bytes_max: int) -> Result:
        """What needs no bytes. The rest is answered by whoever has the files (`locate`), and not from a state that may be old."""
        found = self.locate(operation)
        if isinstance(found, Located):
            return failure(BadRequest("records are read from the leader only; ask without stale"))
        return found

    def locate(self, operation: ReadRecords) -> Located | Result:
        """Where the records lie; a Result where there are none to read."""
        name, offset = operation.journal, operation.offset
        revision: Revision = self.context.scalars.revision
        journal = self._journals.get(name)
        if journal is None:
            return failure(_missing(name))
        if offset < journal.first:
            return failure(HistoryGone(f"records of {_shown(name)} before {journal.first} are gone; read from {journal.first} on"))
        if offset > journal.next:
            return failure(Missing(f"{_shown(name)} ends at {journal.next}, there is no record {offset}; was it deleted, and made anew?"))
        answer = RecordsRead(revision, journal.first, journal.next, b"")
        if offset == journal.next:
            return answer
        if journal.open_blob and offset >= journal.open_first:
            return Located(Blob(journal.open_blob, journal.open_size, journal.open_checksum), offset, journal.next, answer)
        found = self._segments.last_up_to(_key(name, offset))
        assert found is not None
        segment = found[1]
        return Located(Blob(segment.blob, segment.size, segment.checksum), offset, segment.next, answer)


def _key(name: bytes, offset: int) -> bytes:
    return name + b"\0" + _pack_offset(offset)


def _segment_bytes(bytes_max: int) -> int:
    return min(SEGMENT_BYTES_MAX, bytes_max // SEGMENTS_WANTED)


def _info(name: bytes, journal: _Journal) -> JournalInfo:
    return JournalInfo(name, journal.bytes_max, journal.first, journal.next, journal.size)


def _shown(name: bytes) -> str:
    return f"journal {name.decode(errors='replace')}"


def _missing(name: bytes) -> Missing:
    return Missing(f"there is no {_shown(name)}; the first append makes it")
