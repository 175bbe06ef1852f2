"""How far the log is proven to be synced: written only after the data it speaks of, in two slots that take turns."""

from struct import Struct
from typing import NamedTuple

from coordnode.errors import RecordError
from coordnode.storage.block import Identity, seal, unseal
from coordnode.storage.disk import BLOCK_BYTES, Disk, DiskFile, read_all, write_zeros

MARK_FILE = "mark"
MAGIC = b"coordmk\x00"
_BODY = Struct("<QQQQQQQ")  # sequence, segment, offset, last_index, commit, applied, revision


class Mark(NamedTuple):
    """Everything of `segment` below `offset`, and all before that segment, is synced."""

    segment: int
    offset: int
    last_index: int  # the log's last index there
    commit: int  # a hint: entries up to here were known to be committed
    applied: int  # the state that this index led to …
    revision: int  # … was of this revision


def encode_mark(identity: Identity, sequence: int, mark: Mark) -> bytes:
    return seal(MAGIC, identity, _BODY.pack(sequence, *mark))


def decode_mark(data: bytes, where: str, expected: Identity | None = None) -> tuple[int, Mark]:
    body = unseal(MAGIC, data, where, expected=expected).body
    if len(body) != _BODY.size:
        raise RecordError(f"{where} has a body of {len(body)} bytes")
    sequence, *fields = _BODY.unpack(body)
    return sequence, Mark(*fields)


def read_mark(disk: Disk, identity: Identity | None) -> tuple[int, Mark | None, list[str]]:
    """Sequence and content of the newer slot, and what is wrong with the slots."""
    try:
        data = read_all(disk, MARK_FILE)
    except FileNotFoundError:
        return 0, None, [f"{MARK_FILE} is missing"]
    newest = 0
    mark: Mark | None = None
    problems = []
    for slot in (0, 1):
        part = data[slot * BLOCK_BYTES : (slot + 1) * BLOCK_BYTES]
        if part and not any(part):
            continue  # never written yet
        try:
            sequence, found = decode_mark(part, f"{MARK_FILE} slot {slot}", identity)
        except RecordError as error:
            problems.append(error.sentence)
            continue
        if mark is None or sequence > newest:
            newest, mark = sequence, found
    return newest, mark, problems


class MarkFile:
    def __init__(self, disk: Disk, identity: Identity, sequence: int) -> None:
        self._identity = identity
        self._sequence = sequence
        if disk.exists(MARK_FILE):
            self._file: DiskFile = disk.open(MARK_FILE)
        else:
            self._file = disk.create(MARK_FILE)
            write_zeros(self._file, 0, 2 * BLOCK_BYTES)
            disk.sync_folder("")

    def write(self, mark: Mark) -> None:
        block = encode_mark(self._identity, self._sequence + 1, mark)
        self._file.write((self._sequence + 1) % 2 * BLOCK_BYTES, block)
        self._file.datasync()
        self._sequence += 1

    def close(self) -> None:
        self._file.close()
