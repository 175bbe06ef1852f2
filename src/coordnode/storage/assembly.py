"""Joins what a walk over the log saw into runs of entries, and finds where a new segment may carry on. Pure.

A run is a stretch of the log in which every entry follows from the one before. Rot ends a run; the next whole batch or
segment begins another. Only a run that connects with the snapshot counts, and rot before it is harmless.
"""

from typing import NamedTuple

from coordnode.ids import Index, Term
from coordnode.raft.entry import Entry, SnapshotMeta
from coordnode.storage.record import BATCH, ENTRY, RESET, TRUNCATE, Record
from coordnode.storage.scan import Began, Ended, Found, Rot, Sight
from coordnode.storage.segment import RECORDS_FROM, Header


class Standing(NamedTuple):
    """What the log holds behind a snapshot."""

    entries: list[Entry]
    chains: list[int]  # at the snapshot's index, and of each entry


class Run:
    def __init__(self, start: int, chain: int, end: tuple[int, int]) -> None:
        self.start = start  # index of the first entry
        self.before_chain = chain
        self.entries: list[Entry] = []
        self.chains: list[int] = []
        self.end = end  # segment and offset behind its last record

    def last_index(self) -> int:
        return self.start - 1 + len(self.entries)

    def chain_at(self, index: int) -> int:
        return self.before_chain if index == self.start - 1 else self.chains[index - self.start]

    def term_at(self, index: int) -> Term | None:
        """None: before its first entry, so not known."""
        return self.entries[index - self.start].term if index >= self.start else None

    def has(self, index: int, chain: int) -> bool:
        return self.start - 1 <= index <= self.last_index() and self.chain_at(index) == chain

    def behind(self, snapshot: SnapshotMeta | None) -> Standing | None:
        """None: the snapshot was put in place and the crash came before the log was told: it reaches further, or its past is another."""
        base, term = (snapshot.index, snapshot.term) if snapshot is not None else (0, 0)
        if self.last_index() < base or self.term_at(base) not in (None, term):
            return None
        return Standing(self.entries[base + 1 - self.start :], [self.chain_at(base), *self.chains[base + 1 - self.start :]])

    def truncate_to(self, index: int, chain: int) -> None:
        if index < self.start - 1:
            self.start = index + 1
            self.before_chain = chain
        del self.entries[index + 1 - self.start :]
        del self.chains[index + 1 - self.start :]

    def apply(self, record: Record, end: tuple[int, int]) -> None:
        if record.kind == ENTRY:
            self.entries.append(Entry(Term(record.term), Index(record.index), record.entry_kind, record.data))
            self.chains.append(record.chain)
        elif record.kind == TRUNCATE:
            self.truncate_to(record.index - 1, record.chain)
        elif record.kind == RESET:
            self.start = record.index + 1
            self.before_chain = record.chain
            self.entries = []
            self.chains = []
        self.end = end


class CarryOn(NamedTuple):
    previous: tuple[int, int]  # everything before this stays as it is
    next_index: int
    chain: int
    records: list[Record]  # what follows, to be written anew
    superseded: list[int]  # segments that hold nothing else


class Assembly:
    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.rot: list[Rot] = []
        self.broken = False  # rot was the last thing seen
        self.torn = False
        self.end = (0, 0)
        self.batch = 0
        self.boot = 0  # the latest that made a segment
        self.last_known = 0
        self._live: list[int] = []
        self._header: Header | None = None
        self._records: list[Record] = []  # of the segment that is walked, without batch records
        self._batch_from = 0  # of these, where the last batch begins
        self._batch_place = ((0, 0), 1, 0)  # where that batch begins: position, next_index, chain
        self._clean = False  # nothing is damaged in the segment that is walked

    def see(self, sight: Sight) -> None:
        if isinstance(sight, Found):
            self._on_record(sight)
        elif isinstance(sight, Began):
            self._on_began(sight)
        elif isinstance(sight, Rot):
            self.rot.append(sight)
            self.broken = True
            self._clean = False
        else:
            assert isinstance(sight, Ended)
            self.torn = sight.torn

    def run_behind(self, snapshot: SnapshotMeta | None) -> Run | None:
        """The latest that connects with it: this one knows of every later truncation."""
        base = snapshot.index if snapshot is not None else 0
        return next((run for run in reversed(self.runs) if run.start <= base + 1), None)

    def is_live(self, number: int, up_to: int) -> bool:
        return number in self._live and number <= up_to

    def carry_on_from(self, marked: int, rewrite_bytes_max: int) -> CarryOn:
        """The last segment is written anew as a whole when little is in it, so that starts in quick succession do not pile up
        segments; else from the last point that is proven synced."""
        header = self._header
        assert header is not None and not self.broken
        if self._clean and self.end[1] - RECORDS_FROM <= rewrite_bytes_max:
            previous = (header.previous_segment, header.previous_offset)
            return CarryOn(previous, header.next_index, header.chain, self._records, [header.number])
        run = self.runs[-1]
        if self.proven_end(marked) == self.end:
            return CarryOn(self.end, run.last_index() + 1, run.chain_at(run.last_index()), [], [])
        return CarryOn(*self._batch_place, self._records[self._batch_from :], [])

    def proven_end(self, marked: int) -> tuple[int, int]:
        """Everything before this is synced; at most the last batch is behind it."""
        header = self._header
        if header is None or self.broken or self.end[1] <= max(marked, header.proven):
            return self.end
        return self._batch_place[0]

    def _on_began(self, sight: Began) -> None:
        header = sight.header
        at = header.next_index - 1
        end = (header.number, RECORDS_FROM)
        if self.runs and self.runs[-1].has(at, header.chain):
            self.runs[-1].truncate_to(at, header.chain)
            self.runs[-1].end = end
        else:
            self.runs.append(Run(header.next_index, header.chain, end))
        self.end = end
        self.broken = False
        self.batch = max(self.batch, header.batch)
        self.boot = max(self.boot, header.boot)
        self._live.append(header.number)
        self._header = header
        self._records = []
        self._batch_from = 0
        self._batch_place = (end, header.next_index, header.chain)
        self._clean = True

    def _on_record(self, sight: Found) -> None:
        record = sight.record
        position = (sight.segment.number, sight.offset)
        self.end = (sight.segment.number, sight.offset + record.size)
        if record.kind == BATCH:
            if not self.runs[-1].has(record.index, record.chain):
                self.runs.append(Run(record.index + 1, record.chain, position))
            self.broken = False
            self.batch = max(self.batch, record.term)
            self._batch_from = len(self._records)
            self._batch_place = (position, record.index + 1, record.chain)
            self.runs[-1].end = self.end
            return
        self.last_known = max(self.last_known, record.index)
        self._records.append(record)
        self.runs[-1].apply(record, self.end)
