"""A fleet of real hosts on which the release before runs, and an operator who upgrades it; and the same operator on another machine."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hosts.fleet import Hosts
from tests.hosts.operator import Operator

BASE = "/var/lib/coordnode/fleet"
ACCEPTED = ("--accept", "no-backup", "--reason", "tested")
QUICK = ("--bake", "1s", *ACCEPTED)


class Fleet:
    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.hosts = hosts
        self.operator = Operator(folder, hosts)
        self.operator.trust()
        self.operator.ctl("deploy")

    @property
    def endpoints(self) -> str:
        return ",".join(f"{self.hosts.address(number)}:7001" for number in range(1, self.hosts.count + 1))

    @property
    def tls(self) -> str:
        return str(self.operator.folder / "fleet.ca/clients/operator")

    def other(self, folder: Path) -> Operator:
        """With nothing but the inventory, the pinned keys and the authority."""
        folder.mkdir()
        other = Operator(folder, self.hosts)
        for name in ("fleet.toml", "fleet.known_hosts"):
            shutil.copy(self.operator.folder / name, folder / name)
        shutil.copytree(self.operator.folder / "fleet.ca", folder / "fleet.ca")
        other.environment["USER"] = "eva"
        return other

    def upgrade(self, *arguments: str, code: int = 0, by: Operator | None = None) -> dict[str, Any]:
        done = start(by or self.operator, *arguments, "-o", "json")
        said, trouble = done.communicate(timeout=400)
        assert done.returncode == code, (done.returncode, said, trouble)
        found: dict[str, Any] = json.loads(said)
        return found

    def versions(self) -> list[str]:
        """What each host has switched to, as the hosts say."""
        return [self.hosts.run(number, "readlink", f"{BASE}/current").strip() for number in range(1, self.hosts.count + 1)]

    def running(self) -> list[str]:
        """Of each member, as it says itself."""
        found = self.operator.json("version", "-c", "fleet")
        return [one["version"] for one in found["members"]]  # type: ignore[attr-defined]

    def plant(self, fault: str) -> None:
        for number in range(1, self.hosts.count + 1):
            self.hosts.run(number, "sh", "-c", f"echo {fault} > /etc/planted")


def start(operator: Operator, *arguments: str) -> "subprocess.Popen[bytes]":
    return operator.start("upgrade", *arguments)


def killed_at(operator: Operator, words: str, *arguments: str) -> bool:
    """kill -9 once it says that it begins such a step; whether it came to that."""
    with start(operator, *arguments) as driver:
        assert driver.stderr is not None
        for line in driver.stderr:
            if words in line.decode():
                os.kill(driver.pid, signal.SIGKILL)
                driver.wait()
                return True
    return False


@contextmanager
def opened(count: int, folder: Path) -> Iterator[Fleet]:
    with Hosts.opened(count, "plain") as hosts:
        made = Fleet(hosts, folder)
        try:
            yield made
        finally:
            made.operator.close()
