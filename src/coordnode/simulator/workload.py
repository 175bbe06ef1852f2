"""What clients do in one seed: a mix of every operation on a few hot keys and a wider set, sessions that come and go, watches."""

import random
from collections.abc import Callable, Sequence

from coordnode.client.actions import Finished, SessionChanged, SessionState, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.ids import MemberId, SessionId
from coordnode.services.commands import (
    CREATE_REVISION,
    EQUAL,
    GREATER,
    LESS,
    MOD_REVISION,
    NOT_EQUAL,
    VALUE,
    VERSION,
    ClientOperation,
    Compare,
    Delete,
    DeleteRange,
    Get,
    Put,
    Range,
    SessionOpened,
    Transaction,
)
from coordnode.simulator.client import SimClient
from coordnode.simulator.connections import Connections
from coordnode.simulator.recording import Recording
from coordnode.simulator.world import SECOND, World

OPERATIONS_PER_SECOND = 25
UNDER_WAY_MAX = 6  # operations of one client at a time
DEADLINE_MS = 6_000
HOT_KEYS = 4
WIDE_KEYS = 60
BOUND_KEYS = 8
SESSION_TTLS_MS = (1_000, 1_500, 2_500, 4_000)
WATCHES_MAX = 2
BULKY_SHARE = 0.25  # of seeds write values so large that a snapshot has several slices
BULKY_BYTES_MAX = 60_000
SMALL_SHARES = (0.9, 0.9, 0.4)  # of values hold little; where most hold more, a batch spans sectors and can tear


class _Session:
    __slots__ = ("opening", "usable")

    def __init__(self, opening: int) -> None:
        self.opening = opening
        self.usable = False


