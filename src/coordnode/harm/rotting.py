"""Where rot hurts: a byte of the newest record that was surely synced, so that a member loses what it once had."""

from random import Random

from coordnode.errors import CoordError
from coordnode.storage.disk import RealDisk
from coordnode.storage.proven import proven_records


def place(folder: str, chance: Random) -> tuple[str, int] | None:
    """(file, offset) in the folder of a member, which may run; None: nothing in its log is proven to be synced."""
    try:
        proven = proven_records(RealDisk(folder), None)
    except (CoordError, FileNotFoundError):
        return None
    if not proven:
        return None
    record = proven[-1]
    return record.path, record.offset + chance.randrange(record.size)
