"""From a TOML text to an inventory, or to every mistake in it, each with its line and the remedy. Pure but for `read`."""

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from coordctl.flags import near
from coordctl.inventory.lines import Path, line_of, lines_of
from coordctl.inventory.model import COORDNODE, ENGINES, ENVIRONMENTS, PEER_PORTS, PORTS, ROLES, Host, Inventory, Run, Ssh
from coordnode.config import KEYS as SETTINGS
from coordnode.errors import BadRequest

HOSTS_MAX: Final = 64
VOTERS_MAX: Final = 9
DAYS_MAX: Final = 3_650
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
ADDRESS: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)
USER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,63}", re.ASCII)
FOLDER: Final = re.compile(r"(~/|/)[A-Za-z0-9._/-]*[A-Za-z0-9]", re.ASCII)
LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,62}", re.ASCII)
UNIT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,254}", re.ASCII)
PATH: Final = re.compile(r"/[A-Za-z0-9._/@+-]*[A-Za-z0-9]", re.ASCII)
LINE: Final = re.compile(r"\S[^\r\n\0]{0,999}")

# What an inventory says in its own words, and so cannot be a setting of a member there.
SAID_BY_INVENTORY: Final = {
    "folder": "folder of the host",
    "cluster": "the first deployment, which draws it",
    "cluster-name": "name",
    "member": "the first deployment, which draws it",
    "name": "the host's own name",
    "listen": "address and port of the host",
    "advertise": "address and port of the host",
    "log-file": "folder of the host",
    "adopt": "coordnode's command line, once",
}


# What is said of coordnode's members only, and of those of others nowhere here.
OF_COORDNODE: Final = {
    "tls": "certificates of {}'s clients are named by COORD_TLS, as docs/engines.md has it",
    "settings": "{}'s members have settings of their own, which whoever runs them changes",
    "role": "who votes is for {}'s members to say",
}


class Wrong(Exception):
    """What is wrong with one value, and what to write instead."""


class Key(NamedTuple):
    check: Callable[[object], Any]
    help: str  # one line, for the template


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Wrong('give a text in quotes, such as "…"')
    return value


