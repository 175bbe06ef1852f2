"""Where chaos works: on this machine, or on the hosts of a fleet."""

from collections.abc import Iterator
from contextlib import contextmanager

from coordctl.chaos.site import LocalSite, Site
from coordctl.inventory.reading import read
from coordctl.local.clusters import COORDNODE, LocalCluster
from coordctl.operations import identities
from coordnode.errors import BadRequest


@contextmanager
def opened(cluster: LocalCluster, verb: str, reason: str = "", *, is_alone: bool = False) -> Iterator[Site]:
    """`is_alone`: as the one operator at work on the fleet. Whoever only looks, or heals, waits for nobody."""
    local = LocalSite(cluster)
    if not cluster.inventory:
        yield local
        return
    from coordctl.operations.certificates import become_operator  # cryptography
    from coordctl.operations.chaos_fleet import FleetSite
    from coordctl.operations.fleet import Fleet  # paramiko

    inventory = read(cluster.inventory)
    fleet = Fleet(inventory, verb, reason)
    try:
        fleet.connect(inventory.hosts)
        fleet.ask()
        if inventory.engine == COORDNODE:
            ids = identities.known(inventory, fleet.facts)
            if ids is None:
                raise BadRequest(f"{inventory.name} has no members yet: run `coordctl deploy -c {inventory.name}` first")
            fleet.narrow(identities.hosts_of(inventory, ids))
            become_operator(inventory)
        if is_alone:
            with fleet.locked():
                yield FleetSite(fleet, local)
        else:
            yield FleetSite(fleet, local)
    finally:
        fleet.close()
