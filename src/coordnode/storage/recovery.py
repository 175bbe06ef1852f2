"""Make a member's folder, and open it again: what is whole is used, what is damaged is named, what is lost is said.

Opening first looks and decides, changing nothing. Only then, in this order, each step durable before the next: the hard state
(with the new boot, and lost_entries where entries were lost), damaged snapshots set aside, a new segment that carries on where
the log is whole, the mark. A crash between any two of them leaves a folder that opens to the same verdict.

A batch that was not proven synced is kept as far as it is whole: it may have been acknowledged just before the end. It is
written anew into the new segment, so everything that `open_folder` returns is durable. What the old pages hold is never relied on.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from coordnode.errors import CoordError, FolderRefused, Rotten
from coordnode.ids import NOBODY, Index, Revision, Term
from coordnode.raft.blobs import BlobWrite
from coordnode.raft.entry import Entry, HardState, SnapshotMeta
from coordnode.replica.effects import StoreSlice
from coordnode.replica.known import NOTHING as NOTHING_KNOWN
from coordnode.replica.known import Known
from coordnode.storage.assembly import Assembly
from coordnode.storage.block import Identity
from coordnode.storage.disk import Disk
from coordnode.storage.hard_state import HardStateFiles, newest_copy
from coordnode.storage.identity import FORMATTING_FILE, IDENTITY_FILE, LOCK_FILE, check_folder, is_untouched, read_identity, write_identity
from coordnode.storage.journals import JOURNAL_FOLDER
from coordnode.storage.mark import MarkFile, read_mark
from coordnode.storage.record import Record
from coordnode.storage.scan import Rot, walk
from coordnode.storage.segment import WAL_FOLDER, read_segments
from coordnode.storage.snapshots import SNAPSHOT_FOLDER, SnapshotStore
from coordnode.storage.wal import Chains, LogFile, Settings, Wal


class Genesis(NamedTuple):
    """The state that a cluster begins with; each founding member writes the same."""

    meta: SnapshotMeta
    slices: Sequence[bytes]
    journals: Iterable[BlobWrite] = ()  # the bytes that the slices list


class Recovered(NamedTuple):
    hard_state: HardState  # durable, with this boot's number
    snapshot: SnapshotMeta | None  # whole and verified; None: this member has no state
    entries: list[Entry]  # durable, contiguous from snapshot.index + 1 (or 1) on
    commit_hint: Index  # entries up to here were known to be committed
    lost_entries: bool  # in this start: entries that were durable here once are damaged or missing
    last_known_index: Index  # the last index that this log once surely had
    rot: list[Rot]  # damaged places of the log, whether or not anything needed is lost
    report: list[str]  # what was found and done, one sentence each
    known: Known  # what an earlier life had come to
    wal: Wal
    snapshots: SnapshotStore

    def remedy(self) -> str:
        """For a member that cannot heal from others: what is damaged and what can be done."""
        places = "; ".join(str(place) for place in self.rot) or "; ".join(self.report)
        return (
            f"{places}: entries up to {self.last_known_index} were durable here, the log is whole up to {self.wal.last_index()}; "
            "no other voter has them: restore from a backup, or accept the loss by name"
        )


def create_folder(disk: Disk, identity: Identity, genesis: Genesis | None, settings: Settings | None = None) -> None:
    """Makes the folder of a new member. Safe to repeat after a crash; a folder that is complete already is left as it is."""
    settings = settings or Settings()
    disk.lock(LOCK_FILE)
    try:
        if disk.exists(IDENTITY_FILE):
            _accept_made(disk, identity)
            return
        if not disk.exists(FORMATTING_FILE):
            if not is_untouched(disk):
                raise FolderRefused(
                    f"the folder is not empty and has no file {IDENTITY_FILE}: it is no new member's folder; name an empty one, "
                    "or empty this one if nothing in it is needed"
                )
            disk.create(FORMATTING_FILE).close()
            disk.sync_folder("")
        _format(disk, identity, genesis, settings)
        write_identity(disk, identity)
        disk.unlink(FORMATTING_FILE)
        disk.sync_folder("")
    finally:
        disk.unlock()


def _accept_made(disk: Disk, identity: Identity) -> None:
    found = read_identity(disk)
    if found.identity != identity:
        raise FolderRefused(f"the folder belongs to {found.identity} already: name an empty one for {identity}")
    if disk.exists(FORMATTING_FILE):
        disk.unlink(FORMATTING_FILE)
        disk.sync_folder("")


def _format(disk: Disk, identity: Identity, genesis: Genesis | None, settings: Settings) -> None:
    """Whatever an interrupted attempt left is removed first."""
    for folder in (WAL_FOLDER, SNAPSHOT_FOLDER, JOURNAL_FOLDER):
        for name in disk.list(folder):
            disk.unlink(f"{folder}/{name}")
    for name in disk.list(""):
        if name not in (WAL_FOLDER, SNAPSHOT_FOLDER, JOURNAL_FOLDER, LOCK_FILE, FORMATTING_FILE, "lost+found"):
            disk.unlink(name)
    for folder in (WAL_FOLDER, SNAPSHOT_FOLDER, JOURNAL_FOLDER):
        disk.make_folder(folder)
    disk.sync_folder("")
    chain = 0
    base = term = 0
    if genesis is not None:
        base, term, chain = genesis.meta.index, genesis.meta.term, genesis.meta.chain
        store = SnapshotStore(disk, identity, lambda _: chain)
        for write in genesis.journals:
            store.journals.put(write)
        for number, data in enumerate(genesis.slices):
            store.store_slice(StoreSlice(genesis.meta, number, number == len(genesis.slices) - 1, data))
        store.close()
    hard_state = HardStateFiles(disk, identity, 0)
    hard_state.write(HardState(Term(term), NOBODY, 0, False))
    wal = Wal(disk, settings, identity, 0, hard_state, MarkFile(disk, identity, 0), Chains(base, [chain]), [], 0, NOTHING_KNOWN)
    wal.begin(1, (0, 0), base + 1, chain, [])
    wal.close()


class _Verdict(NamedTuple):
    """What the log and the snapshots come to."""

    snapshot: SnapshotMeta | None
    entries: list[Entry]
    chains: list[int]  # of the snapshot's index and of each entry
    lost: bool
    previous: tuple[int, int]  # where the new segment carries on
    next_index: int  # where the log stands there
    chain: int
    rewrite: list[Record]  # what follows there, to be written anew
    superseded: list[int]  # segments whose whole content is written anew


NOTHING = _Verdict(None, [], [0], True, (0, 0), 1, 0, [], [])


def open_folder(
    disk: Disk, expected: Identity, settings: Settings | None = None, *, adopt: bool = False, discard_state: bool = False
) -> Recovered:
    """Locks the folder until the process ends or `disk.unlock`. `adopt`: it was moved here on purpose. `discard_state`: its log and
    snapshots are whole but wrong, because the state diverged: they are set aside, and the member regains all from the others.
    Raises FolderRefused, Rotten, UnknownFormat, DiskFull, DiskFailed."""
    settings = settings or Settings()
    report: list[str] = []
    disk.lock(LOCK_FILE)
    try:
        return _open_locked(disk, expected, settings, report, adopt=adopt, discard_state=discard_state)
    except BaseException as error:
        disk.unlock()
        if report and isinstance(error, CoordError):
            # What was healed on the way is whole at the next start: nobody would ever say it.
            raise type(error)(f"{error.sentence}; found before that: {'; '.join(report)}") from error
        raise


def _open_locked(disk: Disk, expected: Identity, settings: Settings, report: list[str], *, adopt: bool, discard_state: bool) -> Recovered:
    report += check_folder(disk, expected, adopt=adopt)
    copy, problems = newest_copy(disk, expected)
    report += problems
    mark_sequence, mark, problems = read_mark(disk, expected)
    report += problems

    assembly = Assembly()
    for sight in walk(disk, expected, mark):
        assembly.see(sight)
    wal: Wal

    def chain_at(index: Index) -> int:
        return wal.chain_at(index)

    snapshots = SnapshotStore(disk, expected, chain_at)
    snapshots.journals.make_folder()
    metas, rotten = snapshots.find()
    report += rotten
    if discard_state:
        report.append("the state is set aside as told: this member begins without and is rebuilt by the others")
        verdict = NOTHING
    else:
        verdict = _judge(assembly, metas, rotten, mark.offset if mark and mark.segment == assembly.end[0] else 0, settings, report)
    report += [str(rot) for rot in assembly.rot]
    if assembly.torn:
        report.append(f"torn tail behind segment {assembly.end[0]} offset {assembly.end[1]}: never acknowledged, carried on before it")
    _check_hard_state(copy.hard_state, verdict, assembly)

    old = copy.hard_state
    hard_state = HardState(old.term, old.vote, old.boot + 1, old.lost_entries or verdict.lost)
    files = HardStateFiles(disk, expected, copy.sequence)
    files.write(hard_state)
    snapshots.tidy(verdict.snapshot)

    segments = read_segments(disk, expected)
    log_files = [
        LogFile(
            segment.number,
            segment.path,
            disk.size(segment.path),
            segment.header.next_index if segment.header is not None and assembly.is_live(segment.number, verdict.previous[0]) else None,
        )
        for segment in segments
    ]
    number = max([segment.number for segment in segments] + [mark.segment if mark else 0, 0]) + 1
    base = verdict.snapshot.index if verdict.snapshot is not None else 0
    mark_file = MarkFile(disk, expected, mark_sequence)
    # What is discarded was not the cluster's state: nothing can be held against what takes its place.
    known = Known(Index(mark.applied), Revision(mark.revision)) if mark and not discard_state else NOTHING_KNOWN
    wal = Wal(disk, settings, expected, hard_state.boot, files, mark_file, Chains(base, verdict.chains), log_files, assembly.batch, known)
    wal.begin(number, verdict.previous, verdict.next_index, verdict.chain, verdict.rewrite)
    if verdict.superseded:
        wal.drop_superseded(verdict.superseded)
    last_known = max(wal.last_index(), assembly.last_known, mark.last_index if mark else 0) if verdict.lost else wal.last_index()
    commit_hint = min(mark.commit if mark else 0, wal.last_index())
    return Recovered(
        hard_state,
        verdict.snapshot,
        verdict.entries,
        Index(max(commit_hint, base)),
        verdict.lost,
        Index(last_known),
        assembly.rot,
        report,
        known,
        wal,
        snapshots,
    )


def _judge(
    assembly: Assembly, metas: list[SnapshotMeta], rotten: list[str], marked: int, settings: Settings, report: list[str]
) -> _Verdict:
    """Which snapshot, and which run of the log continues it."""
    snapshot = metas[0] if metas else None
    run = assembly.run_behind(snapshot)
    # A start that set a rotten snapshot aside may have been cut short: then only the entries tell that there was a state.
    held_state = bool(rotten) or any(found.entries for found in assembly.runs)
    if (held_state and snapshot is None) or (rotten and run is None):
        report.append("no whole snapshot connects with the log: this member begins without state and is rebuilt by the others")
        return NOTHING
    base, chain = (snapshot.index, snapshot.chain) if snapshot is not None else (0, 0)
    if run is None:
        report.append(f"the log does not connect with what it stands on, index {base}: the entries behind it are lost here")
        return _Verdict(snapshot, [], [chain], True, assembly.proven_end(marked), base + 1, chain, [], [])
    lost = run is not assembly.runs[-1] or assembly.broken
    previous = run.end if lost else assembly.proven_end(marked)
    standing = run.behind(snapshot)
    if standing is None:
        return _Verdict(snapshot, [], [chain], lost, previous, base + 1, chain, [], [])
    entries, chains = standing
    if snapshot is not None and chains[0] != chain:
        report.append(f"the chain at {base} is {chains[0]:08x} in the log and {chain:08x} in the snapshot")
    if lost:
        return _Verdict(snapshot, entries, chains, True, previous, run.last_index() + 1, run.chain_at(run.last_index()), [], [])
    point = assembly.carry_on_from(marked, settings.segment_bytes // 4)
    return _Verdict(snapshot, entries, chains, False, point.previous, point.next_index, point.chain, point.records, point.superseded)


def _check_hard_state(hard_state: HardState, verdict: _Verdict, assembly: Assembly) -> None:
    """Hard state is always durable before the entries and segments of its time: older than these, it is not the one we wrote."""
    term = verdict.entries[-1].term if verdict.entries else 0
    if hard_state.term < term or hard_state.boot < assembly.boot:
        raise Rotten(
            f"the hard state (term {hard_state.term}, boot {hard_state.boot}) is older than the log (term {term}, boot {assembly.boot}): "
            "an old copy was put back; this is not that voter any more: remove it from the cluster and add it under a new id"
        )
