"""A home of its own for `coordctl` and the members it starts: nothing outside of a test's folder, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from coordctl.local import processes
from coordctl.local.fleet import PORT_MAX, PORT_MIN, PORTS_VARIABLE

SOURCE = Path(__file__).resolve().parents[2] / "src"


def own_ports() -> dict[str, str]:
    """Of whoever else runs tests beside us none gets the port of a member that is down just now, or not yet up."""
    count = max(1, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % count
    size = (PORT_MAX + 1 - PORT_MIN) // count
    return {PORTS_VARIABLE: f"{PORT_MIN + number * size}-{PORT_MIN + (number + 1) * size - 1}"}


class Home:
    SECONDS_MAX = 90.0  # of one command: whoever takes longer hangs

    def __init__(self, folder: Path, engine: str = "coordnode") -> None:
        self.folder = folder
        self.engine = engine
        self.state = folder / "state" / "coordctl"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COORD", "XDG_", "PYTHON"))}
        home = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"}
        self.environment = {**kept, **home, **own_ports(), "USER": "ops", "PYTHONWARNINGS": "error"}
        self.others: list[subprocess.Popen[bytes]] = []  # ended with the home
        self.closers: list[Callable[[], object]] = []  # called when all of them are
        self.heal: Callable[[], object] = lambda: None  # of what a test did to it
        self._known: dict[int, str] = {}  # every process that was ever written down: pid -> its mark

    def ctl(self, *arguments: str, code: int | None = 0, stdin: bytes = b"", **environment: str) -> str:
        """What it printed; `code` None: any exit code."""
        done = self.run(*arguments, stdin=stdin, **environment)
        assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout.decode()

    def run(self, *arguments: str, stdin: bytes = b"", **environment: str) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "coordctl", *arguments]
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            env={**self.environment, **environment},
            cwd=self.folder,
            timeout=self.SECONDS_MAX,
            check=False,
        )
        self.note()
        return done

    @property
    def scheme(self) -> str:
        """Of addresses that are no local cluster's."""
        return {"coordnode": "", "etcd": "etcd://", "zookeeper": "zk://"}[self.engine]

    @property
    def token_min(self) -> int:
        """coordnode's say when the cluster was made; those of others come from the place in their log."""
        return 2**50 if self.engine == "coordnode" else 1

    def up(self, nodes: int = 3) -> None:
        self.ctl("up", "--engine", self.engine, "--nodes", str(nodes), "--timeout", "60s")

    def coordnode(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "coordnode", *arguments]
        return subprocess.run(command, capture_output=True, env=self.environment, cwd=self.folder, timeout=60, check=False)

    def start(self, *arguments: str, alone: bool = False) -> "subprocess.Popen[bytes]":
        """`alone`: in a process group of its own, with whatever it starts."""
        return subprocess.Popen(
            [sys.executable, "-m", "coordctl", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            cwd=self.folder,
            process_group=0 if alone else None,
        )

    def json(self, *arguments: str, code: int | None = 0, **environment: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.ctl(*arguments, "-o", "json", code=code, **environment))
        return found

    def members(self, name: str = "local") -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads((self.state / name / "cluster.json").read_text())["members"]
        return found

    def pid(self, member: str, name: str = "local") -> int:
        return next(int(str(one["pid"])) for one in self.members(name) if one["name"] == member)

    def kill(self, member: str, name: str = "local") -> None:
        """kill -9, and gone when this returns."""
        pid = self.pid(member, name)
        started = processes.started_mark(pid)
        assert processes.send(pid, started, signal.SIGKILL)
        assert processes.wait_gone(pid, started, 60)

    def note(self) -> None:
        for description in self.folder.rglob("cluster.json"):
            for member in json.loads(description.read_text()).get("members", ()):
                if member["pid"]:
                    self._known[member["pid"]] = member["started"]

    def close(self) -> None:
        self.note()
        for other in self.others:
            other.kill()
            other.communicate()
        for pid, started in self._known.items():
            processes.send(pid, started, signal.SIGKILL)
            assert processes.wait_gone(pid, started, 60)
        for closer in self.closers:
            closer()
