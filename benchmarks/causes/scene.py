"""A real cluster in which something is to happen: members in network namespaces of their own, behind the shim, with a client that writes.

Needs root and a C compiler. Everything made here goes when it is closed.
"""

import mmap
import os
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from coordnode.client.sync import connect
from coordnode.errors import CoordError
from tests.processes.members import Cluster, Process, wait_until
from tests.processes.networks import Networks

HERE = Path(__file__).resolve().parent
WRITES_PER_SECOND = 10


def build(folder: Path) -> Path:
    target = folder / "shim.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(target), str(HERE / "shim.c"), "-ldl"], check=True)
    return target


class Scene:
    def __init__(self, members: int) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="causes-")
        self.folder = Path(self._scratch.name)
        self._shim = build(self.folder)
        self.networks = Networks()
        self._others: list[subprocess.Popen[bytes]] = []
        self._mounts: list[Path] = []
        self._ending = threading.Event()
        hosts = self.networks.open(members)
        self.cluster = Cluster(self.folder, members, hosts=hosts)
        self.networks.put_inside(self.cluster)
        self._control: dict[int, mmap.mmap] = {}
        for number in self.cluster.members:
            path = self.folder / f"control{number}"
            path.write_bytes(bytes(24))
            with path.open("r+b") as file:
                self._control[number] = mmap.mmap(file.fileno(), 24)
        self._writer = threading.Thread(target=self._write, daemon=True)

    # --- life ------------------------------------------------------------------------------------------------------

    def start(self, number: int, *flags: str) -> None:
        environment = {"LD_PRELOAD": str(self._shim), "CAUSES_CONTROL": str(self.folder / f"control{number}")}
        self.cluster.members[number].start("--name", f"n{number}", *flags, environment=environment)

    def begin(self) -> None:
        for number, one in self.cluster.members.items():
            self.start(number, *(["--adopt"] if one.folder in self._mounts else []))
        self.cluster.wait_ready()
        self.leader()
        self._writer.start()

    def leader(self) -> int:
        return self.cluster.leader().member

    def follower(self, of: int) -> int:
        """`of`: which of them."""
        leader = self.leader()
        return [number for number in self.cluster.members if number != leader][of % (len(self.cluster.members) - 1)]

    def _write(self) -> None:
        """At a steady pace, whatever becomes of it."""
        endpoints = [f"{one.address[0]}:{one.address[1]}" for one in self.cluster.members.values()]
        while not self._ending.is_set():
            try:
                with connect(endpoints) as cluster:
                    while not self._ending.wait(1 / WRITES_PER_SECOND):
                        cluster.kv.put("color", "blue")
            except (CoordError, OSError):
                self._ending.wait(0.2)

    def places(self) -> list[str]:
        """Their logs and flight recorders."""
        found = []
        for number in self.cluster.members:
            found += [str(self.folder / f"n{number}.log"), *map(str, sorted((self.folder / f"n{number}").glob("flight.log*")))]
        return [path for path in found if os.path.exists(path)]

    def close(self) -> None:
        self._ending.set()
        for other in self._others:
            other.kill()
            other.wait()
        for one in self.cluster.members.values():
            if one.running is not None:
                one.signal(signal.SIGCONT)
        self.cluster.end()
        if self._writer.is_alive():
            self._writer.join(30)
        for path in self._mounts:
            while os.path.ismount(path) and subprocess.run(["umount", str(path)], check=False).returncode == 0:
                pass  # namespaces of members may have handed it back
        self.networks.close()
        self._scratch.cleanup()

    # --- faults ----------------------------------------------------------------------------------------------------

    def member(self, number: int) -> Process:
        return self.cluster.members[number]

    def signal(self, number: int, what: signal.Signals) -> None:
        self.member(number).signal(what)

    def set(self, number: int, *, sync_us: int = 0, fails: bool = False, clock_ms: int = 0) -> None:
        self._control[number][:] = struct.pack("<qqq", sync_us, int(fails), clock_ms)

    def run(self, *argv: str) -> None:
        """Beside the cluster, until the end."""
        self._others.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def end_others(self) -> None:
        for other in self._others:
            other.kill()
            other.wait()
        self._others.clear()

    def restart(self, numbers: Sequence[int], *flags: str) -> None:
        for number in numbers:
            self.signal(number, signal.SIGTERM)
            self.member(number).wait()
            self.start(number, *flags)
            wait_until(self.member(number).is_ready, f"n{number} is ready")

    def small_disk(self, number: int, mebibytes: int) -> Path:
        """Its folder moves to a file system of that size; only before it starts."""
        folder = self.member(number).folder
        aside = folder.with_suffix(".aside")
        folder.rename(aside)
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)], check=True)
        self._mounts.append(folder)
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        return folder


def wait(seconds: float) -> None:
    time.sleep(seconds)
