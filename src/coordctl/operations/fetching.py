"""Logs of members that run on hosts: cut, looked through and packed there, all hosts at once, and laid into a folder here.

No member need run for it, nor a quorum be there: a host needs sshd and Python. In the folder, n1 is what the member n1 wrote, and n1-host
what its host has to say.
"""

import base64
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from coordctl.authority.files import OPERATOR
from coordctl.facts import hosts as questions
from coordctl.inventory.model import COORDNODE, Host, Inventory
from coordctl.logs import files
from coordctl.operations import identities
from coordctl.operations.certificates import authority_of
from coordctl.operations.fleet import Fleet
from coordctl.steps.member import service_of
from coordctl.transport.base import HostFailed, Script, Transport
from coordnode.client import tls

HOST_SECONDS = 60.0
OF_HOST = "-host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    from_ms: int = 0
    to_ms: int = files.EVER_MS
    pattern: str = ""
    ignore_case: bool = False
    with_host: bool = True  # its kernel's log and the service's journal
    with_facts: bool = False  # settings, pressure, memory, disks


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Of one host."""

    name: str
    folders: tuple[str, ...] = ()
    offset_ms: int = 0  # its clock less ours, as far as one exchange tells
    hidden: dict[str, int] = field(default_factory=dict)  # path here → secrets that were taken out there
    sources: dict[str, str] = field(default_factory=dict)  # path here → path there
    missing_logs: list[tuple[str, str]] = field(default_factory=list)  # (what, why)
    missing_facts: list[tuple[str, str]] = field(default_factory=list)
    runs: bool | None = None  # of another engine's member, which is silent when all is well; None: of ours, or not known

    @property
    def has_answered(self) -> bool:
        """Though perhaps no line of it is what was wanted."""
        return bool(self.folders) or not self.missing_logs

    def called(self, path: str) -> str:
        """What is here, by its name there."""
        return self.sources.get(path, self.name)


@contextmanager
def fetched(inventory: Inventory, wanted: Wanted) -> Iterator[list[Fetched]]:
    """What was fetched goes away at the end."""
    fetcher = Fetcher(inventory, "logs")
    try:
        with tempfile.TemporaryDirectory(prefix="coordctl-logs-") as folder:
            yield fetcher.fetch(wanted, folder)
    finally:
        fetcher.close()


def hosts_of(inventory: Inventory) -> tuple[Host, ...]:
    """Those that have a member, as far as it is written down here."""
    return identities.hosts_of(inventory, identities.written(inventory))


def tls_folder(inventory: Inventory) -> str:
    """Of the client that `deploy` made for whoever has the authority here; else what this process was told."""
    authority = authority_of(inventory)
    if inventory.tls and authority.exists():
        return authority.client(OPERATOR, inventory.certificate_days)
    return tls.folder_here()


class Fetcher:
    """Stays connected: whoever follows logs asks again and again."""

    def __init__(self, inventory: Inventory, verb: str) -> None:
        self.inventory = inventory
        self._hosts = {host.name: host for host in hosts_of(inventory)}
        self._fleet = Fleet(inventory, verb, "")
        self._fleet.connect(list(self._hosts.values()))

    def close(self) -> None:
        self._fleet.close()

    def fetch(self, wanted: Wanted, folder: str) -> list[Fetched]:
        """In the order of the inventory; a host that cannot be reached is missing with all it has."""

        def ask(transport: Transport) -> Fetched:
            host = self._hosts[transport.host]
            ran = transport.run(Script("gather", questions.gather_text(self._said(host, wanted))), HOST_SECONDS)
            lines = ran.stdout.splitlines()
            try:
                return _laid(host, msgspec.json.decode(lines[-2]), base64.b64decode(lines[-1], validate=True), folder)
            except (ValueError, KeyError, IndexError, TypeError):
                raise HostFailed(host.name, "failed", f"it did not send its logs: {ran.last_words()}") from None

        found = self._fleet.at_each(self._fleet.names(), ask, HOST_SECONDS)
        failed = self._fleet.failed
        return [found.get(name) or Fetched(name=name, missing_logs=[(name, failed[name].sentence)]) for name in self._hosts]

    def _said(self, host: Host, wanted: Wanted) -> dict[str, object]:
        return {
            "folder": host.folder,
            "cluster": self.inventory.name,
            "service": self._service(host),
            "engine": None if self.inventory.engine == COORDNODE else {"log": host.run.log, "port": host.port},
            "unix_ms": time.time_ns() // 1_000_000,
            **{name: getattr(wanted, name) for name in Wanted.__slots__},
        }

    def _service(self, host: Host) -> str:
        """ "": no unit runs it."""
        return service_of(self.inventory.name) if self.inventory.engine == COORDNODE else host.run.service


def _laid(host: Host, found: dict[str, Any], packed: bytes, folder: str) -> Fetched:
    """What came from there is not believed: names become names below our own folder, and only files are taken."""
    places = {"member": os.path.join(folder, host.name), "host": os.path.join(folder, host.name + OF_HOST)}
    archive = os.path.join(folder, f"{host.name}.tar.gz")
    scratch = os.path.join(folder, f"{host.name}.unpacked")
    with open(archive, "wb") as file:
        file.write(packed)
    troubles = [(host.name, trouble.why) for trouble in files.unpack(archive, scratch)]
    os.unlink(archive)
    hidden, sources = {}, {}
    for one in found["files"]:
        kind, _, name = str(one["name"]).partition("/")
        path = os.path.join(places[kind], os.path.basename(name))
        os.makedirs(places[kind], exist_ok=True)
        os.replace(os.path.join(scratch, kind, os.path.basename(name)), path)
        hidden[path], sources[path] = int(one["hidden"]), f"{host.name}:{one['source']}"
    missing: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for one in found["missing"]:
        kind, _, name = str(one["name"]).partition("/")
        missing[bool(one["is_log"])].append((f"{os.path.basename(places[kind])}/{name}", str(one["why"])))
    return Fetched(
        name=host.name,
        folders=tuple(place for place in places.values() if os.path.isdir(place)),
        offset_ms=int(found["offset_ms"]),
        hidden=hidden,
        sources=sources,
        missing_logs=[*troubles, *missing[True]],
        missing_facts=missing[False],
        runs=found["runs"],
    )
