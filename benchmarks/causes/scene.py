"""A real cluster in which something is to happen: members in network namespaces of their own, behind the shim, with a client that writes.

Needs root and a C compiler. Everything made here goes when it is closed.
"""

import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.causes.groups import Group
from coordctl.authority.files import Authority
from coordctl.local.clusters import Endpoint, LocalCluster, LocalMember
from coordctl.local.clusters import write as write_cluster
from coordctl.local.processes import started_mark
from coordctl.onhost import gather
from coordctl.operations import statuses
from coordnode import __version__
from coordnode.client.sync import Cluster as Client
from coordnode.client.sync import connect
from coordnode.client.tls import VARIABLE
from coordnode.errors import CoordError
from coordnode.ids import ClusterId, MemberId
from coordnode.node.bootstrap import create_joiner
from coordnode.storage.wal import Settings as WalSettings
from tests.processes.members import SOURCE, Cluster, Process, resident_bytes, wait_until
from tests.processes.networks import Networks

HERE = Path(__file__).resolve().parent
WRITES_PER_SECOND = 10
CONTROL_BYTES = 24
FILTER = "causes"  # the table of packets that are dropped
OF_MEMORY = re.compile(rb"ut of memory|oom|Killed process")


def build(folder: Path) -> Path:
    target = folder / "shim.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(target), str(HERE / "shim.c"), "-ldl"], check=True)
    return target


