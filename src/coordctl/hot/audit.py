"""The cluster's log of who changed what, and whether it is whole: each record names the one before by its digest."""

from __future__ import annotations

import json
import os
from hashlib import sha256

from coordctl.hot import auth
from coordctl.hot.msgpack import pack
from coordctl.local.clusters import state_folder
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coordctl.hot.cluster import Cluster


class Record(NamedTuple):
    number: int
    log_index: int
    wall_ms: int
    by: str
    place: str
    what: str
    before: str
    after: str
    reason: str
    previous: bytes
    chain: bytes


class Head(NamedTuple):
    """How far it was seen, and what stood there."""

    number: int
    chain: str

    def shown(self) -> str:
        return f"{self.number}:{self.chain}"


NOTHING_SEEN = Head(0, "")


def records(asking: Cluster, after: int) -> list[Record]:
    return [Record(*fields) for fields in auth.records(asking, after)]


def head_of(found: list[Record]) -> Head:
    return Head(found[-1].number, found[-1].chain.hex()) if found else NOTHING_SEEN


def faults(found: Iterable[Record], seen: Head) -> list[str]:
    """What shows that something was changed, left out, or cut off since `seen`; in words, the first of each kind."""
    said: list[str] = []
    last: Record | None = None
    is_there = not seen.number
    for record in found:
        if sha256(pack([*record[:-1], b""])).digest() != record.chain:
            return [*said, f"record {record.number} is not what was written: its digest does not fit"]
        if last is not None and record.number != last.number + 1:
            return [*said, f"records {last.number + 1} to {record.number - 1} are missing"]
        if last is not None and record.previous != last.chain:
            return [*said, f"record {record.number} does not follow the {last.number} that is there"]
        if record.number == seen.number:
            is_there = True
            if record.chain.hex() != seen.chain:
                said.append(f"record {record.number} is another one than was seen there before")
        elif last is None and record.number > seen.number:
            is_there = True  # those seen before are too old to be kept
        last = record
    if not is_there:
        said.append(f"record {seen.number} was seen before and is gone, and so is whatever followed it")
    return said


# --- what was seen -------------------------------------------------------------------------------------------------


def _path(cluster: int) -> str:
    return os.path.join(state_folder(), "audit", "seen", f"{cluster}.json")


def last_seen(cluster: int) -> Head:
    try:
        with open(_path(cluster), encoding="ascii") as file:
            return Head(*json.load(file))
    except FileNotFoundError:
        return NOTHING_SEEN


def note_seen(cluster: int, head: Head) -> None:
    path = _path(cluster)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w", encoding="ascii") as file:
        json.dump(list(head), file)
    os.replace(beside, path)
