"""The bytes of an archive: a head, parts, and at the end a seal, which whoever verified all of it adds.

head    8 bytes magic, u32 version, u32 zero
part    u32 magic, u32 kind, u64 number, u64 bytes, 32 bytes SHA-256 of these 24 and the data; the data
tail    u64 where the seal begins, 8 bytes magic

kind     data
ABOUT    About, as JSON
META     the snapshot's meta, as every file of a member has it
SLICE    a slice of the snapshot
PIECE    u64 blob, u64 position; bytes of a journal
ENTRY    u64 term, u64 index, u32 kind; what the entry holds
END      SHA-256 over the heads of all parts before it
SEAL     Seal, as JSON
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from struct import Struct
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec

from coordnode.errors import DiskFailed, DiskFull, RecordError, UnknownFormat
from coordnode.limits import BATCH_BYTES_MAX, COMMAND_BYTES_MAX, SLICE_BYTES_HARD_MAX

VERSION = 1
MAGIC = b"coordarc"
TAIL_MAGIC = b"coordsea"
PART_MAGIC = 0x54524150
_HEAD = Struct("<8sII")
_PART = Struct("<IIQQ")
_TAIL = Struct("<Q8s")
SUM_BYTES = 32
PART_HEAD_BYTES = _PART.size + SUM_BYTES
PART_BYTES_MAX = max(SLICE_BYTES_HARD_MAX, BATCH_BYTES_MAX + 2 * COMMAND_BYTES_MAX)
PIECE_HEAD = Struct("<QQ")
ENTRY_HEAD = Struct("<QQI")

T = TypeVar("T")

ABOUT, META, SLICE, PIECE, ENTRY, END, SEAL = range(1, 8)
WORDS = {
    ABOUT: "what it is about",
    META: "the description of the snapshot",
    SLICE: "a slice of the snapshot",
    PIECE: "a piece of a journal",
    ENTRY: "an entry of the log",
    END: "the end of the content",
    SEAL: "the seal",
}


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cluster: int
    cluster_name: str
    member: int  # in whose folder it was found
    base: int  # index of the snapshot
    index: int  # of the state: the log's entries follow the snapshot up to it
    term: int  # of the entry there
    chain: int  # of the log there
    taken_unix_s: int
    version: str  # of the build that took it


class Seal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was found when all of it was read again and applied."""

    content: str  # what END says
    digest: int  # of the state at `index`
    revision: int
    token: int  # the next one that the state would have granted
    sessions: int
    state_bytes: int
    journal_bytes: int
    verified_unix_s: int


class Part(NamedTuple):
    number: int
    kind: int
    offset: int
    data: bytes

    def __str__(self) -> str:
        return f"part {self.number} ({WORDS[self.kind]}) at byte {self.offset}"


