"""Journals to await: `cluster.journal(name)` and `cluster.journals` of aio.

async for record in cluster.journal("audit").tail(0):
    print(record.offset, record.data)
"""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.journals import (
    WAIT_MS_MAX,
    Name,
    Part,
    Record,
    append_request,
    configure_request,
    delete_request,
    info_request,
    page_request,
    read_request,
    scope_of,
    trim_request,
)
from coordnode.client.requests import Request, as_bytes
from coordnode.client.tasks import Tasks
from coordnode.errors import HistoryGone, Missing
from coordnode.services.commands import JOURNAL_BYTES_USUAL, JournalInfo

T = TypeVar("T")


class AsyncJournals:
    """All of them."""

    def __init__(self, tasks: Tasks, timeout_ms: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms

    async def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> AsyncIterator[JournalInfo]:
        """In the order of names, page by page."""
        after, more = b"", True
        timeout_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        while more:
            page = await self._tasks.call(page_request(as_bytes(prefix), after, stale), timeout_ms)
            for journal in page.journals:
                yield journal
            more = page.more
            after = page.journals[-1].name if page.journals else b""


class AsyncJournal:
    """One of them, by its name. The first append makes it; `configure` may have made it before."""

    def __init__(self, tasks: Tasks, timeout_ms: int, name: Name, session: int = 0) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms
        self._session = session
        self.name = as_bytes(name)

    async def append(self, records: Sequence[Name], *, request_id: str = "", timeout: Seconds | None = None) -> int:
        """All of them or none. The offset of the first; the others follow it."""
        return (await self._call(append_request(self.name, records, request_id), timeout)).first

    async def read(self, offset: int, limit: int = 0, *, timeout: Seconds | None = None) -> list[Record]:
        """From that offset on, as many as one answer holds, at most `limit`. None: the journal ends there.

        HistoryGone: they were dropped or trimmed, and the sentence says where the journal begins now. Missing: there is no such journal,
        or it ends before that offset.
        """
        return (await self.read_part(offset, limit, timeout=timeout)).records

    async def read_part(self, offset: int, limit: int = 0, *, timeout: Seconds | None = None) -> Part:
        return await self._call(read_request(self.name, offset, limit), timeout)

    async def records(self, start: int | None = None, *, timeout: Seconds | None = None) -> AsyncIterator[Record]:
        """From that offset (None: from where it begins) up to its end. `timeout` bounds each answer."""
        offset = (await self.info(timeout=timeout)).first if start is None else start
        while part := await self.read(offset, timeout=timeout):
            for record in part:
                yield record
            offset = part[-1].offset + 1

    def tail(self, start: int | None = None, *, timeout: Seconds | None = None) -> "AsyncTail":
        """Iterate over it: record after record, for ever, from that offset on (None: from the end, as it is at the first ask)."""
        return AsyncTail(self, self._tasks, start, timeout)

    async def trim(self, before: int, *, request_id: str = "", timeout: Seconds | None = None) -> JournalInfo:
        """Records before this offset are gone. The room they take is given back by whole segments."""
        return await self._call(trim_request(self.name, before, request_id), timeout)

    async def configure(self, bytes_max: int = JOURNAL_BYTES_USUAL, *, request_id: str = "", timeout: Seconds | None = None) -> JournalInfo:
        """Makes it, or changes how many bytes it may hold: what is beyond that is dropped, the oldest first."""
        return await self._call(configure_request(self.name, bytes_max, request_id), timeout)

    async def info(self, *, stale: bool = False, timeout: Seconds | None = None) -> JournalInfo:
        return await self._call(info_request(self.name, stale), timeout)

    async def delete(self, *, request_id: str = "", timeout: Seconds | None = None) -> bool:
        """With all that is in it. Whether it was there."""
        return await self._call(delete_request(self.name, request_id), timeout)

    async def _call(self, request: Request[T], timeout: Seconds | None) -> T:
        return await self._tasks.call(request, self._timeout_ms if timeout is None else in_ms(timeout, "timeout"), self._session)


class AsyncTail:
    """What is appended, as it comes. Waiting costs nobody anything: the cluster tells when there is more."""

    def __init__(self, journal: AsyncJournal, tasks: Tasks, start: int | None, timeout: Seconds | None) -> None:
        self._journal = journal
        self._tasks = tasks
        self._timeout = timeout
        self._waiting: list[Record] = []  # the next one last
        self._inbox = tasks.watch(scope_of(journal.name), 0)
        self.offset = start  # of the record that comes next; None: not known yet

    async def take(self, wait: Seconds | None = None) -> Record | None:
        """The next record; None: there was none in this time. HistoryGone: it is not kept any more."""
        until_ms = None if wait is None else now_ms() + in_ms(wait, "time to wait")
        while not self._waiting:
            await self._await_watch()
            self._waiting = (await self._read())[::-1]
            if not self._waiting and not await self._await_change(until_ms):
                return None
        record = self._waiting.pop()
        self.offset = record.offset + 1
        return record

    async def _read(self) -> list[Record]:
        """A journal that does not exist yet is empty; one that ends before what was read of it was made anew."""
        try:
            if self.offset is None:
                self.offset = (await self._journal.info(timeout=self._timeout)).next
            return await self._journal.read(self.offset, timeout=self._timeout)
        except Missing:
            if self.offset:
                raise
            self.offset = 0
            return []

    async def _await_watch(self) -> None:
        """What comes after a read that found nothing must be told."""
        inbox = self._inbox
        await self._tasks.wait_until(lambda: inbox.up_to is not None or inbox.error is not None, now_ms() + WAIT_MS_MAX)
        if inbox.error is not None:
            self._tasks.end_watch(inbox)
            self._inbox = self._tasks.watch(scope_of(self._journal.name), 0)
            if not isinstance(inbox.error, HistoryGone):
                raise inbox.error

    async def _await_change(self, until_ms: int | None) -> bool:
        """Whether to look again."""
        again_ms = now_ms() + WAIT_MS_MAX
        came = await self._tasks.wait_until(self._inbox.has_something, again_ms if until_ms is None else min(until_ms, again_ms))
        if came and self._inbox.error is None:
            while self._tasks.take_change(self._inbox) is not None:
                pass
        return came or until_ms is None or now_ms() < until_ms

    async def __aiter__(self) -> AsyncIterator[Record]:
        while True:
            record = await self.take()
            assert record is not None
            yield record

    async def close(self) -> None:
        self._tasks.end_watch(self._inbox)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
