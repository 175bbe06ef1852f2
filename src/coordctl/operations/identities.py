"""Which cluster and members an inventory stands for: drawn once, written down beside it, and on every host that was made."""

import json
import os
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from coordctl.facts.hosts import HostFacts
from coordctl.inventory.model import Inventory
from coordnode.errors import BadRequest, LevelMissing

ID_MAX = 2**53 - 1
SUFFIX = "ids.json"


class Refused(LevelMissing):
    """What hosts say does not fit what is known: nothing is guessed, since a member that forgot what it promised breaks the cluster."""


class Ids(NamedTuple):
    cluster: int
    created: int  # unix seconds
    members: dict[str, int]
    contacts: dict[str, str]  # as they were told to every founder; what a host's address is now may differ
    made: list[str]  # hosts whose member exists, and is never made again


def found(inventory: Inventory, all_facts: Mapping[str, HostFacts], *, keep: bool) -> Ids:
    """Those that were written down here, or that hosts know; else new ones, written down before anything is made."""
    known = _read(inventory.beside(SUFFIX))
    for facts in all_facts.values():
        marker = facts.marker
        if marker is None:
            continue
        if known is None:
            known = Ids(marker["cluster"], marker["created"], dict(marker["members"]), dict(marker["contacts"]), [])
        if marker["cluster"] != known.cluster or marker["member"] != known.members.get(facts.name):
            raise Refused(
                f"{facts.name} has member {marker['name']} of cluster {marker['cluster']} below {facts.base}, and {inventory.path} stands "
                f"for cluster {known.cluster}: name another folder in the inventory, or remove that one with `coordctl destroy --purge`"
            )
        if facts.name not in known.made:
            known.made.append(facts.name)
    if known is None:
        chance = random.SystemRandom()
        members = {host.name: chance.randint(1, ID_MAX) for host in inventory.members()}
        contacts = {host.name: host.endpoint for host in inventory.members()}
        known = Ids(chance.randint(1, ID_MAX), int(time.time()), members, contacts, [])
    _check(inventory, all_facts, known)
    if keep:
        write(inventory, known)
    return known


def _check(inventory: Inventory, all_facts: Mapping[str, HostFacts], known: Ids) -> None:
    # A version is switched to only once every member was made: where one is, whoever has no member had one.
    was_made = any(facts.current for facts in all_facts.values())
    for facts in all_facts.values():
        if facts.marker is None and (facts.name in known.made or (was_made and facts.name in known.members)):
            raise Refused(f"{facts.name} had member {known.members[facts.name]} and has nothing of it now: {_remedy(facts.name)}")
        if facts.marker is not None and not facts.has_data:
            raise Refused(f"{facts.name} has lost what its member had stored below {facts.base}/data: {_remedy(facts.name)}")
    new = [host.name for host in inventory.members() if host.name not in known.members]
    if new:
        raise Refused(f"{new[0]} is not a member of this cluster, which exists: make it a spare until members can be added")


def _remedy(name: str) -> str:
    return f"it must not come back as the same voter; put its data back from where it went, or take {name} out of the inventory"


def _read(path: str) -> Ids | None:
    try:
        with open(path, encoding="utf-8") as file:
            found: Any = json.load(file)
        return Ids(found["cluster"], found["created"], found["members"], found["contacts"], found["made"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise BadRequest(
            f"{path} is not what `coordctl deploy` writes: put it aside, and hosts will say which cluster they are of"
        ) from None


def note_made(inventory: Inventory, ids: Ids, names: Iterable[str]) -> None:
    """Before anything that was made is started: from then on it may promise something."""
    fresh = [name for name in names if name not in ids.made]
    if fresh:
        ids.made.extend(fresh)
        write(inventory, ids)


def write(inventory: Inventory, ids: Ids) -> None:
    path = inventory.beside(SUFFIX)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(ids._asdict(), file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".tmp", path)


def forget(inventory: Inventory) -> None:
    if os.path.exists(inventory.beside(SUFFIX)):
        os.unlink(inventory.beside(SUFFIX))
