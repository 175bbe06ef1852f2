"""What a host gets so that it runs a member: a build for its Python, certificates, settings, state. Planned, sent, carried out."""

import ipaddress
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from coordctl.authority.files import Authority
from coordctl.facts.hosts import HostFacts
from coordctl.inventory.model import Host, Inventory
from coordctl.operations import building, lending
from coordctl.operations.building import Build, NoBuild
from coordctl.operations.certificates import authority_of, become_operator
from coordctl.operations.fleet import Fleet
from coordctl.operations.identities import Ids, Refused
from coordctl.steps import member as steps
from coordctl.steps.member import File, Step, Wish
from coordctl.transport.base import Script
from coordnode.errors import BadRequest

APPLY_SECONDS = 180.0
SEND_SECONDS = 120.0
SEND_BACKUP_SECONDS = 900.0
BACKUP = "restored.backup"

Say = Callable[[str], None]


class Plan(NamedTuple):
    wish: Wish
    build: Build
    prepare: list[Step]
    switch: list[Step]

    def says(self) -> list[str]:
        return [step.says() for step in (*self.prepare, *self.switch)]


class Hosting:
    def __init__(self, fleet: Fleet, say: Say) -> None:
        self.fleet = fleet
        self.inventory = fleet.inventory
        self.done: dict[str, list[str]] = {}  # by host, what its steps say
        self.version = ""
        self.kept: dict[str, str] = {}  # versions of hosts that have another than ours, and keep it
        self._built: dict[str, Build] = {}  # by target
        self._lent: dict[str, Build] = {}  # by version
        self._say = say

    # --- the plan --------------------------------------------------------------------------------------------------

    def plans(self, hosts: Sequence[Host], ids: Ids, *, joining: Collection[str] = (), is_dry: bool) -> dict[str, Plan]:
        """`joining`: their members' state comes from the running cluster, and so does their version. `is_dry`: nothing that is made for it
        is kept."""
        facts = self.fleet.facts
        builds = {host.name: self._beside(host.name, is_dry=is_dry) if host.name in joining else self._own(host.name) for host in hosts}
        self.version = next(iter(builds.values())).version
        self.kept = _kept({host.name: facts[host.name] for host in hosts if host.name not in joining}, builds)
        with tempfile.TemporaryDirectory() as scratch:
            authority = self._authority(scratch if is_dry else "")
            plans = {}
            for host in hosts:
                one = facts[host.name]
                wish = self._wish(host, one, builds[host.name], ids, authority, joins=host.name in joining)
                prepare, switch = steps.needed(steps.prepare(wish), one), steps.needed(steps.switch(wish), one)
                plans[host.name] = Plan(wish, builds[host.name], prepare, switch)
            return plans

    def spare_plans(self, hosts: Sequence[Host], *, is_dry: bool) -> dict[str, Plan]:
        """Programs only, so that a member is quickly made there."""
        plans = {}
        for host in hosts:
            one, build = self.fleet.facts[host.name], self._beside(host.name, is_dry=is_dry)
            archive = one.place_of(f"{build.version}.tar.gz")
            wish = Wish(self.inventory.name, one.base, build.version, archive, _sha256(build, one), (), (), {}, 0)
            plans[host.name] = Plan(wish, build, steps.needed(steps.ready(wish), one), [])
        return plans

    def _own(self, name: str) -> Build:
        one = self.fleet.facts[name]
        if one.target not in self._built:
            self._say(f"building for {one.target}")
            try:
                self._built[one.target] = building.build(one.target)
            except NoBuild as error:
                raise NoBuild(f"{name} has Python {one.version} on {one.target}: {error.sentence}") from None
        return self._built[one.target]

    def _beside(self, name: str, *, is_dry: bool) -> Build:
        """For a host that is to run what members run already."""
        one = self.fleet.facts[name]
        version = lending.version_beside(name, self.fleet.facts)
        if not version or (one.target == building.target_here() and self._own(name).version == version):
            return self._own(name)
        if is_dry or version in one.versions:
            return lending.known(version, one.target, self.fleet)
        if version not in self._lent:
            self._say(f"fetching version {version} from {lending.lender(version, one.target, self.fleet)}")
            self._lent[version] = lending.lent(version, one.target, self.fleet)
        return self._lent[version]

    def _authority(self, scratch: str) -> Authority | None:
        """`scratch`: for a plan only, made in this folder and thrown away; "": the real one."""
        if not self.inventory.tls:
            return None
        authority = authority_of(self.inventory)
        if not authority.exists() and any(facts.marker is not None for facts in self.fleet.facts.values()):
            raise Refused(
                f"the authority that issued this cluster's certificates is not here: have {authority.folder} from who deployed it"
            )
        if scratch:
            if authority.exists():
                shutil.copytree(authority.folder, scratch, dirs_exist_ok=True)
            authority = Authority(scratch)
        if not authority.exists():
            authority.init(self.inventory.name)
        if not scratch:
            become_operator(self.inventory)
        return authority

    def _wish(self, host: Host, facts: HostFacts, build: Build, ids: Ids, authority: Authority | None, *, joins: bool) -> Wish:
        number = ids.members[host.name]
        init = ["init", "--make", f"{number}={facts.base}/data", "--cluster", str(ids.cluster)]
        if joins:
            init.append("--join")
        else:
            init += ["--created", str(ids.created)]
            if ids.archive:
                init += ["--from", facts.place_of(BACKUP)]
            founders = {ids.members[name]: contact for name, contact in ids.contacts.items() if name in ids.members}
            for founder, contact in founders.items():
                init += ["--contact", f"{founder}={contact}"]
        if "segment" in host.settings:
            init += ["--segment", host.settings["segment"]]
        archive = facts.place_of(f"{build.version}.tar.gz")
        marker = marker_of(host.name, self.inventory.name, ids)
        version = self.kept.get(host.name, build.version)
        digest = 0 if joins or not ids.archive else ids.digest
        return Wish(
            self.inventory.name,
            facts.base,
            version,
            archive,
            _sha256(build, facts),
            self._files(host, facts, ids, authority),
            tuple(init),
            marker,
            digest,
        )

    def files(self, hosts: Sequence[Host], ids: Ids, *, is_dry: bool) -> dict[str, tuple[File, ...]]:
        """Settings and certificates, as they are to be."""
        with tempfile.TemporaryDirectory() as scratch:
            authority = self._authority(scratch if is_dry else "")
            return {host.name: self._files(host, self.fleet.facts[host.name], ids, authority) for host in hosts}

    def _files(self, host: Host, facts: HostFacts, ids: Ids, authority: Authority | None) -> tuple[File, ...]:
        files = []
        if authority is not None:
            pair = authority.member(host.name, ids.members[host.name], self.inventory.certificate_days)
            contents = dict(zip(steps.TLS_FILES, (authority.certificate(), pair.key, pair.certificate, authority.revoked()), strict=True))
            files = [File(path, content) for path, content in contents.items()]
        return (*files, File(steps.CONFIG, _config(self.inventory, host, facts.base, ids).encode()))

    # --- the work --------------------------------------------------------------------------------------------------

    def send(self, plans: Mapping[str, Plan]) -> None:
        """Builds, where one is to be unpacked."""
        sending = {name: plan for name, plan in plans.items() if any(isinstance(step, steps.Unpack) for step in plan.prepare)}
        if sending:
            versions = sorted({plan.wish.version for plan in sending.values()})
            self._say(f"sending version {', '.join(versions)} to {', '.join(sending)}")
        self.fleet.at_each(
            list(sending),
            lambda transport: transport.put(sending[transport.host].build.archive, sending[transport.host].wish.archive, SEND_SECONDS),
            SEND_SECONDS,
        )

    def send_backup(self, plans: Mapping[str, Plan], path: str) -> None:
        """To where members are to be made of it."""
        facts = self.fleet.facts
        sending = [
            name for name, plan in plans.items() if plan.wish.digest and any(isinstance(step, steps.Founded) for step in plan.prepare)
        ]
        if not sending:
            return
        self._say(f"sending {os.path.basename(path)} to {', '.join(sending)}")
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise BadRequest(f"{path}, which members are to be made of, cannot be read: {error.strerror}: put it back") from None
        self.fleet.at_each(
            sending,
            lambda transport: transport.put(content, facts[transport.host].place_of(BACKUP), SEND_BACKUP_SECONDS),
            SEND_BACKUP_SECONDS,
        )

    def apply(self, by_host: Mapping[str, list[Step]], phase: str) -> None:
        if not by_host:
            return
        self._say(f"{phase}: {', '.join(by_host)}")
        facts = self.fleet.facts
        is_secret = any(isinstance(step, steps.Put) for listed in by_host.values() for step in listed)
        scripts = {name: Script(f"deploy {phase}", steps.script_of(listed, facts[name]), is_secret) for name, listed in by_host.items()}
        for name in self.fleet.run(scripts, APPLY_SECONDS):
            self.done.setdefault(name, []).extend(step.says() for step in by_host[name])


def _sha256(build: Build, facts: HostFacts) -> str:
    """Of what is sent; "": it is there."""
    return "" if build.version in facts.versions else build.sha256


def _kept(all_facts: Mapping[str, HostFacts], builds: Mapping[str, Build]) -> dict[str, str]:
    """What runs is brought to another version by `upgrade`, which has gates and a way back; nothing else does it."""
    if not any(one.running is not None for one in all_facts.values()):
        return {}
    return {name: one.current for name, one in all_facts.items() if one.current and one.current != builds[name].version}


def marker_of(name: str, cluster_name: str, ids: Ids) -> dict[str, object]:
    """What a host is told of itself and the others, for an operator who lost, or never had, what was written down."""
    return {
        **{"format": 1, "name": name, "member": ids.members[name], "cluster": ids.cluster, "cluster_name": cluster_name},
        **{"created": ids.created, "members": ids.members, "contacts": ids.contacts, "edition": ids.edition, "former": ids.former},
        **({"replaces": ids.replaces} if ids.replaces else {}),
    }


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
        **({"replaces": ",".join(map(str, ids.replaces))} if ids.replaces else {}),
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
