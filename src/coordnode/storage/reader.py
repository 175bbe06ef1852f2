"""A member's files, read while it runs or after it died: no lock, nothing written, a moving tail tolerated."""

from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

import msgspec

from coordnode.errors import Damaged, DiskFailed, RecordError
from coordnode.limits import BLOB_PIECE_BYTES
from coordnode.raft.blobs import Blob
from coordnode.raft.entry import SnapshotMeta
from coordnode.storage.assembly import Assembly, Standing
from coordnode.storage.block import Identity
from coordnode.storage.disk import Disk, RealDisk
from coordnode.storage.hard_state import HARD_STATE_FILES, Copy, read_copies
from coordnode.storage.identity import IDENTITY_FILE, IdentityFound, explain_missing, read_identity
from coordnode.storage.journals import blob_path, matches, problem_at_first_sight
from coordnode.storage.mark import Mark, read_mark
from coordnode.storage.record import KIND_NAMES
from coordnode.storage.scan import Began, Ended, Found, Rot, chain_segments, walk
from coordnode.storage.segment import Header, read_segments
from coordnode.storage.snapshot_file import read_contents, read_lists, read_slices
from coordnode.storage.snapshots import SNAPSHOT_FOLDER

OK = "ok"
TORN_TAIL = "torn tail"
ROT = "rot"
LOOKS_MAX = 3  # a running member writes, and removes, while we read: only what is damaged each time is damaged

REMEDY_LOG = (
    "if the member runs, it goes on unharmed until its next start; then it names what it lost, votes no more until it regained that "
    "from the others, and needs nobody's help while a majority is whole. With one voter alone: restore from a backup"
)
REMEDY_HARD_STATE_ONE = "start the member again: it uses the other copy and writes this one anew"
REMEDY_HARD_STATE_BOTH = "the member is not that voter any more: remove it from the cluster and add it under a new id, with an empty folder"
REMEDY_JOURNAL = (
    "a member that leads and reads there regains it from the others, or hands the lead to one that has it; with one voter alone: restore "
    "from a backup, or go on without these records"
)
REMEDY_SNAPSHOT = "start the member again: it sets the file aside and falls back to an older snapshot or to the other members"

