"""The other half of power.c: after a kill it makes a member's folder what a loss of power leaves of it.

Everything that was not synced is undone first. Then, of what was undone, a part comes back as disks do it: names in the
order in which they were changed, file contents by sectors, in no order at all.
"""

import os
import random
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

WRITE, TRUNCATE, CREATE, RENAME, UNLINK, FILE_SYNCED, FOLDER_SYNCED = range(1, 8)
HEAD = struct.Struct("<IIQQQQQQQ")
SECTOR_BYTES = 512
SOURCE = Path(__file__).with_name("power.c")


class Record(NamedTuple):
    kind: int
    paths: list[str]
    inode: int
    offset: int  # of a sync: the sequence up to which it speaks
    old_size: int
    new_bytes: int
    old: bytes
    sequence: int
    kept: int


class Lost(NamedTuple):
    writes: int  # that were not synced
    names: int  # created, renamed or unlinked, and the folder not synced


class Power:
    """One member's supply of it."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.folder = folder.resolve()  # as the kernel names it
        self.journal = folder.with_suffix(".power")
        self.journal.mkdir()
        self.environment = {
            "LD_PRELOAD": str(library),
            "COORD_POWER_ROOT": str(self.folder),
            "COORD_POWER_JOURNAL": str(self.journal),
        }

    def lie(self) -> None:
        """From now on until the power is lost, what is said to be synced is not."""
        (self.journal / "lie").touch()

    def lose(self, rng: random.Random | None) -> Lost:
        """After the member's process is gone, before its next start. What was not synced survives by chance; without `rng` not at all."""
        records = list(self._records())
        writes, names = _not_durable(records)
        survived: dict[str, int] = {}
        for record in names:
            survived.setdefault(os.path.dirname(record.paths[0]), 0)
        for folder in survived:
            survived[folder] = _some(rng, sum(os.path.dirname(record.paths[0]) == folder for record in names))
        undone: list[Record] = []
        for record in names:
            folder = os.path.dirname(record.paths[0])
            if survived[folder]:
                survived[folder] -= 1
            else:
                undone.append(record)
        for record in reversed(undone):
            self._undo_name(record)
        self._undo_writes(writes, rng)
        shutil.rmtree(self.journal)
        self.journal.mkdir()
        return Lost(len(writes), len(undone))

    def _records(self) -> Iterator[Record]:
        """A record that is cut short is of a change that was not made any more."""
        path = self.journal / "journal"
        data = path.read_bytes() if path.exists() else b""
        at = 0
        while at + HEAD.size <= len(data):
            kind, path_bytes, inode, offset, old_size, new_bytes, data_bytes, sequence, kept = HEAD.unpack_from(data, at)
            at += HEAD.size + path_bytes + data_bytes
            if at > len(data):
                return
            paths = data[at - path_bytes - data_bytes : at - data_bytes].decode().split("\0")[:-1]
            yield Record(kind, paths, inode, offset, old_size, new_bytes, data[at - data_bytes : at], sequence, kept)

    def _undo_name(self, record: Record) -> None:
        """What the kill came before is not there to be undone."""
        path = Path(record.paths[0])
        kept = self.journal / f"kept.{record.kept}"
        if record.kind == CREATE:
            path.unlink(missing_ok=True)
        elif record.kind == UNLINK:
            if not path.exists():
                os.link(kept, path)
        else:
            target = Path(record.paths[1])
            assert path.parent == target.parent
            if target.exists() and target.stat().st_ino == record.inode:
                target.rename(path)
                if record.kept:
                    os.link(kept, target)

    def _undo_writes(self, writes: list[Record], rng: random.Random | None) -> None:
        places = {found.stat().st_ino: found for found in [*self.journal.iterdir(), *self.folder.rglob("*")] if found.is_file()}
        new: list[tuple[Path, int, bytes]] = []
        for record in reversed(writes):
            place = places.get(record.inode)
            if place is None:
                continue  # its name is lost, too
            with place.open("r+b") as file:
                if record.kind == WRITE:
                    file.seek(record.offset)
                    new.append((place, record.offset, file.read(record.new_bytes)))
                file.seek(record.offset)
                file.write(record.old)
                file.truncate(record.old_size)
        if rng is None:
            return
        likelihood = rng.choice((0, 0, 0.5, 0.9))
        for place, offset, data in reversed(new):
            with place.open("r+b") as file:
                for sector, part in _sectors(offset, data):
                    if rng.random() < likelihood:
                        file.seek(sector)
                        file.write(part)


def _some(rng: random.Random | None, count: int) -> int:
    return rng.choice((0, rng.randint(0, count))) if rng is not None else 0


def _not_durable(records: list[Record]) -> tuple[list[Record], list[Record]]:
    """(writes, changes of names), each in the order in which they were made."""
    synced_inodes: dict[int, int] = {}
    synced_folders: dict[str, int] = {}
    for record in records:
        if record.kind == FILE_SYNCED:
            synced_inodes[record.inode] = max(synced_inodes.get(record.inode, 0), record.offset)
        elif record.kind == FOLDER_SYNCED:
            synced_folders[record.paths[0]] = max(synced_folders.get(record.paths[0], 0), record.offset)
    writes: list[Record] = []
    names: list[Record] = []
    for record in records:
        if record.kind in (WRITE, TRUNCATE):
            if record.sequence > synced_inodes.get(record.inode, 0):
                writes.append(record)
        elif record.kind in (CREATE, RENAME, UNLINK) and record.sequence > synced_folders.get(os.path.dirname(record.paths[0]), 0):
            names.append(record)
    return writes, names


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        size = min(SECTOR_BYTES - (offset + at) % SECTOR_BYTES, len(data) - at)
        yield offset + at, data[at : at + size]
        at += size
