"""Hosts of an inventory that are played here: what each says of itself, what a script does to it, and at which script it fails."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from coordctl.facts.hosts import HostFacts
from coordctl.inventory.model import Host, Inventory
from coordctl.inventory.reading import read
from coordctl.inventory.template import template
from coordctl.operations import identities
from coordctl.operations.fleet import Fleet
from coordctl.transport.base import HostFailed, Ran, Script
from tests.unit.coordctl.test_identities import facts as bare

DONE = Ran(0, "", "")


class Killed(BaseException):
    """The command ends here, as by SIGKILL: nothing after it is done."""


@dataclass
class Played:
    name: str
    facts: HostFacts
    does: Callable[["Played", Script], Ran | None]  # None: nothing special
    is_down: bool = False
    scripts: list[str] = field(default_factory=list)  # names of those that were carried out

    def now(self, **changes: Any) -> None:
        kept = {name: getattr(self.facts, name) for name in HostFacts.__slots__}
        self.facts = HostFacts(**{**kept, **changes})

    # --- base.Transport ---

    @property
    def host(self) -> str:
        return self.name

    def run(self, script: Script, _seconds: float) -> Ran:
        if self.is_down:
            raise HostFailed(self.name, "unreachable", "it does not answer")
        ran = self.does(self, script)
        self.scripts.append(script.name)
        return ran or DONE

    def put(self, _content: bytes, path: str, seconds: float) -> None:
        self.run(Script(f"put {path}", ""), seconds)

    def get(self, _path: str, _target: str, _seconds: float) -> None:
        raise AssertionError("nothing is fetched from a host that is played")

    def close(self) -> None:
        pass


class Stage:
    """`fleet` takes the place of operations.fleet.Fleet."""

    def __init__(
        self, folder: Path, roles: dict[str, str], does: Callable[[Played, Script], Ran | None] = lambda _host, _script: None
    ) -> None:
        self.path = folder / "fleet.toml"
        self.path.write_text(template("fleet", "dev", [f"10.0.0.{number}" for number in range(1, len(roles) + 1)]))
        self._roles = roles
        self.hosts = {name: Played(name, bare(name, has_data=False), does) for name in roles}

    @property
    def inventory(self) -> Inventory:
        found = read(str(self.path))
        hosts = tuple(replace(host, role=self._roles[host.name]) for host in found.hosts if host.name in self._roles)
        return replace(found, hosts=hosts, tls=False)

    def take_out(self, name: str) -> None:
        """Of the inventory."""
        self._roles.pop(name)

    def give(self, ids: identities.Ids, *names: str) -> None:
        """A member to each of these hosts."""
        for name in names:
            told = {"name": name, "member": ids.members[name], "cluster": ids.cluster, "created": ids.created, "edition": ids.edition}
            marker = {**told, "members": ids.members, "contacts": ids.contacts, "former": ids.former}
            self.hosts[name].now(marker=marker, has_data=True, current="1", versions=("1",), running={"version": "1", "config": ""})

    def fleet(self, inventory: Inventory, verb: str, reason: str) -> Fleet:
        return _Fleet(self, inventory, verb, reason)

    def all_scripts(self) -> dict[str, list[str]]:
        return {name: host.scripts for name, host in self.hosts.items() if host.scripts}


class _Fleet(Fleet):
    def __init__(self, stage: Stage, inventory: Inventory, verb: str, reason: str) -> None:
        super().__init__(inventory, verb, reason)
        self._stage = stage

    def _connect(self, hosts: "tuple[Host, ...] | list[Host]") -> None:  # type: ignore[override]
        for host in hosts:
            played = self._stage.hosts[host.name]
            if played.is_down:
                self.failed[host.name] = HostFailed(host.name, "unreachable", "it does not answer")
            else:
                self._transports[host.name] = played

    def ask(self) -> None:
        self.facts |= {name: self._stage.hosts[name].facts for name in self.names()}
