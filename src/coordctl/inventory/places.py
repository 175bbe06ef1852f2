"""Where inventories are: what -c names, and what a shell may complete."""

import os
from collections.abc import Mapping

from coordctl.flags import near
from coordctl.inventory.model import COORDNODE, Inventory
from coordctl.inventory.reading import read
from coordnode.errors import BadRequest

SUFFIX = ".toml"
FOREIGN = (
    "{} has members of {}, which somebody else deployed and runs: coordctl does not deploy, start, stop, configure, upgrade, back up or "
    "restore them, issues no certificates, and changes no members; docs/engines.md says what it does with them"
)


def folders(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Here first, then where a user keeps them."""
    base = environment.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".config")
    return [os.getcwd(), os.path.join(base, "coordctl")]


def names(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Of the inventories that can be named without a path."""
    found: dict[str, None] = {}
    for folder in folders(environment):
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.endswith(SUFFIX) and _looks_like_one(os.path.join(folder, entry)):
                found[entry.removesuffix(SUFFIX)] = None
    return list(found)


def _looks_like_one(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return any(line.lstrip().startswith("[hosts") for line in file)
    except OSError:
        return False


def path_of(cluster: str, environment: Mapping[str, str] = os.environ) -> str:
    """`cluster`: a name, or the path of a file; "": the only one there is."""
    wanted = cluster or environment.get("COORD_CLUSTER", "")
    if wanted.endswith(SUFFIX) or os.sep in wanted:
        return os.path.abspath(os.path.expanduser(wanted))
    known = names(environment)
    if not wanted:
        if len(known) == 1:
            wanted = known[0]
        elif known:
            raise BadRequest(f"there are several inventories ({', '.join(known)}): name one with -c")
        else:
            raise BadRequest("no inventory is here: make one with `coordctl inventory init NAME ADDRESS …`, or name its file with -c")
    for folder in folders(environment):
        path = os.path.join(folder, wanted + SUFFIX)
        if os.path.exists(path):
            return path
    raise BadRequest(f"no inventory {wanted}{SUFFIX} in {' or '.join(folders(environment))}{near(wanted, known)}")


def of_any_engine(cluster: str, environment: Mapping[str, str] = os.environ) -> Inventory:
    """Raises BadRequest with every mistake there is."""
    return read(path_of(cluster, environment))


def chosen(cluster: str, environment: Mapping[str, str] = os.environ) -> Inventory:
    """For whoever changes hosts, and members: of an engine that somebody else deployed nothing is changed."""
    inventory = of_any_engine(cluster, environment)
    if inventory.engine != COORDNODE:
        raise BadRequest(FOREIGN.format(inventory.name, inventory.engine))
    return inventory
