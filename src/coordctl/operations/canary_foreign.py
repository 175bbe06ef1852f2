"""The probes of one canary's round on another engine: the same as on coordnode, as far as it has what they need."""

import time
from collections.abc import Iterator
from contextlib import closing

from coordctl.canary.cycles import Announced, judge_leader
from coordctl.canary.freshness import Told
from coordctl.canary.samples import ELECTION, LOCK, OK, WRONG, Sample
from coordctl.engines import watching
from coordctl.engines.blocking import Blocking
from coordctl.local.clusters import Chosen
from coordctl.operations.canary_cycles import sampled
from coordctl.operations.canary_probes import PUT, Moment, Through, Trip
from coordnode.errors import Disconnected


class ThroughForeign(Through):
    """As a client that knows no other member."""

    def __init__(self, trip: Trip, member: str, only: Chosen) -> None:
        super().__init__(trip, member)
        self._only = only
        lock = f"{trip.prefix}session/{member}"
        self._session = Blocking(only, trip.owner, trip.ttl_ms, trip.seconds, lock)
        self._watching: watching.Watching | None = None

    def _open(self) -> None:
        self._session.open()

    def _follow(self) -> None:
        self._watching = watching.watch(self._only, f"{self._trip.prefix}through/", self._trip.seconds)

    def _moments(self) -> Iterator[Moment]:
        assert self._watching is not None
        try:
            while True:
                changes = self._watching.take()
                at_s = time.monotonic()
                puts = [Told(one.revision, one.key, one.value, at_s) for one in changes if one.kind == PUT and one.revision]
                newest = max((one.revision for one in changes), default=0)
                yield Moment(newest + 1 if newest else 0, [(one.kind, one.key) for one in changes], puts)
        except Disconnected:
            if not self._watching.is_hung_up:
                raise
        finally:
            self._watching.close()

    def _put(self) -> int:
        return self._session.put(self.key, self._value)

    def _find(self) -> tuple[int, dict[str, str]]:
        if self._unopened is not None:  # it is asked through the session
            raise self._unopened
        return self._session.page(self._trip.prefix)

    def _close(self) -> None:
        try:
            self._session.check()
        finally:
            self._session.close()

    def hang_up(self) -> None:
        if self._watching is not None:
            self._watching.hang_up()


class LockCycle:
    """Acquired, a write that wants its token admitted, released, the same write refused."""

    def __init__(self) -> None:
        self._newest = 0  # token

    def run(self, trip: Trip, chosen: Chosen) -> Sample:
        return sampled(LOCK, lambda: self._run(trip, chosen))

    def _run(self, trip: Trip, chosen: Chosen) -> tuple[str, str]:
        name, key = f"{trip.prefix}lock", f"{trip.prefix}fenced"
        session = f"{trip.prefix}session/lock"
        with (
            closing(Blocking(chosen, trip.owner, trip.ttl_ms, trip.seconds, session)) as other,
            closing(Blocking(chosen, trip.owner, trip.ttl_ms, trip.seconds)) as holder,
        ):
            other.open()
            token = holder.acquire(name)
            before, self._newest = self._newest, max(token, self._newest)
            if token <= before:
                return WRONG, f"token {token} was granted after {before}"
            if not holder.admits(name, token, key, str(trip.number)):
                holder.check()
                return WRONG, f"a write with token {token} was refused although it is held"
            holder.close()
            if other.admits(name, token, key, str(trip.number)):
                return WRONG, f"a write with token {token} was admitted although it had been released"
            return OK, ""


class ElectionCycle:
    """Won, and read by another to lead; resigned, and read by it to lead no more."""

    def __init__(self) -> None:
        self._newest = 0  # token

    def run(self, trip: Trip, chosen: Chosen) -> Sample:
        return sampled(ELECTION, lambda: self._run(trip, chosen))

    def _run(self, trip: Trip, chosen: Chosen) -> tuple[str, str]:
        name, value = f"{trip.prefix}election", str(trip.number)
        session = f"{trip.prefix}session/election"
        with (
            closing(Blocking(chosen, trip.owner, trip.ttl_ms, trip.seconds, session)) as other,
            closing(Blocking(chosen, trip.owner, trip.ttl_ms, trip.seconds)) as leader,
        ):
            other.open()
            won = Announced(0, leader.campaign(name, value), value)
            seen = Announced(0, *other.leader(name))
            leader.check()
            leader.close()
            later = Announced(0, *other.leader(name))
            before, self._newest = self._newest, max(won.token, self._newest)
            return judge_leader(before, won, seen, later)
