"""What canaries that run on this machine found last: one file for each cluster, for `canary status` and `status`. Never worth an error."""

import json
import os
import time
from typing import NamedTuple

from coordctl.local import notes
from coordctl.local.clusters import state_folder

ROUNDS_KEPT = 720  # two hours, at the usual interval
EVERY_SECONDS = 1.0  # it is written no more often


class Kept(NamedTuple):
    pid: int
    interval_seconds: float
    rounds: list[tuple[int, int, str]]  # (unix_ms, level, what went amiss), the newest last


class Notebook:
    """Of a canary that runs."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._rounds: list[tuple[int, int, str]] | None = None
        self._written_s = 0.0

    def note(self, cluster: str, unix_ms: int, level: int, sentence: str) -> None:
        """What was found before, by another one, stays."""
        if not cluster:
            return
        if self._rounds is None:
            before = read(cluster)
            self._rounds = list(before.rounds) if before is not None else []
        self._rounds = [*self._rounds[1 - ROUNDS_KEPT :], (unix_ms, level, sentence)]
        if time.monotonic() - self._written_s >= EVERY_SECONDS or level:
            self._written_s = time.monotonic()
            _write(cluster, Kept(os.getpid(), self._interval_seconds, self._rounds))

    def end(self, cluster: str) -> None:
        if self._rounds:
            _write(cluster, Kept(os.getpid(), self._interval_seconds, self._rounds))


def path_of(cluster: str) -> str:
    return os.path.join(state_folder(), "canary", f"{cluster.replace(os.sep, '_')}.json")


def read(cluster: str) -> Kept | None:
    try:
        with open(path_of(cluster), encoding="utf-8") as file:
            found = json.load(file)
        return Kept(
            int(found["pid"]), float(found["interval_seconds"]), [(int(at), int(level), str(why)) for at, level, why in found["rounds"]]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(cluster: str, kept: Kept) -> None:
    notes.write(path_of(cluster), json.dumps(kept._asdict()))
