"""`deploy`: from hosts with Python and sshd, and from every state in between, to a healthy cluster as the inventory has it.

facts → what must be right first → plan → what an old version does not notice, on all hosts → the switch: on all at once when nothing
runs, else one after the other, each healthy before the next. A second run asks, finds nothing to do, and says so.
"""

import ipaddress
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from coordctl.authority.files import OPERATOR, Authority
from coordctl.facts import preflight
from coordctl.facts.hosts import HostFacts, reach_text
from coordctl.facts.preflight import REMARK, STOPS
from coordctl.inventory.model import Host, Inventory
from coordctl.local import clusters
from coordctl.local.clusters import Endpoint, LocalCluster, LocalMember
from coordctl.operations import building, identities, outcomes
from coordctl.operations.building import Build, NoBuild
from coordctl.operations.certificates import authority_of
from coordctl.operations.fleet import Fleet
from coordctl.operations.identities import Ids
from coordctl.results.deploy import Deployed, Noted, Outcome
from coordctl.steps import member as steps
from coordctl.steps.member import File, Step, Wish
from coordctl.transport.base import Script
from coordnode.client.tls import VARIABLE

REACH_SECONDS = 8.0
APPLY_SECONDS = 180.0
SEND_SECONDS = 120.0

Say = Callable[[str], None]


class Plan(NamedTuple):
    wish: Wish
    build: Build
    prepare: list[Step]
    switch: list[Step]

    def says(self) -> list[str]:
        return [step.says() for step in (*self.prepare, *self.switch)]


