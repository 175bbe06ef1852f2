"""Which members an inventory stands for: drawn once, adopted from hosts, and no member is ever made a second time."""

from pathlib import Path
from typing import Any

import pytest

from coordctl.facts.hosts import HostFacts
from coordctl.inventory.model import Inventory
from coordctl.inventory.reading import read
from coordctl.inventory.template import template
from coordctl.operations import identities
from coordctl.operations.identities import Refused

NAMES = ("n1", "n2", "n3")


def facts(name: str, marker: dict[str, Any] | None = None, *, current: str = "", has_data: bool = True) -> HostFacts:
    return HostFacts(
        **{"name": name, "offset_ms": 0.0, "offset_error_ms": 1.0, "hostname": name, "python": "/usr/bin/python3", "version": "3.11.2"},
        **{"target": "cp311-linux-x86_64", "libc": "glibc 2.36", "uid": 0, "user": "root", "base": "/var/lib/coordnode/fleet"},
        **{"has_systemd": True, "has_cron": True, "has_useradd": True, "has_account": True, "files_max": 65_536, "versions": ()},
        **{
            "current": current,
            "digests": {},
            "unit": "",
            "crontab": "",
            "marker": marker,
            "has_data": has_data,
            "former": (),
            "running": None,
        },
        **{"boots": True, "port_taken": "", "free_bytes": 1 << 40, "can_write": True, "sync_ms": 1.0, "sync_trouble": ""},
    )


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    path = tmp_path / "fleet.toml"
    path.write_text(template("fleet", "dev", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]))
    return read(str(path))


def bare() -> dict[str, HostFacts]:
    return {name: facts(name) for name in NAMES}


def marked(ids: identities.Ids, name: str, **more: Any) -> HostFacts:
    told = {"name": name, "member": ids.members[name], "cluster": ids.cluster, "created": ids.created}
    return facts(name, {**told, "members": ids.members, "contacts": ids.contacts}, **more)


def test_they_are_drawn_once_and_not_at_all_for_a_plan(inventory: Inventory) -> None:
    planned = identities.found(inventory, bare(), keep=False)
    first = identities.found(inventory, bare(), keep=True)
    assert planned.cluster != first.cluster
    assert identities.found(inventory, bare(), keep=True) == first
    assert first.contacts == {"n1": "10.0.0.1:7001", "n2": "10.0.0.2:7001", "n3": "10.0.0.3:7001"}


def test_what_was_made_in_part_is_made_whole(inventory: Inventory) -> None:
    ids = identities.found(inventory, bare(), keep=True)
    again = identities.found(inventory, {**bare(), "n1": marked(ids, "n1")}, keep=True)
    assert (again.members, again.made) == (ids.members, ["n1"])


def test_without_a_file_the_hosts_say_who_they_are(inventory: Inventory) -> None:
    ids = identities.found(inventory, bare(), keep=True)
    identities.forget(inventory)
    adopted = identities.found(inventory, {name: marked(ids, name, current="1") for name in NAMES}, keep=True)
    assert adopted[:4] == ids[:4]


def test_a_member_that_is_gone_is_not_made_again(inventory: Inventory) -> None:
    ids = identities.found(inventory, bare(), keep=True)
    identities.note_made(inventory, ids, NAMES)
    hosts = {name: marked(ids, name) for name in NAMES}
    with pytest.raises(Refused, match=f"n2 had member {ids.members['n2']} and has nothing of it now"):
        identities.found(inventory, {**hosts, "n2": facts("n2")}, keep=True)
    with pytest.raises(Refused, match="n2 has lost what its member had stored below /var/lib/coordnode/fleet/data"):
        identities.found(inventory, {**hosts, "n2": marked(ids, "n2", has_data=False)}, keep=True)


def test_nor_from_another_machine_which_knows_nothing_of_it(inventory: Inventory) -> None:
    ids = identities.found(inventory, bare(), keep=True)
    identities.forget(inventory)
    hosts = {name: marked(ids, name, current="0.1.0-1") for name in ("n1", "n3")}
    with pytest.raises(Refused, match="n2 had member"):
        identities.found(inventory, {**hosts, "n2": facts("n2")}, keep=True)


def test_hosts_of_another_cluster_are_refused_by_name(inventory: Inventory) -> None:
    ids = identities.found(inventory, bare(), keep=True)
    other = ids._replace(cluster=ids.cluster + 1)
    with pytest.raises(Refused, match="n3 has member n3 of cluster"):
        identities.found(inventory, {**bare(), "n3": marked(other, "n3")}, keep=True)
