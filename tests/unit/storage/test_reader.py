"""The read-only view: of a running member, of a dead one, of a damaged one; it never writes and never locks."""

from pathlib import Path
from random import Random

import pytest

from coordnode.errors import FolderRefused
from coordnode.ids import Index, MemberId, WriteId
from coordnode.raft.ready import Write
from coordnode.replica.effects import StoreChunk, StoreSlice
from coordnode.simulator import rot
from coordnode.simulator.disk import SimDisk
from coordnode.storage.disk import DiskFile, RealDisk
from coordnode.storage.identity import IDENTITY_FILE
from coordnode.storage.reader import OK, ROT, TORN_TAIL, Reader, open_reader
from coordnode.storage.recovery import Recovered, create_folder, open_folder
from coordnode.storage.snapshots import SNAPSHOT_FOLDER
from tests.unit.storage.lives import GENESIS, IDENTITY, SMALL, entry, filled, meta_at, new_disk, reopen, what_stands


def running(count: int = 30) -> tuple[SimDisk, Recovered, Reader]:
    disk = new_disk()
    found = reopen(disk)
    for index in range(1, count + 1):
        found.wal.commit([Write(WriteId(index), entries=[entry(index, 0, 1200)])])
    disk.settle()
    return disk, found, Reader(disk)


def test_a_running_member_is_read_without_changing_anything() -> None:
    disk, found, reader = running()
    before = disk.operations
    records = list(reader.records())
    assert [record.index for record in records if record.kind == "entry"] == list(range(1, 31))
    assert records[-1].kind == "end"
    assert all(record.verdict == OK for record in records)
    report = reader.verify()
    assert report.verdict == OK
    assert (report.entries, report.last_index, report.last_chain) == (30, 30, found.wal.chain_at(Index(30)))
    assert reader.identity().identity == IDENTITY
    assert [state.copy.hard_state.boot for state in reader.hard_state() if state.copy] == [1, 1]
    mark, problems = reader.mark()
    assert mark is not None
    assert not problems
    assert [(one.meta, one.complete, one.slices) for one in reader.snapshots(verify=True)] == [(GENESIS.meta, True, 2)]
    assert disk.operations == before


def test_truncations_and_resets_are_shown() -> None:
    _, found, reader = running(5)
    found.wal.commit([Write(WriteId(10), truncate_from=Index(4), entries=[entry(4, 0)])])
    meta = meta_at(20, 0, author=8, chain=3)
    found.snapshots.store_chunk(StoreChunk(IDENTITY.member, meta, 0, True, b"x"))
    found.wal.commit([Write(WriteId(11), reset_to=meta)])
    kinds = [record.kind for record in reader.records() if record.kind not in ("batch", "segment")]
    assert kinds == ["entry"] * 5 + ["truncate", "entry", "reset", "end"]
    assert reader.verify().last_index == 20


def test_what_a_snapshot_of_another_member_left_behind_does_not_stand() -> None:
    disk, found, _ = filled(5)
    found.wal.commit([Write(WriteId(10), entries=[entry(index, 1) for index in range(6, 21)])])
    meta = meta_at(12, 2, author=8, chain=3)
    found.snapshots.store_chunk(StoreChunk(MemberId(8), meta, 0, True, b"x"))
    disk.settle()
    assert what_stands(disk) == (meta, []), "a crash comes before the log is told"
    found.wal.commit([Write(WriteId(11), reset_to=meta, entries=[entry(13, 2)])])
    disk.settle()
    assert what_stands(disk) == (meta, [entry(13, 2)])


def test_a_torn_tail_is_no_damage() -> None:
    disk, found, reader = running(3)
    found.wal.commit([Write(WriteId(9), entries=[entry(4, 0), entry(5, 0, 3000)])])
    file = disk.open(f"wal/{found.wal._number:020d}.seg")
    file.write(found.wal._offset - 600, bytes(512))
    report = reader.verify()
    assert report.verdict == TORN_TAIL
    assert report.damages == []
    assert report.last_index == 4


@pytest.mark.parametrize("seed", range(10))
def test_rot_is_named_with_file_offset_and_remedy(seed: int) -> None:
    disk, found, reader = running()
    found.wal.idle()
    disk.settle()
    hit = rot.rot_record(disk, IDENTITY, Random(seed))
    assert hit is not None
    report = reader.verify()
    assert report.verdict == ROT
    assert [damage.path for damage in report.damages] == [hit.path]
    assert report.damages[0].offset <= hit.offset
    assert "restore from a backup" in report.damages[0].remedy


