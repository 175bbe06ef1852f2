"""Looking into a member's log, while the member runs or after it died. Nothing is written."""

from collections.abc import Iterator

from coordctl.results.wal import Damage, WalRecord, WalVerified
from coordnode.errors import FolderRefused, RecordError
from coordnode.storage.reader import LogRecord, Reader, open_reader

HOLDS = {0: "batch", 1: "config", 2: "noop"}  # what an entry holds, by its kind
OUTCOMES = {"ok": 0, "torn tail": 0, "rot": 2}  # a torn tail is what a crash leaves of what nobody was told yet


def dump(folder: str, *, first: int = 0, last: int | None = None, with_data: bool = False) -> Iterator[WalRecord]:
    """The log in order; with `first` or `last` only its entries of that range, and all damage."""
    reader = _open(folder)
    everything = first == 0 and last is None
    for record in reader.records():
        in_range = record.kind == "entry" and first <= record.index and (last is None or record.index <= last)
        if everything or in_range or record.verdict != "ok":
            yield _shown(record, with_data)


def verify(folder: str) -> WalVerified:
    """The log, both copies of the hard state, the mark and every snapshot."""
    reader = _open(folder)
    report = reader.verify()
    try:
        cluster, member = reader.identity().identity
    except (RecordError, FileNotFoundError):  # the report says so
        cluster, member = 0, 0  # type: ignore[assignment]
    return WalVerified(
        outcome=report.verdict,  # type: ignore[arg-type]
        exit_code=OUTCOMES[report.verdict],  # type: ignore[arg-type]
        folder=folder,
        cluster=cluster,
        member=member,
        entries=report.entries,
        segments=report.segments,
        last_index=report.last_index,
        last_chain=f"{report.last_chain:08x}",
        tail_path=report.tail[0],
        tail_offset=report.tail[1],
        damages=[Damage(path=one.path, offset=one.offset, reason=one.reason, remedy=one.remedy) for one in report.damages],
    )


def _open(folder: str) -> Reader:
    reader = open_reader(folder)
    try:
        reader.identity()
    except RecordError:
        return reader
    except FileNotFoundError:
        if next(reader.records(), None) is None or not any(state.copy for state in reader.hard_state()):
            raise FolderRefused(f"{folder} is not a member's folder: give the folder that holds `identity` and `wal`") from None
    return reader


def _shown(record: LogRecord, with_data: bool) -> WalRecord:
    return WalRecord(
        schema="coordctl.wal-dump/1",
        path=record.path,
        offset=record.offset,
        kind=record.kind,
        holds=HOLDS.get(record.entry_kind, "unknown") if record.kind == "entry" else "",
        term=record.term,
        index=record.index,
        chain=f"{record.chain:08x}",
        size_bytes=record.size,
        verdict=record.verdict,
        reason=record.reason,
        data=record.data if with_data else None,
    )
