"""`inventory trust`: what each host shows as its key, and which of these keys are believed from now on."""

from collections.abc import Sequence
from typing import Literal

from coordctl.inventory import pins
from coordctl.inventory.model import Inventory
from coordctl.inventory.pins import HostKey
from coordctl.results.inventory import ShownKey
from coordctl.transport.base import HostFailed
from coordctl.transport.pool import on_all
from coordctl.transport.ssh import host_key
from coordctl.transport.ssh_config import Target, targets
from coordnode.errors import BadRequest


def look(inventory: Inventory, asked: Sequence[str], seconds: float) -> tuple[list[ShownKey], dict[str, HostKey]]:
    """What the named hosts, or all of them, show now; hosts in between come before those behind them."""
    known = pins.read(inventory.beside(pins.SUFFIX))
    unknown = [name for name in asked if inventory.host(name) is None]
    if unknown:
        raise BadRequest(f"{inventory.path} has no host {unknown[0]}; there are: {', '.join(host.name for host in inventory.hosts)}")
    wanted: dict[str, Target] = {}
    for target in targets(inventory, known):
        if not asked or target.name in asked:
            for one in _chain(target):
                wanted.setdefault(one.name, one)
    found = on_all(list(wanted.items()), lambda target: host_key(target, seconds), seconds)
    keys = {name: key for name, key in found.items() if isinstance(key, HostKey)}
    return [_shown(target, found[name]) for name, target in wanted.items()], keys


def _chain(target: Target) -> list[Target]:
    return [*(_chain(target.jump) if target.jump is not None else []), target]


def _shown(target: Target, found: HostKey | HostFailed) -> ShownKey:
    pinned = target.pin.fingerprint if target.pin is not None else ""
    if isinstance(found, HostFailed):
        return ShownKey(name=target.name, ssh=str(target), state="failed", kind="", fingerprint="", pinned=pinned, trouble=found.sentence)
    state: Literal["new", "pinned", "changed"] = "new" if target.pin is None else "pinned" if target.pin == found else "changed"
    return ShownKey(
        name=target.name, ssh=str(target), state=state, kind=found.kind, fingerprint=found.fingerprint, pinned=pinned, trouble=""
    )


def pin(inventory: Inventory, keys: dict[str, HostKey]) -> None:
    path = inventory.beside(pins.SUFFIX)
    pins.write(path, {**pins.read(path), **keys})
