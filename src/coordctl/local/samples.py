"""What members last told of themselves, so that the next look can say how it has been since: beside `seen`, and never worth an error."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from coordctl.local import notes
from coordctl.local.clusters import state_folder

AGED_SECONDS = 60.0  # an older one is put in the place of this, so that what is told is of the last minutes
KEPT_SECONDS_MAX = 900.0


class Kept(NamedTuple):
    unix_s: float
    pid: int
    free_bytes: int
    metrics: str


def path_of(cluster: int) -> str:
    return os.path.join(state_folder(), "seen", f"{cluster}.samples.json")


def exchange(cluster: int, now: Mapping[int, Kept]) -> dict[int, Kept]:
    """What was kept of each member; what is older than a minute, or was none, makes room for what is now."""
    kept = _read(path_of(cluster))
    unix_s = time.time()
    fresh = {
        member: one if member not in kept or kept[member].pid != one.pid or unix_s - kept[member].unix_s > AGED_SECONDS else kept[member]
        for member, one in now.items()
    }
    if fresh != kept:
        _write(path_of(cluster), fresh)
    return {member: one for member, one in kept.items() if unix_s - one.unix_s < KEPT_SECONDS_MAX}


def forget(cluster: int) -> None:
    with suppress(OSError):
        os.unlink(path_of(cluster))


def _read(path: str) -> dict[int, Kept]:
    try:
        with open(path, encoding="utf-8") as file:
            return {int(member): Kept(*one) for member, one in json.load(file).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(path: str, samples: Mapping[int, Kept]) -> None:
    notes.write(path, json.dumps({str(member): one for member, one in samples.items()}))