class Workload:
    """Owns the clients. Everything asked is recorded, with what came of it."""

    def __init__(
        self,
        world: World,
        connections: Connections,
        recording: Recording,
        *,
        members: list[MemberId],
        operations_max: int,
        chance: random.Random,
        opposed_rates: bool,
    ) -> None:
        self.begun = 0  # operations
        self.clients: list[SimClient] = []
        self._world = world
        self._recording = recording
        self._operations_max = operations_max
        self._chance = chance
        self._stopping = False
        self._value = 0
        self._sessions: dict[int, list[_Session]] = {}
        self._watches: dict[int, dict[int, int]] = {}  # by client: watch -> the recording's number of it
        self._under_way: dict[int, int] = {}  # by client: operations
        self._mix = _draw_mix(chance)
        count = 3 + int(chance.random() * 6)
        self._pace_ns = SECOND * count // OPERATIONS_PER_SECOND
        bulky = chance.random() < BULKY_SHARE
        self._value_bytes_max = BULKY_BYTES_MAX if bulky else 3_000
        self._small_share = 0.75 if bulky else SMALL_SHARES[int(chance.random() * len(SMALL_SHARES))]
        self._session_share = 0.02 + chance.random() * 0.05
        for number in range(1, count + 1):
            rate_ppm = (-1_000, 1_000, int(chance.random() * 2_001) - 1_000)[int(chance.random() * 3)]
            if opposed_rates:
                rate_ppm = -1_000
            client = SimClient(world, connections, self, number=number, name=f"c{number}", members=members, rate_ppm=rate_ppm)
            self.clients.append(client)
            self._sessions[number] = []
            self._watches[number] = {}
            self._under_way[number] = 0
            world.after(int(chance.random() * self._pace_ns), self._act, client)

    # --- the second phase ------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """No new operations; what is under way may finish."""
        self._stopping = True

    def is_quiet(self) -> bool:
        return not any(self._under_way.values())

    def under_way(self) -> int:
        return sum(self._under_way.values())

    def abandon_half(self) -> None:
        """Every second client ends without a word: the cluster must end its sessions by itself."""
        for client in self.clients[::2]:
            client.go()
            self._under_way[client.number] = 0

    def close_rest(self) -> None:
        for client in self.clients[1::2]:
            now_ms = client.clock.own_ms()
            for session in self._sessions[client.number]:
                if session.usable:
                    self._close(client, session, now_ms)
            client.poll()

    # --- one step of one client ------------------------------------------------------------------------------------

    def _act(self, client: SimClient) -> None:
        if self._stopping:
            return
        chance = self._chance.random
        self._world.after(self._pace_ns // 2 + int(chance() * self._pace_ns), self._act, client)
        if client.is_silent() or self._under_way[client.number] >= UNDER_WAY_MAX:
            return
        if self._operations_max and self.begun >= self._operations_max:
            return
        self.begun += 1
        self._keep_watching(client)
        if chance() < self._session_share and self._change_sessions(client):
            client.poll()
            return
        draw = chance() * self._mix[-1][0]
        for bound, step in self._mix:
            if draw < bound:
                step(self, client)
                break
        client.poll()

    def _call(
        self,
        client: SimClient,
        operation: ClientOperation | None,
        *,
        session: int = 0,
        request_id: str = "",
        stale: bool = False,
        min_revision: int = 0,
    ) -> None:
        now_ms = client.clock.own_ms()
        call = client.core.call(
            operation,
            now_ms,
            deadline_ms=now_ms + DEADLINE_MS,
            session=session,
            request_id=request_id,
            stale=stale,
            min_revision=min_revision,
        )
        self._under_way[client.number] += 1
        self._recording.begun(client, call, operation, session=session, request_id=request_id, stale=stale, min_revision=min_revision)

    # --- what there is to draw from --------------------------------------------------------------------------------

    def _key(self) -> bytes:
        chance = self._chance.random
        draw = chance()
        if draw < 0.56:
            return b"hot/%d" % int(chance() * HOT_KEYS)
        if draw < 0.63:
            return self._bound_key()
        return b"wide/%02d" % int(chance() * WIDE_KEYS)

    def _bound_key(self) -> bytes:
        """Mostly written by sessions, and ended with them; others write and delete there, too."""
        return b"bound/%d" % int(self._chance.random() * BOUND_KEYS)

    def _new_value(self, client: SimClient) -> bytes:
        """Never written twice, so that a value read names its write."""
        self._value += 1
        chance = self._chance.random
        size = 0 if chance() < self._small_share else int(chance() * self._value_bytes_max)
        return b"%s.%d%s" % (client.name.encode(), self._value, b"." * size)

    def _usable_session(self, client: SimClient) -> int:
        usable = [session.opening for session in self._sessions[client.number] if session.usable]
        return usable[int(self._chance.random() * len(usable))] if usable else 0

    def _write(self, client: SimClient, operation: ClientOperation) -> None:
        """Deduplicated by a session where there is one, by a request id else."""
        session = self._usable_session(client)
        if session and self._chance.random() < 0.8:
            self._call(client, operation, session=session)
        else:
            self._call(client, operation, request_id=f"{client.name}-{self.begun}")

    def _put(self, client: SimClient) -> None:
        self._write(client, Put(self._key(), self._new_value(client)))

    def _put_once(self, client: SimClient) -> None:
        """Not deduplicated, so it is never sent again once it may have happened."""
        self._call(client, Put(self._key(), self._new_value(client)))

    def _put_bound(self, client: SimClient) -> None:
        session = self._usable_session(client)
        if session:
            self._call(client, Put(self._bound_key(), self._new_value(client), True), session=session)
        else:
            self._put(client)

    def _delete(self, client: SimClient) -> None:
        self._write(client, Delete(self._key()))

    def _delete_range(self, client: SimClient) -> None:
        first = int(self._chance.random() * WIDE_KEYS)
        limit = 1 + int(self._chance.random() * 8)
        self._write(client, DeleteRange(b"wide/%02d" % first, b"wide/%02d" % min(99, first + 10), limit))

    def _compare_and_set(self, client: SimClient) -> None:
        key = self._key()
        seen = self._recording.newest_seen(key)
        pick = self._chance.random()
        if pick < 0.5:
            compare = Compare(key, VALUE, EQUAL, 0, seen.value if seen is not None else None)
        elif pick < 0.8:
            compare = Compare(key, MOD_REVISION, EQUAL, seen.mod_revision if seen is not None else 0)
        else:
            compare = Compare(key, CREATE_REVISION, EQUAL if pick < 0.9 else NOT_EQUAL, 0)
        self._write(client, Transaction([compare], [Put(key, self._new_value(client))], [Get(key)]))

    def _transaction(self, client: SimClient) -> None:
        chance = self._chance.random
        first, second = self._key(), self._key()
        compare = self._compare_numbers(first)
        then: list[Put | Delete | Get] = [Put(first, self._new_value(client)), Get(second)]
        if second != first:
            then.append(Delete(second) if chance() < 0.4 else Put(second, self._new_value(client)))
        self._write(client, Transaction([compare], then, [Get(first), Put(self._key(), self._new_value(client))]))

    def _compare_numbers(self, key: bytes) -> Compare:
        """Close to what the key holds, so that each relation and each mix-up of fields shows."""
        chance = self._chance.random
        relation = (EQUAL, NOT_EQUAL, LESS, GREATER)[int(chance() * 4)]
        seen = self._recording.newest_seen(key)
        field = (VERSION, CREATE_REVISION, MOD_REVISION)[int(chance() * 3)]
        if seen is None or field == VERSION:
            return Compare(key, VERSION, relation, int(chance() * 4))
        number = seen.create_revision if field == CREATE_REVISION else seen.mod_revision
        return Compare(key, field, relation, max(0, number + int(chance() * 3) - 1))

    def _get(self, client: SimClient) -> None:
        self._call(client, Get(self._key()))

    def _get_stale(self, client: SimClient) -> None:
        self._call(client, Get(self._key()), stale=True)

    def _get_min_revision(self, client: SimClient) -> None:
        stale = self._chance.random() < 0.5
        self._call(client, Get(self._key()), min_revision=self._recording.newest_revision(client), stale=stale)

    def _range(self, client: SimClient) -> None:
        limit = int(self._chance.random() * 12)
        start = (b"", b"hot/", b"wide/", b"bound/")[int(self._chance.random() * 4)]
        self._call(client, Range(start, start[:-1] + b"0" if start else b"", limit, self._chance.random() < 0.3))

    def _barrier(self, client: SimClient) -> None:
        self._call(client, None)

    # --- sessions --------------------------------------------------------------------------------------------------

    def _change_sessions(self, client: SimClient) -> bool:
        sessions = self._sessions[client.number]
        chance = self._chance.random
        now_ms = client.clock.own_ms()
        if len(sessions) < 2 and chance() < 0.8:
            ttl_ms = SESSION_TTLS_MS[int(chance() * len(SESSION_TTLS_MS))]
            first = Put(self._key(), self._new_value(client)) if chance() < 0.4 else None
            owner = f"{client.name}/{self.begun}"
            opening = client.core.open_session(now_ms, deadline_ms=now_ms + DEADLINE_MS, ttl_ms=ttl_ms, owner=owner, first=first)
            sessions.append(_Session(opening))
            self._under_way[client.number] += 1
            self._recording.opening(client, opening, owner, first)
            return True
        usable = [session for session in sessions if session.usable]
        if not usable:
            return False
        self._close(client, usable[int(chance() * len(usable))], now_ms)
        return True

    def _close(self, client: SimClient, session: _Session, now_ms: int) -> None:
        session.usable = False
        call = client.core.close_session(session.opening, now_ms, deadline_ms=now_ms + DEADLINE_MS)
        self._under_way[client.number] += 1
        self._recording.closing(client, call, session.opening)

    # --- watches ---------------------------------------------------------------------------------------------------

    def _keep_watching(self, client: SimClient) -> None:
        watches = self._watches[client.number]
        chance = self._chance.random
        if len(watches) >= WATCHES_MAX:
            if chance() < 0.01:
                watch = next(iter(watches))
                self._recording.unwatched(watches.pop(watch))
                client.core.unwatch(watch)
            return
        if chance() < 0.1:
            start, end = ((b"", b""), (b"hot/", b"hot0"), (b"wide/2", b"wide/4"))[int(chance() * 3)]
            newest = self._recording.newest_revision(client)
            start_revision = 0 if chance() < 0.4 else 1 + int(chance() * newest)
            watch = client.core.watch(start, end, start_revision, client.clock.own_ms())
            watches[watch] = self._recording.watching(start, end, start_revision)

    # --- what came of it -------------------------------------------------------------------------------------------

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        self._under_way[client.number] -= 1
        self._recording.finished(client, finished)
        for session in self._sessions[client.number]:
            if session.opening == finished.call:
                session.usable = isinstance(finished.result, SessionOpened)
                if not session.usable:
                    self._sessions[client.number].remove(session)
                return

    def on_session(self, client: SimClient, changed: SessionChanged) -> None:
        self._recording.session_changed(client, changed)
        if changed.state is SessionState.LOST:
            self._sessions[client.number] = [
                session for session in self._sessions[client.number] if session.opening != changed.session or not session.usable
            ]

    def on_renewing(self, client: SimClient, sessions: Sequence[SessionId]) -> None:
        self._recording.renewing(sessions)

    def on_watch(self, client: SimClient, seen: WatchEvents | WatchGapSeen | WatchFailed) -> None:
        watches = self._watches[client.number]
        number = watches.get(seen.watch)
        if number is None:
            return
        if isinstance(seen, WatchEvents):
            self._recording.watched(client, number, seen)
            return
        if isinstance(seen, WatchGapSeen):
            self._recording.gap(number, seen.floor)
        else:
            self._recording.unwatched(number)
        del watches[seen.watch]


_Step = Callable[[Workload, SimClient], None]

STEPS: dict[_Step, int] = {
    Workload._put: 24,
    Workload._get: 24,
    Workload._compare_and_set: 12,
    Workload._transaction: 6,
    Workload._delete: 7,
    Workload._range: 5,
    Workload._put_bound: 6,
    Workload._put_once: 4,
    Workload._get_stale: 4,
    Workload._get_min_revision: 4,
    Workload._delete_range: 3,
    Workload._barrier: 1,
}
"""In how many of a hundred operations each is drawn, before a seed bends the mix."""


def _draw_mix(chance: random.Random) -> list[tuple[float, _Step]]:
    mix: list[tuple[float, _Step]] = []
    total = 0.0
    for step, weight in STEPS.items():
        total += weight * (0.3 + 1.4 * chance.random())
        mix.append((total, step))
    return mix
