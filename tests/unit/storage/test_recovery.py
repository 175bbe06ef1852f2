"""Torn tail, rot, superseded bytes: three things that look alike and must not be taken for one another."""

from contextlib import suppress
from random import Random

import pytest

from coordnode.ids import Index, MemberId, WriteId
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.ready import Write
from coordnode.replica.effects import StoreChunk, StoreSlice
from coordnode.simulator import rot
from coordnode.simulator.disk import PowerLost
from coordnode.storage.reader import Reader
from coordnode.storage.recovery import open_folder
from coordnode.storage.segment import RECORDS_FROM, segment_path
from coordnode.storage.snapshots import SNAPSHOT_FOLDER
from tests.unit.storage.lives import IDENTITY, SMALL, commit, entry, filled, meta_at, reopen, segments


def test_what_was_committed_is_found_again() -> None:
    disk, _, entries = filled(30, size=2000)
    disk.power_loss(Random(1))
    found = reopen(disk)
    assert found.entries == entries
    assert found.report == []
    assert found.hard_state.term == 1


def test_an_acknowledged_batch_without_mark_is_kept_and_made_durable() -> None:
    disk, _, entries = filled(5, idle=False)
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.entries == entries
    disk.power_loss(Random(2))
    assert reopen(disk).entries == entries


def test_a_torn_batch_is_kept_as_far_as_it_is_whole_and_is_no_rot() -> None:
    outcomes = set()
    for seed in range(40):
        disk, found, entries = filled(5)
        found.wal.commit([Write(WriteId(9), entries=[entry(index, 1, 300) for index in range(6, 12)])])
        # Not settled: the datasync may not have happened.
        disk.power_loss(Random(seed))
        again = reopen(disk)
        assert not again.lost_entries
        assert not again.rot
        assert again.entries[:5] == entries
        outcomes.add(len(again.entries))
    assert {5, 11} < outcomes


def test_bytes_behind_the_end_never_come_back() -> None:
    """The tail of a torn batch was dropped; another log was written; the old bytes must not continue it."""
    disk, found, entries = filled(5)
    number = found.wal._number
    offset = found.wal._offset
    commit(disk, found, 6, [entry(6, 1), entry(7, 1)])
    torn = disk.open(segment_path(number))
    torn.write(offset, bytes(64))  # as if the first sector had not been written
    torn.datasync()
    disk.settle()
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.entries == entries
    assert any("torn tail" in line for line in found.report)
    commit(disk, found, 6, [entry(6, 2)])
    disk.crash(Random(1))
    assert reopen(disk).entries == [*entries, entry(6, 2)]


def test_rot_below_the_mark_is_never_cut_and_is_named() -> None:
    disk, found, entries = filled(10)
    path = segment_path(found.wal._number)
    hit = rot.rot_last_record(disk, IDENTITY, Random(1))
    assert hit is not None
    before = disk.durable_bytes(path)
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.lost_entries
    assert found.hard_state.lost_entries
    assert found.entries == entries[: hit.first_index]
    assert found.last_known_index == 10
    assert [place.path for place in found.rot] == [path]
    assert path in found.remedy()
    assert "up to 10" in found.remedy()
    assert disk.durable_bytes(path) == before
    # The flag stays until it is cleared; the loss is reported once.
    disk.crash(Random(1))
    again = reopen(disk)
    assert again.hard_state.lost_entries
    assert not again.lost_entries
    assert again.entries == entries[: hit.first_index]


def test_rot_of_an_unmarked_batch_is_proven_by_the_next_batch() -> None:
    disk, found, entries = filled(3, idle=False)
    offset = found.wal._offset
    commit(disk, found, 4, [entry(4, 1)])
    commit(disk, found, 5, [entry(5, 1)])
    disk.rot(segment_path(found.wal._number), offset + 70, Random(1))
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.lost_entries
    assert found.entries == entries
    assert found.last_known_index == 5


def test_rot_in_an_earlier_segment_is_proven_by_the_next_header() -> None:
    disk, _, entries = filled(40, size=1500)
    assert len(segments(disk)) > 3
    first = f"wal/{segments(disk)[0]}"
    disk.rot(first, RECORDS_FROM + 3000, Random(1))
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.lost_entries
    assert 0 < len(found.entries) < 10
    assert found.entries == entries[: len(found.entries)]


def test_rot_below_the_snapshot_harms_nothing() -> None:
    disk, found, entries = filled(40, size=1500)
    found.snapshots.store_slice(StoreSlice(meta_at(25, 1), 0, True, b"state"))
    disk.settle()
    disk.rot(f"wal/{segments(disk)[0]}", RECORDS_FROM + 3000, Random(1))
    disk.rot(f"wal/{segments(disk)[1]}", 20, Random(1))
    disk.crash(Random(1))
    found = reopen(disk)
    assert not found.lost_entries
    assert len(found.rot) == 2
    assert found.entries == entries[25:]
    # It is still there, and still harmless, until the segments are released.
    found.wal.release_before(Index(25))
    disk.settle()
    disk.crash(Random(1))
    assert reopen(disk).rot == []


