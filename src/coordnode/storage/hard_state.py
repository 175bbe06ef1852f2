"""Term, vote and boot, in two files synced one after the other: no single damage and no crash loses what a vote promised."""

from struct import Struct
from typing import NamedTuple

from coordnode.errors import RecordError, Rotten
from coordnode.ids import MemberId, Term
from coordnode.raft.entry import HardState
from coordnode.storage.block import HEAD_BYTES, Identity, seal, unseal
from coordnode.storage.disk import BLOCK_BYTES, SECTOR_BYTES, Disk, DiskFile, read_all, write_zeros

HARD_STATE_FILES = ("hard_state.0", "hard_state.1")
MAGIC = b"coordhs\x00"
_BODY = Struct("<QQQQB")  # sequence, term, vote, boot, lost_entries

assert HEAD_BYTES + _BODY.size <= SECTOR_BYTES


class Copy(NamedTuple):
    sequence: int  # grows by one with each write: the newer copy wins
    hard_state: HardState


def encode_copy(identity: Identity, copy: Copy) -> bytes:
    state = copy.hard_state
    return seal(MAGIC, identity, _BODY.pack(copy.sequence, state.term, state.vote, state.boot, state.lost_entries))


def decode_copy(data: bytes, where: str, expected: Identity | None = None) -> Copy:
    body = unseal(MAGIC, data, where, expected=expected).body
    if len(body) != _BODY.size:
        raise RecordError(f"{where} has a body of {len(body)} bytes")
    sequence, term, vote, boot, lost = _BODY.unpack(body)
    return Copy(sequence, HardState(Term(term), MemberId(vote), boot, bool(lost)))


def read_copies(disk: Disk, identity: Identity | None) -> list[Copy | str]:
    """Each copy, or the sentence that says why it cannot be used."""
    found: list[Copy | str] = []
    for path in HARD_STATE_FILES:
        try:
            found.append(decode_copy(read_all(disk, path), path, identity))
        except FileNotFoundError:
            found.append(f"{path} is missing")
        except RecordError as error:
            found.append(f"rot in {path} at offset 0: {error.sentence}")
    return found


def newest_copy(disk: Disk, identity: Identity) -> tuple[Copy, list[str]]:
    """The newer of the valid copies, and what is wrong with the other. Raises Rotten when there is none."""
    found = read_copies(disk, identity)
    copies = [copy for copy in found if isinstance(copy, Copy)]
    problems = [problem for problem in found if isinstance(problem, str)]
    if not copies:
        raise Rotten(
            f"both copies of the hard state are damaged ({'; '.join(problems)}): which votes this member gave is not known any more; "
            "it is not that voter now: remove it from the cluster and add it under a new id, with an empty folder"
        )
    report = [f"{problem}; the other copy was used and this one written anew" for problem in problems]
    return max(copies, key=lambda copy: copy.sequence), report


class HardStateFiles:
    """Both copies, open for writing in place: each fits one sector, so a torn write leaves the old or the new."""

    def __init__(self, disk: Disk, identity: Identity, sequence: int) -> None:
        self._identity = identity
        self._sequence = sequence
        self._files: list[DiskFile] = []
        for path in HARD_STATE_FILES:
            if disk.exists(path):
                self._files.append(disk.open(path))
            else:
                file = disk.create(path)
                write_zeros(file, 0, BLOCK_BYTES)
                disk.sync_folder("")
                self._files.append(file)

    def write(self, hard_state: HardState) -> None:
        """Durable twice when this returns. The second copy is only touched once the first is whole again."""
        block = encode_copy(self._identity, Copy(self._sequence + 1, hard_state))
        for file in self._files:
            file.write(0, block)
            file.datasync()
        self._sequence += 1

    def close(self) -> None:
        for file in self._files:
            file.close()
