"""Kinds of the fourth round. What is right was written down here before any of them was injected; no rule was written for them."""

import secrets
import signal
import sys
import threading
from contextlib import suppress

from benchmarks.causes.faults import HOLD_SECONDS, Right, large_writes, name_of
from benchmarks.causes.scene import Scene, wait
from coordnode.services.commands import ClientCommand, OpenSession, encode
from coordnode.services.dialogue import WriteAsk
from tests.processes.members import Connection, Refused, wait_until

HOURS_BACK = 3
SESSIONS_AT_ONCE = 20
FILL = """
import sys, time
with open(sys.argv[1], "wb", buffering=0) as file:
    while True:
        try:
            file.write(bytes(65_536))
        except OSError:
            time.sleep(0.05)
"""
ANNOUNCE = """
import socket, sys, time
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind(("eth0", 0x0806))
    own, address = wire.getsockname()[4], socket.inet_aton(sys.argv[1])
    while True:
        wire.send(b"\\xff" * 6 + own + bytes.fromhex("08060001080006040001") + own + address + bytes(6) + address)
        time.sleep(1)
"""
LITTER = """
import itertools, sys, time
for number in itertools.count():
    try:
        open(f"{sys.argv[1]}/{number}", "x").close()
    except OSError:
        time.sleep(0.05)
"""


def shared_disk_full(scene: Scene, seed: int) -> Right:
    """Another program fills the disk on which all three have their folders, and takes whatever they give back.

    Right: the disk is full, of each of them.
    """
    path = scene.folder / "shared" / "dump"
    scene.run(sys.executable, "-c", FILL, str(path))
    wait(HOLD_SECONDS)
    scene.end_others()
    path.unlink()
    return Right(("disk full",) * 3, tuple(map(name_of, scene.cluster.members)))


def inodes_gone(scene: Scene, seed: int) -> Right:
    """Another program litters member 3's disk with empty files until there may be no more of them; there is room for data.

    Clients write meanwhile, so that it wants new files. Right: "disk full", as the kernel's own answer is that no space is left.
    """
    litter = scene.member(3).folder / "litter"
    litter.mkdir()
    scene.run(sys.executable, "-c", LITTER, str(litter))
    wait(1)
    with large_writes(scene):
        wait(HOLD_SECONDS)
    return Right(("disk full",), ("n3",))


def read_only_disk(scene: Scene, seed: int) -> Right:
    """The kernel finds an error in the file system of member 3's folder, and lets nobody write to it any more.

    Right: "member failed", as for a disk that fails: there is no better name, and its runbook looks at the member's last lines.
    """
    scene.break_file_system(3)
    wait(HOLD_SECONDS)
    return Right(("member failed",), ("n3",))


def clock_hours_back(scene: Scene, seed: int) -> Right:
    """Somebody sets its wall clock back by three hours: what it says from then on is dated before everything else.

    Right: the clock, of that member.
    """
    number = scene.leader() if seed % 2 else scene.follower(seed // 2)
    scene.set(number, clock_ms=-HOURS_BACK * 3_600_000)
    wait(HOLD_SECONDS)
    return Right(("clock",), (name_of(number),))


def session_churn(scene: Scene, seed: int) -> Right:
    """Broken workers: each connects, opens sessions, and is gone without a word. Some 300 sessions a second expire.

    Right: that sessions expire, or the surge of clients that it is. Whoever is named, as no member is guilty.
    """
    ending = threading.Event()
    address = scene.member(scene.leader()).address

    def work() -> None:
        while not ending.wait(0.25):
            with suppress(OSError, Refused), Connection(address) as connection:
                openings = [OpenSession(secrets.token_bytes(16), 1_000, "worker") for _ in range(SESSIONS_AT_ONCE)]
                # mypy: numbers on the wire are plain ones
                commands = [encode(ClientCommand(0, 0, 0, "", one)) for one in openings]  # type: ignore[arg-type]
                connection.send([WriteAsk(connection.number(), command) for command in commands])
                for _ in commands:
                    connection.next_answer()

    workers = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for worker in workers:
        worker.start()
    wait(HOLD_SECONDS)
    ending.set()
    for worker in workers:
        worker.join(40)
    return Right(("sessions expired", "client surge"), ())


def paused_in_turn(scene: Scene, seed: int) -> Right:
    """Two hosts that are moved, one after the other and back: each of two members stands still for a second, twice.

    Right: that both were paused, told together or one by one. Which one is left alone is chosen without a look at who leads.
    """
    pair = [number for number in scene.cluster.members if number != 1 + seed % 3]
    for number in pair * 2:
        scene.signal(number, signal.SIGSTOP)
        wait(1)
        scene.signal(number, signal.SIGCONT)
        wait(1)
    return Right(("member paused",) * 2, tuple(map(name_of, pair)))


def new_refused(scene: Scene, seed: int) -> Right:
    """Its firewall refuses new connections and leaves the old ones alone; then the two others are restarted, one after the other.

    Right: a cut link, of the member with the firewall. That the others were restarted is planned, and explains nothing.
    """
    number = scene.leader() if seed % 2 else scene.follower(seed // 2)
    others = [other for other in scene.cluster.members if other != number]
    scene.drop(number, "input", "tcp flags & ( syn | ack ) == syn reject with tcp reset")
    wait(1)
    for other in others:
        scene.restart([other], is_awaited=False)
        wait_until(scene.member(other).status, f"n{other} is back")  # whether it is ready or not
        wait(HOLD_SECONDS / 2)
    return Right(("cut link",), (name_of(number),))


def doubled_address(scene: Scene, seed: int) -> Right:
    """Another host comes up with its address, and says so every second.

    Right: a cut link of that member, or a wrong address: both lead an operator to who answers there.
    """
    number = scene.follower(seed)
    space = scene.networks.double(number)
    scene.run("ip", "netns", "exec", space, sys.executable, "-c", ANNOUNCE, scene.host(number))
    wait(HOLD_SECONDS)
    return Right(("cut link", "wrong address"), (name_of(number),))
