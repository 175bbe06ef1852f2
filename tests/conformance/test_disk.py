"""What storage builds on, asked of the simulated and of the real disk alike."""

from pathlib import Path
from random import Random

import pytest

from coordnode.errors import FolderRefused
from coordnode.simulator.disk import SimDisk
from coordnode.storage.disk import BLOCK_BYTES, PIECE_BYTES, Disk, RealDisk, read_all, write_zeros


@pytest.fixture(params=["simulated", "real"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    if request.param == "simulated":
        return SimDisk(Random(1))
    real = RealDisk(str(tmp_path / "member"))
    real.make_root()
    return real


def test_written_bytes_are_read_back(disk: Disk) -> None:
    file = disk.create("a")
    file.write(0, b"hello world")
    file.write(6, b"disk!")
    file.datasync()
    assert file.read(0, 100) == b"hello disk!"
    assert file.read(6, 3) == b"dis"
    assert file.read(11, 5) == b""
    assert file.size() == disk.size("a") == 11
    file.close()


def test_a_write_past_the_end_leaves_zeros_between(disk: Disk) -> None:
    file = disk.create("a")
    file.write(5000, b"x")
    assert file.read(0, 5001) == bytes(5000) + b"x"
    file.close()


@pytest.mark.parametrize(("offset", "size"), [(0, 10), (1, 4095), (4095, 2), (4096, 4096), (10_000, 5_000), (11_999, 10), (12_000, 10)])
def test_reading_past_the_cache_reads_the_same(disk: Disk, offset: int, size: int) -> None:
    content = Random(3).randbytes(12_000)
    file = disk.create("a")
    file.write(0, content)
    file.datasync()
    file.close()
    again = disk.open("a", past_cache=True)
    assert again.read(offset, size) == content[offset : offset + size]
    again.close()


def test_a_whole_file_of_several_pieces(disk: Disk) -> None:
    content = Random(4).randbytes(2 * PIECE_BYTES + 777)
    file = disk.create("a")
    file.write(0, content)
    file.close()
    assert read_all(disk, "a") == content


def test_create_replaces(disk: Disk) -> None:
    first = disk.create("a")
    first.write(0, b"long content")
    first.close()
    second = disk.create("a")
    assert second.size() == 0
    second.close()


def test_open_and_size_and_unlink_and_rename_of_a_missing_file(disk: Disk) -> None:
    for work in (lambda: disk.open("no"), lambda: disk.open("no", past_cache=True), lambda: disk.size("no"), lambda: disk.unlink("no")):
        with pytest.raises(FileNotFoundError):
            work()
    with pytest.raises(FileNotFoundError):
        disk.rename("no", "other")


def test_names(disk: Disk) -> None:
    disk.make_folder("wal")
    disk.make_folder("wal")
    disk.sync_folder("")
    for name in ("b", "a", "c"):
        disk.create(f"wal/{name}").close()
    disk.create("root").close()
    disk.rename("wal/b", "wal/c")
    disk.unlink("wal/a")
    disk.sync_folder("wal")
    assert disk.list("wal") == ["c"]
    assert disk.list("") == ["root", "wal"]
    assert disk.list("nowhere") == []
    assert disk.exists("wal")
    assert disk.exists("wal/c")
    assert not disk.exists("wal/b")


def test_an_open_file_survives_rename_and_unlink(disk: Disk) -> None:
    file = disk.create("a")
    file.write(0, b"one")
    disk.rename("a", "b")
    file.write(3, b"two")
    assert read_all(disk, "b") == b"onetwo"
    disk.unlink("b")
    assert file.read(0, 6) == b"onetwo"
    file.close()


def test_the_fingerprint_stays_with_the_file_and_not_with_its_copy(disk: Disk) -> None:
    first = disk.create("a")
    other = disk.create("copy")
    mark = disk.fingerprint("a")
    first.write(0, b"content")
    disk.rename("a", "b")
    assert disk.fingerprint("b") == mark
    assert disk.fingerprint("copy") != mark
    first.close()
    other.close()


def test_zeros(disk: Disk) -> None:
    file = disk.create("a")
    write_zeros(file, 0, PIECE_BYTES + BLOCK_BYTES)
    assert file.size() == PIECE_BYTES + BLOCK_BYTES
    assert not any(file.read(0, file.size()))
    file.close()


def test_the_lock_is_exclusive_until_unlocked(disk: Disk, tmp_path: Path) -> None:
    disk.lock("lock")
    other: Disk = disk if isinstance(disk, SimDisk) else RealDisk(str(tmp_path / "member"))
    with pytest.raises(FolderRefused, match="lock is held by"):
        other.lock("lock")
    disk.unlock()
    other.lock("lock")
    other.unlock()


def test_there_is_room(disk: Disk) -> None:
    assert disk.free_bytes() > 0
    assert disk.free_files() > 0
