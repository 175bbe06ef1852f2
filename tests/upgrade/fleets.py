"""A fleet of real hosts on which the release before runs, and an operator who upgrades it; and the same operator on another machine."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hosts.fleet import Hosts, Init
from tests.hosts.operator import Operator
from tests.processes.members import wait_until

BASE = "/var/lib/coordnode/fleet"
ACCEPTED = ("--accept", "no-backup", "--reason", "tested")
QUICK = ("--bake", "1s", *ACCEPTED)
FORWARD = ("wait until it can be spared", "switch to", "probe it", "let it lead", "watch it lead")  # the steps of a host, as they are said
BACK = ("wait until it can be spared", "switch back to", "wait until it is well")


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

    def upgrade(self, *arguments: str, code: int = 0, by: Operator | None = None, accept_dead: bool = False) -> dict[str, Any]:
        more = ("--accept", "dead-operator", "--reason", "it was killed") if accept_dead else ()
        done = start(by or self.operator, *arguments, *more, "-o", "json")
        said, trouble = done.communicate(timeout=400)
        assert done.returncode == code, (done.returncode, said, trouble)
        found: dict[str, Any] = json.loads(said)
        return found

    def versions(self) -> list[str]:
        """What each host has switched to, as the hosts say."""
        return [
            self.hosts.run(number, "readlink", f"{BASE}/current").strip().rpartition("/")[2] for number in range(1, self.hosts.count + 1)
        ]

    def running(self) -> list[str]:
        """Of each member, as it says itself."""
        found = self.operator.json("version", "-c", "fleet")
        return [one["version"] for one in found["members"]]  # type: ignore[attr-defined]

    def there(self, number: int) -> list[str]:
        return self.hosts.run(number, "ls", f"{BASE}/versions").split()

    def levels(self) -> list[tuple[int, int]]:
        """Of each member: the one in force, the highest that it knows."""
        found = self.operator.json("version", "-c", "fleet")
        return [(one["level"], one["level_max"]) for one in found["members"]]  # type: ignore[attr-defined]

    def drained(self) -> list[str]:
        """Whom an operator is said to be at work on."""
        found = self.operator.json("health", "-c", "fleet", code=None)["findings"]
        return [one["host"] for one in found if one["check"] == "drain"]  # type: ignore[attr-defined]

    def is_well(self) -> bool:
        return self.operator.json("health", "-c", "fleet", code=None)["exit_code"] == 0

    def take_down(self, number: int) -> None:
        """Its member, and what would start it again; the host stays."""
        for what in ("current/supervisor.py", "coordnode run"):
            self.hosts.run(number, "pkill", "-9", "-f", what, check=False)
        wait_until(lambda: not self.hosts.run(number, "pgrep", "-f", "coordnode run", check=False), f"the member of n{number} is gone")

    def plant(self, fault: str) -> None:
        for number in range(1, self.hosts.count + 1):
            self.hosts.run(number, "sh", "-c", f"echo {fault} > /etc/planted")


def start(operator: Operator, *arguments: str) -> "subprocess.Popen[bytes]":
    return operator.start("upgrade", *arguments)


def said_in(driver: "subprocess.Popen[bytes]", words: str) -> bool:
    """Once it says that it begins such a step; whether it came to that."""
    assert driver.stderr is not None
    return any(words in line.decode() for line in driver.stderr)


def killed_at(operator: Operator, words: str, *arguments: str) -> bool:
    """kill -9 in such a step; whether it came to that."""
    with start(operator, *arguments) as driver:
        is_there = said_in(driver, words)
        driver.kill()
        driver.wait()
    return is_there


@contextmanager
def opened(count: int, folder: Path, init: Init = "plain") -> Iterator[Fleet]:
    with Hosts.opened(count, init) as hosts:
        made = Fleet(hosts, folder)
        try:
            yield made
        finally:
            made.operator.close()
