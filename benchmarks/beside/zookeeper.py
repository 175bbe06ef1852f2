"""ZooKeeper: Debian's and the newest, with a generator in Java that speaks its protocol."""

import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .clusters import (
    HERE,
    MEMBERS,
    PUT_SECONDS_MAX,
    VALUE,
    Cluster,
    Crew,
    Entrant,
    Load,
    Member,
    Shape,
    free_ports,
    missing,
    processes,
    run_generator,
    wait_for,
)

DEBIANS = Path("/usr/share/java/zookeeper.jar")  # names all others in its manifest
SERVER = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
TELLS_VERSION = "org.apache.zookeeper.version.VersionInfoMain"
MEMORY = "-Xmx1000m"  # as its own scripts give it
# As in its own sample; but more clients than 60 from one address, and no HTTP server on a fixed port.
SETTINGS = "tickTime=2000\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=0\nadmin.enableServer=false\n"
FILLING = Shape(100, 10)
SET_DATA, CLOSE = 5, -11
SESSION_MS = 10_000
COUNTER = (1 << 32) - 1  # of a zxid; above it is the epoch


class State(NamedTuple):
    zxid: int
    mode: str
    nodes: int


def parse_srvr(text: str) -> State | None:
    """None: it serves nobody yet."""
    zxid, mode, nodes = (re.search(rf"^{name}: (\S+)", text, re.MULTILINE) for name in ("Zxid", "Mode", "Node count"))
    return None if zxid is None or mode is None or nodes is None else State(int(zxid[1], 16), mode[1], int(nodes[1]))


def ask_state(address: str) -> State | None:
    host, _, port = address.partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(b"srvr")
            said = b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return None
    return parse_srvr(said.decode())


def set_once(address: str, path: bytes) -> bool:
    """In a session of its own; whether it was acknowledged."""
    host, _, port = address.partition(":")
    wanted = struct.pack(">iii", 1, SET_DATA, len(path)) + path + struct.pack(">i", len(VALUE)) + VALUE + struct.pack(">i", -1)
    try:
        with socket.create_connection((host, int(port)), timeout=PUT_SECONDS_MAX) as connection, connection.makefile("rb") as answers:
            connection.sendall(framed(struct.pack(">iqiqi", 0, 0, SESSION_MS, 0, 16) + bytes(17)))
            if not answers.read(int.from_bytes(answers.read(4), "big")):
                return False
            connection.sendall(framed(wanted))
            answer = answers.read(int.from_bytes(answers.read(4), "big"))
            connection.sendall(framed(struct.pack(">ii", 2, CLOSE)))
    except OSError:
        return False
    return len(answer) >= 16 and struct.unpack(">iqi", answer[:16])[2] == 0


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


class ZooKeeper(Cluster):
    product = "zookeeper"
    kinds = ("put", "get", "cas", "pair")
    layouts = ("leader", "spread")
    warm_seconds = 5.0  # its virtual machine compiles what is used often

    def __init__(self, members: list[Member], version: str, crew: Crew, generator: Path) -> None:
        super().__init__(members, version, crew)
        self._generator = generator

    def leads(self, member: Member) -> bool | None:
        found = ask_state(member.address)
        return None if found is None else found.mode == "leader"

    def load(self, kind: str, shape: Shape, seconds: float, layout: str) -> Load:
        return self._run(self.endpoints(layout), *map(str, shape), str(seconds), kind)

    def fill(self, keys: int) -> None:
        self._run(self.endpoints("leader"), *map(str, FILLING), str(keys), "fill")

    def put(self, member: Member) -> bool:
        return set_once(member.address, b"/zookeeper")

    def _run(self, endpoints: list[str], *how: str) -> Load:
        return run_generator(["java", "-XX:+UseSerialGC", "-cp", str(self._generator), "ZooKeeperLoad", ",".join(endpoints), *how])

    def writes(self) -> int:
        found = ask_state(self.members[0].address)
        assert found is not None
        return found.zxid & COUNTER

    def check(self) -> str:
        def look() -> str:
            said = {(found.zxid, found.nodes) for member in self.members if (found := ask_state(member.address)) is not None}
            return "{1} nodes at zxid {0:#x}".format(*said.pop()) if len(said) == 1 else ""

        return wait_for(look, "all members of ZooKeeper are at the same zxid")


@contextmanager
def zookeeper(folder: Path, classpath: str, version: str, generator: Path) -> Iterator[ZooKeeper]:
    ports = free_ports(3 * MEMBERS)
    numbers = range(1, MEMBERS + 1)
    addresses = [f"127.0.0.1:{port}" for port in ports[:MEMBERS]]
    servers = [f"server.{number}=127.0.0.1:{ports[MEMBERS + number - 1]}:{ports[2 * MEMBERS + number - 1]}" for number in numbers]
    with processes() as crew:
        members = []
        for number, address in zip(numbers, addresses, strict=True):
            data = folder / f"z{number}"
            data.mkdir(parents=True)
            (data / "myid").write_text(f"{number}\n")
            own = [f"dataDir={data}", f"clientPort={address.partition(':')[2]}", "clientPortAddress=127.0.0.1", *servers]
            settings = folder / f"z{number}.cfg"
            settings.write_text(SETTINGS + "\n".join(own) + "\n")
            command = ["java", MEMORY, "-cp", classpath, SERVER, str(settings)]
            members.append(Member(crew.start(command, folder / f"z{number}.log", cwd=folder), address, data))
        yield ZooKeeper(members, version, crew, generator)


def compile_generator(folder: Path) -> Path:
    classes = folder / "classes"
    subprocess.run(["javac", "-d", str(classes), str(HERE / "ZooKeeperLoad.java")], check=True)
    return classes


def version_of(classpath: str) -> str:
    said = subprocess.run(["java", "-cp", classpath, TELLS_VERSION], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = re.search(r"version (\S+)", said)
    assert found is not None
    return found[1]


def entrants(newest: Path, folder: Path) -> tuple[list[Entrant], list[str]]:
    """What can be started, and how to get what cannot. `newest`: a folder of jars."""
    if missing("java", "javac"):
        return [], ["ZooKeeper: apt-get install default-jdk-headless"]
    found, left_out = [], []
    generator = compile_generator(folder)
    jars = sorted(newest.glob("*.jar"))
    for files, remedy in (
        ([DEBIANS] if DEBIANS.exists() else [], "Debian's ZooKeeper: apt-get install zookeeper"),
        (jars, "the newest ZooKeeper: --fetch"),
    ):
        if not files:
            left_out.append(remedy)
            continue
        classpath = ":".join(map(str, files))
        version = version_of(classpath)
        start = partial(zookeeper, classpath=classpath, version=version, generator=generator)
        found.append(Entrant(ZooKeeper.product, version, start))
    return found, left_out
