"""When each member of a cluster last answered somebody here: kept beside the local clusters, and never worth an error."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress

from coordctl.local import notes, samples
from coordctl.local.clusters import state_folder


def path_of(cluster: int) -> str:
    return os.path.join(_folder(), f"{cluster}.json")


def _folder() -> str:
    return os.path.join(state_folder(), "seen")


def note(cluster: int, answered: Sequence[int]) -> dict[int, int]:
    """Writes down that these answer now; returns when each known member last did, in unix seconds."""
    seen = _read(path_of(cluster))
    now = int(time.time())
    fresh = seen | dict.fromkeys(answered, now)
    if fresh != seen:
        _write(path_of(cluster), fresh)
    return fresh


def of_members(members: Sequence[int]) -> dict[int, int]:
    """What was written down of the cluster that one of these is of: ids of members are not given twice."""
    with suppress(OSError):
        for name in sorted(os.listdir(_folder())):
            found = _read(os.path.join(_folder(), name))
            if any(member in found for member in members):
                return found
    return {}


def forget(cluster: int) -> None:
    samples.forget(cluster)
    with suppress(OSError):
        os.unlink(path_of(cluster))
        os.rmdir(os.path.dirname(path_of(cluster)))


def _read(path: str) -> dict[int, int]:
    try:
        with open(path, encoding="utf-8") as file:
            return {int(member): int(when) for member, when in json.load(file).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(path: str, seen: dict[int, int]) -> None:
    notes.write(path, json.dumps({str(member): when for member, when in seen.items()}))