def _matching(shape: re.Pattern[str], remedy: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        text = _text(value)
        if shape.fullmatch(text) is None:
            raise Wrong(remedy)
        return text

    return check


def _one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def check(value: object) -> str:
        text = _text(value)
        if text not in choices:
            raise Wrong(f"choose from {', '.join(choices)}{near(text, choices)}")
        return text

    return check


def _port(value: object) -> int:
    return _whole(value, 1, 65_535, "a port")


def _days(value: object) -> int:
    return _whole(value, 1, DAYS_MAX, "a number of days")


def _whole(value: object, least: int, most: int, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Wrong(f"give {what} from {least} to {most}, without quotes")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise Wrong("give true or false, without quotes")
    return value


def _address(value: object) -> str:
    text = _text(value)
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        if ADDRESS.fullmatch(text) is None or re.fullmatch(r"[0-9.]+", text):
            raise Wrong("give an IP address or a host name, without a port") from None
        return text
    if found.is_unspecified or found.is_multicast:
        raise Wrong("others must be able to connect to it: give the host's own address")
    return text


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and LABEL.fullmatch(one) for one in value):
        raise Wrong('give a list of short words, such as ["ssd", "rack=7"]')
    return tuple(value)


def _ports(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 4:
        raise Wrong("give a list of ports, such as [2380]")
    return tuple(_port(one) for one in value)


_name = _matching(NAME, "give up to 32 of a-z, 0-9 and '-', beginning and ending with a letter or a digit")
_folder = _matching(FOLDER, "give a whole path of letters, digits and ._-/, such as /srv/payments")
_user = _matching(USER, "give the name of a user")

TOP: Final = {
    "name": Key(_name, "what the cluster is called"),
    "environment": Key(_one_of(ENVIRONMENTS), "dev, staging or prod"),
    "folder": Key(_folder, "all of this cluster on each host"),
    "port": Key(_port, "of each member, for its clients"),
    "engine": Key(_one_of(ENGINES), "whose members these are; etcd's and zookeeper's are deployed by somebody else"),
}
SSH: Final = {
    "host": Key(_matching(re.compile(r"\S{1,255}"), "give a host, or a name of ~/.ssh/config"), "where its sshd is"),
    "user": Key(_user, "who logs in"),
    "port": Key(_port, "of sshd"),
    "key": Key(_text, "file of a private key"),
    "jump": Key(_matching(re.compile(r"([^\s@:]+@)?[^\s@]+"), "give host, user@host or user@host:port"), "host to go through"),
    "config": Key(_text, "instead of ~/.ssh/config"),
    "sudo": Key(_switch, "whether to become root there"),
}
TLS: Final = {
    "enabled": Key(_switch, "certificates between members and for clients"),
    "days": Key(_days, "how long a certificate lives"),
}
RUN: Final = {
    "unit": Key(_matching(UNIT, "give the name of a unit of systemd, such as etcd"), "of systemd, that runs it"),
    "start": Key(_matching(LINE, "give a command in one line"), "a command that starts it, where no unit does"),
    "pid-file": Key(_matching(PATH, "give the whole path of a file"), "where it writes its pid; default: who listens at its port"),
    "data": Key(_matching(PATH, "give the whole path of a folder, such as /var/lib/etcd"), "folder of what it stores"),
    "log": Key(_matching(PATH, "give the whole path of a file"), "file; default: the journal of its unit"),
    "peer-ports": Key(_ports, "on which members speak with one another; default: [2380], of zookeeper [2888, 3888]"),
}
HOST: Final = {
    "address": Key(_address, "how members and clients reach it"),
    "port": Key(_port, "of its member"),
    "role": Key(_one_of(ROLES), "voter, learner or spare"),
    "zone": Key(_matching(LABEL, "give a short word"), "hosts of one zone fail together"),
    "labels": Key(_labels, "words of your own"),
    "folder": Key(_folder, "all of this cluster on that host"),
}
TOP_TABLES: Final = ("ssh", "tls", "settings", "run", "hosts")
HOST_TABLES: Final = ("ssh", "settings", "run")


class Found(NamedTuple):
    inventory: Inventory | None  # None: there are mistakes
    mistakes: list[str]
    remarks: list[str]  # nothing wrong, but worth a thought


def read(path: str) -> Inventory:
    """Raises BadRequest with every mistake there is."""
    found = examine(path)
    if found.inventory is None:
        raise BadRequest("\n          ".join(found.mistakes))
    return found.inventory


def examine(path: str) -> Found:
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
    except OSError as error:
        raise BadRequest(f"{path}: cannot be read: {error.strerror}; make one with `coordctl inventory init`") from None
    except UnicodeDecodeError:
        return Found(None, [f"{path}: this is not UTF-8 text"], [])
    return parse(text, path)


def parse(text: str, path: str) -> Found:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Found(None, [f"{path}: this is not TOML: {error}"], [])
    except RecursionError:
        return Found(None, [f"{path}: lists are nested too deeply: an inventory has none inside another"], [])
    reading = _Reading(path, lines_of(text))
    inventory = reading.inventory(tree)
    return Found(None if reading.mistakes else inventory, reading.mistakes, reading.remarks)


class _Reading:
    def __init__(self, path: str, lines: dict[Path, int]) -> None:
        self.path = path
        self.lines = lines
        self.mistakes: list[str] = []
        self.remarks: list[str] = []

    def wrong(self, at: Path, sentence: str) -> None:
        self.mistakes.append(f"{self.path}:{line_of(self.lines, at)}: {sentence}")

    def inventory(self, tree: dict[str, Any]) -> Inventory:
        top = self.values((), tree, TOP, TOP_TABLES)
        for key in ("name", "environment"):
            if key not in tree:
                self.wrong((key,), f"{key} is missing: {TOP[key].help}")
        engine = top.get("engine", COORDNODE)
        self.fits((), tree, engine)
        tls = self.values(("tls",), self.table((), tree, "tls"), TLS)
        hosts = self.hosts(tree, top, engine)
        inventory = Inventory(
            path=self.path,
            name=top.get("name", ""),
            environment=top.get("environment", "dev"),
            hosts=hosts,
            tls=engine == COORDNODE and tls.get("enabled", True),
            certificate_days=tls.get("days", 397),
            engine=engine,
        )
        self.judge(inventory)
        return inventory

    def table(self, at: Path, tree: Mapping[str, Any], name: str) -> dict[str, Any]:
        found = tree.get(name, {})
        if isinstance(found, dict):
            return found
        self.wrong((*at, name), f"{name} is a table: write [{'.'.join((*at, name))}]")
        return {}

    def values(self, at: Path, tree: Mapping[str, Any], keys: Mapping[str, Key], tables: tuple[str, ...] = ()) -> dict[str, Any]:
        """Those that are well; of the others it is said what is wrong."""
        found = {}
        for name, value in tree.items():
            if name in tables:
                continue
            if name not in keys:
                known = (*keys, *tables)
                instead = near(name, known) or f"; there are: {', '.join(known)}"
                self.wrong((*at, name), f"no key {name}{self.where(at)}{instead}")
                continue
            try:
                found[name] = keys[name].check(value)
            except Wrong as wrong:
                self.wrong((*at, name), f"{name} = {value!r}: {wrong}")
        return found

    @staticmethod
    def where(at: Path) -> str:
        return f" in [{'.'.join(at)}]" if at else ""

    def ssh(self, at: Path, tree: Mapping[str, Any]) -> dict[str, Any]:
        found = self.table(at, tree, "ssh")
        return self.values((*at, "ssh"), found, SSH if at else {name: key for name, key in SSH.items() if name != "host"})

    def settings(self, at: Path, tree: Mapping[str, Any]) -> dict[str, str]:
        place = (*at, "settings")
        found = {}
        for name, value in self.table(at, tree, "settings").items():
            if name in SAID_BY_INVENTORY:
                self.wrong((*place, name), f"{name} is not set here: it is said by {SAID_BY_INVENTORY[name]}")
            elif name not in SETTINGS:
                self.wrong((*place, name), f"no setting {name}{near(name, SETTINGS) or '; see `coordnode run --help`'}")
            else:
                written = str(value).lower() if isinstance(value, bool) else str(value)
                try:
                    SETTINGS[name].parse(written)
                    found[name] = written
                except ValueError as error:
                    self.wrong((*place, name), f"{name} = {value!r}: {error}")
        return found

    def fits(self, at: Path, tree: Mapping[str, Any], engine: str) -> None:
        """What is not said of members of this engine."""
        for name, why in OF_COORDNODE.items():
            if engine != COORDNODE and name in tree and (at or name != "role"):
                self.wrong((*at, name), f"{name} is of coordnode's members: leave it out; {why.format(engine)}")
        if engine == COORDNODE and "run" in tree:
            how = 'leave it out, or say engine = "etcd" or "zookeeper" at the top'
            self.wrong((*at, "run"), f"run says how members are run that somebody else deployed, and coordctl runs coordnode's: {how}")

    def run(self, at: Path, tree: Mapping[str, Any]) -> dict[str, Any]:
        found = self.values((*at, "run"), self.table(at, tree, "run"), RUN)
        return {name.replace("-", "_"): value for name, value in found.items()}

    def hosts(self, tree: dict[str, Any], top: Mapping[str, Any], engine: str) -> tuple[Host, ...]:
        ssh = self.ssh((), tree)
        settings = self.settings((), tree)
        run = self.run((), tree)
        hosts = []
        for name, said in self.table((), tree, "hosts").items():
            at = ("hosts", name)
            if not isinstance(said, dict):
                self.wrong(at, f"a host is a table: write [hosts.{name}]")
                continue
            try:
                _name(name)
            except Wrong as wrong:
                self.wrong(at, f"the host's name {name!r}: {wrong}")
            values = self.values(at, said, HOST, HOST_TABLES)
            self.fits(at, said, engine)
            own = self.ssh(at, said)
            own_run = self.run(at, said)
            if {"unit", "start"} & {*own_run}:  # how it is run elsewhere says nothing of this one
                own_run = {"unit": "", "start": ""} | own_run
            if "address" not in said:
                self.wrong(at, f'{name} has no address: {HOST["address"].help}, such as address = "10.0.0.11"')
            hosts.append(
                Host(
                    name=name,
                    address=values.get("address", ""),
                    port=values.get("port", top.get("port", PORTS[engine])),
                    role=values.get("role", "voter"),
                    zone=values.get("zone", ""),
                    labels=values.get("labels", ()),
                    ssh=Ssh(**(ssh | own)),
                    folder=values.get("folder", top.get("folder", "")),
                    settings=settings | self.settings(at, said),
                    run=Run(**({"peer_ports": PEER_PORTS.get(engine, ())} | run | own_run)),
                )
            )
        return tuple(hosts)

    def judge(self, inventory: Inventory) -> None:
        """What no key can know alone."""
        hosts = inventory.hosts
        voters = [host for host in hosts if host.role == "voter"]
        if not voters:
            self.wrong(("hosts",), 'no host is a voter: write [hosts.n1] with address = "…" for each host; three survive the loss of one')
        if len(voters) > VOTERS_MAX:
            self.wrong(("hosts",), f"{len(voters)} voters: give at most {VOTERS_MAX}, and make the others learner or spare")
        if len(hosts) > HOSTS_MAX:
            self.wrong(("hosts",), f"{len(hosts)} hosts: give at most {HOSTS_MAX}")
        places: dict[tuple[str, int], str] = {}
        for host in hosts:
            other = places.setdefault((host.address, host.port), host.name)
            if other != host.name and host.address:
                self.wrong(("hosts", host.name, "address"), f"{host.name} has the address and port of {other}: give each member its own")
            self.judge_run(host)
        self.consider(inventory, voters)

    def judge_run(self, host: Host) -> None:
        at = ("hosts", host.name, "run") if ("hosts", host.name, "run") in self.lines else ("run",)
        if host.run.unit and host.run.start:
            self.wrong((*at, "start"), f"{host.name} has a unit and a start: give the one that starts its member")
        if host.port in host.run.peer_ports:
            self.wrong((*at, "peer-ports"), f"port {host.port} of {host.name} is for its clients: give those on which members speak")

    def consider(self, inventory: Inventory, voters: list[Host]) -> None:
        count = len(voters)
        if count and count % 2 == 0:
            self.remarks.append(f"{count} voters survive the loss of {(count - 1) // 2}, as {count - 1} do: an odd number costs less")
        zones = {host.zone for host in voters if host.zone}
        if len(zones) == 1 and count > 1 and all(host.zone for host in voters):
            self.remarks.append(f"all voters are in zone {voters[0].zone}: its loss is an outage")
        elif zones:
            most = max(sorted(zones), key=lambda zone: sum(host.zone == zone for host in voters))
            if len(zones) > 1 and sum(host.zone == most for host in voters) > (count - 1) // 2:
                self.remarks.append(f"zone {most} has so many of the voters that its loss is an outage")
        silent = [host.name for host in inventory.hosts if inventory.engine != COORDNODE and not host.run.can_start]
        if silent:
            self.remarks.append(
                f"it is not said what starts {', '.join(silent)}, so chaos kills nothing there: give unit or start in [run]"
            )
        if inventory.engine == COORDNODE and not inventory.tls:
            self.remarks.append("without [tls] whoever reaches a port may read and change everything")
