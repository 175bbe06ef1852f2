"""Journals, blocking: `cluster.journal(name)` and `cluster.journals`; the twin to await is in aio_journals.

    journal = cluster.journal("audit")
    first = journal.append([b"ann logged in", b"ann paid"])
    for record in journal.tail(first):
        print(record.offset, record.data)

A batch is appended whole or not at all; its records get consecutive offsets, which are never given again. A journal keeps what fits
into its bound: whoever reads further back than that is told so, and where the journal begins now.
"""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.inboxes import Scope
from coordnode.client.pump import Pump
from coordnode.client.requests import Request, as_bytes, expect
from coordnode.errors import HistoryGone, Missing
from coordnode.services.commands import (
    JOURNAL_BYTES_USUAL,
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
)
from coordnode.services.commands.records import pack_sizes, records_in

T = TypeVar("T")
Name = str | bytes
WAIT_MS_MAX = 30_000  # a reader that waits looks again after so long, whatever it was told


class Record(NamedTuple):
    offset: int
    data: bytes


class Part(NamedTuple):
    """What one answer holds: some records, and where the journal begins and ends."""

    records: list[Record]
    first: int
    next: int


def append_request(name: bytes, records: Sequence[Name], request_id: str) -> Request[RecordsAppended]:
    batch: Sequence[bytes]
    try:
        data, batch = b"".join(records), records  # type: ignore[arg-type, assignment]
    except TypeError:  # text among them
        batch = list(map(as_bytes, records))
        data = b"".join(batch)
    return Request(
        AppendRecords(name, len(batch), data, pack_sizes(batch)), lambda result: expect(result, RecordsAppended), request_id=request_id
    )


def read_request(name: bytes, offset: int, limit: int) -> Request[Part]:
    def convert(result: Result | None) -> Part:
        found = expect(result, RecordsRead)
        records = [Record(number, data) for number, data in enumerate(records_in(found.frames, offset, limit), offset)]
        return Part(records, found.first, found.next)

    return Request(ReadRecords(name, offset, limit), convert)


def trim_request(name: bytes, before: int, request_id: str) -> Request[JournalInfo]:
    return Request(TrimJournal(name, before), lambda result: expect(result, JournalView).journal, request_id=request_id)


def configure_request(name: bytes, bytes_max: int, request_id: str) -> Request[JournalInfo]:
    return Request(ConfigureJournal(name, bytes_max), lambda result: expect(result, JournalView).journal, request_id=request_id)


def delete_request(name: bytes, request_id: str) -> Request[bool]:
    return Request(DeleteJournal(name), lambda result: expect(result, Done).changed > 0, request_id=request_id)


def info_request(name: bytes, stale: bool) -> Request[JournalInfo]:
    return Request(GetJournal(name), lambda result: expect(result, JournalView).journal, stale)


def page_request(prefix: bytes, after: bytes, stale: bool) -> Request[JournalPage]:
    return Request(ListJournals(prefix, after), lambda result: expect(result, JournalPage), stale)


def scope_of(name: bytes) -> Scope:
    return Scope(name, name + b"\0", JOURNALS)


class Journals:
    """All of them."""

    def __init__(self, pump: Pump, timeout_ms: int) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms

    def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> Iterator[JournalInfo]:
        """In the order of names, page by page."""
        after, more = b"", True
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        while more:
            page = self._pump.call(page_request(as_bytes(prefix), after, stale), timeout_ms)
            yield from page.journals
            more = page.more
            after = page.journals[-1].name if page.journals else b""


