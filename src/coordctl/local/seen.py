"""When each member of a cluster last answered somebody here: kept beside the local clusters, and never worth an error."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress

from coordctl.local.clusters import state_folder


def path_of(cluster: int) -> str:
    return os.path.join(state_folder(), "seen", f"{cluster}.json")


def note(cluster: int, answered: Sequence[int]) -> dict[int, int]:
    """Writes down that these answer now; returns when each known member last did, in unix seconds."""
    seen = _read(path_of(cluster))
    now = int(time.time())
    fresh = seen | dict.fromkeys(answered, now)
    if fresh != seen:
        _write(path_of(cluster), fresh)
    return fresh


def forget(cluster: int) -> None:
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
    with suppress(OSError):  # a monitoring user may have no home: then nothing is remembered
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        beside = f"{path}.{os.getpid()}.tmp"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump({str(member): when for member, when in seen.items()}, file)
        os.replace(beside, path)
