"""Kinds of the fifth round. What is right was written down here before any of them was injected; no rule was written for them."""

import signal

from benchmarks.causes.faults import HOLD_SECONDS, Right, large_writes, name_of
from benchmarks.causes.scene import Scene, wait

AHEAD_MS, BACK_MS = 40_000, -75_000
SLOW_US = 60_000
PAUSE_SECONDS = 4.0


def all_clocks_jump(scene: Scene, seed: int) -> Right:
    """The time service steps all wall clocks ahead by 40 s, at once: they still agree with each other.

    Right: the clock. Whoever is named, as it was all of them.
    """
    for number in scene.cluster.members:
        scene.set(number, clock_ms=AHEAD_MS)
    wait(HOLD_SECONDS)
    return Right(("clock",), ())


def folder_moved_away(scene: Scene, seed: int) -> Right:
    """Somebody moves its folder while it runs. Clients write meanwhile, so that it wants new files.

    Right: "member failed": there is no better name, and its runbook looks at the member's last lines.
    """
    number = scene.follower(seed)
    folder = scene.member(number).folder
    away = folder.with_name(f"{folder.name}-away")
    with large_writes(scene):
        wait(1)
        folder.rename(away)
        wait(HOLD_SECONDS)
    away.rename(folder)
    return Right(("member failed",), (name_of(number),))


def one_way_flaps(scene: Scene, seed: int) -> Right:
    """What the follower sends to the leader is gone for two seconds, three times, and arrives in between.

    Right: a cut link of that member.
    """
    leader, number = scene.leader(), scene.follower(seed)
    for _ in range(3):
        scene.networks.part(number, [leader])
        wait(2)
        scene.networks.join(number, [leader])
        wait(1.5)
    return Right(("cut link",), (name_of(number),))


def two_killed(scene: Scene, seed: int) -> Right:
    """Both followers are killed, one three seconds after the other, and come back.

    Right: that both were killed, told together or one by one.
    """
    pair = [scene.follower(seed), scene.follower(seed + 1)]
    for number in pair:
        scene.member(number).kill()
        wait(3)
    for number in pair:
        scene.start(number)
    wait(HOLD_SECONDS / 2)
    return Right(("member killed",) * 2, tuple(map(name_of, pair)))


def two_paused(scene: Scene, seed: int) -> Right:
    """Both followers stand still at the same time: the leader has no quorum any more.

    Right: that both were paused, told together or one by one.
    """
    pair = [scene.follower(seed), scene.follower(seed + 1)]
    for number in pair:
        scene.signal(number, signal.SIGSTOP)
    wait(PAUSE_SECONDS)
    for number in pair:
        scene.signal(number, signal.SIGCONT)
    wait(HOLD_SECONDS / 2)
    return Right(("member paused",) * 2, tuple(map(name_of, pair)))


def slow_disk_everywhere(scene: Scene, seed: int) -> Right:
    """The storage that all three stand on is slow: 60 ms for each fsync.

    Right: a slow disk, of each of them.
    """
    for number in scene.cluster.members:
        scene.set(number, sync_us=SLOW_US)
    wait(HOLD_SECONDS)
    for number in scene.cluster.members:
        scene.set(number)
    return Right(("slow disk",), tuple(map(name_of, scene.cluster.members)))


def rotten_snapshot(scene: Scene, seed: int) -> Right:
    """While a follower is stopped a byte of its newest snapshot changes.

    Right: a rotten record of that member.
    """
    number = scene.follower(seed)
    scene.signal(number, signal.SIGTERM)
    scene.member(number).wait()
    newest = max((scene.member(number).folder / "snapshots").glob("*.snap"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 0x40
    newest.write_bytes(data)
    wait(1)
    scene.start(number)
    wait(HOLD_SECONDS)
    return Right(("rotten record",), (name_of(number),))


def clock_and_cut(scene: Scene, seed: int) -> Right:
    """The wall clock of one follower is set back, and the other one is cut off.

    Right: both, each of its member.
    """
    late, cut = scene.follower(seed), scene.follower(seed + 1)
    scene.set(late, clock_ms=BACK_MS)
    scene.networks.cut(cut)
    wait(HOLD_SECONDS)
    scene.networks.heal(cut)
    return Right(("clock", "cut link"), (name_of(late), name_of(cut)))
