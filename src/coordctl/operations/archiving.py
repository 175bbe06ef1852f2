"""A member's state becomes a file here: read from its folder on this machine, or written on its host and fetched."""

import os
import time
from shlex import quote

from coordctl.facts.hosts import HostFacts
from coordctl.local import fleet
from coordctl.local.clusters import LocalCluster
from coordnode.archives import taking
from coordnode.errors import BadRequest
from coordnode.storage.reader import open_reader

WRITE_SECONDS = 600.0
FETCH_SECONDS = 1_800.0


def take(cluster: LocalCluster, name: str, path: str, through: int | None) -> None:
    """`through`: None takes all that its log holds, committed or not. Raises NotThere, HostFailed."""
    if cluster.inventory:
        _take_there(cluster, name, path, through)
        return
    member = next(one for one in cluster.members if one.name == name)
    taking.take(open_reader(fleet.data_folder(cluster, member)), path, through=through, cluster_name=cluster.name)


def _take_there(cluster: LocalCluster, name: str, path: str, through: int | None) -> None:
    from coordctl.inventory.reading import read  # paramiko
    from coordctl.operations.fleet import Fleet
    from coordctl.transport.base import Script, Transport, must_run

    inventory = read(cluster.inventory)
    host = inventory.host(name)
    if host is None:
        raise BadRequest(f"{name} is no host of {inventory.path}: take it from another with --member")
    hosts = Fleet(inventory, "backup create", "")
    try:
        hosts.connect([host])
        hosts.ask()
        if hosts.failed:
            raise hosts.failed[name]
        facts = hosts.facts[name]
        place = f"{facts.base}/archive-{os.getpid()}-{time.time_ns()}.part"

        def fetch(transport: Transport) -> None:
            try:
                must_run(transport, Script("archive", _archive_script(facts, cluster.name, place, through)), WRITE_SECONDS)
                transport.get(place, path, FETCH_SECONDS)
            finally:
                transport.run(Script("remove archive", f"rm -f {quote(place)}\n"), WRITE_SECONDS)

        hosts.at_each([name], fetch, WRITE_SECONDS + FETCH_SECONDS)
        if hosts.failed:
            raise hosts.failed[name]
    finally:
        hosts.close()


def _archive_script(facts: HostFacts, cluster: str, place: str, through: int | None) -> str:
    """By the version that runs there. What commands that were killed left is removed after a day."""
    base = quote(facts.base)
    command = f"{quote(facts.python)} -sSP -m coordnode archive --folder {base}/data --out {quote(place)} --cluster-name {quote(cluster)}"
    return (
        f"set -eu\numask 077\nfind {base} -maxdepth 1 -name 'archive-*.part' -mmin +1440 -delete\n"
        f"PYTHONPATH={base}/current/lib {command}{'' if through is None else f' --through {through}'}\n"
    )