class Scene:
    def __init__(self, members: int, *, with_tls: bool = False, with_names: bool = False) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="causes-")
        self.folder = Path(self._scratch.name)
        self._shim = build(self.folder)
        self.networks = Networks()
        self._others: list[subprocess.Popen[bytes]] = []
        self._mounts: list[Path] = []
        self._groups: dict[int, Group] = {}
        self._left: list[int] = []  # members that were replaced: what they wrote is still there
        self._began_ms = time.time_ns() // 1_000_000
        self._ending = threading.Event()
        hosts = self.networks.open(members)
        self._names = {host: f"n{number}" for number, host in enumerate(hosts, 1)} if with_names else {}
        self.cluster = Cluster(
            self.folder, members, hosts=hosts, reached_at=lambda address: (self._names.get(address[0], address[0]), address[1])
        )
        self.networks.put_inside(self.cluster)
        self._netns = {number: one.prefix[-1] for number, one in self.cluster.members.items()}
        self._plain_prefix = {number: one.prefix for number, one in self.cluster.members.items()}
        if with_names:
            for number in self.cluster.members:
                self._write_names(number, self._names)
        self._authority: Authority | None = None
        if with_tls:
            self._authority = Authority(str(self.folder / "ca"))
            self._authority.init("causes")
            for number in self.cluster.members:
                self.certify(number, days=1)
            os.environ[VARIABLE] = self._authority.client("writer", 1)  # whatever asks here is this client
        self._control: dict[int, mmap.mmap] = {}
        for number in self.cluster.members:
            path = self.folder / f"control{number}"
            path.write_bytes(bytes(CONTROL_BYTES))
            with path.open("r+b") as file:
                self._control[number] = mmap.mmap(file.fileno(), CONTROL_BYTES)
        self._writer = threading.Thread(target=self._write, daemon=True)

    # --- life ------------------------------------------------------------------------------------------------------

    def start(self, number: int, *flags: str, prefix: Sequence[str] = (), source: str = "") -> None:
        """`prefix`: of its command. `source`: where its program is, if it is another than ours."""
        environment = {"LD_PRELOAD": str(self._shim), "CAUSES_CONTROL": str(self.folder / f"control{number}")}
        environment |= {"PYTHONPATH": source} if source else {}
        if self._authority is not None:
            flags = ("--tls", str(self.folder / "ca" / "members" / f"n{number}"), *flags)
        one = self.cluster.members[number]
        one.prefix = [*self._plain_prefix[number], *prefix]
        one.start("--name", f"n{number}", *flags, environment=environment)

    def begin(self) -> None:
        for number, one in self.cluster.members.items():
            self.start(number, *(["--adopt"] if one.folder in self._mounts else []))
        self.wait_ready()
        self.leader()
        self._writer.start()

    def wait_ready(self) -> None:
        for number in self.cluster.members:
            wait_until(lambda number=number: self._status(number).get("ready"), f"n{number} is ready")  # type: ignore[misc]

    def _status(self, number: int) -> dict[str, Any]:
        [found] = statuses.ask([Endpoint(self.endpoint(number))], 5)
        return found.status or {}

    def leader(self) -> int:
        def look() -> int | None:
            found = {number: self._status(number) for number, one in self.cluster.members.items() if not one.has_ended()}
            return next((number for number, one in found.items() if one.get("role") == "leader" and one["ready"]), None)

        return wait_until(look, "a member leads")

    def endpoint(self, number: int) -> str:
        host, port = self.cluster.members[number].address
        return f"{host}:{port}"

    def endpoints(self) -> list[str]:
        return [self.endpoint(number) for number in self.cluster.members]

    def follower(self, of: int) -> int:
        """`of`: which of them."""
        leader = self.leader()
        return [number for number in self.cluster.members if number != leader][of % (len(self.cluster.members) - 1)]

    def _write(self) -> None:
        """At a steady pace, whatever becomes of it."""
        while not self._ending.is_set():
            try:
                with connect(self.endpoints()) as cluster:
                    while not self._ending.wait(1 / WRITES_PER_SECOND):
                        cluster.kv.put("color", "blue")
            except (CoordError, OSError):
                self._ending.wait(0.2)

    def places(self) -> list[str]:
        """Their logs and flight recorders, and what the kernel says of memory: what else it says tells of injections."""
        kernel = self.folder / "host" / "kernel.log"
        kernel.parent.mkdir(exist_ok=True)
        [said] = (said for name, _, said in gather.host_facts(self._began_ms, time.time_ns() // 1_000_000, everything=False))
        lines = [line + b"\n" for line in said.splitlines() if OF_MEMORY.search(line)] if isinstance(said, bytes) else []
        if lines:
            kernel.write_bytes(b"".join(lines))
        found = [str(kernel)]
        for number in [*self.cluster.members, *self._left]:
            found += [str(self.folder / f"n{number}.log"), *map(str, sorted((self.folder / f"n{number}").glob("flight.log*")))]
        return [path for path in found if os.path.exists(path)]

    def close(self) -> None:
        self._ending.set()
        os.environ.pop(VARIABLE, None)
        self.end_others()
        for one in self.cluster.members.values():
            if one.running is not None:
                one.signal(signal.SIGCONT)
        self.cluster.end()
        for group in self._groups.values():
            group.close()
        if self._writer.is_alive():
            self._writer.join(30)
        for path in self._mounts:
            while os.path.ismount(path) and subprocess.run(["umount", str(path)], check=False).returncode == 0:
                pass  # namespaces of members may have handed it back
        self.networks.close()
        for space in self._netns.values():
            shutil.rmtree(f"/etc/netns/{space}", ignore_errors=True)
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
        self._others.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))

    def run_inside(self, number: int, *argv: str) -> None:
        self.run("ip", "netns", "exec", self._netns[number], *argv)

    def end_others(self) -> None:
        for other in self._others:
            with suppress(ProcessLookupError):
                os.killpg(other.pid, signal.SIGKILL)
            other.wait()
        self._others.clear()

    def limit_memory(self, number: int, bytes_max: int) -> None:
        self._group(number).limit_memory(bytes_max)

    def limit_cpu(self, number: int, share: float) -> None:
        self._group(number).limit_cpu(share)

    def _group(self, number: int) -> Group:
        running = self.member(number).running
        assert running is not None
        if number not in self._groups:
            self._groups[number] = Group(self._netns[number])
            self._groups[number].take(running.pid)
        return self._groups[number]

    def resident_bytes(self, number: int) -> int:
        return resident_bytes(self.member(number))

    def drop(self, number: int, way: str, rule: str) -> None:
        """Of what comes to it (`input`) or leaves it (`output`), what a rule of nftables says."""
        self.inside(number, "nft", "add", "table", "inet", FILTER)
        self.inside(number, "nft", "add", "chain", "inet", FILTER, way, f"{{ type filter hook {way} priority 0 ; }}")
        self.inside(number, "nft", "add", "rule", "inet", FILTER, way, *rule.split())

    def let_through(self, number: int) -> None:
        self.inside(number, "nft", "delete", "table", "inet", FILTER)

    def host(self, number: int) -> str:
        return self.member(number).address[0]

    def restart(self, numbers: Sequence[int], *flags: str, prefix: Sequence[str] = (), source: str = "", is_awaited: bool = True) -> None:
        for number in numbers:
            self.signal(number, signal.SIGTERM)
            self.member(number).wait()
            self.start(number, *flags, prefix=prefix, source=source)
            if is_awaited:
                wait_until(lambda number=number: self._status(number).get("ready"), f"n{number} is ready")  # type: ignore[misc]

    def inside(self, number: int, *command: str) -> None:
        """On its host, as it were."""
        subprocess.run(["ip", "netns", "exec", self._netns[number], *command], check=True, capture_output=True)

    def ctl(self, *arguments: str) -> None:
        """As an operator would, of a cluster on this machine."""
        members = tuple(
            LocalMember(f"n{number}", number, self.endpoint(number), one.running.pid, started_mark(one.running.pid))
            for number, one in self.cluster.members.items()
            if one.running is not None
        )
        write_cluster(LocalCluster(str(self.folder), "causes", self.cluster.cluster, 1, True, members))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COORD")}
        environment = kept | {"PYTHONPATH": str(SOURCE), "XDG_STATE_HOME": str(self.folder / "state")}
        command = [sys.executable, "-m", "coordctl", *arguments, "--cluster", str(self.folder)]
        done = subprocess.run(command, env=environment, check=False, capture_output=True)
        assert done.returncode == 0, done.stderr

    def other_source(self) -> str:
        """The same program, called another version."""
        target = self.folder / "other" / "coordnode"
        if not target.exists():
            shutil.copytree(SOURCE / "coordnode", target, ignore=shutil.ignore_patterns("__pycache__"))
            (target / "__init__.py").write_text((target / "__init__.py").read_text().replace(__version__, "9.9.9"))
        return str(target.parent)

    def certify(self, number: int, *, days: int) -> None:
        """`days` 0: it has just expired."""
        assert self._authority is not None
        self._authority.member(f"n{number}", number, days, renew=True)

    def certify_as(self, number: int, other: int) -> None:
        """It has that member's certificate from now on."""
        folder = self.folder / "ca" / "members"
        shutil.copytree(folder / f"n{other}", folder / f"n{number}", dirs_exist_ok=True)

    def swap_names(self, first: int, second: int) -> None:
        """Whoever asks where one is, is told where the other is."""
        swapped = self._names | {self.host(first): f"n{second}", self.host(second): f"n{first}"}
        for number in self.cluster.members:
            self._write_names(number, swapped)

    def lead(self, number: int) -> None:
        self._until_so(self.endpoints(), lambda cluster: cluster.members.lead(number), f"n{number} leads")

    def replace(self, number: int) -> None:
        """A new member with a folder of its own takes its place, on the same host."""
        old = self.member(number)
        contacts = {other: self.endpoint(other) for other in self.cluster.members if other != number}
        newcomer = max(self.cluster.members) + 1
        self.signal(number, signal.SIGTERM)
        old.wait()
        one = Process(self.folder / f"n{newcomer}", newcomer, old.address)
        create_joiner(str(one.folder), ClusterId(self.cluster.cluster), MemberId(newcomer), wal_settings=WalSettings(segment_bytes=1 << 20))
        (self.folder / f"control{newcomer}").write_bytes(bytes(CONTROL_BYTES))
        self._plain_prefix[newcomer] = self._plain_prefix[number]
        self.cluster.members[newcomer] = one
        del self.cluster.members[number]
        self._left.append(number)
        self.start(newcomer)
        everybody = contacts | {newcomer: self.endpoint(newcomer)}
        self._change(contacts, voters=[*contacts], learners=[newcomer], everybody=everybody)
        wait_until(lambda: self._status(newcomer).get("ready"), f"n{newcomer} is ready")
        self._change(contacts, voters=[*contacts, newcomer], learners=[], everybody=everybody)

    def _change(self, asked: Mapping[int, str], *, voters: list[int], learners: list[int], everybody: Mapping[int, str]) -> None:
        self._until_so([*asked.values()], lambda cluster: cluster.members.change(voters, learners, everybody), f"voters are {voters}")

    def _until_so(self, endpoints: Sequence[str], ask: Callable[[Client], None], what: str) -> None:
        """Asked again until the answer is that it is so: on a busy machine an answer may not come in time, whatever became of it."""

        def is_so() -> bool:
            try:
                with connect(endpoints, timeout=30) as cluster:
                    ask(cluster)
            except CoordError:
                return False
            return True

        wait_until(is_so, what, 90)

    def forget_name(self, number: int) -> None:
        """The others cannot find out any more where it is."""
        left = {host: name for host, name in self._names.items() if name != f"n{number}"}
        for other in self.cluster.members:
            if other != number:
                self._write_names(other, left)

    def _write_names(self, number: int, names: Mapping[str, str]) -> None:
        """In place: it is mounted over the member's own."""
        folder = Path(f"/etc/netns/{self._netns[number]}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{host} {name}\n" for host, name in names.items()))
        (folder / "resolv.conf").write_text("")

    def small_disk(self, number: int, mebibytes: int, *, files_max: int = 0) -> None:
        """Its folder moves to a file system of that size, and with at most so many files; only before it starts. So do the next two."""
        options = f"size={mebibytes}m" + (f",nr_inodes={files_max}" if files_max else "")
        self._move(number, "-t", "tmpfs", "-o", options, "tmpfs")

    def shared_disk(self, mebibytes: int) -> None:
        """All folders move to one file system of that size."""
        shared = self.folder / "shared"
        shared.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(shared)], check=True)
        for number in self.cluster.members:
            (shared / f"n{number}").mkdir()
            self._move(number, "--bind", str(shared / f"n{number}"))
        self._mounts.append(shared)

    def ext4_disk(self, number: int, mebibytes: int) -> None:
        """Its folder moves to a file system that its kernel makes read-only when there is an error in it."""
        image = self.folder / f"disk{number}"
        with image.open("wb") as file:
            file.truncate(mebibytes << 20)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
        folder = self._move(number, "-o", "loop,errors=remount-ro", str(image))
        (folder / "lost+found").rmdir()

    def _move(self, number: int, *mount: str) -> Path:
        """Its folder to what is mounted so."""
        folder = self.member(number).folder
        aside = folder.with_suffix(".aside")
        folder.rename(aside)
        folder.mkdir()
        subprocess.run(["mount", *mount, str(folder)], check=True)
        self._mounts.append(folder)
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        return folder

    def break_file_system(self, number: int) -> None:
        """Of a member on an `ext4_disk`: as if the kernel had found an error in it."""
        found = subprocess.run(["findmnt", "-no", "SOURCE", str(self.member(number).folder)], check=True, capture_output=True, text=True)
        device = Path(found.stdout.strip()).name
        assert device.startswith("loop"), device  # never one of this machine's own disks
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("an error")


def wait(seconds: float) -> None:
    time.sleep(seconds)
