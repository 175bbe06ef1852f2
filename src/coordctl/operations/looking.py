"""What is looked at before anything is changed: hosts and clocks, and the ways between hosts. What it means, `facts.preflight` judges."""

import json
from collections.abc import Sequence

from coordctl.facts import preflight
from coordctl.facts.hosts import reach_text
from coordctl.facts.preflight import Found
from coordctl.inventory.model import Host
from coordctl.operations.fleet import Fleet
from coordctl.transport.base import Script

REACH_SECONDS = 8.0


def at_hosts(fleet: Fleet) -> list[Found]:
    found = []
    for host in fleet.hosts:
        facts = fleet.facts.get(host.name)
        if facts is not None:
            found += preflight.of_host(facts, host.address, host.port)
    return found + preflight.of_clocks(list(fleet.facts.values()))


def at_ways(fleet: Fleet, hosts: Sequence[Host], newcomer: str = "") -> list[Found]:
    """Between all of these, or between the newcomer and the others, in both directions, at the very ports that members use."""
    scripts = {}
    for host in hosts:
        wanted = [other for other in hosts if other is not host and newcomer in ("", host.name, other.name)]
        others = {other.name: [other.address, other.port] for other in wanted}
        said = {"name": host.name, "address": host.address, "port": host.port, "others": others, "seconds": REACH_SECONDS}
        scripts[host.name] = Script("ways", reach_text(said))
    trouble = {name: _trouble_in(ran.stdout) for name, ran in fleet.look(scripts, REACH_SECONDS + 15).items()}
    return preflight.of_ways(trouble, {host.name: host.endpoint for host in hosts})


def _trouble_in(text: str) -> dict[str, str]:
    return dict(json.loads(text.strip().splitlines()[-1])["trouble"])
