"""An operator: a home of its own with an inventory of the hosts, and what was typed there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordctl.inventory import places
from coordctl.inventory.model import Inventory
from coordctl.inventory.pins import read as read_pins
from coordctl.transport.ssh import SshTransport
from coordctl.transport.ssh_config import Target, targets
from tests.hosts.fleet import USER, Hosts
from tests.processes.local import Home

PATIENCE_SECONDS = 2  # with a host that is cut off; the others are waited for as long as the verb may take, also where all stands still


class Operator(Home):
    SECONDS_MAX = 300.0

    def __init__(self, folder: Path, hosts: Hosts, name: str = "fleet") -> None:
        super().__init__(folder)
        self.hosts = hosts
        self.path = folder / f"{name}.toml"
        self.write()

    def write(self, *, user: str = USER, sudo: bool = True, top: str = "", host: dict[int, str] | None = None, count: int = 0) -> None:
        """`host`: more lines of that host's table."""
        lines = [f'name = "{self.path.stem}"', 'environment = "staging"', top, "[ssh]", f'user = "{user}"', f'key = "{self.hosts.key}"']
        lines += [f"sudo = {str(sudo).lower()}", f'config = "{self.folder / "ssh_config"}"']
        for number in range(1, (count or self.hosts.count) + 1):
            lines += [f"[hosts.n{number}]", f'address = "{self.hosts.address(number)}"', (host or {}).get(number, "")]
        self.path.write_text("\n".join(lines) + "\n")
        if not (self.folder / "ssh_config").exists():
            (self.folder / "ssh_config").write_text("")

    @contextmanager
    def without(self, number: int) -> Iterator[None]:
        """That host is cut off."""
        self.cut(number)
        try:
            yield
        finally:
            self.let_back(number)

    def cut(self, number: int) -> None:
        self.hosts.cut(number)
        (self.folder / "ssh_config").write_text(f"Host {self.hosts.address(number)}\n  ConnectTimeout {PATIENCE_SECONDS}\n")

    def let_back(self, number: int) -> None:
        self.hosts.heal(number)
        (self.folder / "ssh_config").write_text("")

    def trust(self, *arguments: str, code: int = 0) -> str:
        return self.ctl("inventory", "trust", "--yes", *arguments, code=code)

    def inventory(self) -> Inventory:
        return places.chosen(str(self.path))

    def target(self, number: int) -> Target:
        inventory = self.inventory()
        return targets(inventory, read_pins(inventory.beside("known_hosts")))[number - 1]

    def connect(self, number: int) -> SshTransport:
        return SshTransport(self.target(number), 20)
