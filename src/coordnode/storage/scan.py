"""What the log's files say, record by record, and the verdict on bytes that are not what was written: rot or a torn tail.

Bytes are proven to have been synced by whatever was only written afterwards: a later batch of the same segment, the header of
the next segment, or the mark. Bad bytes that are proven are rot. Bad bytes behind everything proven are a torn tail: the end.
"""

from collections.abc import Iterator
from typing import NamedTuple

from coordnode.errors import RecordError
from coordnode.storage.block import Identity
from coordnode.storage.disk import Disk
from coordnode.storage.mark import Mark
from coordnode.storage.record import (
    BATCH,
    BATCH_MARKER,
    ENTRY,
    HEADER_BYTES,
    LOW_BITS,
    MARKER_OFFSET,
    RESET,
    TRUNCATE,
    Record,
    decode_batch_data,
    decode_record,
    link_chain,
)
from coordnode.storage.segment import RECORDS_FROM, Header, Segment, read_segment, read_segments, segment_path


class Rot(NamedTuple):
    """Durable bytes are damaged: they are never cut or overwritten, and what they held is lost here."""

    path: str
    segment: int
    offset: int
    reason: str

    def __str__(self) -> str:
        return f"rot in {self.path} at offset {self.offset}: {self.reason}"


class Began(NamedTuple):
    """A segment that is part of the log. Its header says where the log stands, whatever came before."""

    segment: Segment
    header: Header


class Found(NamedTuple):
    segment: Segment
    offset: int
    record: Record


class Ended(NamedTuple):
    """The end of the log. `torn`: something was being written behind it when the power went."""

    segment: Segment
    offset: int
    torn: bool


Sight = Began | Found | Rot | Ended


class Live(NamedTuple):
    segment: Segment
    header: Header
    end: int | None  # bytes behind this were superseded by the next segment; None: as far as they are valid
    before: Rot | None  # what should lie between the live segment before this and this one


class Chained(NamedTuple):
    live: list[Live]
    superseded: list[Segment]
    after: Rot | None  # what should lie behind the last live segment


def chain_segments(segments: list[Segment], mark: Mark | None) -> Chained:
    """Which segments are the log: from the newest back along `previous`."""
    by_number = {segment.number: segment for segment in segments}
    after: Rot | None = None
    if mark is not None and (not segments or mark.segment > segments[-1].number):
        after = Rot(segment_path(mark.segment), mark.segment, 0, "the file is missing")
    elif not segments:
        after = Rot(segment_path(1), 1, 0, "the log has no file at all")
    live: list[Live] = []
    end: int | None = None
    candidates = list(segments)
    while candidates:
        segment = candidates.pop()
        if segment.header is None:
            rot = Rot(segment.path, segment.number, 0, segment.problem)
            end = None
            if live:
                live[-1] = live[-1]._replace(before=rot)
            else:
                after = after or rot
            continue
        header = segment.header
        live.append(Live(segment, header, end, None))
        previous = header.previous_segment
        end = header.previous_offset
        if previous == 0:
            break
        while candidates and candidates[-1].number > previous:
            candidates.pop()
        if candidates and previous not in by_number:
            live[-1] = live[-1]._replace(before=Rot(segment_path(previous), previous, 0, "the file is missing"))
            end = None
    live.reverse()
    alive = {entry.segment.number for entry in live}
    return Chained(live, [segment for segment in segments if segment.number not in alive], after)


def walk(disk: Disk, identity: Identity | None, mark: Mark | None) -> Iterator[Sight]:
    """The whole log in order. The mark must have been read before, so that it never speaks of more than is seen here."""
    chained = chain_segments(read_segments(disk, identity), mark)
    place = Place()
    for position, live in enumerate(chained.live):
        if live.before is not None:
            yield live.before
        yield Began(live.segment, live.header)
        place.anchor(live.header.next_index - 1, live.header.chain)
        yield from _walk_segment(disk, live, mark, place, newest=position == len(chained.live) - 1 and chained.after is None)
    if chained.after is not None:
        yield chained.after


