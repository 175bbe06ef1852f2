"""Whose folder this is, and whether it is still the very folder that was made for that member."""

from struct import Struct
from typing import NamedTuple

from coordnode.errors import FolderRefused, RecordError
from coordnode.storage.block import Identity, seal, unseal
from coordnode.storage.disk import BLOCK_BYTES, Disk, read_all

IDENTITY_FILE = "identity"
FORMATTING_FILE = "formatting"
LOCK_FILE = "lock"
MAGIC = b"coordid\x00"
_BODY = Struct("<Q")  # fingerprint of the file itself


class IdentityFound(NamedTuple):
    identity: Identity
    fingerprint: int  # of the file this was written to


def decode_identity(data: bytes, where: str) -> IdentityFound:
    block = unseal(MAGIC, data, where)
    if len(block.body) != _BODY.size:
        raise RecordError(f"{where} has a body of {len(block.body)} bytes")
    return IdentityFound(block.identity, _BODY.unpack(block.body)[0])


def write_identity(disk: Disk, identity: Identity) -> None:
    """The file names itself by its fingerprint: a copy of it cannot."""
    beside = IDENTITY_FILE + ".tmp"
    file = disk.create(beside)
    try:
        block = seal(MAGIC, identity, _BODY.pack(disk.fingerprint(beside)))
        file.write(0, block + bytes(BLOCK_BYTES - len(block)))
        file.datasync()
    finally:
        file.close()
    disk.rename(beside, IDENTITY_FILE)
    disk.sync_folder("")


def read_identity(disk: Disk) -> IdentityFound:
    return decode_identity(read_all(disk, IDENTITY_FILE), IDENTITY_FILE)


def check_folder(disk: Disk, expected: Identity, *, adopt: bool) -> list[str]:
    """Refuses what is not this member's own folder; `adopt` says that it was moved here and that no original runs elsewhere."""
    if not disk.exists(IDENTITY_FILE):
        raise FolderRefused(": ".join(explain_missing(disk)))
    try:
        found = read_identity(disk)
    except RecordError as error:
        if adopt:
            write_identity(disk, expected)
            return [f"{error.sentence}; the folder is adopted and the file written anew"]
        raise FolderRefused(
            f"rot in {IDENTITY_FILE} at offset 0: {error.sentence}; if this surely is the folder of {expected}, start once with `adopt`"
        ) from error
    if found.identity != expected:
        raise FolderRefused(f"the file {IDENTITY_FILE} says {found.identity}, not {expected}: point this member at its own folder")
    if found.fingerprint == disk.fingerprint(IDENTITY_FILE):
        return []
    if not adopt:
        raise FolderRefused(
            f"the file {IDENTITY_FILE} is a copy: two members with one identity would break every promise; if the folder was moved "
            "and the original will never run again, start once with `adopt`, else remove this copy and add a new member"
        )
    write_identity(disk, expected)
    return [f"{IDENTITY_FILE}: the folder was moved and is adopted"]


def explain_missing(disk: Disk) -> tuple[str, str]:
    """What is wrong with a folder that has no identity, and what to do."""
    if disk.exists(FORMATTING_FILE):
        return f"the file {FORMATTING_FILE} is there", "making this folder was interrupted; make it again"
    if _names(disk):
        return (
            f"the file {IDENTITY_FILE} is missing but others are there",
            "the folder was wiped or damaged; this is not that voter any more, "
            "remove the member from the cluster and add it under a new id, with an empty folder",
        )
    return (
        "the folder is empty",
        "a new member's folder must be made first; if it held a member once, that voter is gone: "
        "remove it from the cluster and add it under a new id",
    )


def _names(disk: Disk) -> list[str]:
    return [name for name in disk.list("") if name not in (LOCK_FILE, "lost+found")]


def is_untouched(disk: Disk) -> bool:
    return not _names(disk)
