"""What is broken on this host, written down before it is broken: who is hit, until when, by whom, and what undoes it.

One file for each fault, durable before `add` returns. Whoever heals takes the file away; that is the only way it goes.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from coordctl.chaos.faults import FAULTS, KEEPS_DOWN
from coordctl.local import locks
from coordctl.local.fleet import CHAOS_FOLDER, Failed
from coordnode.client.clock import now_ms
from coordnode.errors import UnknownFormat
from coordnode.harm.orders import boot_mark

FORMAT = 1
LOCK, CHANGES_LOCK, LOG = "ledger.lock", "changes.lock", "log.jsonl"
LOG_BYTES_MAX = 1 << 20
SUFFIX = ".fault.json"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    id: str
    fault: str
    to: str  # as it was asked for
    by: str
    member: str  # whom it hits; "": links
    pid: int  # the process that is hit, and its mark: no other is touched
    mark: str
    links: list[tuple[str, str]] = []  # from, to
    owner: str
    reason: str
    undo: str = ""  # what was so before, where that must be known to undo it
    began_unix_ms: int  # these two are only shown
    until_unix_ms: int
    boot: str  # of this host: another one means that its time is over
    deadline_ms: int  # on the clock that goes on in suspend
    awaits_start: bool = False  # the cluster was stopped before this was undone: nobody can, until it is started again

    @property
    def target(self) -> str:
        return self.member or ", ".join(f"{source} -> {sink}" for source, sink in self.links)

    def is_due(self) -> bool:
        return self.left_ms() <= 0

    def left_ms(self) -> int:
        return self.deadline_ms - now_ms() if self.boot == boot_mark() else 0


class _Noted(msgspec.Struct):
    """What every note has."""

    unix_ms: int
    event: str
    id: str
    fault: str
    member: str


class Ledger:
    def __init__(self, cluster_folder: str) -> None:
        self.cluster_folder = cluster_folder
        self.folder = os.path.join(cluster_folder, CHAOS_FOLDER)

    def make(self) -> None:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        _sync(self.cluster_folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody adds, and no reaper finds that it has nothing left to do."""
        self.make()
        with _held(os.path.join(self.folder, LOCK)):
            for name in self._torn():  # of whoever was killed while it had the lock
                os.unlink(os.path.join(self.folder, name))
            yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else of us changes who belongs to the cluster: each change is of what was found. Taken after `locked`, where both are."""
        with _held(os.path.join(self.folder, CHANGES_LOCK)):
            yield

    @contextmanager
    def striking(self, entries: Sequence[Entry]) -> Iterator[None]:
        """Whoever heals waits for that. What is healed or due already is not begun any more: nobody would ever undo it."""
        with self.locked():
            for entry in entries:
                present = self.find(entry)
                if present is None or present.is_due():
                    raise Failed("its time was over before it had taken: give it longer")
            yield

    def tidy(self) -> None:
        """What somebody is writing now is left to him: he has the lock."""
        if self._torn() and not is_held(os.path.join(self.folder, LOCK)):
            with self.locked():
                pass

    def _torn(self) -> list[str]:
        return [name for name in os.listdir(self.folder) if name.endswith(SUFFIX + ".tmp")]

    def entries(self) -> list[Entry]:
        """In the order in which they were begun; without those that cannot be read here, which keep nobody from healing these."""
        return self._all()[0]

    def unread(self) -> list[str]:
        """What else is there: which file, and what is to be done about it."""
        return self._all()[1]

    def _all(self) -> tuple[list[Entry], list[str]]:
        found, unread = [], []
        for name in self._names():
            path = os.path.join(self.folder, name)
            try:
                found.append(self._read(path))
            except FileNotFoundError:  # healed meanwhile
                continue
            except UnknownFormat as error:
                unread.append(error.sentence)
            except OSError as error:
                unread.append(f"{path} cannot be read: {error.strerror}")
        return sorted(found, key=lambda entry: (entry.began_unix_ms, entry.id)), sorted(unread)

    def keeping_down(self, member: str) -> list[Entry]:
        """Because of which its process is to be gone now."""
        return [one for one in self.entries() if one.member == member and one.fault in KEEPS_DOWN and not one.is_due()]

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.folder) if name.endswith(SUFFIX)]
        except FileNotFoundError:
            return []

    def _read(self, path: str) -> Entry:
        with open(path, "rb") as file:
            content = file.read()
        try:
            entry = msgspec.json.decode(content, type=Entry)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnknownFormat(f"{path} is not what chaos writes ({error}): heal what it names by hand, then remove it") from None
        if entry.format != FORMAT:
            raise UnknownFormat(f"{path} is of format {entry.format}, and only {FORMAT} is known here: use the coordctl that made it")
        if entry.fault not in FAULTS:
            raise UnknownFormat(f"{path} is of a fault {entry.fault}, which is not known here: use the coordctl that made it")
        return entry

    def add(self, entry: Entry) -> None:
        """Durable when it returns."""
        write_durably(os.path.join(self.folder, entry.id + SUFFIX), msgspec.json.encode(entry))

    def find(self, entry: Entry) -> Entry | None:
        """As it stands now."""
        try:
            return self._read(os.path.join(self.folder, entry.id + SUFFIX))
        except FileNotFoundError:
            return None

    def end_now(self, entry: Entry, *, awaits_start: bool = False) -> None:
        """Its time is over, whoever comes to heal it."""
        if self.find(entry) is not None:
            self.add(msgspec.structs.replace(entry, deadline_ms=0, awaits_start=awaits_start))

    def remove(self, entry: Entry) -> bool:
        """Whether it was there still: of two that healed the same, one says so."""
        try:
            os.unlink(os.path.join(self.folder, entry.id + SUFFIX))
        except FileNotFoundError:
            return False
        _sync(self.folder)
        return True

    def note(self, event: str, entry: Entry, **more: Any) -> None:
        """For people and reports: nothing rests on it."""
        line = {
            "unix_ms": time.time_ns() // 1_000_000,
            "event": event,
            "id": entry.id,
            "fault": entry.fault,
            "member": entry.target,
            **more,
        }
        path = os.path.join(self.folder, LOG)
        with suppress(OSError):
            if os.path.exists(path) and os.path.getsize(path) > LOG_BYTES_MAX:
                os.replace(path, path + ".1")
            with open(path, "ab+", buffering=0) as file:  # each in one write: others note something, too
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - 1))
                is_torn = file.read(1) not in (b"", b"\n")  # the last one, by a full disk: this one begins a line of its own
                file.write((b"\n" if is_torn else b"") + msgspec.json.encode(line) + b"\n")

    def notes(self, last: int) -> list[dict[str, Any]]:
        """The last so many, in order; what is no note is left out."""
        if not last:
            return []
        try:
            with open(os.path.join(self.folder, LOG), "rb") as file:
                lines = file.read().splitlines()
        except OSError:
            return []
        found: list[dict[str, Any]] = []
        for line in reversed(lines):
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                msgspec.json.decode(line, type=_Noted)
                found.insert(0, msgspec.json.decode(line))
            if len(found) == last:
                break
        return found


def write_durably(path: str, content: bytes) -> None:
    """It belongs to whom its folder belongs to: what root writes for a member, that can read."""
    with open(path + ".tmp", "wb") as file:
        file.write(content)
        if os.geteuid() == 0:
            folder = os.stat(os.path.dirname(path))
            os.fchown(file.fileno(), folder.st_uid, folder.st_gid)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".tmp", path)
    _sync(os.path.dirname(path))


@contextmanager
def _held(path: str) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        wakes_at = time.monotonic() + locks.WAKES_SECONDS
        while not locks.take(descriptor):
            if time.monotonic() >= wakes_at:
                locks.wake(descriptor)  # else nothing heals until somebody remembers it
            time.sleep(locks.PAUSE_SECONDS)
        yield
    finally:
        os.close(descriptor)


def is_held(path: str) -> bool:
    """Whether a process has this lock: it goes with its process, however that ends."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
