"""What a host's settings are beside what the inventory makes of them. Pure."""

import tomllib
from collections.abc import Collection
from typing import NamedTuple

RELOAD, RESTART = "reload", "restart"


class Drift(NamedTuple):
    setting: str
    wanted: str | None  # None: it is not set
    found: str | None
    needs: str  # of a member that shall run with it: RELOAD, RESTART


def compare(wanted: str, found: str, reloadable: Collection[str]) -> list[Drift]:
    """Of two settings files. One that cannot be read has nothing set."""
    ours, theirs = _settings(wanted), _settings(found)
    return [
        Drift(name, ours.get(name), theirs.get(name), RELOAD if name in reloadable else RESTART)
        for name in [*ours, *(name for name in theirs if name not in ours)]
        if ours.get(name) != theirs.get(name)
    ]


def _settings(text: str) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in tomllib.loads(text).items()}
    except tomllib.TOMLDecodeError:
        return {}


def of_role(wanted: str, found: str) -> str:
    """What makes the two agree; "": they do. A role is how a host begins: the cluster says what it is now."""
    if wanted == found:
        return ""
    if found in ("none", "spare"):
        return "member add" if wanted == "voter" else "" if wanted == "spare" else "deploy"
    if wanted == "voter":
        return "member promote"
    return "member demote" if (wanted, found) == ("learner", "voter") else "say so in the inventory"