class Journal:
    """One of them, by its name. The first append makes it; `configure` may have made it before."""

    def __init__(self, pump: Pump, timeout_ms: int, name: Name, session: int = 0) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._session = session
        self.name = as_bytes(name)

    def append(self, records: Sequence[Name], *, request_id: str = "", timeout: Seconds | None = None) -> int:
        """All of them or none. The offset of the first; the others follow it."""
        return self._call(append_request(self.name, records, request_id), timeout).first

    def read(self, offset: int, limit: int = 0, *, timeout: Seconds | None = None) -> list[Record]:
        """From that offset on, as many as one answer holds, at most `limit`. None: the journal ends there.

        HistoryGone: they were dropped or trimmed, and the sentence says where the journal begins now. Missing: there is no such journal,
        or it ends before that offset.
        """
        return self.read_part(offset, limit, timeout=timeout).records

    def read_part(self, offset: int, limit: int = 0, *, timeout: Seconds | None = None) -> Part:
        return self._call(read_request(self.name, offset, limit), timeout)

    def records(self, start: int | None = None, *, timeout: Seconds | None = None) -> Iterator[Record]:
        """From that offset (None: from where it begins) up to its end. `timeout` bounds each answer."""
        offset = self.info(timeout=timeout).first if start is None else start
        while part := self.read(offset, timeout=timeout):
            yield from part
            offset = part[-1].offset + 1

    def tail(self, start: int | None = None, *, timeout: Seconds | None = None) -> "Tail":
        """Iterate over it: record after record, for ever, from that offset on (None: from the end, as it is at the first ask)."""
        return Tail(self, self._pump, start, timeout)

    def trim(self, before: int, *, request_id: str = "", timeout: Seconds | None = None) -> JournalInfo:
        """Records before this offset are gone. The room they take is given back by whole segments."""
        return self._call(trim_request(self.name, before, request_id), timeout)

    def configure(self, bytes_max: int = JOURNAL_BYTES_USUAL, *, request_id: str = "", timeout: Seconds | None = None) -> JournalInfo:
        """Makes it, or changes how many bytes it may hold: what is beyond that is dropped, the oldest first."""
        return self._call(configure_request(self.name, bytes_max, request_id), timeout)

    def info(self, *, stale: bool = False, timeout: Seconds | None = None) -> JournalInfo:
        return self._call(info_request(self.name, stale), timeout)

    def delete(self, *, request_id: str = "", timeout: Seconds | None = None) -> bool:
        """With all that is in it. Whether it was there."""
        return self._call(delete_request(self.name, request_id), timeout)

    def _call(self, request: Request[T], timeout: Seconds | None) -> T:
        return self._pump.call(request, self._timeout_ms if timeout is None else in_ms(timeout, "timeout"), self._session)


class Tail:
    """What is appended, as it comes. Waiting costs nobody anything: the cluster tells when there is more."""

    def __init__(self, journal: Journal, pump: Pump, start: int | None, timeout: Seconds | None) -> None:
        self._journal = journal
        self._pump = pump
        self._timeout = timeout
        self._waiting: list[Record] = []  # the next one last
        self._inbox = pump.watch(scope_of(journal.name), 0)
        self.offset = start  # of the record that comes next; None: not known yet

    def take(self, wait: Seconds | None = None) -> Record | None:
        """The next record; None: there was none in this time. HistoryGone: it is not kept any more."""
        until_ms = None if wait is None else now_ms() + in_ms(wait, "time to wait")
        while not self._waiting:
            self._await_watch()
            self._waiting = self._read()[::-1]
            if not self._waiting and not self._await_change(until_ms):
                return None
        record = self._waiting.pop()
        self.offset = record.offset + 1
        return record

    def _read(self) -> list[Record]:
        """A journal that does not exist yet is empty; one that ends before what was read of it was made anew."""
        try:
            if self.offset is None:
                self.offset = self._journal.info(timeout=self._timeout).next
            return self._journal.read(self.offset, timeout=self._timeout)
        except Missing:
            if self.offset:
                raise
            self.offset = 0
            return []

    def _await_watch(self) -> None:
        """What comes after a read that found nothing must be told."""
        inbox = self._inbox
        self._pump.wait_until(lambda: inbox.up_to is not None or inbox.error is not None, now_ms() + WAIT_MS_MAX)
        if inbox.error is not None:
            self._pump.end_watch(inbox)
            self._inbox = self._pump.watch(scope_of(self._journal.name), 0)
            if not isinstance(inbox.error, HistoryGone):
                raise inbox.error

    def _await_change(self, until_ms: int | None) -> bool:
        """Whether to look again."""
        again_ms = now_ms() + WAIT_MS_MAX
        came = self._pump.wait_until(self._inbox.has_something, again_ms if until_ms is None else min(until_ms, again_ms))
        if came and self._inbox.error is None:
            while self._pump.take_change(self._inbox) is not None:
                pass
        return came or until_ms is None or now_ms() < until_ms

    def __iter__(self) -> Iterator[Record]:
        while True:
            record = self.take()
            assert record is not None
            yield record

    def close(self) -> None:
        self._pump.end_watch(self._inbox)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
