"""Clusters of three on loopback, coordnode's and etcd's, and what drives them: load.c here, h2load there.

Processes are ended by their ids, folders are removed; nothing is left behind.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src"
MEMBERS = 3
READY_SECONDS_MAX = 30.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
KEY = b"%016d" % 1
VALUE = bytes(range(64))


class Load(NamedTuple):
    """What one run did."""

    per_second: float
    done: int
    typical_ms: float
    long_ms: float
    generator_us: float  # its own CPU per request


class Member(NamedTuple):
    process: "subprocess.Popen[bytes]"
    address: str

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def memory_mib(self) -> float:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1024


class Cluster:
    """`members[0]` leads."""

    name = ""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    def load(self, connections: int, outstanding: int, seconds: float, what: str) -> Load:
        raise NotImplementedError

    def revision(self) -> int:
        raise NotImplementedError

    def check(self) -> str:
        """What all members agree on now; they are waited for."""
        raise NotImplementedError


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def wait_for(look: Any, what: str) -> Any:
    until = time.monotonic() + READY_SECONDS_MAX
    while not (found := look()):
        if time.monotonic() > until:
            raise SystemExit(f"not within {READY_SECONDS_MAX:g} s: {what}")
        time.sleep(0.02)
    return found


def fetch(url: str, data: bytes | None = None) -> Any:
    """None: nobody answers yet."""
    try:
        with urllib.request.urlopen(url, data=data, timeout=2) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def needs(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"not installed here: {', '.join(missing)}")


@contextmanager
def scratch(parent: str | None) -> Iterator[Path]:
    """On the file system of `parent`: a disk, or fdatasync measures nothing."""
    folder = Path(tempfile.mkdtemp(prefix="coordnode-benchmark-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def processes() -> Iterator[list["subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []
    try:
        yield started
    finally:
        for one in started:
            one.send_signal(signal.SIGKILL)
        for one in started:
            one.wait()


# --- coordnode -----------------------------------------------------------------------------------------------------


def compile_load(folder: Path) -> Path:
    program = folder / "load"
    subprocess.run(["cc", "-O2", "-Wall", "-o", str(program), str(HERE / "load.c"), "-lz"], check=True)
    return program


class Coordnode(Cluster):
    name = "coordnode"

    def __init__(self, members: list[Member], load_program: Path) -> None:
        super().__init__(members)
        self._load_program = load_program

    def load(self, connections: int, outstanding: int, seconds: float, what: str) -> Load:
        endpoints = ",".join(member.address for member in self.members)
        command = [str(self._load_program), endpoints, str(connections), str(outstanding), str(seconds), what]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        ms = found["ms"]
        return Load(found["per_second"], found["done"], ms["p50"], ms["p99"], found["generator"]["us_per_request"])

    def statuses(self) -> list[Any]:
        return [fetch(f"http://{member.address}/status") for member in self.members]

    def revision(self) -> int:
        found = self.statuses()[0]
        return int(found["revision"])

    def check(self) -> str:
        def look() -> str:
            said = {(one["applied"], one["revision"], one["applied_digest"]) for one in self.statuses()}
            if len(said) > 1:
                return ""
            applied, revision, digest = said.pop()
            return f"digest {digest:016x} at index {applied}, revision {revision}"

        return str(wait_for(look, "all members are equal"))


@contextmanager
def coordnode(folder: Path, load_program: Path, flags: Sequence[str] = (), python: str = sys.executable) -> Iterator[Coordnode]:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(MEMBERS)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COORDNODE_")} | {"PYTHONPATH": str(SOURCE)}
    init = [python, "-m", "coordnode", "init"]
    for number, address in enumerate(addresses, 1):
        init += ["--make", f"{number}={folder / f'n{number}'}", "--contact", f"{number}={address}"]
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL, env=environment)
    with processes() as started:
        for number, address in enumerate(addresses, 1):
            run = [python, "-m", "coordnode", "run", "--folder", str(folder / f"n{number}"), "--listen", address]
            with (folder / f"n{number}.log").open("wb") as log:
                started.append(subprocess.Popen([*run, *flags], stderr=log, stdout=log, env=environment))
        members = [Member(process, address) for process, address in zip(started, addresses, strict=True)]

        def leading() -> list[Member]:
            statuses = [fetch(f"http://{member.address}/status") for member in members]
            if not all(one is not None and one["ready"] for one in statuses):
                return []
            return [member for one, member in zip(statuses, members, strict=True) if one["role"] == "leader"]

        leader = wait_for(leading, "three members are ready")[0]
        yield Coordnode([leader, *[member for member in members if member is not leader]], load_program)


# --- etcd ----------------------------------------------------------------------------------------------------------


class Etcd(Cluster):
    """Through its gRPC door, with requests that h2load repeats as they are: always the same key, which costs etcd the least."""

    name = "etcd"

    def __init__(self, members: list[Member], folder: Path) -> None:
        super().__init__(members)
        self._bodies = {}
        put = b"\x0a" + bytes([len(KEY)]) + KEY + b"\x12" + bytes([len(VALUE)]) + VALUE
        for what, message in (("put", put), ("get", put[: 2 + len(KEY)])):
            self._bodies[what] = folder / f"{what}.grpc"
            self._bodies[what].write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)

    def load(self, connections: int, outstanding: int, seconds: float, what: str) -> Load:
        command = ["h2load", "-t1", f"-c{connections}", f"-m{outstanding}", f"-D{seconds:g}s", "-d", str(self._bodies[what])]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        command += [f"http://{self.members[0].address}/etcdserverpb.KV/{'Put' if what == 'put' else 'Range'}"]
        before = os.times()
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        after = os.times()
        counted = re.search(r"(\d+) succeeded, (\d+) failed", said)
        codes = re.search(r"status codes: (\d+) 2xx", said)
        times = re.search(r"time for request: +\S+ +(\S+) +(\S+)", said)
        assert counted is not None, said
        assert codes is not None, said
        assert times is not None, said
        done = int(counted[1])
        if int(counted[2]) or int(codes[1]) < done:
            raise SystemExit(f"h2load failed:\n{said}")
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        # h2load knows no quantiles: its mean and maximum stand where ours has the median and the 99th percentile.
        return Load(done / seconds, done, _ms(times[2]), _ms(times[1]), cpu / max(done, 1) * 1e6)

    def _ask(self, member: Member, path: str, question: bytes) -> Any:
        return fetch(f"http://{member.address}/v3/{path}", question)

    def revision(self) -> int:
        return int(self._ask(self.members[0], "maintenance/status", b"{}")["header"]["revision"])

    def check(self) -> str:
        def look() -> str:
            said = set()
            for member in self.members:
                found = self._ask(member, "maintenance/hash", b"{}")
                said.add((found["hash"], found["header"]["revision"]))
            return "hash {} at revision {}".format(*said.pop()) if len(said) == 1 else ""

        return str(wait_for(look, "all members are equal"))


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]  # h2load's own format
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


@contextmanager
def etcd(folder: Path) -> Iterator[Etcd]:
    ports = free_ports(2 * MEMBERS)
    names = [f"e{number}" for number in range(1, MEMBERS + 1)]
    peers = [f"http://127.0.0.1:{port}" for port in ports[:MEMBERS]]
    addresses = [f"127.0.0.1:{port}" for port in ports[MEMBERS:]]
    founders = ",".join(f"{name}={peer}" for name, peer in zip(names, peers, strict=True))
    with processes() as started:
        for name, peer, address in zip(names, peers, addresses, strict=True):
            command = ["etcd", "--name", name, "--data-dir", str(folder / name), "--initial-cluster", founders]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            command += ["--listen-client-urls", f"http://{address}", "--advertise-client-urls", f"http://{address}"]
            with (folder / f"{name}.log").open("wb") as log:
                started.append(subprocess.Popen(command, stderr=log, stdout=log))
        members = [Member(process, address) for process, address in zip(started, addresses, strict=True)]

        def leading() -> list[Member]:
            statuses = [fetch(f"http://{member.address}/v3/maintenance/status", b"{}") for member in members]
            if not all(one is not None and int(one.get("leader", 0)) for one in statuses):
                return []
            return [member for one, member in zip(statuses, members, strict=True) if one["leader"] == one["header"]["member_id"]]

        leader = wait_for(leading, "three members of etcd are ready")[0]
        yield Etcd([leader, *[member for member in members if member is not leader]], folder)


# --- what a load costs ---------------------------------------------------------------------------------------------


@contextmanager
def counted_syncs(members: Sequence[Member]) -> Iterator[dict[int, int]]:
    """How often each member synced meanwhile, by process id, as strace counts it. The load runs slower for it."""
    counts: dict[int, int] = {}
    tracers = []
    with tempfile.TemporaryDirectory() as folder:
        for member in members:
            command = ["strace", "-f", "-c", "-U", "calls,name", "-e", "trace=fsync,fdatasync", "-p", str(member.process.pid)]
            tracer = subprocess.Popen([*command, "-o", f"{folder}/{member.process.pid}"], stderr=subprocess.PIPE)
            assert tracer.stderr is not None
            tracer.stderr.readline()  # "attached"
            tracers.append(tracer)
        try:
            yield counts
        finally:
            for tracer in tracers:
                tracer.send_signal(signal.SIGINT)
                tracer.communicate()
        for member in members:
            said = Path(f"{folder}/{member.process.pid}").read_text()
            counts[member.process.pid] = sum(int(found[1]) for found in re.finditer(r"(\d+) +f(?:data)?sync$", said, re.MULTILINE))
