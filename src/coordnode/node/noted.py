"""What is written down in the cluster for whoever looks at it: risks that were accepted and that nobody cleared, and the newest backup."""

import json
from typing import Any

from coordnode.ids import ClusterId
from coordnode.ranges import prefix_end
from coordnode.replica.replica import Replica
from coordnode.replica.told import RISKS
from coordnode.services.commands import Get, Got, Page, Range, decode_result

BACKUP = b"_backups/newest"
RISKS_MAX = 64


def accepted_risks(replica: Replica) -> list[dict[str, Any]]:
    """Below _accepted/, each key a risk. What cannot be read is left out."""
    if replica.machine is None:
        return []
    page = decode_result(replica.machine.read(Range(RISKS, prefix_end(RISKS), RISKS_MAX)))
    found = []
    for item in page.items if isinstance(page, Page) else []:
        try:
            said = json.loads(item.value)
            about = {name: str(said[name]) for name in ("by", "verb", "reason")}
            found.append({"risk": item.key.removeprefix(RISKS).decode(), "unix_s": int(said["unix_s"]), **about})
        except (ValueError, KeyError, TypeError):
            continue
    return found


def newest_backup(replica: Replica, cluster: ClusterId) -> dict[str, Any] | None:
    """As whoever made it said; of a cluster that this one was restored from, it is none of ours."""
    if replica.machine is None:
        return None
    got = decode_result(replica.machine.read(Get(BACKUP)))
    try:
        said = json.loads(got.item.value) if isinstance(got, Got) and got.item is not None else None
        if said is None or int(said["cluster"]) != cluster:
            return None
        return {"taken_unix_s": int(said["taken_unix_s"]), "index": int(said["index"]), "by": str(said["by"]), "path": str(said["path"])}
    except (ValueError, KeyError, TypeError):
        return None
