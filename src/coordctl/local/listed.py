"""A cluster whose members somebody else deployed and runs, as an inventory lists them: known to every verb by its name.

What the file says is kept beside what else is known of clusters here, and read again only when the file is another one.
"""

import os
from collections.abc import Mapping
from contextlib import suppress

from coordctl.inventory import places
from coordctl.inventory.model import COORDNODE, Inventory
from coordctl.inventory.reading import read
from coordctl.local import clusters
from coordctl.local.clusters import LocalCluster, LocalMember
from coordnode.errors import BadRequest


def found(wanted: str, environment: Mapping[str, str]) -> LocalCluster | None:
    """None: no inventory that is here has this name, or coordctl deploys what it lists."""
    path = _path_of(wanted, environment)
    if not path:
        return None
    state = clusters.state_of(path)  # before it is read: what changes meanwhile is read again
    inventory = read(path)
    if inventory.engine == COORDNODE:
        if wanted.endswith(places.SUFFIX):
            raise BadRequest(f"{path} has members of coordnode: once `coordctl deploy` has deployed them, -c {inventory.name} names them")
        return None
    return _kept(inventory, state, environment)


def _path_of(wanted: str, environment: Mapping[str, str]) -> str:
    """Where it was when it was last read, if it is there still; else wherever inventories are. "": nowhere."""
    if wanted.endswith(places.SUFFIX):
        return places.path_of(wanted, environment)
    folder = clusters.folder_of(wanted, environment)
    known = clusters.read(folder)
    if known is not None and os.path.exists(known.inventory):
        return known.inventory
    if known is not None:
        with suppress(OSError):
            os.unlink(os.path.join(folder, clusters.DESCRIPTION))
    return places.path_of(wanted, environment) if wanted in places.names(environment) else ""


def _kept(inventory: Inventory, state: str, environment: Mapping[str, str]) -> LocalCluster:
    folder = clusters.folder_of(inventory.name, environment)
    other = clusters.read(folder)
    if other is not None and not other.read_as:
        raise BadRequest(f"{inventory.path}: another cluster that is known here is called {inventory.name}: give this one another name")
    members = tuple(
        [LocalMember(host.name, number, host.endpoint, peers=host.run.peer_ports) for number, host in enumerate(inventory.hosts, 1)]
    )
    made = LocalCluster(folder, inventory.name, 0, 0, True, members, inventory=inventory.path, engine=inventory.engine, read_as=state)
    with suppress(OSError):  # it only saves the next command reading it
        os.makedirs(folder, mode=0o700, exist_ok=True)
        clusters.write(made)
    return made
