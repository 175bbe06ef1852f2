"""What `up` and `down` print."""

from typing import Literal

import msgspec


class Up(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.up/1"] = "coordctl.up/1"
    outcome: Literal["ready"] = "ready"
    exit_code: Literal[0] = 0
    name: str
    folder: str
    members: list[str]
    endpoints: list[str]
    leader: str
    started: list[str]  # those that did not run before
    kept_down: list[str] = []  # on purpose, by a fault whose time is not over
    is_new: bool
    elapsed_ms: int


class Down(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.down/1"] = "coordctl.down/1"
    outcome: Literal["stopped"] = "stopped"
    exit_code: Literal[0] = 0
    name: str
    folder: str
    members: list[str]
    stopped: int
    purged: bool
    left_behind: list[str]  # files in its folder that are not the cluster's
    still_broken: list[str] = []  # on purpose, and why it could not be undone; what only members can undo, `up` has undone
