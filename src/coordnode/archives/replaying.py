"""What is in an archive: its snapshot, and the log applied to it. Everything is read and checked on the way."""

from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from coordnode.archives.format import (
    ABOUT,
    END,
    ENTRY,
    ENTRY_HEAD,
    META,
    PIECE,
    PIECE_HEAD,
    SLICE,
    About,
    Part,
    Seal,
    decode_about,
    decode_seal,
    read_parts,
)
from coordnode.errors import RecordError
from coordnode.ids import Index, Term
from coordnode.raft.blobs import BlobWrite
from coordnode.raft.entry import BATCH, CONFIG, Config, decode_config
from coordnode.services.commands import decode_batch
from coordnode.services.machine import Machine, Restorer
from coordnode.storage.record import decode_meta, link_chain


class Replayed(NamedTuple):
    path: str
    about: About
    config: Config
    machine: Machine
    written: list[BlobWrite]  # to journals, by the entries of the log
    parts: int  # without the seal
    content: str  # SHA-256 over the heads of all parts
    seal: Seal | None


def replay(path: str) -> Replayed:
    """The state at its index. Raises RecordError, which names what is damaged, and UnknownFormat."""
    return _Replay(path).run()


def pieces(path: str) -> Iterator[BlobWrite]:
    """The bytes of journals that the snapshot lists."""
    for part in read_parts(path):
        if part.kind == PIECE:
            yield _piece(part)
        elif part.kind > PIECE:
            return


def _piece(part: Part) -> BlobWrite:
    blob, position = PIECE_HEAD.unpack_from(part.data)
    return BlobWrite(blob, position, [part.data[PIECE_HEAD.size :]])


class _Replay:
    def __init__(self, path: str) -> None:
        self._path = path
        self._restorer = Restorer()
        self._machine: Machine | None = None
        self._config = Config()
        self._chain = 0
        self._written: list[BlobWrite] = []
        self._blobs: dict[int, tuple[int, int]] = {}  # how many bytes came, and their checksum

    def run(self) -> Replayed:
        about = seal = content = None
        parts = 0
        for part in read_parts(self._path):
            parts = part.number
            if part.kind == ABOUT:
                about = decode_about(self._path, part)
            elif part.kind == END:
                content = part.data.hex()
            elif part.kind == META:
                meta = decode_meta(part.data)
                self._config, self._chain = meta.config, meta.chain
            elif part.kind == SLICE:
                self._restorer.feed(part.data)
            elif part.kind == PIECE:
                self._take(_piece(part))
            elif part.kind == ENTRY:
                self._apply(part)
            else:
                seal, parts = decode_seal(self._path, part), part.number - 1
        assert about is not None
        assert content is not None
        machine = self._stands()
        self._check(about, machine)
        if seal is not None and (seal.content, seal.digest) != (content, machine.digest):
            raise RecordError(
                f"{self._path}: its seal is another's: it says digest {seal.digest:016x}, and the state has {machine.digest:016x}"
            )
        return Replayed(self._path, about, self._config, machine, self._written, parts + 1, content, seal)

    def _stands(self) -> Machine:
        if self._machine is None:
            self._machine = self._restorer.finish()
        return self._machine

    def _apply(self, part: Part) -> None:
        term, index, kind = ENTRY_HEAD.unpack_from(part.data)
        data = part.data[ENTRY_HEAD.size :]
        machine = self._stands()
        if index != machine.applied + 1:
            raise RecordError(f"{self._path}: {part} is number {index} of the log, and {machine.applied + 1} should follow")
        self._chain = link_chain(self._chain, term, index, kind, crc32(data))
        if kind == BATCH:
            machine.apply(Index(index), Term(term), decode_batch(data))
        else:
            machine.skip(Index(index))
        if kind == CONFIG:
            self._config = decode_config(data)
        for write in machine.take_blobs():
            self._take(write)
            self._written.append(write)

    def _take(self, write: BlobWrite) -> None:
        size, checksum = self._blobs.get(write.blob, (0, 0))
        if write.position != size:
            raise RecordError(f"{self._path}: bytes {size} to {write.position} of journal {write.blob} are missing")
        for data in write.parts:
            size, checksum = size + len(data), crc32(data, checksum)
        self._blobs[write.blob] = (size, checksum)

    def _check(self, about: About, machine: Machine) -> None:
        if (machine.applied, self._chain) != (about.index, about.chain):
            raise RecordError(
                f"{self._path}: its log ends at entry {machine.applied}, chain {self._chain:08x}; it says otherwise of itself"
            )
        for blob in machine.blobs():
            if self._blobs.get(blob.id, (0, 0)) != (blob.size, blob.checksum):
                raise RecordError(f"{self._path}: journal {blob.id} is not whole: {blob.size} bytes are listed")
