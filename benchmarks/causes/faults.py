"""The kinds of fault, each really injected: what is done, for how long, and what a right verdict names."""

import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from benchmarks.causes.scene import Scene, wait
from coordnode.client.sync import connect
from coordnode.errors import CoordError
from tests.processes.members import Connection, Refused

HOLD_SECONDS = 9.0
SETTLE_SECONDS = 3.0
BURN = "while True: pass"
FILES_MAX = 200


class Right(NamedTuple):
    """What happened."""

    causes: tuple[str, ...]  # any of them is right
    members: tuple[str, ...]  # each must be named; none: any will do


def name_of(number: int) -> str:
    return f"n{number}"


@contextmanager
def large_writes(scene: Scene) -> Iterator[None]:
    """So much that members want new files."""
    ending = threading.Event()

    def write() -> None:
        with suppress(CoordError, OSError), connect(scene.endpoints(), timeout=10) as cluster:
            while not ending.wait(0.15):
                cluster.kv.put("large", secrets.token_bytes(100_000))

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield
    ending.set()
    writer.join(15)


def kill_leader(scene: Scene, seed: int) -> Right:
    leader = scene.leader()
    scene.member(leader).kill()
    wait(HOLD_SECONDS)
    return Right(("member killed",), (name_of(leader),))


