"""Where bits rot: knows storage's formats well enough to hit live bytes that are proven to be synced, and says what it hit.

Never touches what storage could not prove: the last batch before its mark is, to any reader, a torn tail.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple
from zlib import crc32

from coordnode.raft.blobs import Blob
from coordnode.simulator.disk import SimDisk
from coordnode.storage.block import HEAD_BYTES, Identity
from coordnode.storage.hard_state import HARD_STATE_FILES
from coordnode.storage.identity import IDENTITY_FILE
from coordnode.storage.journals import blob_path
from coordnode.storage.mark import MARK_FILE, read_mark
from coordnode.storage.proven import ProvenRecord, proven_records
from coordnode.storage.scan import Began, walk
from coordnode.storage.snapshots import SNAPSHOT_FOLDER


class Hit(NamedTuple):
    """`target`: last record, record, segment header, hard state, newest snapshot, mark, identity."""

    target: str
    path: str
    offset: int
    first_index: int = 0  # for a record: the log's last index before it


def rot_last_record(disk: SimDisk, identity: Identity, rng: Random) -> Hit | None:
    """The last record that is proven to be synced. None: there is none."""
    records = proven_records(disk, identity)
    return _hit_record(disk, records[-1], "last record", rng) if records else None


def rot_record(disk: SimDisk, identity: Identity, rng: Random) -> Hit | None:
    """Any record that is proven to be synced."""
    records = proven_records(disk, identity)
    return _hit_record(disk, rng.choice(records), "record", rng) if records else None


def rot_segment_header(disk: SimDisk, identity: Identity, rng: Random) -> Hit | None:
    _, mark, _ = read_mark(disk, identity)
    paths = [sight.segment.path for sight in walk(disk, identity, mark) if isinstance(sight, Began)]
    return _hit(disk, "segment header", rng.choice(paths), 0, HEAD_BYTES, rng) if paths else None


def rot_hard_state(disk: SimDisk, rng: Random) -> Hit:
    """One of the two copies."""
    return _hit(disk, "hard state", rng.choice(HARD_STATE_FILES), 0, HEAD_BYTES + 33, rng)


def rot_newest_snapshot(disk: SimDisk, rng: Random) -> Hit | None:
    whole = [name for name in disk.list(SNAPSHOT_FOLDER) if name.endswith(".snap")]
    if not whole:
        return None
    path = f"{SNAPSHOT_FOLDER}/{whole[-1]}"
    return _hit(disk, "newest snapshot", path, 0, len(disk.durable_bytes(path)), rng)


def rot_mark(disk: SimDisk, rng: Random) -> Hit | None:
    return _hit(disk, "mark", MARK_FILE, 0, HEAD_BYTES, rng) if disk.exists(MARK_FILE) else None


def rot_anywhere(disk: SimDisk, identity: Identity, rng: Random) -> Hit | None:
    """A live byte of a random kind; never the identity, whose loss no member can heal."""
    kind = rng.randrange(6)
    if kind == 0:
        return rot_last_record(disk, identity, rng)
    if kind == 1:
        return rot_record(disk, identity, rng)
    if kind == 2:
        return rot_segment_header(disk, identity, rng)
    if kind == 3:
        return rot_hard_state(disk, rng)
    if kind == 4:
        return rot_newest_snapshot(disk, rng)
    return rot_mark(disk, rng)


def rot_blob(disk: SimDisk, blobs: Sequence[Blob], rng: Random) -> int:
    """A byte that is durable and that the state stands on. The blob's id; 0: there is none."""
    known = [blob for blob in blobs if disk.exists(blob_path(blob.id))]
    places = [(blob, min(blob.size, len(disk.durable_bytes(blob_path(blob.id))))) for blob in known]
    places = [(blob, size) for blob, size in places if size]
    if not places:
        return 0
    blob, size = places[int(rng.random() * len(places))]
    disk.rot(blob_path(blob.id), int(rng.random() * size), rng)
    return blob.id


def is_blob_whole(disk: SimDisk, blob: Blob) -> bool:
    path = blob_path(blob.id)
    return disk.exists(path) and crc32(disk.open(path).read(0, blob.size)) == blob.checksum


def rot_identity(disk: SimDisk, rng: Random) -> Hit:
    return _hit(disk, "identity", IDENTITY_FILE, 0, HEAD_BYTES, rng)


def _hit_record(disk: SimDisk, place: ProvenRecord, target: str, rng: Random) -> Hit:
    return _hit(disk, target, place.path, place.offset, place.size, rng)._replace(first_index=place.before)


def _hit(disk: SimDisk, target: str, path: str, start: int, size: int, rng: Random) -> Hit:
    size = min(size, len(disk.durable_bytes(path)) - start)
    offset = start + rng.randrange(size)
    disk.rot(path, offset, rng)
    return Hit(target, path, offset)