@pytest.mark.parametrize("position", [0, 1, -1])
def test_a_segment_with_a_bad_header_is_rot(position: int) -> None:
    disk, _, entries = filled(40, size=1500)
    disk.rot(f"wal/{segments(disk)[position]}", 60, Random(1))
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.lost_entries
    assert found.entries == entries[: len(found.entries)]
    assert len(found.entries) < 40


@pytest.mark.parametrize("position", [0, 1, -1])
def test_a_missing_segment_is_rot(position: int) -> None:
    disk, _, entries = filled(40, size=1500)
    path = f"wal/{segments(disk)[position]}"
    disk.unlink(path)
    disk.sync_folder("wal")
    disk.settle()
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.lost_entries
    assert found.entries == entries[: len(found.entries)]
    assert position == 0 or any(place.path == path for place in found.rot)


def test_a_truncated_file_is_rot() -> None:
    disk, _, _ = filled(40, size=1500)
    path = f"wal/{segments(disk)[1]}"
    content = disk.durable_bytes(path)
    short = disk.create(path)
    short.write(0, content[:6000])
    short.datasync()
    disk.sync_folder("wal")
    disk.settle()
    disk.crash(Random(1))
    assert reopen(disk).lost_entries


def test_random_rot_is_always_noticed_and_never_gives_a_wrong_entry() -> None:
    lost = 0
    for seed in range(150):
        rng = Random(seed)
        disk, found, entries = filled(rng.randint(3, 40), size=rng.choice((10, 700, 1500)), idle=rng.random() < 0.5)
        if rng.random() < 0.4:
            base = rng.randint(1, len(entries))
            found.snapshots.store_slice(StoreSlice(meta_at(base, 1), 0, True, b"state"))
            disk.settle()
        hit = rot.rot_anywhere(disk, IDENTITY, rng)
        assert hit is not None
        disk.crash(rng) if rng.random() < 0.5 else disk.power_loss(rng)
        again = reopen(disk)
        kept = again.entries
        start = again.snapshot.index if again.snapshot is not None else 0
        assert kept == entries[start : start + len(kept)]
        assert again.report or hit.target == "newest snapshot", hit  # some of its bytes are padding
        whole = start + len(kept) == len(entries)
        assert again.lost_entries or whole, (hit, again.report)
        assert not again.lost_entries or not whole or again.snapshot is None or again.rot, (hit, again.report)
        lost += again.lost_entries
    assert lost > 40


def test_recycled_segments_never_resurrect() -> None:
    """A released segment holds whole records of its earlier life behind what its new life wrote."""
    disk, found, _ = filled(60, size=1500)
    last = 60
    for round_number in range(6):
        found.snapshots.store_slice(StoreSlice(meta_at(last, 1), 0, True, b"state"))
        found.wal.release_before(Index(last))
        for index in range(last + 1, last + 12):
            commit(disk, found, 1000 * round_number + index, [entry(index, 1, 1500)])
        last += 11
        disk.power_loss(Random(round_number))
        found = reopen(disk)
        assert [one.index for one in found.entries] == list(range(last - 10, last + 1))
        assert found.report == []
    assert len([name for name in disk.list("wal") if name.endswith(".spare")]) <= SMALL.spares_max


@pytest.mark.parametrize("seed", range(6))
def test_a_recycled_segment_is_not_overwritten_before_its_new_name_is_durable(seed: int) -> None:
    points = 0
    while True:
        disk, found, _ = filled(20, size=1500)
        found.snapshots.store_slice(StoreSlice(meta_at(20, 1), 0, True, b"state"))
        disk.settle()
        points += 1
        disk.cut_at(disk.operations + points)
        try:
            found.wal.release_before(Index(found.wal._files[1].next_index or 0))
            disk.settle()
            for index in range(21, 33):
                commit(disk, found, index, [entry(index, 1, 1500)])
        except PowerLost:
            disk.power_loss(Random(points + seed))
            assert reopen(disk).rot == []
            continue
        break
    assert points > 30


def test_releasing_keeps_what_is_not_wholly_below() -> None:
    disk, found, _ = filled(40, size=1500)
    sizes = set()
    for index in range(1, 41):
        found.wal.release_before(Index(index))
        kept = [record.index for record in Reader(disk).records() if record.kind == "entry"]
        assert kept[0] <= index
        assert kept[-1] == 40
        sizes.add(len(kept))
        assert found.wal.chain_at(Index(index))
    assert len(sizes) > 3


def test_starts_in_quick_succession_do_not_pile_up_segments() -> None:
    disk, _, entries = filled(5)
    for number in range(20):
        disk.crash(Random(number))
        found = reopen(disk)
        assert found.entries == entries
    assert len(segments(disk)) <= 2


