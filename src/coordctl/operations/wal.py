"""Looking into a member's log, while the member runs or after it died. Nothing is written."""

from collections.abc import Iterator, Sequence

from coordctl.logs import replicated
from coordctl.logs.replicated import Log
from coordctl.operations.folders import Folder
from coordctl.results.wal import Damage, WalDiff, WalRecord, WalSide, WalVerified
from coordnode.client.entries import told
from coordnode.errors import BadRequest, CoordError, FolderRefused, RecordError
from coordnode.storage.reader import LogRecord, Reader, Report, open_reader

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
    return verified(folder, cluster, member, report)


def verified(folder: str, cluster: int, member: int, report: Report) -> WalVerified:
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


def diff(folders: Sequence[Folder]) -> WalDiff:
    """The members may run meanwhile: what they append while they are read makes them longer, not different."""
    if len(folders) < 2:
        raise BadRequest("wal diff compares at least two members' folders")
    logs = [_log(folder) for folder in folders]
    found = replicated.compare(logs)
    sides = []
    for folder, log, verdict in zip(folders, logs, found.verdicts, strict=True):
        has_entry = bool(found.first) and not log.trouble and log.has(found.first)
        sides.append(
            WalSide(
                folder=log.label,
                verdict=verdict.what,
                is_right=verdict.is_right,
                sentence=verdict.sentence,
                first_index=log.base + 1,
                last_index=log.last,
                snapshot_index=log.snapshot_index,
                term=verdict.term,
                chain=f"{verdict.chain:08x}",
                entry=_entry(folder.path, found.first) if has_entry else [],
                gaps=[f"{first}-{last}" for first, last in log.gaps],
                damages=log.damages,
                is_torn=log.torn,
            )
        )
    whats = {verdict.what for verdict in found.verdicts}
    is_grave = bool(whats & replicated.GRAVE) or any(log.damages for log in logs)
    is_unknown = replicated.UNREADABLE in whats or replicated.CUT in whats
    code = 2 if is_grave else 3 if is_unknown else 1 if found.first else 0
    return WalDiff(
        outcome=("equal", "deviates", "broken", "unknown")[code],
        exit_code=code,  # type: ignore[arg-type]
        first_difference=found.first or None,
        probes=found.probes,
        has_majority=found.majority,
        sides=sides,
    )


def _log(folder: Folder) -> Log:
    """The log as it is now: what was truncated is gone, what is missing is a gap."""
    log = Log(folder.called)
    log.trouble = folder.trouble
    if log.trouble:
        return log
    try:
        reader = _open(folder.path)
        for record in reader.records():
            if record.verdict == "rot":
                log.damages.append(f"{folder.told(record.path)}, offset {record.offset}: {record.reason}")
            elif record.kind in ("segment", "batch"):
                log.stand_at(record.index, record.chain)
            elif record.kind == "entry":
                log.append(record.index, record.term, record.chain)
            elif record.kind == "truncate":
                log.truncate(record.index)
            elif record.kind == "reset":
                log.reset(record.index, record.chain)
            log.torn |= record.verdict == "torn tail"
        log.snapshot_index = max((found.meta.index for found in reader.snapshots() if found.complete and found.meta is not None), default=0)
    except CoordError as error:
        log.trouble = folder.told(error.sentence)
    except OSError as error:
        log.trouble = f"{folder.told(error.filename or folder.path)}: {error.strerror}"
    return log


def _entry(folder: str, index: int) -> list[str]:
    """What the log says there; the last one counts, earlier ones were undone."""
    sentences: list[str] = []
    for record in _open(folder).records():
        if record.kind == "entry" and record.index == index:
            sentences = told(record.entry_kind, record.data)
    return sentences


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
