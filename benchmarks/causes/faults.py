"""The kinds of fault, each really injected: what is done, for how long, and what a right verdict names."""

import os
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.causes.scene import Scene, wait

HOLD_SECONDS = 9.0
SETTLE_SECONDS = 3.0
BURN = "while True: pass"


class Right(NamedTuple):
    """What happened."""

    causes: tuple[str, ...]  # any of them is right
    members: tuple[str, ...]  # each must be named; none: any will do


def _name(number: int) -> str:
    return f"n{number}"


def kill_leader(scene: Scene, seed: int) -> Right:
    leader = scene.leader()
    scene.member(leader).kill()
    wait(HOLD_SECONDS)
    return Right(("member killed",), (_name(leader),))


def kill_follower(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    scene.member(number).kill()
    wait(HOLD_SECONDS / 2)
    scene.start(number)
    wait(HOLD_SECONDS / 2)
    return Right(("member killed",), (_name(number),))


def pause_leader(scene: Scene, seed: int) -> Right:
    return _pause(scene, scene.leader())


def pause_follower(scene: Scene, seed: int) -> Right:
    return _pause(scene, scene.follower(seed))


def _pause(scene: Scene, number: int) -> Right:
    scene.signal(number, signal.SIGSTOP)
    wait(HOLD_SECONDS)
    scene.signal(number, signal.SIGCONT)
    return Right(("member paused",), (_name(number),))


def slow_disk(scene: Scene, seed: int) -> Right:
    number = scene.leader() if seed % 2 else scene.follower(seed // 2)
    scene.set(number, sync_us=60_000)
    wait(HOLD_SECONDS)
    scene.set(number)
    return Right(("slow disk",), (_name(number),))


def failing_disk(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    scene.set(number, fails=True)
    scene.member(number).wait()
    wait(HOLD_SECONDS)
    return Right(("member failed",), (_name(number),))


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
    return Right(("rotten record",), (_name(number),))


def clock_jump(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    scene.set(number, clock_ms=180_000 if seed % 2 else -75_000)
    wait(HOLD_SECONDS)
    return Right(("clock",), (_name(number),))


def one_way_cut(scene: Scene, seed: int) -> Right:
    """What the follower sends to the leader is gone; what the leader sends arrives."""
    leader, number = scene.leader(), scene.follower(seed)
    scene.networks.part(number, [leader])
    wait(HOLD_SECONDS)
    return Right(("cut link",), (_name(number),))


def isolated(scene: Scene, seed: int) -> Right:
    number = scene.leader() if seed % 2 else scene.follower(seed // 2)
    scene.networks.cut(number)
    wait(HOLD_SECONDS)
    scene.networks.heal(number)
    return Right(("cut link",), (_name(number),))


def flapping_link(scene: Scene, seed: int) -> Right:
    number = scene.follower(seed)
    for _ in range(4):
        scene.networks.cut(number)
        wait(1.5)
        scene.networks.heal(number)
        wait(1.0)
    return Right(("cut link",), (_name(number),))


def starved_follower(scene: Scene, seed: int) -> Right:
    """It runs a fifth of the time: stopped and let go again and again."""
    number = scene.follower(seed)
    for _ in range(int(HOLD_SECONDS)):
        scene.signal(number, signal.SIGSTOP)
        wait(0.8)
        scene.signal(number, signal.SIGCONT)
        wait(0.2)
    return Right(("member paused", "cpu taken by others"), (_name(number),))


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
    return Right(("different settings",), (_name(number),))


def surge(scene: Scene, seed: int) -> Right:
    """Connections that a herd of clients opens and keeps."""
    leader = scene.leader()
    address = scene.member(leader).address
    from tests.processes.members import Connection

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
    return Right(("client surge",), (_name(leader),))


def two_at_once(scene: Scene, seed: int) -> Right:
    """A slow disk, and another member that is killed: both must be named."""
    slow, killed = scene.follower(seed), scene.follower(seed + 1)
    scene.set(slow, sync_us=60_000)
    wait(2)
    scene.member(killed).kill()
    wait(HOLD_SECONDS)
    scene.set(slow)
    return Right(("slow disk", "member killed"), (_name(slow), _name(killed)))


def healthy(scene: Scene, seed: int) -> Right:
    wait(HOLD_SECONDS)
    return Right((), ())


def rolling_restart(scene: Scene, seed: int) -> Right:
    leader = scene.leader()
    scene.restart([number for number in scene.cluster.members if number != leader] + [leader])
    wait(SETTLE_SECONDS)
    return Right((), ())


Fault = Callable[[Scene, int], Right]
FAULTS: dict[str, Fault] = {
    one.__name__.replace("_", "-"): one
    for one in (
        *(kill_leader, kill_follower, pause_leader, pause_follower, slow_disk, failing_disk, full_disk, rotten_record, clock_jump),
        *(one_way_cut, isolated, flapping_link, cpu_hog, starved_follower, other_settings, surge, two_at_once),
    )
}
HEALTHY: dict[str, Fault] = {"healthy": healthy, "rolling-restart": rolling_restart}
# Never injected, by this or in any other way, before the rules were frozen.
HELD_OUT = ("failing-disk", "isolated", "flapping-link", "starved-follower", "surge", "two-at-once")
