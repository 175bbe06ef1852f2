"""ZooKeeper: Debian's and the newest, with a generator in Java that speaks its protocol."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .clusters import (
    HERE,
    MEMBERS,
    Cluster,
    Entrant,
    Load,
    Member,
    Shape,
    free_ports,
    leader_first,
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


class ZooKeeper(Cluster):
    product = "zookeeper"
    layouts = ("leader", "spread")
    warm_seconds = 5.0  # its virtual machine compiles what is used often

    def __init__(self, members: list[Member], version: str, generator: Path) -> None:
        super().__init__(members, version)
        self._generator = generator

    def load(self, kind: str, shape: Shape, seconds: float, layout: str) -> Load:
        command = ["java", "-XX:+UseSerialGC", "-cp", str(self._generator), "ZooKeeperLoad"]
        return run_generator([*command, ",".join(self.endpoints(layout)), *map(str, shape), str(seconds), kind])

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
    with processes() as started:
        for number, address in zip(numbers, addresses, strict=True):
            data = folder / f"z{number}"
            data.mkdir(parents=True)
            (data / "myid").write_text(f"{number}\n")
            own = [f"dataDir={data}", f"clientPort={address.partition(':')[2]}", "clientPortAddress=127.0.0.1", *servers]
            (folder / f"z{number}.cfg").write_text(SETTINGS + "\n".join(own) + "\n")
            with (folder / f"z{number}.log").open("wb") as log:
                command = ["java", MEMORY, "-cp", classpath, SERVER, str(folder / f"z{number}.cfg")]
                started.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder))
        members = [Member(process, address) for process, address in zip(started, addresses, strict=True)]

        def leads(member: Member) -> bool | None:
            found = ask_state(member.address)
            return None if found is None else found.mode == "leader"

        yield ZooKeeper(leader_first(members, leads, "ZooKeeper"), version, generator)


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
