"""Where the members of a ledger's folder live: those that `coordctl up` keeps there, or the one on this host, whoever put it there.

What mechanisms need of a member beside its address: its process as it is now, its folder, its log, and who starts it again.
"""

import json
import os
import subprocess
import time
import tomllib
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Protocol

from coordctl.chaos import links, tended
from coordctl.chaos.faults import BELONGING, FAULTS, KEEPS_DOWN
from coordctl.chaos.ledger import Entry, Ledger, is_held, write_durably
from coordctl.chaos.tended import Tended
from coordctl.local import clusters, fleet, processes
from coordctl.local.clusters import LocalCluster, LocalMember
from coordctl.onhost.start import KEPT_DOWN
from coordnode.client.tls import VARIABLE

MARKER = "member.json"  # of a host: which member it has
SETTINGS = "config/node.toml"
START_SECONDS_MAX = 30.0
ASK_SECONDS = 10.0


class Premises(Protocol):
    links_end_here: bool  # those to the member of this host; else all members are here
    how_harmed: str  # how members are started so that they can be harmed

    def lacks(self, fault: str) -> str:
        """Why it cannot be done here, whatever members are like, and the remedy; "": nothing is known against it."""

    def cluster(self) -> LocalCluster | None:
        """As it is now; whose process is on another host has the pid 0. None: there is none any more."""

    def here(self) -> Collection[str]:
        """The members whose processes and folders can be reached from here."""

    def folder(self, name: str) -> str:
        """What the member stores."""

    def logs(self) -> dict[str, str]: ...

    def keep_down(self, entry: Entry) -> None:
        """Once its process is gone it stays so: until `start`, or until the fault's time is over."""

    def start(self, ledger: Ledger, entry: Entry) -> None:
        """Unless whoever healed or stopped the cluster meanwhile took the entry away, or another fault keeps it down. Where a service
        manager keeps it, that does it."""

    def is_stopped(self, name: str) -> bool:
        """By its operator: that it does not run is no fault."""


def of(folder: str) -> Premises:
    if os.path.exists(os.path.join(folder, MARKER)):
        return Hosted(folder)
    return Tended(folder) if os.path.exists(os.path.join(folder, tended.FILE)) else Kept(folder)


class Kept:
    """By nobody: whoever ended a member starts it again."""

    links_end_here = False
    how_harmed = "`coordctl down` and `coordctl up --fault-injection`, or `coordctl chaos proxy install`, restarts it so"

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def lacks(self, fault: str) -> str:
        installation = links.read(Ledger(self._folder)) if FAULTS[fault].hits_links else None
        if not FAULTS[fault].hits_links or (installation is not None and installation.is_used):
            return ""
        return f"{fault} needs the proxies in the links: `coordctl chaos proxy install`"

    def cluster(self) -> LocalCluster | None:
        return clusters.read(self._folder)

    def here(self) -> Collection[str]:
        cluster = self.cluster()
        return [member.name for member in cluster.members] if cluster is not None else ()

    def folder(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def logs(self) -> dict[str, str]:
        cluster = self.cluster()
        return {member.name: fleet.log_path(cluster, member) for member in cluster.members} if cluster is not None else {}

    def keep_down(self, entry: Entry) -> None:
        pass

    def start(self, ledger: Ledger, entry: Entry) -> None:
        with fleet.locked(self._folder, time.monotonic() + START_SECONDS_MAX, wakes=True):
            cluster = self.cluster()
            member = None if cluster is None else next((one for one in cluster.members if one.name == entry.member), None)
            if cluster is None or member is None or processes.is_running(member.pid, member.started) or ledger.find(entry) is None:
                return
            if any(one.id != entry.id for one in ledger.keeping_down(entry.member)):
                return
            fresh = fleet.holder(cluster, member)
            if fresh is None:
                started = fleet.start_one(cluster, member)
                fresh = fleet.whoever_has_it(cluster, started)
                processes.let_go(started.process)
            clusters.write(cluster._replace(members=tuple([fresh if one.name == entry.member else one for one in cluster.members])))

    def is_stopped(self, name: str) -> bool:
        return False


class Hosted:
    """By systemd or our supervisor, which start it again at once: unless a file says until when it is to stay down."""

    links_end_here = True
    how_harmed = 'have `fault-injection = "true"` below [settings] of the inventory, and `coordctl deploy`'

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def lacks(self, fault: str) -> str:
        if fault in BELONGING:
            return f"{fault} would need a member made on another host: `coordctl member` changes who belongs to a fleet"
        if fault in KEEPS_DOWN and not self._can_keep_down():
            return f"{fault} needs a version that stays down when it is told so, and an older one runs: `coordctl upgrade`"
        return ""

    def _can_keep_down(self) -> bool:
        with open(os.path.join(self._folder, "current", "start.py"), encoding="utf-8") as file:
            return KEPT_DOWN in file.read()

    def cluster(self) -> LocalCluster | None:
        try:
            with open(os.path.join(self._folder, MARKER), encoding="utf-8") as file:
                marker: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            return None
        contacts = marker["contacts"] | {marker["name"]: self.settings()["advertise"]}
        members = []
        for name, number in marker["members"].items():
            if name in contacts:
                members.append(LocalMember(name, number, contacts[name], *(self._process() if name == marker["name"] else (0, ""))))
        identity = (marker["cluster_name"], marker["cluster"], marker["created"], True)
        return LocalCluster(self._folder, *identity, tuple(members), tls=self.settings().get("tls", ""))

    def settings(self) -> dict[str, str]:
        with open(os.path.join(self._folder, SETTINGS), "rb") as file:
            return tomllib.load(file)

    def _process(self) -> tuple[int, str]:
        """(0, ""): it does not run."""
        pid = processes.with_words("coordnode", "run", "--config", os.path.join(self._folder, SETTINGS))
        return pid, processes.started_mark(pid)

    def here(self) -> Collection[str]:
        cluster = self.cluster()
        return [self.settings()["name"]] if cluster is not None else ()

    def folder(self, name: str) -> str:
        return os.path.join(self._folder, "data")

    def logs(self) -> dict[str, str]:
        return {name: self.settings()["log-file"] for name in self.here()}

    def keep_down(self, entry: Entry) -> None:
        write_durably(self._order(entry), json.dumps({"boot": entry.boot, "deadline_ms": entry.deadline_ms}).encode())

    def _order(self, entry: Entry) -> str:
        return os.path.join(self._folder, "run", KEPT_DOWN + entry.id)

    def start(self, ledger: Ledger, entry: Entry) -> None:
        for path in (self._order(entry), self._order(entry) + ".tmp"):
            with suppress(FileNotFoundError):
                os.unlink(path)

    def is_stopped(self, name: str) -> bool:
        if os.geteuid() == 0 and os.path.isdir("/run/systemd/system"):
            from coordctl.steps.member import service_of  # all that is ever asked of a host

            cluster = self.cluster()
            service = service_of(cluster.name) if cluster is not None else ""
            asked = subprocess.run(["systemctl", "is-active", service], capture_output=True, timeout=ASK_SECONDS, check=False)
            return asked.stdout.strip() == b"inactive"
        return not is_held(os.path.join(self._folder, "run", "supervisor"))


def speak_as(folder: str) -> None:
    """This process, and whom it starts, ask members as the one that is here; of another engine they are not asked."""
    place = of(folder)
    told = place.settings().get("tls", "") if isinstance(place, Hosted) else ""
    if told:
        os.environ[VARIABLE] = told
