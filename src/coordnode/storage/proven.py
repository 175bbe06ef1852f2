"""Which records of the log are proven to be synced: bytes that, damaged, are rot to any reader, and never a torn tail."""

from typing import NamedTuple

from coordnode.storage.block import Identity
from coordnode.storage.disk import Disk
from coordnode.storage.mark import read_mark
from coordnode.storage.record import BATCH, HEADER_BYTES
from coordnode.storage.scan import Began, Found, walk
from coordnode.storage.segment import RECORDS_FROM


class ProvenRecord(NamedTuple):
    path: str
    offset: int
    size: int  # without padding, which holds nothing
    before: int  # the log's last index before it


def proven_records(disk: Disk, identity: Identity | None) -> list[ProvenRecord]:
    """All but those of the last batch, unless mark or header speak of it."""
    _, mark, _ = read_mark(disk, identity)
    proven: list[ProvenRecord] = []
    batch: list[ProvenRecord] = []
    known = 0
    last_index = 0
    for sight in walk(disk, identity, mark):
        if isinstance(sight, Began):
            proven += batch
            batch = []
            header = sight.header
            known = max(header.proven, mark.offset if mark is not None and mark.segment == header.number else 0)
            last_index = header.next_index - 1
        elif isinstance(sight, Found):
            record = sight.record
            if record.kind == BATCH:
                proven += batch
                batch = []
            place = ProvenRecord(sight.segment.path, sight.offset, HEADER_BYTES + len(record.data), last_index)
            last_index = record.index if record.kind != BATCH else last_index
            (proven if place.offset + place.size <= known else batch).append(place)
    return [place for place in proven if place.offset >= RECORDS_FROM]
