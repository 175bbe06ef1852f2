"""A member's disk, as it behaves when it was told to be full, slow, broken or rotten, or to lose power. Implements storage.disk.Disk."""

import errno
import os
import signal
import time
from random import Random

from coordnode.errors import CoordError
from coordnode.harm.orders import DISK_FULL, EIO, POWER_LOSS, ROT, SLOW_FSYNC, Order, Orders
from coordnode.storage.disk import SECTOR_BYTES, Disk, DiskFile, named

SLICE_SECONDS = 0.05
SYNCS_MAX = 20  # it loses power in one of the first so many syncs


def _failure(number: int, path: str, verb: str) -> CoordError:
    return named(OSError(number, os.strerror(number)), path, verb)


class HarmedFile:
    __slots__ = ("_disk", "_file", "_name", "path")

    def __init__(self, disk: "HarmedDisk", name: str, file: DiskFile) -> None:
        self.path = file.path
        self._disk = disk
        self._name = name
        self._file = file

    def read(self, offset: int, size: int) -> bytes:
        self._disk.check("read", self.path)
        data = self._file.read(offset, size)
        rot = self._disk.orders.of(ROT)
        if rot is None or rot.path != self._name or not offset <= rot.offset < offset + len(data):
            return data
        place = rot.offset - offset
        return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]

    def write(self, offset: int, data: bytes) -> None:
        self._disk.check("write", self.path)
        if self._disk.orders.of(DISK_FULL) is not None and offset + len(data) > self._file.size():
            raise _failure(errno.ENOSPC, self.path, "write")
        if self._disk.orders.of(POWER_LOSS) is not None:
            self._disk.remember(self._file, offset, len(data))
        self._file.write(offset, data)

    def datasync(self) -> None:
        self._disk.check("sync", self.path)
        self._disk.be_slow()
        loss = self._disk.orders.of(POWER_LOSS)
        if loss is not None:
            self._disk.maybe_lose_power(loss)
        self._file.datasync()
        self._disk.forget(self._file)

    def size(self) -> int:
        return self._file.size()

    def close(self) -> None:
        self._disk.forget(self._file)
        self._file.close()


class HarmedDisk:
    def __init__(self, disk: Disk, orders: Orders) -> None:
        self.orders = orders
        self._disk = disk
        self._unsynced: list[tuple[DiskFile, int, bytes]] = []  # (file, offset, what was there before), in order
        self._syncs_left = -1  # until the power goes; -1: not drawn yet

    # --- what files ask ----------------------------------------------------------------------------------------------

    def check(self, verb: str, path: str) -> None:
        if self.orders.of(EIO) is not None:
            raise _failure(errno.EIO, path, verb)

    def be_slow(self) -> None:
        """No longer than it is told so: what ends meanwhile ends for who waits here, too."""
        began = time.monotonic()
        while (slow := self.orders.of(SLOW_FSYNC)) is not None:
            left = slow.amount / 1000 - (time.monotonic() - began)
            if left <= 0:
                return
            time.sleep(min(left, SLICE_SECONDS))

    def remember(self, file: DiskFile, offset: int, size: int) -> None:
        before = file.read(offset, size)
        self._unsynced.append((file, offset, before + bytes(size - len(before))))  # a file that grew without a sync holds zeros

    def forget(self, file: DiskFile) -> None:
        if self._unsynced:
            self._unsynced = [one for one in self._unsynced if one[0] is not file]

    def maybe_lose_power(self, order: Order) -> None:
        """What was written and not synced is lost, sector by sector as chance has it; then this process is gone."""
        chance = Random(f"{order.seed}/{os.getpid()}")
        if self._syncs_left < 0:
            self._syncs_left = chance.randrange(SYNCS_MAX)
        self._syncs_left -= 1
        if self._syncs_left >= 0:
            return
        for file, offset, before in reversed(self._unsynced):
            for start in range(0, len(before), SECTOR_BYTES):
                if chance.random() < 0.5:
                    file.write(offset + start, before[start : start + SECTOR_BYTES])
        os.kill(os.getpid(), signal.SIGKILL)

    # --- the protocol ------------------------------------------------------------------------------------------------

    def list(self, folder: str) -> "list[str]":
        return self._disk.list(folder)

    def exists(self, path: str) -> bool:
        return self._disk.exists(path)

    def size(self, path: str) -> int:
        return self._disk.size(path)

    def make_folder(self, path: str) -> None:
        self.check("make", path)
        self._disk.make_folder(path)

    def open(self, path: str, *, past_cache: bool = False) -> DiskFile:
        return HarmedFile(self, path, self._disk.open(path, past_cache=past_cache))

    def create(self, path: str) -> DiskFile:
        self.check("create", path)
        if self.orders.of(DISK_FULL) is not None:
            raise _failure(errno.ENOSPC, path, "create")
        return HarmedFile(self, path, self._disk.create(path))

    def rename(self, source: str, target: str) -> None:
        self.check("rename", source)
        self._disk.rename(source, target)

    def unlink(self, path: str) -> None:
        self.check("remove", path)
        self._disk.unlink(path)

    def discard(self, path: str) -> None:
        self.check("remove", path)
        self._disk.discard(path)

    def sync_folder(self, folder: str) -> None:
        self.check("sync", folder)
        self._disk.sync_folder(folder)

    def free_bytes(self) -> int:
        return 0 if self.orders.of(DISK_FULL) is not None else self._disk.free_bytes()

    def free_files(self) -> int:
        return self._disk.free_files()

    def fingerprint(self, path: str) -> int:
        return self._disk.fingerprint(path)

    def lock(self, path: str) -> None:
        self._disk.lock(path)

    def unlock(self) -> None:
        self._disk.unlock()