@contextmanager
def writing(path: str) -> Iterator[None]:
    """What the system says of a file that cannot be written becomes a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no space left to write {path}: free some, or name another folder") from None
        raise DiskFailed(f"{path} cannot be written: {error.strerror}") from None


class Writer:
    """A new file, durable once `end` returns; it has no seal yet. Raises DiskFull, DiskFailed."""

    def __init__(self, path: str, about: About) -> None:
        self._path = path
        self._heads = hashlib.sha256()
        self._number = 0
        with writing(path):
            self._file = open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")  # noqa: SIM115  # it is closed by `end` or `abandon`
            self._file.write(_HEAD.pack(MAGIC, VERSION, 0))
        self.add(ABOUT, msgspec.json.encode(about))

    def add(self, kind: int, data: bytes) -> None:
        head = part_head(kind, self._number, data)
        self._heads.update(head)
        self._number += 1
        with writing(self._path):
            self._file.write(head)
            self._file.write(data)

    def end(self) -> None:
        self.add(END, self._heads.digest())
        with writing(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def abandon(self) -> None:
        with suppress(OSError):  # what was not written yet finds no room, either
            self._file.close()
        os.unlink(self._path)


def part_head(kind: int, number: int, data: bytes) -> bytes:
    head = _PART.pack(PART_MAGIC, kind, number, len(data))
    digest = hashlib.sha256(head)
    digest.update(data)
    return head + digest.digest()


def add_seal(path: str, seal: Seal, parts: int) -> None:
    """Durable when it returns. `parts`: how many it has without."""
    with writing(path), open(path, "r+b") as file:
        offset = file.seek(0, os.SEEK_END)
        data = msgspec.json.encode(seal)
        file.write(part_head(SEAL, parts, data) + data + _TAIL.pack(offset, TAIL_MAGIC))
        file.flush()
        os.fsync(file.fileno())


def read_parts(path: str) -> Iterator[Part]:
    """All of them, each read and checked; the last is the seal, or END where there is none yet. Raises RecordError, which names what is
    damaged, and UnknownFormat."""
    with open(path, "rb") as file:
        _read_head(file, path)
        heads = hashlib.sha256()
        number, kind = 0, 0
        while kind != END:
            head, part = _read_part(file, path, number)
            kind = part.kind
            if number == 0 and kind != ABOUT:
                raise RecordError(f"{path}: {part} where it should say what it is about")
            if kind == SEAL or (kind == END and part.data != heads.digest()):
                raise RecordError(f"{path}: parts before byte {part.offset} are missing or are not its own")
            heads.update(head)
            yield part
            number += 1
        offset = file.tell()
        if not file.read(1):
            return
        file.seek(offset)
        _, seal = _read_part(file, path, number)
        if seal.kind != SEAL or file.read() != _TAIL.pack(offset, TAIL_MAGIC):
            raise RecordError(f"{path}: behind byte {offset} there is something else than its seal")
        yield seal


def read_about(path: str) -> About:
    """The first part alone."""
    with open(path, "rb") as file:
        _read_head(file, path)
        return decode_about(path, _read_part(file, path, 0)[1])


def read_seal(path: str) -> tuple[Seal, int] | None:
    """The last part alone, and how many there are before it; None: it was never sealed."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < _HEAD.size + _TAIL.size:
            return None
        file.seek(size - _TAIL.size)
        offset, magic = _TAIL.unpack(file.read(_TAIL.size))
        if magic != TAIL_MAGIC or offset + PART_HEAD_BYTES + _TAIL.size > size:
            return None
        file.seek(offset)
        _, part = _read_part(file, path, None)
        return decode_seal(path, part), part.number


def decode_about(path: str, part: Part) -> About:
    return _decoded(path, part, ABOUT, About)


def decode_seal(path: str, part: Part) -> Seal:
    return _decoded(path, part, SEAL, Seal)


def _decoded(path: str, part: Part, kind: int, wanted: type[T]) -> T:
    if part.kind != kind:
        raise RecordError(f"{path}: {part} where {WORDS[kind]} should be")
    try:
        return msgspec.json.decode(part.data, type=wanted)
    except msgspec.MsgspecError as error:
        raise UnknownFormat(f"{path}: {part} was written by another build: {error}; use that one") from None


def _read_head(file: BinaryIO, path: str) -> None:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise RecordError(f"{path}: it ends at byte {len(head)}, before its head is over")
    magic, version, zero = _HEAD.unpack(head)
    if magic != MAGIC or zero:
        raise RecordError(f"{path}: it does not begin as an archive does")
    if version != VERSION:
        raise UnknownFormat(f"{path}: it has format version {version}, this build knows {VERSION}: use the build that wrote it")


def _read_part(file: BinaryIO, path: str, number: int | None) -> tuple[bytes, Part]:
    """`number`: which one it must be."""
    offset = file.tell()
    head = file.read(PART_HEAD_BYTES)
    if len(head) < PART_HEAD_BYTES:
        raise RecordError(f"{path}: it ends at byte {offset + len(head)}, and part {number} should follow: it is cut off")
    magic, kind, found, size = _PART.unpack_from(head)
    if magic != PART_MAGIC or kind not in WORDS or size > PART_BYTES_MAX or found != (found if number is None else number):
        raise RecordError(f"{path}: the head of part {number} at byte {offset} is damaged")
    data = file.read(size)
    part = Part(found, kind, offset, data)
    if len(data) < size:
        raise RecordError(f"{path}: it ends at byte {offset + PART_HEAD_BYTES + len(data)}, within {part}: it is cut off, or damaged there")
    if part_head(kind, found, data) != head:
        raise RecordError(f"{path}: {part} is damaged: it does not match its checksum")
    return head, part
