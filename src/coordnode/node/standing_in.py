"""A learner takes the place of a voter that stays silent, where the settings say so: decided by whoever leads, and done through the log."""

import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from coordnode.errors import CoordError
from coordnode.ids import NOBODY, Index, MemberId
from coordnode.node.drains import drains
from coordnode.node.telemetry import Telemetry
from coordnode.raft.entry import Config
from coordnode.raft.progress import REPLICATE
from coordnode.raft.state import LEADER
from coordnode.replica.replica import Replica

LOOK_MS = 1_000
HERE_MS = 5_000  # whoever was heard within so long is counted on
LAG_ENTRIES_MAX = 1_000


class Peer(NamedTuple):
    """A member as the leader sees it."""

    is_heard: bool  # lately
    match: Index  # so far its log is ours
    is_caught_up: bool


class Change(NamedTuple):
    voter: MemberId
    learner: MemberId
    silent_ms: int
    config: Config


class Silence:
    """For how long the leader has not heard of whom, and what follows. A pause of its own is nobody's silence."""

    def __init__(self, after_ms: int) -> None:
        self._after_ms = after_ms
        self._heard_ms: dict[MemberId, int] = {}
        self._looked_ms: int | None = None

    def forget(self) -> None:
        """It does not lead: whatever it heard, others lead by what they hear."""
        self._looked_ms = None

    def is_due(self, now_ms: int) -> bool:
        return self._looked_ms is None or now_ms - self._looked_ms >= LOOK_MS

    def look(self, now_ms: int, us: MemberId, config: Config, peers: dict[MemberId, Peer], drained: Collection[MemberId]) -> Change | None:
        """Who is to take whose place now; one at a time, and only with a majority that is here, before and after."""
        was_away = self._looked_ms is None or now_ms - self._looked_ms > HERE_MS
        self._looked_ms = now_ms
        for member, peer in peers.items():
            if was_away or peer.is_heard or member not in self._heard_ms:
                self._heard_ms[member] = now_ms
        self._heard_ms = {member: heard_ms for member, heard_ms in self._heard_ms.items() if member in peers}
        if config.is_joint():
            return None
        silent = [
            (self._heard_ms[member], member)
            for member in config.voters
            if member in peers and member not in drained and now_ms - self._heard_ms[member] >= self._after_ms
        ]
        here = {us} | {member for member in peers if now_ms - self._heard_ms[member] < HERE_MS}
        ready = [
            (peers[member].match, -member)
            for member in config.learners
            if member in peers and member in here and member not in drained and peers[member].is_caught_up
        ]
        if not silent or not ready:
            return None
        heard_ms, voter = min(silent)
        learner = MemberId(-max(ready)[1])
        voters = tuple(sorted({*config.voters, learner} - {voter}))
        for majority in (config.voters, voters):
            if 2 * sum(member in here for member in majority) <= len(majority):
                return None
        learners = tuple(sorted({*config.learners, voter} - {learner}))
        return Change(voter, learner, now_ms - heard_ms, Config(voters=voters, learners=learners, contacts=config.contacts))


class StandingIn:
    """Asked once per tick."""

    def __init__(self, replica: Replica, telemetry: Telemetry, now_ms: Callable[[], int], after_ms: int) -> None:
        """`after_ms` 0: nobody takes anybody's place."""
        self._replica = replica
        self._telemetry = telemetry
        self._now_ms = now_ms
        self._after_ms = after_ms
        self._silence = Silence(after_ms)

    def on_tick(self) -> None:
        if not self._after_ms:
            return
        replica, raft, now_ms = self._replica, self._replica.raft, self._now_ms()
        if raft.role != LEADER or raft.transferee != NOBODY or not replica.clients.serving:
            self._silence.forget()
            return
        if not self._silence.is_due(now_ms):
            return
        peers = {
            member: Peer(peer.is_heard(), peer.match, peer.state == REPLICATE and peer.match + LAG_ENTRIES_MAX >= raft.committed)
            for member, peer in raft.progress.items()
        }
        drained = [MemberId(one["member"]) for one in drains(replica, time.time())]
        change = self._silence.look(now_ms, replica.member, raft.config, peers, drained)
        if change is None:
            return
        try:
            raft.propose_config(change.config)
        except CoordError:  # another change is under way: the next look decides anew
            return
        self._telemetry.emit("stood_in", voter=change.voter, learner=change.learner, silent_ms=change.silent_ms)
