"""What the simulated disk may do to what was not synced, and what it may never do to what was."""

import errno
from random import Random

import pytest

from coordnode.errors import DiskFailed, DiskFull
from coordnode.simulator.disk import STALL_NS_MAX, PowerLost, SimDisk
from coordnode.storage.disk import read_all


def disk_with(content: bytes = b"") -> SimDisk:
    disk = SimDisk(Random(1))
    file = disk.create("a")
    file.write(0, content)
    file.datasync()
    disk.sync_folder("")
    disk.settle()
    return disk


def test_what_was_synced_survives_and_what_was_not_is_kept_lost_or_torn() -> None:
    seen = set()
    for seed in range(200):
        disk = disk_with(b"o" * 2048)
        file = disk.open("a")
        file.write(0, b"n" * 1024)
        disk.settle()  # the call was seen to return, yet nothing was synced
        disk.power_loss(Random(seed))
        content = read_all(disk, "a")
        assert content[1024:] == b"o" * 1024
        seen.add((content[:512].decode(), content[512:1024].decode()))
    old, new = "o" * 512, "n" * 512
    assert seen == {(old, old), (new, new), (old, new), (new, old)}


def test_a_crash_of_the_process_loses_nothing_that_the_kernel_has() -> None:
    disk = disk_with(b"old")
    disk.open("a").write(0, b"new")
    disk.settle()
    disk.crash(Random(1))
    assert read_all(disk, "a") == b"new"


def test_a_cut_falls_anywhere_in_what_is_in_flight_and_nowhere_else() -> None:
    seen = set()
    for seed in range(100):
        disk = disk_with(b"....")
        file = disk.open("a")
        file.write(0, b"1")
        disk.settle()
        for place in (1, 2, 3):
            file.write(place, b"%d" % (place + 1))
        disk.crash(Random(seed))
        seen.add(read_all(disk, "a"))
    assert seen == {b"1...", b"12..", b"123.", b"1234"}


def test_a_sync_in_flight_may_or_may_not_have_happened() -> None:
    seen = set()
    for seed in range(100):
        disk = disk_with(b"old")
        file = disk.open("a")
        file.write(0, b"new")
        file.datasync()
        disk.power_loss(Random(seed))
        seen.add(read_all(disk, "a"))
    assert seen == {b"old", b"new"}


def test_names_survive_as_a_prefix_until_the_folder_is_synced() -> None:
    seen = set()
    for seed in range(200):
        disk = disk_with()
        disk.create("b").datasync()
        disk.rename("a", "c")
        disk.create("d").datasync()
        disk.settle()
        disk.power_loss(Random(seed))
        seen.add(tuple(disk.list("")))
    assert seen == {("a",), ("a", "b"), ("b", "c"), ("b", "c", "d")}
    disk = disk_with()
    disk.rename("a", "c")
    disk.sync_folder("")
    disk.settle()
    disk.power_loss(Random(1))
    assert disk.list("") == ["c"]


def test_an_unsynced_removal_may_come_back_with_what_was_durable() -> None:
    seen = set()
    for seed in range(50):
        disk = disk_with(b"content")
        disk.unlink("a")
        disk.power_loss(Random(seed))
        seen.add(tuple(disk.list("")))
        if disk.exists("a"):
            assert read_all(disk, "a") == b"content"
    assert seen == {(), ("a",)}


def test_cut_at_stops_before_that_operation() -> None:
    disk = disk_with(b"..")
    disk.cut_at(disk.operations + 2)
    file = disk.open("a")
    file.write(0, b"1")
    with pytest.raises(PowerLost):
        file.write(1, b"2")
    disk.crash(Random(1))
    assert read_all(disk, "a") == b"1."


def test_after_a_failed_sync_the_cache_lies_until_it_is_dropped() -> None:
    lied = 0
    for seed in range(30):
        disk = disk_with(b"old")
        disk.rng.seed(seed)
        file = disk.open("a")
        file.write(0, b"new")
        disk.fail_next_sync()
        with pytest.raises(DiskFailed):
            file.datasync()
        disk.crash(Random(1))
        assert disk.open("a").read(0, 3) == b"new"
        disk.open("a").datasync()  # succeeds, and changes nothing
        disk.settle()
        real = disk.open("a", past_cache=True).read(0, 3)
        lied += real == b"old"
        disk.power_loss(Random(1))
        assert read_all(disk, "a") == real
    assert 5 < lied < 25


def test_capacity_and_free_bytes() -> None:
    disk = SimDisk(Random(1), capacity=1000)
    file = disk.create("a")
    file.write(0, bytes(900))
    assert disk.free_bytes() == 100
    with pytest.raises(DiskFull):
        file.write(900, bytes(101))
    file.write(0, bytes(900))  # in place
    disk.unlink("a")
    assert disk.free_bytes() == 1000
    disk.create("b").write(0, bytes(500))
    disk.power_loss(Random(1))
    assert disk.free_bytes() in (500, 1000)


def test_told_to_fail() -> None:
    disk = disk_with(b"old")
    file = disk.open("a")
    disk.fail_next_write(errno.EIO)
    with pytest.raises(DiskFailed, match="EIO"):
        file.write(0, b"new")
    disk.fail_next_write(errno.ENOSPC)
    with pytest.raises(DiskFull):
        file.write(0, b"new")
    assert file.read(0, 3) == b"old"


def test_rot_changes_durable_bytes_for_good() -> None:
    disk = disk_with(b"old")
    disk.rot("a", 1, Random(1))
    content = read_all(disk, "a")
    assert content != b"old"
    assert (content[0], content[2]) == (b"o"[0], b"d"[0])
    disk.power_loss(Random(1))
    assert read_all(disk, "a") == content


def test_costs_follow_the_slow_factor() -> None:
    disk = disk_with(b"old")
    disk.take_cost_ns()
    file = disk.open("a")
    file.write(0, b"new")
    file.datasync()
    plain = disk.take_cost_ns()
    assert 250_000 <= plain <= 450_000
    assert disk.take_cost_ns() == 0
    disk.slow_factor = 10
    file.write(0, b"new")
    file.datasync()
    assert 2_500_000 <= disk.take_cost_ns() <= 4_500_000


def test_a_stall_ends_however_much_was_asked_for() -> None:
    disk = disk_with(b"old")
    disk.slow_factor = 10_000
    file = disk.open("a")
    for _ in range(30):
        file.datasync()
    assert disk.take_cost_ns() == STALL_NS_MAX


def test_equal_seeds_equal_outcomes() -> None:
    outcomes = set()
    for _ in range(2):
        disk = disk_with(bytes(5000))
        file = disk.open("a")
        for place in range(0, 5000, 300):
            file.write(place, b"x" * 300)
        disk.power_loss(Random(7))
        outcomes.add(read_all(disk, "a"))
    assert len(outcomes) == 1
