"""Three members that begin with very many keys, and that are killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.beside.clusters import MEMBERS, SOURCE, VALUE, fetch, free_ports, wait_for
from benchmarks.beside.coordnode import compile_load
from coordnode.ids import NO_SESSION, ClusterId, Index, MemberId, Term
from coordnode.ids import Sequence as Place
from coordnode.node.bootstrap import GENESIS_AUTHOR
from coordnode.raft.entry import Config, SnapshotMeta
from coordnode.services.commands import Batch, Command, Put
from coordnode.services.machine import Machine
from coordnode.services.registry import SUPPORTED_LEVEL
from coordnode.services.state import Settings
from coordnode.storage.block import Identity
from coordnode.storage.disk import RealDisk
from coordnode.storage.recovery import Genesis, create_folder
from coordnode.storage.wal import Settings as WalSettings

CONNECTIONS = 100  # of the load, which names keys by connection
BATCH = 1_000
CLUSTER = ClusterId(7)


def slices_with(keys: int) -> list[bytes]:
    """The state that a cluster begins with, and so many of the keys that `load` puts."""
    machine = Machine.genesis(Settings(), cluster=CLUSTER, created_unix_s=1_700_000_000, level=SUPPORTED_LEVEL)
    names = [b"%06d%010d" % (connection, key) for connection in range(CONNECTIONS) for key in range(keys // CONNECTIONS)]
    for start in range(0, len(names), BATCH):
        commands = [Command(NO_SESSION, Place(0), Place(0), "", Put(name, VALUE)) for name in names[start : start + BATCH]]
        machine.apply(Index(machine.applied + 1), Term(1), Batch(0, 0, commands))
    machine.scalars.applied = Index(0)  # as if the cluster had begun so
    return list(machine.snapshot())


class Member:
    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address
        self.log = folder.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, flags: Sequence[str]) -> None:
        command = [sys.executable, "-m", "coordnode", "run", "--folder", str(self.folder), "--listen", self.address, *flags]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("COORDNODE_")} | {"PYTHONPATH": str(SOURCE)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def status(self) -> Any:
        return fetch(f"http://{self.address}/status")

    def is_ready(self) -> bool:
        found = self.status()
        return found is not None and bool(found["ready"])

    def events(self, since_s: float = 0.0) -> list[dict[str, Any]]:
        """What it told since then, each with its time as `at_s`."""
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        for event in found:
            event["at_s"] = datetime.fromisoformat(event["at"]).timestamp()
        return [event for event in found if event["at_s"] >= since_s]

    def resident_mib(self) -> float:
        assert self.process is not None
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4 / 1024

    def cpu_seconds(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Million:
    def __init__(self, folder: Path, keys: int, flags: Sequence[str]) -> None:
        self.flags = flags
        self.keys = keys
        self._load = compile_load(folder)
        addresses = [f"127.0.0.1:{port}" for port in free_ports(MEMBERS)]
        self.members = [Member(folder / f"n{number}", address) for number, address in enumerate(addresses, 1)]
        contacts = tuple((MemberId(number), address) for number, address in enumerate(addresses, 1))
        config = Config(voters=tuple(member for member, _ in contacts), contacts=contacts)
        genesis = Genesis(SnapshotMeta(Index(0), Term(0), GENESIS_AUTHOR, 0, config, Index(0)), slices_with(keys))
        for number, member in enumerate(self.members, 1):
            disk = RealDisk(str(member.folder))
            disk.make_root()
            create_folder(disk, Identity(CLUSTER, MemberId(number)), genesis, WalSettings())

    def start(self) -> None:
        for member in self.members:
            if member.process is None:
                member.start(self.flags)

    def leader(self) -> Member:
        """Once all are ready and one of them leads."""

        def look() -> list[Member]:
            found = [(member, member.status()) for member in self.members]
            if not all(status is not None and status["ready"] for _, status in found):
                return []
            return [member for member, status in found if status["role"] == "leader"]

        leader: Member = wait_for(look, "all members are ready")[0]
        return leader

    def load(self, outstanding: int, seconds: float, rate: float = 0) -> Any:
        """Puts of all keys, in an order that jumps about."""
        endpoints = ",".join(member.address for member in self.members)
        numbers = [CONNECTIONS, outstanding, seconds]
        command = [str(self._load), endpoints, *map(str, numbers), "put", str(rate), str(max(self.keys // CONNECTIONS, 10))]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    def wait_equal(self) -> int:
        """All members applied the same and have the same digest: the revision they share."""

        def look() -> set[tuple[int, int, int]]:
            found = [member.status() for member in self.members]
            seen = {(one["applied"], one["applied_digest"], one["revision"]) for one in found if one is not None}
            return seen if len(seen) == 1 and None not in found else set()

        revision: int = wait_for(look, "all members are equal").pop()[2]
        return revision


@contextmanager
def million(folder: Path, keys: int, flags: Sequence[str]) -> Iterator[Million]:
    cluster = Million(folder, keys, flags)
    try:
        yield cluster
    finally:
        for member in cluster.members:
            if member.process is not None:
                member.kill()


def seconds_until(look: Any, what: str) -> float:
    began = time.monotonic()
    wait_for(look, what)
    return time.monotonic() - began