def test_damage_elsewhere_is_named_too() -> None:
    disk, found, reader = running()
    found.snapshots.store_slice(StoreSlice(meta_at(9, 0), 0, True, b"state"))
    disk.settle()
    for work in (rot.rot_hard_state, rot.rot_newest_snapshot, rot.rot_mark, rot.rot_identity):
        assert work(disk, Random(3)) is not None
    report = reader.verify()
    assert report.verdict == ROT
    paths = [damage.path for damage in report.damages]
    assert len(paths) == 4
    assert paths[0].startswith("hard_state.")
    assert paths[1:] == ["mark", paths[2], "identity"]
    assert paths[2].startswith(SNAPSHOT_FOLDER)
    assert "adopt" in report.damages[3].remedy


def test_a_log_without_a_snapshot_that_it_goes_on_from_is_no_state() -> None:
    disk, found, reader = running()
    found.snapshots.store_slice(StoreSlice(meta_at(9, 0), 0, True, b"state"))
    disk.settle()
    assert reader.verify().verdict == OK
    for name in disk.list(SNAPSHOT_FOLDER):
        disk.unlink(f"{SNAPSHOT_FOLDER}/{name}")
    report = reader.verify()
    assert report.verdict == ROT
    [damage] = report.damages
    assert damage.path == SNAPSHOT_FOLDER
    assert "no whole snapshot is there" in damage.reason


def test_a_log_that_begins_behind_the_newest_snapshot_is_damage() -> None:
    disk, found, _ = filled(200, size=1_000)
    found.snapshots.store_slice(StoreSlice(meta_at(150, 1), 0, True, b"state"))
    found.wal.release_before(Index(150))
    disk.settle()
    reader = Reader(disk)
    assert reader.verify().verdict == OK
    disk.unlink(f"{SNAPSHOT_FOLDER}/{disk.list(SNAPSHOT_FOLDER)[-1]}")
    [damage] = reader.verify().damages
    assert damage.path.startswith(f"{SNAPSHOT_FOLDER}/")
    assert "does not go on from there" in damage.reason


def test_a_member_that_was_given_nothing_yet_is_not_damaged() -> None:
    disk = SimDisk(Random(1))
    create_folder(disk, IDENTITY, None, SMALL)
    disk.settle()
    assert Reader(disk).verify().verdict == OK


def test_a_folder_without_its_identity_is_told_what_a_start_would_say_of_it() -> None:
    disk, _, reader = running()
    disk.unlink(IDENTITY_FILE)
    [damage] = reader.verify().damages
    assert damage.path == IDENTITY_FILE
    assert "adopt" not in damage.remedy
    assert "Errno" not in damage.reason
    disk.unlock()
    with pytest.raises(FolderRefused) as refused:
        open_folder(disk, IDENTITY, SMALL, adopt=True)
    assert refused.value.sentence == f"{damage.reason}: {damage.remedy}"


def test_a_folder_of_this_machine_while_its_member_holds_the_lock(tmp_path: Path) -> None:
    root = str(tmp_path / "member")
    disk = RealDisk(root)
    disk.make_root()
    create_folder(disk, IDENTITY, GENESIS, SMALL)
    found = open_folder(disk, IDENTITY, SMALL)
    for index in range(1, 31):
        found.wal.commit([Write(WriteId(index), entries=[entry(index, 0, 1200)])])
    report = open_reader(root).verify()
    assert (report.verdict, report.entries) == (OK, 30)
    found.wal.close()
    found.snapshots.close()
    disk.unlock()
    again = open_folder(RealDisk(root), IDENTITY, SMALL)
    assert [one.index for one in again.entries] == list(range(1, 31))
    assert again.report == []
    again.wal.close()
    again.snapshots.close()


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    reader = open_reader(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        reader.identity()
    assert reader.verify().verdict == ROT


class Meanwhile(SimDisk):
    """Whenever a snapshot is opened, the member that runs makes two others, and lets the one that is read go."""

    member: Recovered
    to_come = 0

    def open(self, path: str, *, past_cache: bool = False) -> DiskFile:
        file = super().open(path, past_cache=past_cache)
        while self.to_come and path.endswith(".snap"):
            self.to_come -= 1
            meta = meta_at(20 - self.to_come, 0, author=8, chain=3)
            self.member.snapshots.store_chunk(StoreChunk(IDENTITY.member, meta, 0, True, b"x"))
        return file


def changing() -> Meanwhile:
    disk = Meanwhile(Random(1))
    create_folder(disk, IDENTITY, GENESIS, SMALL)
    disk.member = open_folder(disk, IDENTITY, SMALL)
    disk.to_come = 2
    return disk


def test_a_snapshot_that_goes_while_it_is_read_leaves_its_successor() -> None:
    disk = changing()
    found = Reader(disk).newest_state()
    assert found is not None
    assert found[0].index == 20


def test_a_snapshot_that_goes_while_it_is_verified_is_no_damage() -> None:
    disk = changing()
    assert Reader(disk).verify().damages == []