REMEDY_NO_STATE = (
    "start the member again: it begins without state and is rebuilt by the others. With one voter alone: put the snapshot back, or restore "
    "from a backup"
)


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One line of a dump. `verdict`: ok, torn tail, rot; `kind`: segment, batch, entry, truncate, reset, end."""

    segment: int
    path: str
    offset: int
    kind: str
    verdict: str
    reason: str
    entry_kind: int = 0
    term: int = 0  # of a batch: its sequence
    index: int = 0  # of a segment or batch: the log's last index before it; of a truncation: the first index undone
    chain: int = 0
    batch: int = 0
    size: int = 0
    data: bytes = b""


class Damage(NamedTuple):
    path: str
    offset: int
    reason: str
    remedy: str


class Report(NamedTuple):
    verdict: str  # ok, torn tail (harmless: what a crash or a running member leaves), rot
    damages: list[Damage]
    entries: int  # records of entries, also those that were truncated later
    last_index: int
    last_chain: int
    tail: tuple[str, int]  # where the log ends
    segments: int
    superseded: list[str]  # segments that count no more


class HardStateFound(NamedTuple):
    path: str
    copy: Copy | None
    problem: str


class SnapshotFound(NamedTuple):
    path: str
    meta: SnapshotMeta | None
    slices: int
    size: int
    complete: bool
    problem: str


class Reader:
    """Raises FolderRefused, UnknownFormat, DiskFailed; damage is reported, never raised, except where nothing else can be said."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def identity(self) -> IdentityFound:
        """Raises RecordError when it is damaged, FileNotFoundError when this is no member's folder."""
        return read_identity(self._disk)

    def hard_state(self) -> list[HardStateFound]:
        found = []
        for path, copy in zip(HARD_STATE_FILES, read_copies(self._disk, None), strict=True):
            found.append(HardStateFound(path, copy, "") if isinstance(copy, Copy) else HardStateFound(path, None, copy))
        return found

    def mark(self) -> tuple[Mark | None, list[str]]:
        """And what is wrong with its slots."""
        _, mark, problems = read_mark(self._disk, None)
        return mark, problems

    def snapshots(self, *, verify: bool = False) -> list[SnapshotFound]:
        """All files, partial and rotten ones too, the oldest first; `verify` reads every slice."""
        return [
            self._snapshot(f"{SNAPSHOT_FOLDER}/{name}", verify=verify)
            for name in self._disk.list(SNAPSHOT_FOLDER)
            if name.endswith((".snap", ".part", ".rotten"))
        ]

    def newest_state(self, up_to: int | None = None) -> tuple[SnapshotMeta, list[bytes]] | None:
        """The newest snapshot that is whole, and its slices, each read and checked; None: there is none. `up_to`: of those only that
        reach no further."""
        for _ in range(LOOKS_MAX):
            names = [name for name in self._disk.list(SNAPSHOT_FOLDER) if name.endswith(".snap")]
            for name in reversed(names):
                if (state := self._state(f"{SNAPSHOT_FOLDER}/{name}", up_to)) is not None:
                    return state
            if set(names) <= set(self._disk.list(SNAPSHOT_FOLDER)):
                break  # otherwise a running member has newer ones
        return None

    def _state(self, path: str, up_to: int | None) -> tuple[SnapshotMeta, list[bytes]] | None:
        """None: it is not whole, or it went while it was read."""
        try:
            file = self._disk.open(path, past_cache=False)
        except FileNotFoundError:
            return None
        try:
            contents = read_contents(file, verify=False)
            if contents.complete and (up_to is None or contents.meta.index <= up_to):
                return contents.meta, list(read_slices(file, contents))
        except (Damaged, DiskFailed):
            pass
        finally:
            file.close()
        return None

    def records(self) -> Iterator[LogRecord]:
        """The log in order, with its damages where they are."""
        for sight in self._walk():
            if isinstance(sight, Began):
                yield _segment_line(sight.segment.path, sight.header)
            elif isinstance(sight, Found):
                record = sight.record
                yield LogRecord(
                    sight.segment.number, sight.segment.path, sight.offset, KIND_NAMES[record.kind], OK, "",
                    record.entry_kind, record.term, record.index, record.chain, record.batch, record.size, record.data,
                )  # fmt: skip
            elif isinstance(sight, Rot):
                yield LogRecord(sight.segment, sight.path, sight.offset, "end", ROT, sight.reason)
            else:
                verdict = TORN_TAIL if sight.torn else OK
                yield LogRecord(sight.segment.number, sight.segment.path, sight.offset, "end", verdict, "")

    def standing(self, snapshot: SnapshotMeta) -> Standing:
        """The entries behind it that a start would find: what was truncated, or left behind by a snapshot of another member, is gone, and
        what is missing ends it."""
        assembly = Assembly()
        for sight in self._walk():
            assembly.see(sight)
        run = assembly.run_behind(snapshot)
        standing = run.behind(snapshot) if run is not None else None
        return standing or Standing([], [snapshot.chain])

    def pieces(self, blob: Blob) -> Iterator[bytes]:
        """The bytes of a journal's segment, as far as it is listed. Raises FileNotFoundError when it is gone, RecordError when these are
        not the bytes that were written."""
        file = self._disk.open(blob_path(blob.id), past_cache=False)
        checksum = 0
        try:
            for start in range(0, blob.size, BLOB_PIECE_BYTES):
                data = file.read(start, min(BLOB_PIECE_BYTES, blob.size - start))
                checksum = crc32(data, checksum)
                yield data
        finally:
            file.close()
        if checksum != blob.checksum:
            raise RecordError(f"{blob_path(blob.id)}: its first {blob.size} bytes do not match their checksum")

    def verify(self) -> Report:
        """The log, the hard state, the mark, every snapshot, and the bytes of journals that the newest one lists."""
        report = self._verify_log()
        for _ in range(LOOKS_MAX - 1):
            if not report.damages:
                break
            again = self._verify_log()
            before = [(damage.path, damage.offset) for damage in report.damages]
            kept = [damage for damage in again.damages if (damage.path, damage.offset) in before]
            report = again._replace(damages=kept, verdict=ROT if kept else TORN_TAIL)
        damages = report.damages + self._other_damages() + self._unconnected(report) + self._journal_damages()
        return report._replace(damages=damages, verdict=ROT if damages else report.verdict)

    def _walk(self) -> Iterator[Began | Found | Rot | Ended]:
        _, mark, _ = read_mark(self._disk, None)
        return walk(self._disk, self._identity_if_readable(), mark)

    def _identity_if_readable(self) -> Identity | None:
        try:
            return read_identity(self._disk).identity
        except (RecordError, FileNotFoundError):
            return None

    def _verify_log(self) -> Report:
        damages = []
        entries = last_index = last_chain = segments = 0
        tail = ("", 0)
        torn = False
        for record in self.records():
            if record.verdict == ROT:
                damages.append(Damage(record.path, record.offset, record.reason, REMEDY_LOG))
            torn |= record.verdict == TORN_TAIL
            tail = (record.path, record.offset + record.size)
            segments += record.kind == "segment"
            entries += record.kind == "entry"
            if record.kind in ("entry", "reset", "segment"):
                last_index, last_chain = record.index, record.chain
            elif record.kind == "truncate":
                last_index, last_chain = record.index - 1, record.chain
        _, mark, _ = read_mark(self._disk, None)
        superseded = [segment.path for segment in chain_segments(read_segments(self._disk, None), mark).superseded]
        verdict = ROT if damages else TORN_TAIL if torn else OK
        return Report(verdict, damages, entries, last_index, last_chain, tail, segments, superseded)

    def _other_damages(self) -> list[Damage]:
        states = self.hard_state()
        broken = [state for state in states if state.copy is None]
        remedy = REMEDY_HARD_STATE_BOTH if len(broken) == len(states) else REMEDY_HARD_STATE_ONE
        damages = [Damage(state.path, 0, state.problem, remedy) for state in broken]
        damages += [Damage("mark", 0, problem, "start the member again: it is written anew") for problem in self.mark()[1]]
        for snapshot in self.snapshots(verify=True):
            if snapshot.problem and snapshot.path.endswith(".snap") and self._disk.exists(snapshot.path):
                damages.append(Damage(snapshot.path, snapshot.size, snapshot.problem, REMEDY_SNAPSHOT))
        try:
            self.identity()
        except RecordError as error:
            remedy = "if this surely is the member's own folder, start it once with `adopt`"
            damages.append(Damage(IDENTITY_FILE, 0, error.sentence, remedy))
        except FileNotFoundError:
            damages.append(Damage(IDENTITY_FILE, 0, *explain_missing(self._disk)))
        return damages

    def _unconnected(self, report: Report) -> list[Damage]:
        """Whether a start finds a state: a snapshot that is whole, and a log that goes on from there.

        A member that was never given one, and has nothing in its log, waits for the others.
        """
        damages: list[Damage] = []
        for _ in range(LOOKS_MAX):
            snapshots = [one for one in self.snapshots() if not one.path.endswith(".part")]
            whole = [one for one in snapshots if one.path.endswith(".snap") and one.complete and not one.problem]
            assembly = Assembly()
            for sight in self._walk():
                assembly.see(sight)
            damages = []
            if not whole and (snapshots or any(run.entries for run in assembly.runs)):
                reason = "no whole snapshot is there, and the log alone is no state"
                damages = [Damage(SNAPSHOT_FOLDER, 0, reason, REMEDY_NO_STATE)]
            elif whole and not report.damages and assembly.run_behind(whole[-1].meta) is None:
                damages = [Damage(whole[-1].path, 0, "the log does not go on from there: what was behind it is lost", REMEDY_LOG)]
            if not damages:
                break
        return damages

    def _journal_damages(self) -> list[Damage]:
        """What came after the newest snapshot stands in the log, too."""
        for name in reversed(self._disk.list(SNAPSHOT_FOLDER)):
            path = f"{SNAPSHOT_FOLDER}/{name}"
            found = self._snapshot(path, verify=False)
            if not name.endswith(".snap") or not found.complete:
                continue
            file = self._disk.open(path, past_cache=True)
            try:
                blobs, _ = read_lists(file, read_contents(file, verify=False).slices)
            except (Damaged, DiskFailed):
                continue
            finally:
                file.close()
            problems = [(blob, self._blob_problem(blob)) for blob in blobs]
            damages = [Damage(blob_path(blob.id), 0, problem, REMEDY_JOURNAL) for blob, problem in problems if problem]
            return damages if self._disk.exists(path) else []  # a running member may have gone on meanwhile
        return []

    def _blob_problem(self, blob: Blob) -> str:
        problem = problem_at_first_sight(self._disk, blob)
        return problem or ("" if matches(self._disk, blob) else f"its first {blob.size} bytes do not match their checksum")

    def _snapshot(self, path: str, *, verify: bool) -> SnapshotFound:
        try:
            file = self._disk.open(path, past_cache=verify)
        except FileNotFoundError:
            return SnapshotFound(path, None, 0, 0, False, "gone while it was looked at")
        try:
            contents = read_contents(file, verify=verify)
        except (Damaged, DiskFailed) as error:
            return SnapshotFound(path, None, 0, 0, False, error.sentence)
        finally:
            file.close()
        problem = "" if path.endswith(".part") else contents.problem
        return SnapshotFound(path, contents.meta, len(contents.slices), contents.end, contents.complete, problem)


def _segment_line(path: str, header: Header) -> LogRecord:
    reason = f"made in boot {header.boot}, continues segment {header.previous_segment} at offset {header.previous_offset}"
    before = header.next_index - 1
    return LogRecord(header.number, path, 0, "segment", OK, reason, index=before, chain=header.chain, batch=header.batch)


def open_reader(path: str) -> Reader:
    """A folder of this machine."""
    return Reader(RealDisk(path))