def test_a_rotten_newest_snapshot_falls_back_to_an_older_one_that_connects() -> None:
    disk, found, entries = filled(20)
    for base in (5, 12):
        found.snapshots.store_slice(StoreSlice(meta_at(base, 1), 0, True, b"state"))
    disk.settle()
    hit = rot.rot_newest_snapshot(disk, Random(1))
    assert hit is not None
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.snapshot is not None
    assert found.snapshot.index == 5
    assert found.entries == entries[5:]
    assert not found.lost_entries
    assert [name for name in disk.list(SNAPSHOT_FOLDER) if name.endswith(".rotten")] == [hit.path.split("/")[1] + ".rotten"]


def test_a_rotten_only_snapshot_leaves_nothing() -> None:
    disk, found, _ = filled(60, size=1500)
    for base in (30, 50):
        found.snapshots.store_slice(StoreSlice(meta_at(base, 1), 0, True, b"state"))
    found.wal.release_before(Index(50))
    disk.settle()
    rot.rot_newest_snapshot(disk, Random(1))
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.snapshot is None
    assert found.entries == []
    assert found.lost_entries
    assert found.snapshots.newest is None
    assert found.wal.last_index() == 0
    # It is rebuilt: a snapshot of the leader, and entries behind it.
    commit(disk, found, 1, [])
    disk.crash(Random(1))
    again = reopen(disk)
    assert again.snapshot is None
    assert again.entries == []
    assert again.hard_state.lost_entries


def test_a_crash_between_an_installed_snapshot_and_the_reset_loses_nothing() -> None:
    disk, found, _ = filled(5)
    found.snapshots.store_slice(StoreSlice(meta_at(5, 1), 0, True, b"own"))
    installed = meta_at(40, 3, author=8, chain=77)
    found.snapshots.store_chunk(_chunk(installed, 0, last=True))
    disk.settle()
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.snapshot == installed
    assert found.entries == []
    assert not found.lost_entries
    assert found.wal.last_index() == 40
    assert found.wal.chain_at(Index(40)) == 77
    commit(disk, found, 1, [entry(41, 1)])
    disk.crash(Random(1))
    assert reopen(disk).entries == [entry(41, 1)]


def test_an_installed_snapshot_with_another_past_wins_over_the_log() -> None:
    disk, found, _ = filled(10)
    found.snapshots.store_chunk(_chunk(meta_at(5, 4, author=8), 0, last=True))
    disk.settle()
    disk.crash(Random(1))
    found = reopen(disk)
    assert found.entries == []
    assert not found.lost_entries
    assert found.wal.last_index() == 5


def test_a_diverged_state_is_set_aside_and_regained() -> None:
    disk, found, _ = filled(10)
    stored = found.snapshots.store_slice(StoreSlice(meta_at(5, 1), 0, True, b"own"))
    disk.settle()
    disk.crash(Random(1))
    found = open_folder(disk, IDENTITY, SMALL, discard_state=True)
    disk.settle()
    assert (found.snapshot, found.entries, found.lost_entries) == (None, [], True)
    regained = meta_at(12, 1, author=8)
    found.snapshots.store_chunk(_chunk(regained, 0, last=True))
    found.wal.commit([Write(WriteId(1), reset_to=regained, entries=[entry(13, 1)])])
    disk.settle()
    disk.power_loss(Random(1))
    found = reopen(disk)
    assert found.snapshot == regained != stored
    assert found.entries == [entry(13, 1)]
    assert found.hard_state.lost_entries
    assert not found.lost_entries


def test_the_chain_is_that_of_equal_logs_and_goes_back_with_a_truncation() -> None:
    disk, found, _ = filled(10)
    chain = found.wal.chain_at(Index(7))
    commit(disk, found, 11, [entry(8, 2), entry(9, 2)], truncate_from=8)
    assert found.wal.chain_at(Index(7)) == chain
    other_disk, other, _ = filled(7, size=100)
    assert other.wal.chain_at(Index(7)) == chain
    commit(other_disk, other, 8, [entry(8, 2), entry(9, 2)])
    assert other.wal.chain_at(Index(9)) == found.wal.chain_at(Index(9))
    disk.crash(Random(1))
    assert reopen(disk).wal.chain_at(Index(9)) == other.wal.chain_at(Index(9))


def _chunk(meta: SnapshotMeta, number: int, *, last: bool) -> StoreChunk:
    return StoreChunk(MemberId(8), meta, number, last, b"chunk")


def test_a_start_cut_short_after_setting_a_rotten_snapshot_aside_does_not_forget_that_there_was_one() -> None:
    """The next start finds entries and no snapshot, not even a rotten one: it begins without state, as the first did."""
    for operation in range(1, 40):
        disk, _, _ = filled(5)
        rot.rot_newest_snapshot(disk, Random(1))
        disk.crash(Random(1))
        disk.cut_at(disk.operations + operation)
        with suppress(PowerLost):
            reopen(disk)
        disk.power_loss(Random(operation))
        found = reopen(disk)
        assert found.snapshot is None
        assert found.entries == []
        assert found.hard_state.lost_entries
