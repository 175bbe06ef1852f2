"""Whose folder it is: wiped, copied, moved, foreign, in use, half made."""

from random import Random

import pytest

from coordnode.errors import FolderRefused, UnknownFormat
from coordnode.simulator import rot
from coordnode.simulator.disk import SimDisk
from coordnode.storage.block import seal
from coordnode.storage.disk import BLOCK_BYTES
from coordnode.storage.identity import IDENTITY_FILE
from coordnode.storage.recovery import create_folder, open_folder
from coordnode.storage.segment import MAGIC as SEGMENT_MAGIC
from tests.unit.storage.lives import GENESIS, IDENTITY, OTHER, SMALL, new_disk, reopen


def test_a_new_folder_holds_the_genesis() -> None:
    found = reopen(new_disk())
    assert found.snapshot == GENESIS.meta
    assert list(found.snapshots.load(GENESIS.meta)) == list(GENESIS.slices)
    assert found.entries == []
    assert (found.hard_state.term, found.hard_state.vote, found.hard_state.boot) == (0, 0, 1)


def test_a_member_that_joins_later_has_nothing() -> None:
    disk = SimDisk(Random(1))
    create_folder(disk, IDENTITY, None, SMALL)
    for _ in range(2):
        found = reopen(disk)
        assert found.snapshot is None
        assert found.entries == []
        assert not found.lost_entries
        assert found.wal.last_index() == 0
        disk.crash(Random(1))


def test_making_it_again_changes_nothing() -> None:
    disk = new_disk()
    before = disk.operations
    create_folder(disk, IDENTITY, GENESIS, SMALL)
    assert disk.operations == before
    with pytest.raises(FolderRefused, match="belongs to member 7 .* already"):
        create_folder(disk, OTHER, GENESIS, SMALL)


def test_a_folder_with_something_else_is_not_formatted() -> None:
    disk = SimDisk(Random(1))
    disk.create("precious").close()
    with pytest.raises(FolderRefused, match="not empty"):
        create_folder(disk, IDENTITY, GENESIS, SMALL)
    assert disk.exists("precious")


def test_an_empty_folder_is_refused() -> None:
    with pytest.raises(FolderRefused, match="the folder is empty"):
        open_folder(SimDisk(Random(1)), IDENTITY, SMALL)


def test_another_members_folder_is_refused() -> None:
    with pytest.raises(FolderRefused, match="identity says member 7 of cluster 11, not member 8"):
        open_folder(new_disk(), OTHER, SMALL)


def test_a_wiped_folder_is_refused() -> None:
    disk = new_disk()
    disk.unlink(IDENTITY_FILE)
    with pytest.raises(FolderRefused, match="identity is missing .* add it under a new id"):
        open_folder(disk, IDENTITY, SMALL)


def test_a_copied_folder_is_refused_and_a_moved_one_can_be_adopted() -> None:
    disk = new_disk()
    found = reopen(disk)
    found.wal.close()
    copied = disk.copy(Random(2))
    with pytest.raises(FolderRefused, match="is a copy.*`adopt`"):
        open_folder(copied, IDENTITY, SMALL)
    found = open_folder(copied, IDENTITY, SMALL, adopt=True)
    assert any("adopted" in line for line in found.report)
    copied.settle()
    copied.crash(Random(1))
    assert reopen(copied).report == []


def test_a_folder_in_use_is_refused_and_a_refusal_leaves_it_unlocked() -> None:
    disk = new_disk()
    with pytest.raises(FolderRefused, match="identity says"):
        open_folder(disk, OTHER, SMALL)
    reopen(disk)
    with pytest.raises(FolderRefused, match="is held by another process"):
        open_folder(disk, IDENTITY, SMALL)


def test_a_damaged_identity_is_refused_until_adopted() -> None:
    disk = new_disk()
    rot.rot_identity(disk, Random(1))
    with pytest.raises(FolderRefused, match="start once with `adopt`"):
        open_folder(disk, IDENTITY, SMALL)
    found = open_folder(disk, IDENTITY, SMALL, adopt=True)
    assert found.snapshot == GENESIS.meta


def test_a_file_of_another_member_is_refused_by_name() -> None:
    disk = new_disk()
    other = SimDisk(Random(1))
    create_folder(other, OTHER, GENESIS, SMALL)
    other.settle()
    file = disk.create("hard_state.1")
    file.write(0, other.durable_bytes("hard_state.1"))
    with pytest.raises(FolderRefused, match=r"hard_state\.1 belongs to member 8"):
        open_folder(disk, IDENTITY, SMALL)


def test_a_newer_format_is_refused_by_name() -> None:
    disk = new_disk()
    path = f"wal/{disk.list('wal')[0]}"
    block = seal(SEGMENT_MAGIC, IDENTITY, b"of the future", version=2)
    disk.open(path).write(0, block + bytes(BLOCK_BYTES - len(block)))
    with pytest.raises(UnknownFormat, match=r"wal/0+1\.seg has format version 2"):
        open_folder(disk, IDENTITY, SMALL)


def test_the_boot_number_grows_with_every_start() -> None:
    disk = new_disk()
    boots = []
    for _ in range(4):
        boots.append(reopen(disk).hard_state.boot)
        disk.power_loss(Random(1))
    assert boots == [1, 2, 3, 4]
