"""Members that operators are at work on: told to whoever asks, so that nobody is alarmed; and one that leads nevertheless hands on."""

import json
import time
from collections.abc import Callable
from typing import Any

from coordnode.errors import CoordError
from coordnode.ids import NOBODY, MemberId
from coordnode.node.leaving import best_successor
from coordnode.node.telemetry import Telemetry
from coordnode.raft.state import LEADER
from coordnode.replica.replica import Replica
from coordnode.services.commands import Page, Range, decode_result

PREFIX, PREFIX_END = b"_drains/", b"_drains0"
DRAINS_MAX = 64
LOOK_MS = 1_000


def drains(replica: Replica, now_unix_s: float) -> list[dict[str, Any]]:
    """What is below _drains/, each key a member's id: bound to a session that nobody renews, so it goes by itself. What cannot be read, or
    whose time is over by the clock on the wall, is left out."""
    if replica.machine is None:
        return []
    page = decode_result(replica.machine.read(Range(PREFIX, PREFIX_END, DRAINS_MAX)))
    found = []
    for item in page.items if isinstance(page, Page) else []:
        try:
            said = json.loads(item.value)
            member, until_unix_s = int(item.key.removeprefix(PREFIX)), int(said["until_unix_s"])
            about = {"by": str(said["by"]), "reason": str(said["reason"]), "session": item.session}
        except (ValueError, KeyError, TypeError):
            continue
        if until_unix_s > now_unix_s:
            found.append({"member": member, "until_unix_s": until_unix_s, **about})
    return found


class Yielding:
    """Asked once per tick."""

    def __init__(self, replica: Replica, telemetry: Telemetry, now_ms: Callable[[], int]) -> None:
        self._replica = replica
        self._telemetry = telemetry
        self._now_ms = now_ms
        self._looked_ms = 0

    def on_tick(self) -> None:
        raft = self._replica.raft
        if raft.role != LEADER or raft.transferee != NOBODY or not self._replica.clients.serving:
            return
        if self._now_ms() - self._looked_ms < LOOK_MS:
            return
        self._looked_ms = self._now_ms()
        drained = [MemberId(one["member"]) for one in drains(self._replica, time.time())]
        if self._replica.member not in drained:
            return
        target = best_successor(self._replica, drained)
        if target == NOBODY or target in drained:
            return  # nobody else: better it leads than nobody
        try:
            raft.transfer(target)
        except CoordError:  # the membership changed in this very moment
            return
        self._telemetry.emit("yielded", target=target)
