"""A disk in memory that keeps exactly the promises of storage's `Disk` protocol, and breaks everything else when told to.

Every call that changes something is one numbered disk operation. What was called since `settle` is in flight: a crash or a
power loss may cut it at any point. A process crash keeps what the kernel knows; a power loss keeps what was synced, and of the
rest what chance keeps, in sectors. What is durable is only worked out then: a write costs little more than its copying.
"""

import errno
from random import Random

from coordnode.errors import CoordError, DiskFailed, DiskFull, FolderRefused
from coordnode.storage.disk import SECTOR_BYTES, UNCOUNTED_FILES, DiskFile

WRITE_NS = 50_000
SYNC_NS_MIN = 200_000
STALL_NS_MAX = 8_000_000_000
SYNC_NS_SPREAD = 200_000
ROOM_WITHOUT_CAPACITY = 1 << 40


class PowerLost(Exception):
    """The operation that `cut_at` named was reached; it did not happen. Not a CoordError: no code may handle it."""


class _Node:
    """One file's bytes, whatever its name."""

    __slots__ = ("cache", "durable", "number", "pending")

    def __init__(self, number: int) -> None:
        self.number = number  # stays the same for life, renamed or not
        self.cache = bytearray()  # what the kernel shows
        self.durable = bytearray()  # what a power loss surely leaves
        self.pending: list[tuple[int, int, bytes]] = []  # (operation, offset, data) not covered by a settled sync, in order


def _patch(content: bytearray, offset: int, data: bytes | memoryview) -> None:
    """A slice assigned to a bytearray would be copied twice; a view of it takes the bytes as they are."""
    size = len(content)
    if offset + len(data) > size:
        if offset > size:
            content.extend(bytes(offset - size))
        elif offset < size:
            data = memoryview(data)
            _patch(content, offset, data[: size - offset])
            data = data[size - offset :]
        content += data
    else:
        with memoryview(content) as view:
            view[offset : offset + len(data)] = data


