"""What a member does to itself when it was ordered to: each fault of disk and clock, until its time is over, and no longer."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from coordnode.client.clock import now_ms
from coordnode.errors import DiskFailed, DiskFull
from coordnode.harm import orders, rotting
from coordnode.harm.clock import HarmedClock
from coordnode.harm.disk import HarmedDisk
from coordnode.harm.orders import Order, Orders, boot_mark
from coordnode.ids import WriteId
from coordnode.raft.ready import Write
from coordnode.storage.disk import RealDisk
from coordnode.storage.recovery import create_folder, open_folder
from tests.unit.storage.lives import GENESIS, IDENTITY, SMALL, entry

FOR_MS = 60_000


def give(folder: Path, fault: str, amount: float = 0.0, *, for_ms: int = FOR_MS, boot: str = "", path: str = "", offset: int = 0) -> Order:
    order = Order(
        id="1f",
        fault=fault,
        amount=amount,
        boot=boot or boot_mark(),
        deadline_ms=now_ms() + for_ms,
        seed=1,
        path=path,
        offset=offset,
    )
    (folder / "new").write_bytes(orders.encode([order]))
    (folder / "new").rename(folder / orders.ORDERS_FILE)
    return order


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def disk(tmp_path: Path) -> HarmedDisk:
    made = HarmedDisk(RealDisk(str(tmp_path)), Orders(str(tmp_path)))
    file = made.create("a")
    file.write(0, b"0123456789")
    file.datasync()
    file.close()
    return made


def obeys(disk: HarmedDisk, fault: str) -> Callable[[], bool]:
    return lambda: disk.orders.of(fault) is not None


def test_a_full_disk_lets_nothing_grow_and_takes_what_has_its_place(disk: HarmedDisk, tmp_path: Path) -> None:
    file = disk.open("a")
    assert disk.free_bytes() > 0
    give(tmp_path, orders.DISK_FULL)
    until(obeys(disk, orders.DISK_FULL))
    assert disk.free_bytes() == 0
    file.write(0, b"abc")
    with pytest.raises(DiskFull, match="no space left to write"):
        file.write(9, b"xyz")
    with pytest.raises(DiskFull):
        disk.create("b")
    assert file.read(0, 20) == b"abc3456789"
    (tmp_path / orders.ORDERS_FILE).unlink()
    until(lambda: disk.free_bytes() > 0)
    file.write(9, b"xyz")


def test_each_fsync_is_slow_until_the_time_is_over(disk: HarmedDisk, tmp_path: Path) -> None:
    give(tmp_path, orders.SLOW_FSYNC, 50)
    until(obeys(disk, orders.SLOW_FSYNC))
    file = disk.open("a")
    began = time.monotonic()
    file.datasync()
    assert time.monotonic() - began >= 0.05
    short = give(tmp_path, orders.SLOW_FSYNC, 50, for_ms=400)  # obeyed already when it is read, or nobody might read it in time
    until(lambda: disk.orders.of(orders.SLOW_FSYNC) is None)
    assert now_ms() >= short.deadline_ms
    assert (tmp_path / orders.ORDERS_FILE).exists(), "it ended by itself"


@pytest.mark.parametrize("how", ["its time is over", "it is taken back"])
def test_a_sync_under_way_is_slow_no_longer_than_it_is_told_so(disk: HarmedDisk, tmp_path: Path, how: str) -> None:
    file = disk.open("a")
    if how == "its time is over":
        give(tmp_path, orders.SLOW_FSYNC, 30_000, for_ms=500)
    else:
        give(tmp_path, orders.SLOW_FSYNC, 30_000)
        threading.Timer(0.5, (tmp_path / orders.ORDERS_FILE).unlink).start()
    until(obeys(disk, orders.SLOW_FSYNC))
    began = time.monotonic()
    file.datasync()
    assert time.monotonic() - began < 10


def test_a_broken_disk_fails_in_everything(disk: HarmedDisk, tmp_path: Path) -> None:
    file = disk.open("a")
    give(tmp_path, orders.EIO)
    until(obeys(disk, orders.EIO))
    for act in (
        lambda: file.read(0, 1),
        lambda: file.write(0, b"x"),
        file.datasync,
        lambda: disk.sync_folder(""),
        lambda: disk.create("b"),
    ):
        with pytest.raises(DiskFailed, match="Input/output error"):
            act()


def test_rot_is_one_byte_of_one_file_and_only_what_is_read(disk: HarmedDisk, tmp_path: Path) -> None:
    give(tmp_path, orders.ROT, path="a", offset=4)
    until(obeys(disk, orders.ROT))
    file = disk.open("a")
    assert (file.read(0, 10), file.read(4, 1), file.read(5, 5)) == (b"0123$56789", b"$", b"56789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_rot_hits_the_newest_record_that_was_surely_synced_and_the_next_start_says_so(tmp_path: Path) -> None:
    real = RealDisk(str(tmp_path))
    create_folder(real, IDENTITY, GENESIS, SMALL)
    found = open_folder(real, IDENTITY, SMALL)
    for index in range(1, 21):
        found.wal.commit([Write(WriteId(index), entries=[entry(index, 0)])])
    found.wal.close()
    real.unlock()
    place = rotting.place(str(tmp_path), Random(1))
    assert place is not None
    give(tmp_path, orders.ROT, path=place[0], offset=place[1])
    again = open_folder(HarmedDisk(real, Orders(str(tmp_path))), IDENTITY, SMALL)
    assert (again.lost_entries, [one.path for one in again.rot]) == (True, [place[0]])
    again.wal.close()
    real.unlock()
    assert rotting.place(str(tmp_path / "nothing"), Random(1)) is None


def test_when_the_power_goes_sectors_are_lost_that_were_not_synced_and_none_that_were(tmp_path: Path) -> None:
    """In a process of its own, which it ends."""
    size = 64 * 512
    script = (
        "import sys\n"
        "from coordnode.harm.disk import HarmedDisk\nfrom coordnode.harm.orders import Orders\n"
        "from coordnode.storage.disk import RealDisk\n"
        "disk = HarmedDisk(RealDisk(sys.argv[1]), Orders(sys.argv[1]))\n"
        f"file = disk.open('b')\nsize = {size}\nturn = 0\n"
        "while True:\n"
        "    turn += 1\n"
        "    file.write(size * (turn % 2), bytes([turn]) * size)\n"
        "    print(turn, flush=True)\n"
        "    file.datasync()\n"
    )
    (tmp_path / "b").write_bytes(bytes(2 * size))
    give(tmp_path, orders.POWER_LOSS)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    last = int(done.stdout.split()[-1])
    content = (tmp_path / "b").read_bytes()
    halves = [content[:size], content[size:]]
    torn, whole = halves[last % 2], halves[(last - 1) % 2]
    assert set(whole) == {last - 1}, "what was synced is there"
    before = max(0, last - 2)
    assert {sector[0] for sector in (torn[start : start + 512] for start in range(0, size, 512))} == {before, last}
    assert all(len(set(torn[start : start + 512])) == 1 for start in range(0, size, 512)), "a sector is whole, or not there"


def test_an_order_of_another_boot_or_of_no_meaning_is_none(disk: HarmedDisk, tmp_path: Path) -> None:
    give(tmp_path, orders.EIO, boot="another")
    (tmp_path / "a").touch()
    time.sleep(2 * orders.LOOK_NS / 1e9)
    assert disk.orders.current() == ()
    (tmp_path / orders.ORDERS_FILE).write_bytes(b"{")
    time.sleep(2 * orders.LOOK_NS / 1e9)
    assert (disk.orders.current(), disk.open("a").read(0, 2)) == ((), b"01")


# --- clocks ------------------------------------------------------------------------------------------------------------


LATE_MS = 25_000  # so far a stall may put two looks apart; whatever is ordered here is more than twice as much


def wrong_by(clock: HarmedClock) -> tuple[int, int]:
    """(wall, monotonic), in milliseconds; never more than what passes between the two looks."""
    return clock.wall_ms() - time.time_ns() // 1_000_000, clock.now_ms() - time.monotonic_ns() // 1_000_000


def test_a_clock_without_orders_is_right(tmp_path: Path) -> None:
    clock = HarmedClock(Orders(str(tmp_path)))
    for real_ns, look in ((time.time_ns, clock.wall_ms), (time.monotonic_ns, clock.now_ms)):
        before, shown, after = real_ns() // 1_000_000, look(), real_ns() // 1_000_000
        assert before <= shown <= after


@pytest.mark.parametrize(("amount", "own"), [(90_000, 90_000), (-90_000, 0)])
def test_a_jump_forwards_moves_both_clocks_and_one_backwards_only_that_on_the_wall(tmp_path: Path, amount: int, own: int) -> None:
    clock = HarmedClock(Orders(str(tmp_path)))
    give(tmp_path, orders.CLOCK_JUMP, amount)
    until(lambda: abs(wrong_by(clock)[0] - amount) < LATE_MS)
    assert abs(wrong_by(clock)[1] - own) < LATE_MS
    before = clock.now_ms()
    (tmp_path / orders.ORDERS_FILE).unlink()
    until(lambda: abs(wrong_by(clock)[0]) < LATE_MS)
    assert clock.now_ms() >= before, "the monotonic clock never goes back"


@pytest.mark.parametrize("percent", [500.0, -90.0])
def test_a_drifting_clock_goes_wrong_and_never_back(tmp_path: Path, percent: float) -> None:
    clock = HarmedClock(Orders(str(tmp_path)))
    give(tmp_path, orders.CLOCK_DRIFT, percent)
    shown = [clock.now_ms()]

    def has_drifted() -> bool:
        shown.append(clock.now_ms())
        wall, own = wrong_by(clock)
        return (own > 300 and wall > 300) if percent > 0 else (own < -300 and wall < -300)

    until(has_drifted)
    (tmp_path / orders.ORDERS_FILE).unlink()
    until(lambda: not clock_is_harmed(tmp_path) and abs(wrong_by(clock)[0]) < 200)
    shown.append(clock.now_ms())
    assert shown == sorted(shown)


def clock_is_harmed(folder: Path) -> bool:
    return bool(Orders(str(folder)).current())


def test_a_clock_that_flickers_is_now_right_and_now_wrong(tmp_path: Path) -> None:
    clock = HarmedClock(Orders(str(tmp_path)))
    give(tmp_path, orders.CLOCK_STROBE, 60_000)
    for _ in range(2):
        until(lambda: abs(wrong_by(clock)[0] - 60_000) < LATE_MS)
        until(lambda: abs(wrong_by(clock)[0]) < LATE_MS)
    assert os.path.exists(tmp_path / orders.ORDERS_FILE)
