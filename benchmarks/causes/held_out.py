"""Kinds of the third round, written down before the rules that were to find them were frozen, and injected only then."""

import os
import random
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from benchmarks.causes.faults import HOLD_SECONDS, SETTLE_SECONDS, Right, name_of
from benchmarks.causes.scene import Scene, wait
from coordnode.client.sync import connect
from coordnode.errors import CoordError

HUGE_BYTES = 400_000


def oom_kill(scene: Scene, seed: int) -> Right:
    """Its group may have less memory than it needs: the kernel ends it."""
    number = scene.follower(seed)
    scene.limit_memory(number, scene.resident_bytes(number) + 3_000_000)
    with connect(scene.endpoints(), timeout=10) as cluster:
        for key in range(60):
            if scene.member(number).has_ended():
                break
            with suppress(CoordError):
                cluster.kv.put(f"large/{key}", random.Random(key).randbytes(HUGE_BYTES))
    scene.member(number).wait()
    wait(HOLD_SECONDS)
    return Right(("out of memory",), (name_of(number),))


def cpu_quota(scene: Scene, seed: int) -> Right:
    """A container that may use a fiftieth of a processor."""
    number = scene.leader() if seed % 2 else scene.follower(seed // 2)
    scene.limit_cpu(number, 0.02)
    wait(HOLD_SECONDS)
    scene.limit_cpu(number, 1.0)
    return Right(("cpu taken by others", "member paused"), (name_of(number),))


def cannot_start(scene: Scene, seed: int) -> Right:
    """Restarted with a setting that there is not."""
    number = scene.follower(seed)
    scene.restart([number], "--tick", "none", is_awaited=False)
    wait(HOLD_SECONDS)
    return Right(("member failed",), (name_of(number),))


def address_taken(scene: Scene, seed: int) -> Right:
    """Somebody else listens where it did, when it comes back from a restart."""
    number = scene.follower(seed)
    address = scene.member(number).address
    scene.signal(number, signal.SIGTERM)
    scene.member(number).wait()
    program = f"import socket, time; taken = socket.create_server({address!r}); time.sleep(600)"
    scene.run_inside(number, sys.executable, "-c", program)
    wait(1)
    scene.start(number)
    wait(HOLD_SECONDS)
    return Right(("member failed",), (name_of(number),))


def large_packets(scene: Scene, seed: int) -> Right:
    """Whatever is larger than 700 bytes does not reach it, and clients write values of 2,000."""
    number = scene.follower(seed)
    leader = scene.endpoint(scene.leader())
    scene.drop(number, "input", "meta length > 700 drop")
    ending = threading.Event()

    def write() -> None:
        with suppress(CoordError, OSError), connect([leader], timeout=10) as cluster:
            while not ending.wait(0.1):
                cluster.kv.put("large", b"x" * 2_000)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    wait(HOLD_SECONDS)
    ending.set()
    writer.join(15)
    scene.let_through(number)
    return Right(("cut link", "slow link"), (name_of(number),))


def reset_links(scene: Scene, seed: int) -> Right:
    """A firewall that was told to refuse: connections with that member end, and new ones are not made."""
    number = scene.follower(seed)
    for other in scene.cluster.members:
        if other != number:
            scene.drop(number, "output", f"ip daddr {scene.host(other)} meta l4proto tcp reject with tcp reset")
            scene.drop(number, "input", f"ip saddr {scene.host(other)} meta l4proto tcp reject with tcp reset")
    wait(HOLD_SECONDS)
    scene.let_through(number)
    return Right(("cut link",), (name_of(number),))


def swapped_addresses(scene: Scene, seed: int) -> Right:
    """The names of two members lead to each other once they come back from a restart."""
    first, second = scene.follower(0), scene.follower(1)
    scene.swap_names(first, second)
    scene.restart([first, second], is_awaited=False)
    wait(HOLD_SECONDS)
    return Right(("wrong address",), (name_of(first), name_of(second)))


def foreign_certificate(scene: Scene, seed: int) -> Right:
    """It shows another member's."""
    number, other = scene.follower(seed), scene.follower(seed + 1)
    scene.certify_as(number, other)
    scene.restart([number], is_awaited=False)
    wait(HOLD_SECONDS)
    return Right(("certificate",), (name_of(number),))


def all_paused(scene: Scene, seed: int) -> Right:
    """As a machine does to all it runs when it is put aside."""
    for number in scene.cluster.members:
        scene.signal(number, signal.SIGSTOP)
    wait(HOLD_SECONDS)
    for number in scene.cluster.members:
        scene.signal(number, signal.SIGCONT)
    return Right(("member paused",) * 3, tuple(map(name_of, scene.cluster.members)))


def no_network(scene: Scene, seed: int) -> Right:
    """A switch fails: nobody reaches anybody."""
    for number in scene.cluster.members:
        scene.networks.cut(number)
    wait(HOLD_SECONDS)
    for number in scene.cluster.members:
        scene.networks.heal(number)
    wait(SETTLE_SECONDS)
    return Right(("cut link",), ())


def clock_to_and_fro(scene: Scene, seed: int) -> Right:
    """Two sources of time that disagree by ten seconds, followed in turn."""
    number = scene.follower(seed)
    for turn in range(int(HOLD_SECONDS)):
        scene.set(number, clock_ms=10_000 * (turn % 2))
        wait(1)
    scene.set(number)
    return Right(("clock",), (name_of(number),))


def stutter(scene: Scene, seed: int) -> Right:
    """Its leader is stopped for 0.3 s of each 0.5."""
    number = scene.leader()
    for _ in range(int(HOLD_SECONDS * 2)):
        scene.signal(number, signal.SIGSTOP)
        wait(0.3)
        scene.signal(number, signal.SIGCONT)
        wait(0.2)
    return Right(("member paused", "cpu taken by others"), (name_of(number),))


def disk_in_bursts(scene: Scene, seed: int) -> Right:
    """The leader's disk takes 120 ms for each fsync during a second, and is quick in the next."""
    number = scene.leader()
    for _ in range(int(HOLD_SECONDS / 2)):
        scene.set(number, sync_us=120_000)
        wait(1)
        scene.set(number)
        wait(1)
    return Right(("slow disk",), (name_of(number),))


def huge_values(scene: Scene, seed: int) -> Right:
    """Six clients write values of 400 kB."""
    return _crowd(scene, 6, lambda cluster, key: cluster.kv.put(f"huge/{key}", bytes(HUGE_BYTES)))


def read_surge(scene: Scene, seed: int) -> Right:
    """Thirty clients read as fast as they can."""
    return _crowd(scene, 30, lambda cluster, key: cluster.kv.get("color"))


def _crowd(scene: Scene, clients: int, act: Callable[..., object]) -> Right:
    ending = threading.Event()
    leader = scene.leader()

    def work(key: int) -> None:
        with suppress(CoordError, OSError), connect(scene.endpoints(), timeout=10) as cluster:
            while not ending.is_set():
                act(cluster, key)

    workers = [threading.Thread(target=work, args=(key,), daemon=True) for key in range(clients)]
    for worker in workers:
        worker.start()
    wait(HOLD_SECONDS)
    ending.set()
    for worker in workers:
        worker.join(15)
    return Right(("client surge",), (name_of(leader),))


def lock_held(scene: Scene, seed: int) -> Right:
    """One who never lets go, and four who come for it."""
    ending = threading.Event()

    def come() -> None:
        wait_s = HOLD_SECONDS + SETTLE_SECONDS
        with suppress(CoordError, OSError), connect(scene.endpoints(), timeout=60) as cluster, cluster.lock("nightly", wait=wait_s):
            ending.wait()

    comers = []
    for _ in range(5):
        comers.append(threading.Thread(target=come, daemon=True))
        comers[-1].start()
        wait(0.3)
    wait(HOLD_SECONDS)
    ending.set()
    for comer in comers:
        comer.join(30)
    return Right(("lock held",), ())


def old_folder(scene: Scene, seed: int) -> Right:
    """Restarted on a copy of its folder that was made ten seconds before, while it did not run."""
    number = scene.follower(seed)
    folder = scene.member(number).folder
    copy = folder.with_suffix(".copy")
    scene.signal(number, signal.SIGTERM)
    scene.member(number).wait()
    shutil.copytree(folder, copy)
    scene.start(number)
    wait(10)
    scene.signal(number, signal.SIGTERM)
    scene.member(number).wait()
    for recorder in folder.glob("flight.log*"):  # what it said goes on
        shutil.copy(recorder, copy)
    shutil.rmtree(folder)
    os.rename(copy, folder)
    scene.start(number, "--adopt")  # it is told that this is right
    wait(HOLD_SECONDS)
    return Right(("old folder",), (name_of(number),))


def pause_and_slow_disk(scene: Scene, seed: int) -> Right:
    """Of two followers: one is stopped, the other's disk is slow."""
    paused, slow = scene.follower(seed), scene.follower(seed + 1)
    scene.set(slow, sync_us=80_000)
    scene.signal(paused, signal.SIGSTOP)
    wait(HOLD_SECONDS)
    scene.signal(paused, signal.SIGCONT)
    scene.set(slow)
    return Right(("member paused", "slow disk"), (name_of(paused), name_of(slow)))
