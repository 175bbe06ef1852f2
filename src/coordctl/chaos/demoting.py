"""A voter that is only a learner for a while. Who belonged to the cluster before is written down first, and is so again afterwards."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from coordctl.chaos import lives
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.local import clusters
from coordctl.local.clusters import LocalCluster
from coordctl.local.fleet import Failed
from coordnode.client.sync import connect
from coordnode.errors import CoordError

ASK_SECONDS = 10.0
TAKES_SECONDS_MAX = 20.0


def before(cluster: LocalCluster, name: str) -> str:
    """Whom it hits, and what undoes it, to be written down first."""
    config = _config(cluster)
    member = lives.of(cluster, name)
    if config is None or member is None or member.member not in config["voters"]:
        raise Failed(f"{name} is no voter, or nobody says who is: nothing was changed")
    return json.dumps({"member": member.member, "voters": config["voters"], "learners": config["learners"], "contacts": config["contacts"]})


def _config(cluster: LocalCluster) -> dict[str, Any] | None:
    """Of the latest leader; None: nobody leads, or a change is under way."""
    found = [lives.status(one.address) for one in cluster.members]
    leading = [one for one in found if one.get("role") == "leader"]
    if not leading:
        return None
    config: dict[str, Any] = max(leading, key=lambda one: int(one["term"]))["config"]
    return None if config["outgoing"] else config


def seen(entry: Entry) -> str:
    return "a voter less"


def strike(ledger: Ledger, entries: Sequence[Entry], for_ms: int) -> list[str]:
    return [_strike(ledger, entry) for entry in entries]


def _strike(ledger: Ledger, entry: Entry) -> str:
    undo = json.loads(entry.undo)
    voters = [one for one in undo["voters"] if one != undo["member"]]
    _change(ledger, undo, voters, [*undo["learners"], undo["member"]])
    return lives.wait_until(lambda: _is(ledger, voters), TAKES_SECONDS_MAX, "it is a voter still", 0.1)


def _change(ledger: Ledger, undo: dict[str, Any], voters: list[int], learners: list[int]) -> None:
    cluster = clusters.read(ledger.cluster_folder)
    if cluster is None:
        return
    contacts = {int(member): contact for member, contact in undo["contacts"].items()}
    with suppress(CoordError), connect([one.address for one in cluster.members], identity="chaos", timeout=ASK_SECONDS) as asked:
        asked.members.change(voters, learners, contacts)


def _is(ledger: Ledger, voters: list[int]) -> bool:
    cluster = clusters.read(ledger.cluster_folder)
    config = _config(cluster) if cluster is not None else None
    return config is not None and sorted(config["voters"]) == sorted(voters)


def cure(ledger: Ledger, entry: Entry) -> None:
    undo = json.loads(entry.undo)
    if not _is(ledger, undo["voters"]):
        _change(ledger, undo, undo["voters"], undo["learners"])


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    return clusters.read(ledger.cluster_folder) is None or _is(ledger, json.loads(entry.undo)["voters"])


def drop(ledger: Ledger, entry: Entry) -> None:
    """While it is there still, it can be a voter again."""
    cure(ledger, entry)
