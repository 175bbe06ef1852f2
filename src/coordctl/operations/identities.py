"""Which cluster and members an inventory stands for: drawn once, written down beside it, and on every host that was made."""

import json
import os
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from coordctl.facts.hosts import HostFacts
from coordctl.inventory.model import Host, Inventory
from coordctl.local import clusters
from coordctl.local.clusters import Endpoint, LocalCluster, LocalMember
from coordnode.client.tls import VARIABLE
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
    edition: int  # grows with each change of members: whoever has the highest knows best
    former: dict[str, str]  # id -> host: members that left, or are on their way out, and never come back
    replaces: list[int]  # clusters whose place it took by a restore
    archive: str  # the backup whose state its founders begin with; "": none
    digest: int  # of that state
    recovering: str = ""  # the backup that a recover chose, until the cluster that begins with it serves

    def changed(self, members: Mapping[str, int]) -> "Ids":
        """The next edition; whoever is in it no more is a former one."""
        gone = {str(number): name for name, number in self.members.items() if members.get(name) != number}
        made = [name for name in self.made if self.members.get(name) == members.get(name)]
        return self._replace(members=dict(members), made=made, edition=self.edition + 1, former=self.former | gone)

    def is_made(self) -> bool:
        return set(self.made) >= set(self.members)

    def is_recovery(self) -> bool:
        """This is the cluster that a recover makes: hosts have nothing of the one before any more, and what they have counts."""
        return self.recovering != "" and self.recovering == self.archive

    def names(self) -> dict[int, str]:
        return {int(number): name for number, name in self.former.items()} | {number: name for name, number in self.members.items()}


def new_id() -> int:
    return random.SystemRandom().randint(1, ID_MAX)


def known(inventory: Inventory, all_facts: Mapping[str, HostFacts]) -> Ids | None:
    """What was written down here or on hosts, whichever is newer; None: there is no cluster yet."""
    newest = written(inventory)
    for facts in all_facts.values():
        marker = facts.marker
        if marker is None:
            continue
        told = _of_marker(marker)
        if newest is not None and told.cluster != newest.cluster:
            raise Refused(
                f"{facts.name} has member {marker['name']} of cluster {marker['cluster']} below {facts.base}, and {inventory.path} stands "
                f"for cluster {newest.cluster}: name another folder in the inventory, or remove that one with `coordctl destroy --purge`"
            )
        if newest is None or told.edition > newest.edition:
            here = newest or told
            newest = told._replace(made=here.made, archive=here.archive, digest=here.digest, recovering=here.recovering)
    if newest is None:
        return None
    for name, facts in all_facts.items():
        if facts.marker is not None and facts.marker["member"] == newest.members.get(name) and name not in newest.made:
            newest.made.append(name)
    return newest


def found(inventory: Inventory, all_facts: Mapping[str, HostFacts], *, keep: bool) -> Ids:
    """Those that are known; else new ones, written down before anything is made."""
    ids = known(inventory, all_facts)
    if ids is None:
        ids = drawn(inventory)
    _check(inventory, all_facts, ids)
    if keep:
        write(inventory, ids)
    return ids


def drawn(inventory: Inventory) -> Ids:
    members = {host.name: new_id() for host in inventory.voters()}
    contacts = {host.name: host.endpoint for host in inventory.voters()}
    return Ids(new_id(), int(time.time()), members, contacts, [], 0, {}, [], "", 0)


def hosts_of(inventory: Inventory, ids: Ids | None) -> tuple[Host, ...]:
    """Those that have a member, or, as long as there is no cluster, those that found it."""
    return inventory.voters() if ids is None else tuple(host for host in inventory.hosts if host.name in ids.members)


def _check(inventory: Inventory, all_facts: Mapping[str, HostFacts], ids: Ids) -> None:
    if ids.recovering and not ids.is_recovery():
        raise Refused(f"a recover of {inventory.name} was cut short: go on with `coordctl recover -c {inventory.name} --accept data-loss`")
    # A version is switched to only once every member was made: where one is, whoever has no member had one.
    was_made = any(facts.current and facts.marker for facts in all_facts.values())
    for name in ids.members:
        facts = all_facts.get(name)
        if facts is None:
            if inventory.host(name) is None:
                raise Refused(f"{name} is a member and no host of {inventory.path}: remove it with `coordctl member remove {name}`")
            continue
        if facts.marker is None and (name in ids.made or was_made):
            raise Refused(f"{name} had member {ids.members[name]} and has nothing of it now: {_remedy(name)}")
        if facts.marker is not None and facts.marker["member"] != ids.members[name]:
            raise Refused(f"{name} has member {facts.marker['member']}, which was to be replaced: {_remedy(name)}")
        if facts.marker is not None and not facts.has_data:
            raise Refused(f"{name} has lost what its member had stored below {facts.base}/data: {_remedy(name)}")
    new = [host.name for host in inventory.voters() if host.name not in ids.members]
    if new:
        raise Refused(
            f"{new[0]} is no member of this cluster, which exists: `coordctl member add {new[0]}`, or make it a spare, or take it out"
        )


def _remedy(name: str) -> str:
    return f"it must not come back as the same voter: `coordctl member replace {name}`, or put its data back from where it went"


def _of_marker(marker: Mapping[str, Any]) -> Ids:
    more = (marker.get("edition", 0), dict(marker.get("former", {})), list(marker.get("replaces", ())), "", 0)
    return Ids(marker["cluster"], marker["created"], dict(marker["members"]), dict(marker["contacts"]), [], *more)


def written(inventory: Inventory) -> Ids | None:
    """What was written down here; None: nothing."""
    path = inventory.beside(SUFFIX)
    try:
        with open(path, encoding="utf-8") as file:
            found: Any = json.load(file)
        more = (
            found.get("edition", 0),
            found.get("former", {}),
            found.get("replaces", []),
            found.get("archive", ""),
            found.get("digest", 0),
            found.get("recovering", ""),
        )
        return Ids(found["cluster"], found["created"], found["members"], found["contacts"], found["made"], *more)
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


def endpoints(inventory: Inventory, ids: Ids) -> list[Endpoint]:
    return [Endpoint(host.endpoint, ids.members[host.name], host.name) for host in hosts_of(inventory, ids)]


def names(inventory: Inventory | None) -> dict[int, str]:
    """Of members and former ones, as far as it is written down here."""
    ids = written(inventory) if inventory is not None else None
    return {} if ids is None else ids.names()


def make_known(inventory: Inventory, ids: Ids) -> None:
    """To every other command on this machine, under the cluster's name: it serves, and is no recovery any more."""
    if ids.recovering:
        write(inventory, ids._replace(recovering=""))
    folder = clusters.folder_of(inventory.name)
    known = clusters.read(folder)
    if known is not None and not known.inventory:
        return  # a cluster of this machine has the name: it is left alone
    members = tuple(LocalMember(one.name, one.member, one.address) for one in endpoints(inventory, ids))
    tls = os.environ.get(VARIABLE, "") if inventory.tls else ""
    made = LocalCluster(folder, inventory.name, ids.cluster, ids.created, True, members, tls, inventory.path)
    if made != known:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        clusters.write(made)


def forget(inventory: Inventory) -> None:
    if os.path.exists(inventory.beside(SUFFIX)):
        os.unlink(inventory.beside(SUFFIX))