def kill_follower(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    scene.member(number).kill()
    wait(HOLD_SECONDS / 2)
    scene.start(number)
    wait(HOLD_SECONDS / 2)
    return Right(("member killed",), (name_of(number),))


def pause_leader(scene: Scene, seed: int) -> Right:
    return _pause(scene, scene.leader())


def pause_follower(scene: Scene, seed: int) -> Right:
    return _pause(scene, scene.follower(seed))


def _pause(scene: Scene, number: int) -> Right:
    scene.signal(number, signal.SIGSTOP)
    wait(HOLD_SECONDS)
    scene.signal(number, signal.SIGCONT)
    return Right(("member paused",), (name_of(number),))


def slow_disk(scene: Scene, seed: int) -> Right:
    number = scene.leader() if seed % 2 else scene.follower(seed // 2)
    scene.set(number, sync_us=60_000)
    wait(HOLD_SECONDS)
    scene.set(number)
    return Right(("slow disk",), (name_of(number),))


def failing_disk(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    scene.set(number, fails=True)
    scene.member(number).wait()
    wait(HOLD_SECONDS)
    return Right(("member failed",), (name_of(number),))


def full_disk(scene: Scene, seed: int) -> Right:
    """Of member 3, whose folder is on 24 MiB."""
    path = scene.member(3).folder / "filler"
    with path.open("wb") as file:
        stat = os.statvfs(path.parent)
        file.write(bytes(max(0, stat.f_bavail * stat.f_frsize - 1_000_000)))
    wait(HOLD_SECONDS)
    path.unlink()
    return Right(("disk full",), ("n3",))


def rotten_record(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    scene.signal(number, signal.SIGTERM)
    scene.member(number).wait()
    newest = max((scene.member(number).folder / "wal").glob("*.seg"), key=lambda path: path.stat().st_mtime)
    data = bytearray(newest.read_bytes())
    places = [place for place in range(8_192, len(data) - 5) if data[place : place + 5] == b"color"]
    data[places[len(places) // 2]] ^= 0x40
    newest.write_bytes(data)
    wait(1)
    scene.start(number)
    wait(HOLD_SECONDS)
    return Right(("rotten record",), (name_of(number),))


def clock_jump(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    scene.set(number, clock_ms=180_000 if seed % 2 else -75_000)
    wait(HOLD_SECONDS)
    return Right(("clock",), (name_of(number),))


def one_way_cut(scene: Scene, seed: int) -> Right:
    """What the follower sends to the leader is gone; what the leader sends arrives."""
    leader, number = scene.leader(), scene.follower(seed)
    scene.networks.part(number, [leader])
    wait(HOLD_SECONDS)
    return Right(("cut link",), (name_of(number),))


def isolated(scene: Scene, seed: int) -> Right:
    number = scene.leader() if seed % 2 else scene.follower(seed // 2)
    scene.networks.cut(number)
    wait(HOLD_SECONDS)
    scene.networks.heal(number)
    return Right(("cut link",), (name_of(number),))


def flapping_link(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    for _ in range(4):
        scene.networks.cut(number)
        wait(1.5)
        scene.networks.heal(number)
        wait(1.0)
    return Right(("cut link",), (name_of(number),))


def starved_follower(scene: Scene, seed: int) -> Right:
    """It runs a fifth of the time: stopped and let go again and again."""
    number = scene.follower(seed)
    for _ in range(int(HOLD_SECONDS)):
        scene.signal(number, signal.SIGSTOP)
        wait(0.8)
        scene.signal(number, signal.SIGCONT)
        wait(0.2)
    return Right(("member paused", "cpu taken by others"), (name_of(number),))


def cpu_hog(scene: Scene, seed: int) -> Right:
    for _ in range(4 * (os.cpu_count() or 1)):
        scene.run(sys.executable, "-c", BURN)
    wait(HOLD_SECONDS)
    scene.end_others()
    return Right(("cpu taken by others",), ())


def other_settings(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    scene.restart([number], "--slow-commit", "7ms")
    wait(HOLD_SECONDS)
    return Right(("different settings",), (name_of(number),))


def surge(scene: Scene, seed: int) -> Right:
    """Connections that a herd of clients opens and keeps."""
    leader = scene.leader()
    address = scene.member(leader).address
    opened = []
    try:
        for _ in range(400):
            opened.append(Connection(address))
        wait(HOLD_SECONDS)
    except (TimeoutError, OSError):
        wait(HOLD_SECONDS)
    finally:
        for one in opened:
            one.close()
    return Right(("client surge",), (name_of(leader),))


def two_at_once(scene: Scene, seed: int) -> Right:
    """A slow disk, and another member that is killed: both must be named."""
    slow, killed = scene.follower(seed), scene.follower(seed + 1)
    scene.set(slow, sync_us=60_000)
    wait(2)
    scene.member(killed).kill()
    wait(HOLD_SECONDS)
    scene.set(slow)
    return Right(("slow disk", "member killed"), (name_of(slow), name_of(killed)))


def loss(scene: Scene, seed: int) -> Right:
    """Of what reaches it, two packets in five are gone."""
    number = scene.follower(seed)
    scene.drop(number, "input", "numgen random mod 100 < 40 drop")
    wait(HOLD_SECONDS)
    return Right(("cut link", "slow link"), (name_of(number),))


def slow_link(scene: Scene, seed: int) -> Right:
    """What it sends trickles."""
    number = scene.follower(seed)
    scene.inside(number, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "8kbit", "burst", "1600", "latency", "3s")
    wait(HOLD_SECONDS)
    return Right(("slow link", "cut link"), (name_of(number),))


def watches(scene: Scene, seed: int) -> Right:
    """One client that watches ten thousand keys."""
    number = scene.leader() if seed % 2 else scene.follower(seed // 2)
    with connect([scene.endpoint(number)], timeout=30) as cluster:
        opened = [cluster.kv.watch(key=f"watched/{key}") for key in range(10_000)]
        for one in opened:
            one.wait_ready(60)
        wait(HOLD_SECONDS)
    return Right(("client surge",), ())


def few_files(scene: Scene, seed: int) -> Right:
    """It may open hardly more files than it has, and clients come."""
    number = scene.follower(seed)
    scene.restart([number], prefix=("prlimit", f"--nofile={FILES_MAX}:{FILES_MAX}"))
    opened: list[Connection] = []
    until = time.monotonic() + HOLD_SECONDS
    while time.monotonic() < until:
        with suppress(OSError, TimeoutError, Refused):
            opened.append(Connection(scene.member(number).address))
        wait(0.02)
    for one in opened:
        one.close()
    return Right(("connections full",), (name_of(number),))


def other_version(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    scene.restart([number], source=scene.other_source())
    wait(HOLD_SECONDS)
    return Right(("version mismatch",), (name_of(number),))


def expired_certificate(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    scene.certify(number, days=0)
    scene.restart([number], is_awaited=False)
    wait(HOLD_SECONDS)
    return Right(("certificate",), (name_of(number),))


def quorum_lost(scene: Scene, seed: int) -> Right:
    first, second = scene.leader(), scene.follower(seed)
    scene.member(first).kill()
    scene.member(second).kill()
    wait(HOLD_SECONDS)
    return Right(("member killed", "member killed"), (name_of(first), name_of(second)))


def no_names(scene: Scene, seed: int) -> Right:
    """The others find that member's name no more, once it comes back from a restart."""
    number = scene.follower(seed)
    scene.forget_name(number)
    scene.restart([number], is_awaited=False)
    wait(HOLD_SECONDS)
    return Right(("name resolution",), (name_of(number),))


# --- held out: first injected after the rules were frozen ---


def stalled_disk(scene: Scene, seed: int) -> Right:
    """Each fsync of the leader takes two and a half seconds."""
    number = scene.leader()
    scene.set(number, sync_us=2_500_000)
    wait(HOLD_SECONDS)
    scene.set(number)
    return Right(("slow disk",), (name_of(number),))


def deaf_leader(scene: Scene, seed: int) -> Right:
    """What the leader sends arrives, and no answer does."""
    leader = scene.leader()
    for number in scene.cluster.members:
        if number != leader:
            scene.networks.part(number, [leader])
    wait(HOLD_SECONDS)
    return Right(("cut link",), (name_of(leader),))


def put_surge(scene: Scene, seed: int) -> Right:
    """Forty clients that write as fast as they can."""
    leader = scene.leader()
    ending = threading.Event()

    def write(number: int) -> None:
        with suppress(CoordError, OSError), connect(scene.endpoints(), timeout=10) as cluster:
            while not ending.is_set():
                cluster.kv.put(f"surge/{number}", b"x" * 200)

    writers = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(40)]
    for one in writers:
        one.start()
    wait(HOLD_SECONDS)
    ending.set()
    for one in writers:
        one.join(15)
    return Right(("client surge",), (name_of(leader),))


def drifting_clock(scene: Scene, seed: int) -> Right:
    """It runs a fifth too fast."""
    number = scene.follower(seed)
    for step in range(int(HOLD_SECONDS / 0.25)):
        scene.set(number, clock_ms=50 * step)
        wait(0.25)
    return Right(("clock",), (name_of(number),))


def power_cut(scene: Scene, seed: int) -> Right:
    """All of them at once, and all come back."""
    for one in scene.cluster.members.values():
        one.signal(signal.SIGKILL)
    for one in scene.cluster.members.values():
        one.wait()
    wait(HOLD_SECONDS / 2)
    for number in scene.cluster.members:
        scene.start(number)
    scene.wait_ready()
    wait(HOLD_SECONDS / 2)
    return Right(("member killed",) * 3, tuple(name_of(number) for number in scene.cluster.members))


def crash_loop(scene: Scene, seed: int) -> Right:
    """Killed as soon as it is back, four times."""
    number = scene.follower(seed)
    for _ in range(4):
        scene.member(number).kill()
        wait(1)
        scene.start(number)
        wait(1.5)
    wait(SETTLE_SECONDS)
    return Right(("member killed",), (name_of(number),))
