"""`inventory init`, `validate` and `show`: the file as it is, without asking any host."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordctl.inventory import pins, places
from coordctl.inventory.model import COORDNODE, Host, Inventory
from coordctl.inventory.reading import examine, parse
from coordctl.inventory.template import template
from coordctl.results.inventory import InventoryMade, InventoryShown, InventoryValidated, ShownHost
from coordnode.errors import BadRequest, Conflict

if TYPE_CHECKING:
    from coordctl.transport.ssh_config import Target


def init(name: str, addresses: Sequence[str], environment: str, engine: str) -> InventoryMade:
    path = os.path.abspath(name + places.SUFFIX)
    text = template(name, environment, addresses, engine)
    found = parse(text, path)
    if found.inventory is None:
        raise BadRequest("\n          ".join(mistake.partition(": ")[2] for mistake in found.mistakes))
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Conflict(f"{path} exists: change it, or name the cluster otherwise") from None
    return InventoryMade(path=path, name=name, hosts=len(addresses))


def validate(cluster: str) -> InventoryValidated:
    path = places.path_of(cluster)
    found = examine(path)
    outcome = "mistakes" if found.mistakes else "remarks" if found.remarks else "ok"
    return InventoryValidated(
        outcome=outcome,  # type: ignore[arg-type]  # one of the three
        exit_code={"ok": 0, "remarks": 1, "mistakes": 2}[outcome],  # type: ignore[arg-type]
        path=path,
        name=found.inventory.name if found.inventory is not None else "",
        hosts=len(found.inventory.hosts) if found.inventory is not None else 0,
        mistakes=found.mistakes,
        remarks=found.remarks,
    )


def show(cluster: str) -> InventoryShown:
    from coordctl.transport.ssh_config import targets  # paramiko: the other verbs do without

    inventory = places.of_any_engine(cluster)
    reached = targets(inventory, pins.read(inventory.beside(pins.SUFFIX)))
    return InventoryShown(
        path=inventory.path,
        name=inventory.name,
        environment=inventory.environment,
        engine=inventory.engine,  # type: ignore[arg-type]  # one of the three
        tls=inventory.tls,
        hosts=[_shown(inventory, host, target) for host, target in zip(inventory.hosts, reached, strict=True)],
        remarks=examine(inventory.path).remarks,
    )


def _shown(inventory: Inventory, host: Host, target: "Target") -> ShownHost:
    return ShownHost(
        name=host.name,
        role=host.role,
        endpoint=host.endpoint,
        zone=host.zone,
        labels=list(host.labels),
        ssh=str(target),
        jump=str(target.jump) if target.jump is not None else "",
        sudo=target.sudo,
        folder=host.folder,
        settings=host.settings,
        run={} if inventory.engine == COORDNODE else _how_run(host),
        fingerprint=target.pin.fingerprint if target.pin is not None else "",
    )


def _how_run(host: Host) -> dict[str, str]:
    run = host.run
    said = {"unit": run.unit, "start": run.start, "pid-file": run.pid_file, "data": run.data, "log": run.log}
    return {name: value for name, value in said.items() if value} | {"peer-ports": ", ".join(map(str, run.peer_ports))}
