"""Which builds work together: client with member, member with member, and one in the other's place. Pure.

It is decided by what builds say they speak and store, never by how their versions are called.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from coordnode import __version__, formats


class Speaks(NamedTuple):
    """What a build says of itself."""

    release: str
    wire: int
    storage: int
    level_max: int


OURS = Speaks(__version__, formats.WIRE, formats.STORAGE, formats.LEVEL_MAX)


def of_manifest(said: Mapping[str, Any] | None) -> Speaks | None:
    """None: it does not say."""
    if said is None:
        return None
    try:
        return Speaks(str(said["release"]), int(said["wire"]), int(said["storage"]), int(said["level_max"]))
    except (KeyError, TypeError, ValueError):
        return None


def of_status(status: Mapping[str, Any]) -> Speaks:
    """A member that says nothing of it is one of before there was more than one number of each."""
    return Speaks(str(status["version"]), int(status.get("wire", 1)), int(status.get("storage_format", 1)), int(status["level_max"]))


def as_manifest(one: Speaks) -> dict[str, object]:
    return dict(one._asdict())


def beside(one: Speaks, other: Speaks) -> str:
    """Why they cannot speak with each other, as client and member or as two members; "": they can."""
    if one.wire != other.wire:
        return f"{one.release} speaks wire version {one.wire}, {other.release} speaks {other.wire}"
    return ""


def in_place_of(one: Speaks, before: Speaks, level: int) -> str:
    """Why it cannot go on where the other leaves off, in a cluster at this feature level; "": it can."""
    if one.storage != before.storage:
        return f"{one.release} reads storage format {one.storage}, {before.release} wrote {before.storage}"
    if one.level_max < level:
        return f"the cluster is at feature level {level}, which never goes back, and {one.release} knows levels up to {one.level_max}"
    return ""
