"""What ~/.ssh/config says of a host, joined with what the inventory says. What cannot be done is named, never passed over."""

import getpass
import math
import os
import re
from typing import NamedTuple

import paramiko

from coordctl.inventory.model import Host, Inventory, Ssh
from coordctl.inventory.pins import HostKey
from coordnode.errors import BadRequest

PORT = 22
# What ssh would do and paramiko does not: word in the file → what to do instead.
UNABLE = {
    "include": "write what the included file says into the file itself",
    "proxycommand": "use ProxyJump, or jump in the inventory",
    "pkcs11provider": "load the token's keys into ssh-agent: `ssh-add -s PROVIDER`",
    "securitykeyprovider": "load the key into ssh-agent",
    "canonicalizehostname": "write the whole host name",
    "knownhostscommand": "keys of hosts are pinned with `coordctl inventory trust`",
    "gssapiauthentication": "log in with a key",
    "hostbasedauthentication": "log in with a key",
}
JUMP = re.compile(r"(?:([^@\s]+)@)?(\[[^\]]+\]|[^:\s]+)(?::([0-9]{1,5}))?")


class Target(NamedTuple):
    """A host as it is connected to."""

    name: str  # in the inventory, and of its pinned key
    host: str
    port: int
    user: str
    keys: tuple[str, ...]  # files; empty: the agent's, and ssh's usual ones
    certificates: tuple[str, ...]
    jump: "Target | None"
    pin: HostKey | None
    sudo: bool
    patience_seconds: float  # until it answers at all: ConnectTimeout

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" + (f":{self.port}" if self.port != PORT else "")


def jump_name(host: str) -> str:
    """Under which the key of a host in between is pinned."""
    return f"jump/{host}"


def targets(inventory: Inventory, pins: dict[str, HostKey]) -> list[Target]:
    configs: dict[str, paramiko.SSHConfig] = {}
    return [target(host, pins, configs) for host in inventory.hosts]


def target(host: Host, pins: dict[str, HostKey], configs: dict[str, paramiko.SSHConfig]) -> Target:
    path = os.path.expanduser(host.ssh.config)
    if path not in configs:
        configs[path] = _load(path, must_exist=host.ssh.config != Ssh().config)
    config = configs[path]
    alias = host.ssh.host or host.address
    found = config.lookup(alias)
    said = host.ssh.jump or _one(found, "proxyjump")
    own = host.ssh
    return Target(
        name=host.name,
        host=_one(found, "hostname") or alias,
        port=own.port or _number(found, "port", alias) or PORT,
        user=own.user or _one(found, "user") or getpass.getuser(),
        keys=tuple(_files([own.key] if own.key else found.get("identityfile", ()))),
        certificates=tuple(_files(found.get("certificatefile", ()))),
        jump=_jumps(said, host.name, config, pins, own.key),
        pin=pins.get(host.name),
        sudo=own.sudo,
        patience_seconds=_number(found, "connecttimeout", alias) or math.inf,
    )


def _load(path: str, *, must_exist: bool) -> paramiko.SSHConfig:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        if must_exist:
            raise BadRequest(f"{path}, which the inventory names as [ssh] config, does not exist") from None
        return paramiko.SSHConfig()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace("=", " ").split()
        if words and words[0].lower() in UNABLE and words[1:] not in ([], ["no"], ["none"]):
            word = words[0].lower()
            raise BadRequest(
                f"{path}:{number}: {words[0]} is not supported: {UNABLE[word]}; or name another file with [ssh] config in the inventory"
            )
    try:
        return paramiko.SSHConfig.from_text(text)
    except Exception as error:  # paramiko raises bare Exception for what it cannot parse
        raise BadRequest(f"{path}: cannot be read as an ssh configuration: {error}") from None


def _one(found: "paramiko.config.SSHConfigDict", name: str) -> str:
    value = found.get(name, "")
    value = value[0] if isinstance(value, list) else value
    return "" if value == "none" and name == "proxyjump" else str(value or "")


def _number(found: "paramiko.config.SSHConfigDict", name: str, host: str) -> int:
    """0: nothing is said."""
    value = _one(found, name)
    if value in ("", "none"):
        return 0
    if not value.isdecimal():
        raise BadRequest(f"what ssh's configuration says of {host}: {name} {value} is no whole number")
    return int(value)


def _files(paths: "list[str] | tuple[str, ...] | str") -> list[str]:
    return [os.path.expanduser(path) for path in ([paths] if isinstance(paths, str) else paths) if path]


def _jumps(text: str, name: str, config: paramiko.SSHConfig, pins: dict[str, HostKey], key: str) -> Target | None:
    """As ProxyJump has it: several with commas, the first one is reached from here."""
    reached: Target | None = None
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = JUMP.fullmatch(part)
        if match is None:
            raise BadRequest(f"{name}: {part!r} is no host to jump through: give host, user@host or user@host:port")
        user, host, port = match[1], match[2].strip("[]"), match[3]
        found = config.lookup(host)
        reached = Target(
            name=jump_name(host),
            host=_one(found, "hostname") or host,
            port=int(port or 0) or _number(found, "port", host) or PORT,
            user=user or _one(found, "user") or getpass.getuser(),
            keys=tuple(_files([key] if key else found.get("identityfile", ()))),
            certificates=tuple(_files(found.get("certificatefile", ()))),
            jump=reached,
            pin=pins.get(jump_name(host)),
            sudo=False,
            patience_seconds=_number(found, "connecttimeout", host) or math.inf,
        )
    return reached
