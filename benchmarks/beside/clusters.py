"""What clusters of three on loopback have in common, whoever's they are, and what drives and watches them.

Processes are ended by their ids, folders are removed; nothing is left behind.
"""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent / "src"
MEMBERS = 3
READY_SECONDS_MAX = 60.0
PUT_SECONDS_MAX = 0.5  # until a single write is asked of another member
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
VALUE = bytes(range(64))
KINDS = ("put", "get", "cas", "pair", "task")
WRITES = ("put", "cas", "pair", "task")
Found = TypeVar("Found")


class Shape(NamedTuple):
    connections: int
    outstanding: int  # requests of each connection

    def __str__(self) -> str:
        return f"{self.connections}x{self.outstanding}"


def parse_shape(text: str) -> Shape:
    connections, _, outstanding = text.partition("x")
    return Shape(int(connections), int(outstanding))


class Load(NamedTuple):
    """What one run did. Each reply was checked by its generator."""

    per_second: float
    done: int
    mean_ms: float
    p50_ms: float
    p99_ms: float
    generator_us: float  # its own CPU per request
    generator_share: float  # of one core
    writes: int  # so many are acknowledged, what went before the run included
    under_way: int = 0  # so many more may have happened


class Member(NamedTuple):
    process: "subprocess.Popen[bytes]"
    address: str
    data: Path

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def memory_mib(self) -> float:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1024

    def disk_mib(self) -> float:
        """As allocated; what a file has ready for later counts, too."""
        return sum(path.stat().st_blocks * 512 for path in self.data.rglob("*") if path.is_file()) / 1024 / 1024


class Cluster:
    """`members[0]` leads, or did when the cluster began."""

    product = ""
    kinds: tuple[str, ...] = KINDS
    layouts: tuple[str, ...] = ("leader",)  # where its clients may be connected to
    warm_seconds = 1.0  # of load before anything is measured

    def __init__(self, members: list[Member], version: str, crew: "Crew") -> None:
        self.version = version
        self.crew = crew
        self.members = self._in_order(members)

    def leads(self, member: Member) -> bool | None:
        """None: it does not serve yet."""
        raise NotImplementedError

    def _in_order(self, members: list[Member]) -> list[Member]:
        """Once all serve."""

        def look() -> list[Member]:
            said = [self.leads(member) for member in members]
            return [member for member, one in zip(members, said, strict=True) if one] if None not in said else []

        leader = wait_for(look, f"three members of {self.product} serve")[0]
        return [leader, *[member for member in members if member is not leader]]

    def look_who_leads(self) -> None:
        self.members = self._in_order(self.members)

    def restart(self, members: Sequence[Member]) -> None:
        """Those, which were killed, begin again; all are waited for."""
        again = [member._replace(process=self.crew.again(member.process)) if member in members else member for member in self.members]
        self.members = self._in_order(again)

    def fill(self, keys: int) -> None:
        """So many keys of 16 bytes with values of 64."""
        raise NotImplementedError

    def put(self, member: Member) -> bool:
        """One write, asked of this member; whether it was acknowledged."""
        raise NotImplementedError

    def load(self, kind: str, shape: Shape, seconds: float, layout: str) -> Load:
        raise NotImplementedError

    def layouts_for(self, kind: str) -> tuple[str, ...]:
        """What may make a difference to such requests."""
        return self.layouts

    def endpoints(self, layout: str) -> list[str]:
        return [member.address for member in (self.members if layout == "spread" else self.members[:1])]

    def writes(self) -> int:
        """How many there were since it began, as far as the cluster counts them itself."""
        raise NotImplementedError

    def check(self) -> str:
        """What all members agree on now; they are waited for."""
        raise NotImplementedError


class Entrant(NamedTuple):
    """Something that can be started here."""

    product: str
    version: str
    start: Callable[[Path], AbstractContextManager[Cluster]]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def wait_for(look: Callable[[], Found], what: str) -> Found:
    until = time.monotonic() + READY_SECONDS_MAX
    while not (found := look()):
        if time.monotonic() > until:
            raise SystemExit(f"not within {READY_SECONDS_MAX:g} s: {what}")
        time.sleep(0.02)
    return found


ANY_CERTIFICATE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # of members that this very process started
ANY_CERTIFICATE.check_hostname = False
ANY_CERTIFICATE.verify_mode = ssl.CERT_NONE


def fetch(url: str, data: bytes | None = None, method: str | None = None, timeout: float = 10) -> Any:
    """None: nobody answers, or refuses."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=timeout, context=ANY_CERTIFICATE) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def missing(*programs: str) -> list[str]:
    return [program for program in programs if shutil.which(program) is None]


def needs(*programs: str) -> None:
    if missing(*programs):
        raise SystemExit(f"not installed here: {', '.join(missing(*programs))}")


@contextmanager
def scratch(parent: str | None) -> Iterator[Path]:
    """On the file system of `parent`: a disk, or fdatasync measures nothing."""
    folder = Path(tempfile.mkdtemp(prefix="coordnode-benchmark-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Crew:
    """Processes that were started here. Who is killed can be started again as it was."""

    def __init__(self) -> None:
        self._how: dict[int, tuple[Sequence[str], Path, dict[str, Any]]] = {}
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, command: Sequence[str], log: Path, **options: Any) -> "subprocess.Popen[bytes]":
        with log.open("ab") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, **options)
        self.processes.append(process)
        self._how[process.pid] = (command, log, options)
        return process

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()

    def again(self, process: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
        self.processes.remove(process)
        command, log, options = self._how.pop(process.pid)
        return self.start(command, log, **options)

    def end(self) -> None:
        for one in self.processes:
            one.send_signal(signal.SIGKILL)
        for one in self.processes:
            one.wait()


@contextmanager
def processes() -> Iterator[Crew]:
    crew = Crew()
    try:
        yield crew
    finally:
        crew.end()


def compile_c(source: Path, folder: Path, *libraries: str) -> Path:
    program = folder / source.stem
    subprocess.run(["cc", "-O2", "-Wall", "-o", str(program), str(source), *libraries], check=True)
    return program


def run_generator(command: Sequence[str]) -> Load:
    """Those of our own all print the same JSON."""
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    ms, generator = found["ms"], found["generator"]
    times = (ms["mean"], ms["p50"], ms["p99"])
    return Load(found["per_second"], found["done"], *times, generator["us_per_request"], generator["cpu_share"], found["writes"])


@contextmanager
def counted_syncs(members: Sequence[Member]) -> Iterator[list[int]]:
    """How often each member synced meanwhile, as strace counts it. The load runs slower for it."""
    counts: list[int] = []
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
            counts.append(sum(int(found[1]) for found in re.finditer(r"(\d+) +f(?:data)?sync$", said, re.MULTILINE)))