class _SimFile:
    __slots__ = ("_disk", "_node", "_past_cache", "path")

    def __init__(self, disk: "SimDisk", path: str, node: _Node, *, past_cache: bool) -> None:
        self.path = path
        self._disk = disk
        self._node = node
        self._past_cache = past_cache

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self._node.cache[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        assert not self._past_cache, "opened for reading"
        disk = self._disk
        disk.begin_operation()
        if disk.write_errors:
            raise disk.take_write_error(self.path)
        node = self._node
        grown = offset + len(data) - len(node.cache)
        if grown > 0:
            disk.take_room(grown, self.path)
        _patch(node.cache, offset, data)
        node.pending.append((disk.operations, offset, data))
        disk.cost_ns += WRITE_NS

    def datasync(self) -> None:
        disk = self._disk
        disk.begin_operation(syncs=True)
        disk.cost_ns += SYNC_NS_MIN + int(disk.rng.random() * SYNC_NS_SPREAD)
        if disk.sync_failures and self.path.startswith(disk.failing_folder):
            raise disk.fail_sync(self._node, self.path)
        disk.synced.append((disk.operations, self._node))

    def size(self) -> int:
        return len(self._node.cache)

    def close(self) -> None:
        pass


# A change of names in one folder: (operation, path, node that the path names from then on, None when none).
_NameChange = tuple[int, str, _Node | None]


class SimDisk:
    """Implements storage.disk.Disk."""

    def __init__(self, rng: Random, *, capacity: int | None = None) -> None:
        self.rng = rng  # for costs alone; crash and power_loss are given their own
        self.capacity = capacity
        self.files_max: int | None = None
        self.operations = 0  # how many were begun
        self.cost_ns = 0
        self.slow_factor = 1.0
        self.synced: list[tuple[int, _Node]] = []  # datasyncs in flight
        self.sync_failures = 0
        self.syncs_are_full = False  # those that fail say that the disk is full
        self.failing_folder = ""  # of the files whose syncs fail
        self.write_errors: list[int] = []
        self._cut_at = 0
        self._cut_in_sync_from = 0
        self._was_cut = False
        self._settled = 0  # the last operation that is not in flight
        self._nodes = 0
        self._names: dict[str, _Node] = {}  # what the kernel shows
        self._durable_names: dict[str, _Node] = {}
        self._name_changes: dict[str, list[_NameChange]] = {}  # by folder, not covered by a settled sync
        self._folder_syncs: list[tuple[int, str]] = []  # in flight
        self._folders: dict[str, int] = {"": 0}  # path -> the operation that made it
        self._durable_folders = {"": 0}
        self._used = 0
        self._locked = ""

    # --- the protocol ----------------------------------------------------------------------------------------------

    def list(self, folder: str) -> "list[str]":
        prefix = folder + "/" if folder else ""
        names = [path[len(prefix) :] for path in self._names if path.startswith(prefix)]
        names += [path[len(prefix) :] for path in self._folders if path and path.startswith(prefix)]
        return sorted(name for name in names if "/" not in name)

    def exists(self, path: str) -> bool:
        return path in self._names or path in self._folders

    def size(self, path: str) -> int:
        return len(self._node(path).cache)

    def make_folder(self, path: str) -> None:
        self.begin_operation()
        self._folders.setdefault(path, self.operations)

    def open(self, path: str, *, past_cache: bool = False) -> DiskFile:
        node = self._node(path)
        if past_cache:
            self._drop_cache(node)
        return _SimFile(self, path, node, past_cache=past_cache)

    def create(self, path: str) -> DiskFile:
        self.begin_operation()
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            raise DiskFailed(f"cannot create {path}: there is no folder {folder}")
        if path not in self._names and not self.free_files():
            raise DiskFull(f"no space left to create {path}")
        self._forget_room(path)
        self._nodes += 1
        node = _Node(self._nodes)
        self._names[path] = node
        self._change_name(path, node)
        return _SimFile(self, path, node, past_cache=False)

    def rename(self, source: str, target: str) -> None:
        self.begin_operation()
        assert source.rpartition("/")[0] == target.rpartition("/")[0], "renames stay within one folder"
        node = self._node(source)
        self._forget_room(target)
        del self._names[source]
        self._names[target] = node
        # One change: no power loss leaves both names, or neither.
        self._change_name(target, node)
        folder = target.rpartition("/")[0]
        self._name_changes[folder].append((self.operations, source, None))

    def unlink(self, path: str) -> None:
        self.begin_operation()
        self._node(path)
        self._forget_room(path)
        del self._names[path]
        self._change_name(path, None)

    def discard(self, path: str) -> None:
        node = self._node(path)
        self.unlink(path)
        node.cache.clear()

    def sync_folder(self, folder: str) -> None:
        self.begin_operation(syncs=True)
        self.cost_ns += SYNC_NS_MIN + int(self.rng.random() * SYNC_NS_SPREAD)
        if self.sync_failures and not self.syncs_are_full:  # names need no room that would be found only now
            self.sync_failures -= 1
            raise DiskFailed(f"cannot sync {folder or 'the folder'}: told to fail")
        self._folder_syncs.append((self.operations, folder))

    def free_bytes(self) -> int:
        return ROOM_WITHOUT_CAPACITY if self.capacity is None else max(0, self.capacity - self._used)

    def free_files(self) -> int:
        return UNCOUNTED_FILES if self.files_max is None else max(0, self.files_max - len(self._names))

    def fingerprint(self, path: str) -> int:
        return self._node(path).number

    def lock(self, path: str) -> None:
        if self._locked:
            raise FolderRefused(f"{path} is held by another process: a folder has one member at a time; stop that one first")
        self._locked = path

    def unlock(self) -> None:
        self._locked = ""

    # --- what files and the protocol share -------------------------------------------------------------------------

    def begin_operation(self, *, syncs: bool = False) -> None:
        self.operations += 1
        if self.operations == self._cut_at or (syncs and 0 < self._cut_in_sync_from <= self.operations):
            self._cut_in_sync_from = 0
            self._was_cut = True
            raise PowerLost(f"at disk operation {self.operations}")

    def take_room(self, size: int, path: str) -> None:
        if self.capacity is not None and self._used + size > self.capacity:
            raise DiskFull(f"no space left to write {path}")
        self._used += size

    def take_write_error(self, path: str) -> CoordError:
        code = self.write_errors.pop(0)
        if code == errno.ENOSPC:
            return DiskFull(f"no space left to write {path}")
        return DiskFailed(f"cannot write {path}: told to fail with {errno.errorcode.get(code, code)}")

    def fail_sync(self, node: _Node, path: str) -> CoordError:
        """The kernel shows the data, has forgotten that it is not on the device, and will never write it again."""
        self.sync_failures -= 1
        self.settle()  # the process saw everything before it succeed
        kept = [change for change in node.pending if self.rng.random() < 0.5]
        for _, offset, data in kept:
            _patch(node.durable, offset, data)
        node.pending.clear()
        if self.syncs_are_full:
            return DiskFull(f"no space left to sync {path}")
        return DiskFailed(f"cannot sync {path}: told to fail")

    def _node(self, path: str) -> _Node:
        node = self._names.get(path)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return node

    def _change_name(self, path: str, node: _Node | None) -> None:
        self.cost_ns += WRITE_NS
        self._name_changes.setdefault(path.rpartition("/")[0], []).append((self.operations, path, node))

    def _forget_room(self, path: str) -> None:
        node = self._names.get(path)
        if node is not None:
            self._used -= len(node.cache)

    # --- time ------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """What was called so far is no longer in flight: its completion was seen."""
        self._settled = self.operations
        for operation, node in self.synced:
            self._make_durable(node, operation)
        self.synced.clear()
        for operation, folder in self._folder_syncs:
            self._make_names_durable(folder, operation)
        self._folder_syncs.clear()

    def take_cost_ns(self) -> int:
        """The virtual time that the operations since the last call would have taken; a stall ends, however much was asked for."""
        cost = min(int(self.cost_ns * self.slow_factor), STALL_NS_MAX)
        self.cost_ns = 0
        return cost

    @staticmethod
    def _make_durable(node: _Node, operation: int) -> None:
        count = 0
        for when, offset, data in node.pending:
            if when > operation:
                break
            _patch(node.durable, offset, data)
            count += 1
        del node.pending[:count]

    def _make_names_durable(self, folder: str, operation: int) -> None:
        changes = self._name_changes.get(folder, [])
        count = 0
        for when, path, node in changes:
            if when > operation:
                break
            self._apply_name(path, node)
            count += 1
        del changes[:count]
        for path, made in self._folders.items():
            if made <= operation and path.rpartition("/")[0] == folder:
                self._durable_folders[path] = made

    def _apply_name(self, path: str, node: _Node | None) -> None:
        if node is None:
            self._durable_names.pop(path, None)
        else:
            self._durable_names[path] = node

    # --- the end of a process, and of power ------------------------------------------------------------------------

    def cut_at(self, operation: int) -> None:
        """Raise PowerLost instead of carrying out that operation; 0: none."""
        self._cut_at = operation
        self._cut_in_sync_from = 0

    def cut_in_sync(self, operation: int) -> None:
        """The same at the first sync from that operation on: something surely was written, and is not durable."""
        self._cut_at = 0
        self._cut_in_sync_from = operation

    def crash(self, rng: Random) -> int:
        """The process dies at a random point of what is in flight; the kernel lives on. Returns the last operation that happened."""
        cut = self._cut(rng)
        self._end_process()
        return cut

    def power_loss(self, rng: Random) -> int:
        """The same, and the kernel dies too: what was not synced is kept, lost or torn."""
        cut = self._cut(rng)
        for operation, node in self.synced:
            self._make_durable(node, operation)
        for operation, folder in self._folder_syncs:
            self._make_names_durable(folder, operation)
        for folder, made in self._folders.items():
            if folder not in self._durable_folders and rng.random() < 0.5 and folder.rpartition("/")[0] in self._durable_folders:
                self._durable_folders[folder] = made
        nodes = {node.number: node for node in self._durable_names.values()}
        for folder in sorted(self._name_changes):
            changes = self._name_changes[folder]
            nodes.update((node.number, node) for _, _, node in changes if node is not None)
            operations = sorted({when for when, _, _ in changes})
            last = operations[: rng.randint(0, len(operations))][-1:]
            for when, path, named in changes:
                if last and when <= last[0]:
                    self._apply_name(path, named)
        for number in sorted(nodes):
            self._lose_pending(nodes[number], rng)
        kept = {path: node for path, node in self._durable_names.items() if path.rpartition("/")[0] in self._durable_folders}
        self._durable_names = kept
        self._folders = dict(self._durable_folders)
        self._names = dict(self._durable_names)
        self._name_changes = {}
        self._end_process()
        return cut

    def _cut(self, rng: Random) -> int:
        """Forgets what comes after the cut. A cut by `cut_at` is where it is."""
        cut = self.operations if self._was_cut else rng.randint(self._settled, self.operations)
        self.synced = [(when, node) for when, node in self.synced if when <= cut]
        self._folder_syncs = [(when, folder) for when, folder in self._folder_syncs if when <= cut]
        if cut == self.operations:
            return cut
        nodes = {node.number: node for node in self._names.values()}
        for changes in self._name_changes.values():
            nodes.update((node.number, node) for _, _, node in changes if node is not None)
            changes[:] = [change for change in changes if change[0] <= cut]
        self._folders = {path: made for path, made in self._folders.items() if made <= cut}
        self._names = dict(self._durable_names)
        nodes.update((node.number, node) for node in self._names.values())
        for changes in self._name_changes.values():
            for _, path, named in changes:
                if named is None:
                    self._names.pop(path, None)
                else:
                    self._names[path] = named
        for number in sorted(nodes):
            node = nodes[number]
            if node.pending and node.pending[-1][0] > cut:
                node.pending = [change for change in node.pending if change[0] <= cut]
                self._drop_cache(node)
        return cut

    def _end_process(self) -> None:
        self._locked = ""
        self._cut_at = 0
        self._cut_in_sync_from = 0
        self._was_cut = False
        self.sync_failures = 0
        self.write_errors.clear()
        self._used = sum(len(node.cache) for node in self._names.values())
        self.settle()

    @staticmethod
    def _drop_cache(node: _Node) -> None:
        cache = bytearray(node.durable)
        for _, offset, data in node.pending:
            _patch(cache, offset, data)
        node.cache = cache

    @staticmethod
    def _lose_pending(node: _Node, rng: Random) -> None:
        """Each write is kept, lost, or torn at the borders of sectors."""
        for _, offset, data in node.pending:
            fate = rng.random()
            if fate < 0.3:
                _patch(node.durable, offset, data)
            elif fate < 0.7:
                view = memoryview(data)
                position = 0
                while position < len(data):
                    length = min(SECTOR_BYTES - (offset + position) % SECTOR_BYTES, len(data) - position)
                    if rng.random() < 0.5:
                        _patch(node.durable, offset + position, view[position : position + length])
                    position += length
        node.pending.clear()
        node.cache = bytearray(node.durable)

    # --- faults ----------------------------------------------------------------------------------------------------

    def fail_next_sync(self, count: int = 1, *, full: bool = False, folder: str = "") -> None:
        """`full`: for want of room, as file systems say that put off where to write. `folder`: only of files in there."""
        self.sync_failures = count
        self.syncs_are_full = full
        self.failing_folder = folder

    def fail_next_write(self, code: int) -> None:
        self.write_errors.append(code)

    def rot(self, path: str, offset: int, rng: Random) -> None:
        """Flips one to three bits of one durable byte; the kernel sees it too."""
        node = self._node(path)
        assert offset < len(node.durable), f"{path} has no durable byte {offset}"
        flip = 0
        for bit in rng.sample(range(8), rng.randint(1, 3)):
            flip |= 1 << bit
        node.durable[offset] ^= flip
        self._drop_cache(node)

    def durable_bytes(self, path: str) -> bytes:
        return bytes(self._node(path).durable)

    def copy(self, rng: Random) -> "SimDisk":
        """The folder, copied file by file to another place: same names and bytes, other files."""
        other = SimDisk(rng, capacity=self.capacity)
        other._nodes = self._nodes
        for path in sorted(self._folders):
            other.make_folder(path)
        for path in sorted(self._names):
            file = other.create(path)
            file.write(0, bytes(self._names[path].cache))
            file.datasync()
        for folder in sorted(self._folders):
            other.sync_folder(folder)
        other.settle()
        return other