class Place:
    """Where the log stands while it is walked."""

    __slots__ = ("chain", "last_index")

    def __init__(self) -> None:
        self.last_index = 0
        self.chain = 0

    def anchor(self, last_index: int, chain: int) -> None:
        self.last_index = last_index
        self.chain = chain

    def check_batch(self, record: Record) -> None:
        if (record.index, record.chain) != (self.last_index, self.chain):
            raise RecordError(f"the batch continues a log that ends with {record.index}, this one ends with {self.last_index}")

    def advance(self, record: Record, data_crc: int) -> None:
        """Raises RecordError when the record does not follow."""
        if record.kind == ENTRY:
            if record.index != self.last_index + 1:
                raise RecordError(f"entry {record.index} does not follow {self.last_index}")
            if link_chain(self.chain, record.term, record.index, record.entry_kind, data_crc) != record.chain:
                raise RecordError(f"entry {record.index} does not continue the chain")
            self.last_index = record.index
        elif record.kind == TRUNCATE:
            if not 0 < record.index <= self.last_index + 1:
                raise RecordError(f"truncation from {record.index} of a log that ends with {self.last_index}")
            self.last_index = record.index - 1
        else:
            assert record.kind == RESET
            self.last_index = record.index
        self.chain = record.chain


def _walk_segment(disk: Disk, live: Live, mark: Mark | None, place: Place, *, newest: bool) -> Iterator[Sight]:
    try:
        data = read_segment(disk, live.segment)
    except FileNotFoundError:
        yield Rot(live.segment.path, live.segment.number, 0, "the file is missing")
        return
    seed = live.header.seed()
    end = len(data) if live.end is None else live.end
    marked = mark.offset if mark is not None and mark.segment == live.segment.number else 0
    proven = max(marked, live.header.proven)
    offset = batch_end = RECORDS_FROM
    sequence = live.header.batch
    whole = True  # nothing was skipped in this segment
    while True:
        if mark is not None and offset == marked and whole and (live.end is None or marked <= live.end):
            assert place.last_index == mark.last_index, f"the mark says {mark.last_index}, the log {place.last_index} at {offset}"
        if live.end is not None and offset == end:
            return
        try:
            record = decode_record(data, offset, end, seed)
            if offset == batch_end:
                batch_end, sequence = _begin_batch(record, offset, sequence, place)
            else:
                _check_inside(record, offset, batch_end, sequence)
                place.advance(record, record.data_crc)
        except RecordError as error:
            resumed = _find_batch(data, offset + 8, end, seed)
            if live.end is None and resumed is None and offset >= proven:
                if newest:
                    yield Ended(live.segment, offset, offset != batch_end or _has_record(data, offset, end, seed))
                return
            yield Rot(live.segment.path, live.segment.number, offset, error.sentence)
            if resumed is None:
                return
            offset, record = resumed
            place.anchor(record.index, record.chain)
            batch_end, sequence = _begin_batch(record, offset, record.term - 1, place)
            whole = False
        yield Found(live.segment, offset, record)
        offset += record.size


def _begin_batch(record: Record, offset: int, sequence: int, place: Place) -> tuple[int, int]:
    """Where the batch ends, and its sequence."""
    where, size = decode_batch_data(record)
    if where != offset or record.term != sequence + 1:
        raise RecordError(f"batch {record.term} of offset {where}, where batch {sequence + 1} of {offset} should be")
    place.check_batch(record)
    return offset + record.size + size, record.term


def _check_inside(record: Record, offset: int, batch_end: int, sequence: int) -> None:
    if record.kind == BATCH or record.batch != sequence & LOW_BITS or offset + record.size > batch_end:
        raise RecordError(f"a record that does not belong to batch {sequence}")


def _find_batch(data: bytes, start: int, end: int, seed: int) -> tuple[int, Record] | None:
    """The first whole batch record from `start` on: it was only written when all before it was synced."""
    for offset in _candidates(data, BATCH_MARKER, start, end):
        try:
            record = decode_record(data, offset, end, seed)
            where, _ = decode_batch_data(record)
        except RecordError:
            continue
        if where == offset:
            return offset, record
    return None


def _has_record(data: bytes, start: int, end: int, seed: int) -> bool:
    """Only for the report: is there a record of this segment behind its end?"""
    for tried, offset in enumerate(_candidates(data, BATCH_MARKER[:2], start, end)):
        if tried == 1000:
            break
        try:
            decode_record(data, offset, end, seed)
            return True
        except RecordError:
            continue
    return False


def _candidates(data: bytes, marker: bytes, start: int, end: int) -> Iterator[int]:
    found = data.find(marker, start + MARKER_OFFSET, end)
    while found >= 0:
        offset = found - MARKER_OFFSET
        if offset % 8 == 0 and offset + HEADER_BYTES <= end:
            yield offset
        found = data.find(marker, found + 1, end)