class Deployment:
    def __init__(self, inventory: Inventory, reason: str, say: Say) -> None:
        self.inventory = inventory
        self.fleet = Fleet(inventory, "deploy", reason)
        self.noted: list[Noted] = []
        self.done: dict[str, list[str]] = {}
        self.version = ""
        self._ids: Ids | None = None
        self._say = say
        self._began = time.monotonic()

    def run(self, *, dry_run: bool) -> Deployed:
        fleet = self.fleet
        try:
            self._say(f"asking {len(self.inventory.members())} hosts")
            fleet.connect(self.inventory.members())
            fleet.ask()
            self._look_before()
            if fleet.failed or any(one.level == STOPS for one in self.noted):
                return self._ended_early()
            plans = self._plans(dry_run=dry_run)
            changing = {name: plan for name, plan in plans.items() if plan.says()}
            if dry_run:
                self.done = {name: plan.says() for name, plan in plans.items()}
                return self._result("would change" if changing else "unchanged", 1 if changing else 0, _planned(changing))
            if any(steps.Run(plan.wish).needed(fleet.facts[name]) for name, plan in changing.items()):
                self._look_ways()
                if fleet.failed or any(one.level == STOPS for one in self.noted):
                    return self._ended_early()
            if changing:
                with fleet.locked():
                    return self._carry_out(plans, changing)
            return self._finish(plans, "unchanged")
        finally:
            fleet.close()

    # --- before ----------------------------------------------------------------------------------------------------

    def _look_before(self) -> None:
        for host in self.inventory.members():
            facts = self.fleet.facts.get(host.name)
            if facts is not None:
                self._note(preflight.of_host(facts, host.address, host.port))
        self._note(preflight.of_clocks(list(self.fleet.facts.values())))
        left_out = [host.name for host in self.inventory.hosts if host.role == "learner"]
        self._note([preflight.Found(name, REMARK, "it is a learner, and is left out", "members cannot be added yet") for name in left_out])

    def _look_ways(self) -> None:
        """In all directions, at the very ports that members will use."""
        members = self.inventory.members()
        places: dict[str, tuple[str, int]] = {host.name: (host.address, host.port) for host in members}
        scripts = {}
        for host in members:
            others = {name: list(place) for name, place in places.items() if name != host.name}
            said = {"name": host.name, "address": host.address, "port": host.port, "others": others, "seconds": REACH_SECONDS}
            scripts[host.name] = Script("ways", reach_text(said))
        trouble = {name: _trouble_in(ran.stdout) for name, ran in self.fleet.run(scripts, REACH_SECONDS + 15).items()}
        self._note(preflight.of_ways(trouble, {host.name: host.endpoint for host in members}))

    def _note(self, found: Sequence[preflight.Found]) -> None:
        for one in found:
            noted = Noted(host=one.host, level=one.level, sentence=one.sentence, remedy=one.remedy)  # type: ignore[arg-type]
            if noted not in self.noted:
                self.noted.append(noted)

    # --- the plan --------------------------------------------------------------------------------------------------

    def _plans(self, *, dry_run: bool) -> dict[str, Plan]:
        facts = self.fleet.facts
        builds: dict[str, Build] = {}
        for name, one in facts.items():
            if one.target not in builds:
                self._say(f"building for {one.target}")
                try:
                    builds[one.target] = building.build(one.target)
                except NoBuild as error:
                    raise NoBuild(f"{name} has Python {one.version} on {one.target}: {error.sentence}") from None
        self.version = next(iter(builds.values())).version
        ids = self._ids = identities.found(self.inventory, facts, keep=not dry_run)
        with tempfile.TemporaryDirectory() as scratch:
            authority = self._authority(scratch if dry_run else "")
            return {
                host.name: self._plan(host, facts[host.name], builds[facts[host.name].target], ids, authority)
                for host in self.inventory.members()
            }

    def _authority(self, scratch: str) -> Authority | None:
        """`scratch`: for a plan only, made in this folder and thrown away; "": the real one."""
        if not self.inventory.tls:
            return None
        authority = authority_of(self.inventory)
        if scratch:
            if authority.exists():
                shutil.copytree(authority.folder, scratch, dirs_exist_ok=True)
            authority = Authority(scratch)
        if not authority.exists():
            authority.init(self.inventory.name)
        os.environ[VARIABLE] = authority.client(OPERATOR, self.inventory.certificate_days)  # this process asks as this client
        return authority

    def _plan(self, host: Host, facts: HostFacts, build: Build, ids: Ids, authority: Authority | None) -> Plan:
        number = ids.members[host.name]
        files = []
        if authority is not None:
            pair = authority.member(host.name, number, self.inventory.certificate_days)
            contents = dict(zip(steps.TLS_FILES, (authority.certificate(), pair.key, pair.certificate), strict=True))
            files = [File(path, content) for path, content in contents.items()]
        files.append(File(steps.CONFIG, _config(self.inventory, host, facts.base, ids).encode()))
        init = ["init", "--make", f"{number}={facts.base}/data", "--cluster", str(ids.cluster), "--created", str(ids.created)]
        for name, contact in ids.contacts.items():
            init += ["--contact", f"{ids.members[name]}={contact}"]
        if "segment" in host.settings:
            init += ["--segment", host.settings["segment"]]
        marker: dict[str, object] = {
            **{"format": 1, "name": host.name, "member": number, "cluster": ids.cluster, "cluster_name": self.inventory.name},
            **{"created": ids.created, "members": ids.members, "contacts": ids.contacts},
        }
        archive = f".coordctl-{build.version}.tar.gz"
        home = archive if not facts.is_root else f"/var/tmp/{archive}"
        wish = Wish(self.inventory.name, facts.base, build.version, home, build.sha256, tuple(files), tuple(init), marker)
        return Plan(wish, build, steps.needed(steps.prepare(wish), facts), steps.needed(steps.switch(wish), facts))

    # --- the work --------------------------------------------------------------------------------------------------

    def _carry_out(self, plans: dict[str, Plan], changing: dict[str, Plan]) -> Deployed:
        fleet = self.fleet
        runs = any(facts.running is not None for facts in fleet.facts.values())
        self._send({name: plan for name, plan in changing.items() if any(isinstance(step, steps.Unpack) for step in plan.prepare)})
        self._apply({name: plan.prepare for name, plan in changing.items() if plan.prepare and name not in fleet.failed}, "prepare")
        if not fleet.failed:
            assert self._ids is not None
            identities.note_made(self.inventory, self._ids, plans)
        switching = {name: plan.switch for name, plan in changing.items() if plan.switch and name not in fleet.failed}
        if not runs and not fleet.failed:
            self._apply(switching, "switch")
        elif runs:
            endpoints = self._endpoints(plans)
            for name in outcomes.in_turn(list(switching), endpoints):
                if fleet.failed:
                    break
                self._apply({name: switching[name]}, "switch")
                if not fleet.failed:
                    outcomes.await_healthy(fleet, endpoints)
        if fleet.failed:
            return self._ended_early()
        return self._finish(plans, "done")

    def _send(self, sending: dict[str, Plan]) -> None:
        if sending:
            self._say(f"sending version {self.version} to {', '.join(sending)}")
        self.fleet.at_each(
            list(sending),
            lambda transport: transport.put(sending[transport.host].build.archive, sending[transport.host].wish.archive, SEND_SECONDS),
            SEND_SECONDS,
        )

    def _apply(self, by_host: dict[str, list[Step]], phase: str) -> None:
        if not by_host:
            return
        self._say(f"{phase}: {', '.join(by_host)}")
        facts = self.fleet.facts
        is_secret = any(isinstance(step, steps.Put) for listed in by_host.values() for step in listed)
        scripts = {name: Script(f"deploy {phase}", steps.script_of(listed, facts[name]), is_secret) for name, listed in by_host.items()}
        for name in self.fleet.run(scripts, APPLY_SECONDS):
            self.done.setdefault(name, []).extend(step.says() for step in by_host[name])

    # --- after -----------------------------------------------------------------------------------------------------

    def _finish(self, plans: dict[str, Plan], outcome: Outcome) -> Deployed:
        self._say("waiting until all are healthy")
        endpoints = self._endpoints(plans)
        outcomes.await_healthy(self.fleet, endpoints)
        if self.fleet.failed:
            return self._ended_early()
        self._make_known(plans)
        return self._result(outcome, 0, ("nothing to change: " if outcome == "unchanged" else "") + outcomes.well(endpoints))

    def _endpoints(self, plans: dict[str, Plan]) -> list[Endpoint]:
        return [Endpoint(host.endpoint, int(str(plans[host.name].wish.marker["member"])), host.name) for host in self.inventory.members()]

    def _make_known(self, plans: dict[str, Plan]) -> None:
        """To every other command on this machine, under the cluster's name."""
        folder = clusters.folder_of(self.inventory.name)
        known = clusters.read(folder)
        if known is not None and not known.inventory:
            return  # a cluster of this machine has the name: it is left alone
        marker = next(iter(plans.values())).wish.marker
        members = tuple(LocalMember(one.name, one.member, one.address) for one in self._endpoints(plans))
        tls = os.environ.get(VARIABLE, "") if self.inventory.tls else ""
        cluster, created = int(str(marker["cluster"])), int(str(marker["created"]))
        made = LocalCluster(folder, self.inventory.name, cluster, created, True, members, tls, self.inventory.path)
        if made != known:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            clusters.write(made)

    def _ended_early(self) -> Deployed:
        if self.fleet.failed:
            return self._result(*outcomes.failure(self.fleet, begun=bool(self.done)))
        first = next(one for one in self.noted if one.level == STOPS)
        return self._result("refused", 76, f"nothing was changed: {first.host}: {first.sentence}")

    def _result(self, outcome: Outcome, code: int, sentence: str) -> Deployed:
        return Deployed(
            outcome=outcome,
            exit_code=code,
            cluster=self.inventory.name,
            sentence=sentence,
            hosts=outcomes.of_hosts(self.fleet, self.done, is_plan=outcome == "would change"),
            noted=self.noted,
            elapsed_ms=int((time.monotonic() - self._began) * 1000),
            version=self.version,
            endpoints=[host.endpoint for host in self.inventory.members()],
        )


def _planned(changing: dict[str, Plan]) -> str:
    return f"{len(changing)} hosts would change" if changing else "nothing to change"


def _trouble_in(text: str) -> dict[str, str]:
    return dict(json.loads(text.strip().splitlines()[-1])["trouble"])


def _config(inventory: Inventory, host: Host, base: str, ids: Ids) -> str:
    listen = host.endpoint if _is_address(host.address) else f"0.0.0.0:{host.port}"
    said = {
        "folder": f"{base}/data",
        "cluster": str(ids.cluster),
        "cluster-name": inventory.name,
        "member": str(ids.members[host.name]),
        "name": host.name,
        "listen": listen,
        "advertise": host.endpoint,
        "log-file": f"{base}/log/events",
        **({"tls": f"{base}/config/tls"} if inventory.tls else {"accept": "plaintext"}),
        **host.settings,
    }
    lines = [f'{key} = "{value}"' for key, value in said.items()]
    return f"# Written by coordctl deploy: change the inventory instead.\n{chr(10).join(lines)}\n"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
