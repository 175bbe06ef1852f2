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

    @property
    def target(self) -> str:
        return self.member or ", ".join(f"{source} -> {sink}" for source, sink in self.links)

    def is_due(self) -> bool:
        return self.left_ms() <= 0

    def left_ms(self) -> int:
        return self.deadline_ms - now_ms() if self.boot == boot_mark() else 0


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
        """In the order in which they were begun."""
        found = []
        for name in self._names():
            with suppress(FileNotFoundError):  # healed meanwhile
                found.append(self._read(os.path.join(self.folder, name)))
        return sorted(found, key=lambda entry: (entry.began_unix_ms, entry.id))

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

    def end_now(self, entry: Entry) -> None:
        """Its time is over, whoever comes to heal it."""
        if self.find(entry) is not None:
            self.add(msgspec.structs.replace(entry, deadline_ms=0))

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
            with open(path, "ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")

    def notes(self, last: int) -> list[dict[str, Any]]:
        try:
            with open(os.path.join(self.folder, LOG), "rb") as file:
                lines = file.read().splitlines()[-last:]
        except OSError:
            return []
        return [msgspec.json.decode(line) for line in lines if line.endswith(b"}")]


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
