"""What clients do in one seed: a mix of what all services offer, on sessions that come and go."""

import random
from collections import deque
from collections.abc import Sequence as SequenceOf
from typing import cast

from coordnode.checking.history import FOREVER, UNKNOWN, UNSEEN, Operation
from coordnode.checking.presence import Presence
from coordnode.client.actions import Finished, SessionChanged, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.core import READS
from coordnode.client.lease import SessionState
from coordnode.ids import NO_SESSION, MemberId, Sequence, SessionId
from coordnode.services.callers import Caller
from coordnode.services.commands import (
    SHARDS,
    ClientCommand,
    ClientOperation,
    CloseSession,
    Command,
    Done,
    Expire,
    FirstOperation,
    OpenSession,
    ReadOperation,
    Result,
    SessionOpened,
    Wake,
)
from coordnode.simulator.client import SimClient
from coordnode.simulator.connections import Connections
from coordnode.simulator.marks import Marks
from coordnode.simulator.recording import Recording
from coordnode.simulator.reference import POSITIONS, EventRow
from coordnode.simulator.services import SERVICES
from coordnode.simulator.services.auth import DIGEST
from coordnode.simulator.services.service import SimService, Step
from coordnode.simulator.vocabulary import OTHER
from coordnode.simulator.world import SECOND, World

OPERATIONS_PER_SECOND = 32
DRAWS_MAX = 4
BURSTS_MAX = (1, 4, 8)  # of a seed: so many operations a client asks for at a time, and at most that many share an entry and a round
UNDER_WAY_MAX = 6  # operations of one client at a time, apart from a burst
DEADLINE_MS = 6_000
SESSION_TTLS_MS = (1_000, 1_500, 2_500, 4_000)
LONG_TTLS_MS = (1_000, 4_000, 12_000, 25_000)
LONG_TTLS_SHARE = 0.15  # of seeds
OPPOSED_TTLS_MS = (1_000, 60_000, 60_000)  # of seeds whose clocks run at opposite bounds
"""Over so long a lease two clocks drift further apart than a leader's tick and the network's delay hide."""
CLOSE_BESIDE_ALL_SHARE = 0.03  # of the moments in which a client has asked for so much that it asks for no more
NESTED_SHARE = 0.3  # of new sessions, where there is one to nest in
BULKY_SHARE = 0.2  # of seeds write values so large that a snapshot has several slices
BULKY_BYTES_MAX = 60_000
SMALL_SHARES = (0.9, 0.9, 0.4)  # of values hold little; where most hold more, a batch spans sectors and can tear
BARRIER_WEIGHT = 1
READ_AGAIN_MAX = 8  # of what others read


Changes = SequenceOf[tuple[int, SequenceOf[EventRow]]]


class _Session:
    __slots__ = ("opening", "usable")

    def __init__(self, opening: int) -> None:
        self.opening = opening
        self.usable = False


class Workload:
    """Owns the clients and is the stage of all services. Everything asked is recorded, with what came of it."""

    def __init__(
        self,
        world: World,
        connections: Connections,
        recording: Recording,
        marks: Marks,
        *,
        members: list[MemberId],
        operations_max: int,
        chance: random.Random,
        opposed_rates: bool,
    ) -> None:
        self.begun = 0  # operations
        self.clients: list[SimClient] = []
        self.chance = chance
        self.recording = recording
        self.presence = Presence()
        self.marks = marks
        self._world = world
        self._operations_max = operations_max
        self._stopping = False
        self._value = 0
        self._revision = 0  # of the newest command that the reference told of
        self._ended: dict[int, None] = {}  # sessions
        self._sessions: dict[int, list[_Session]] = {}
        self._under_way: dict[int, int] = {}  # by client: operations
        self._services: list[SimService] = [kind(self) for kind in SERVICES]
        self._mix = self._draw_mix()
        count = 3 + int(chance.random() * 6)
        self._burst_max = BURSTS_MAX[int(chance.random() * len(BURSTS_MAX))]
        self._pace_ns = SECOND * count * (1 + self._burst_max) // (2 * OPERATIONS_PER_SECOND)
        bulky = chance.random() < BULKY_SHARE
        self._value_bytes_max = BULKY_BYTES_MAX if bulky else 3_000
        self._small_share = 0.75 if bulky else SMALL_SHARES[int(chance.random() * len(SMALL_SHARES))]
        self._ttls_ms: tuple[int, ...] = OPPOSED_TTLS_MS
        if not opposed_rates:
            self._ttls_ms = LONG_TTLS_MS if chance.random() < LONG_TTLS_SHARE else SESSION_TTLS_MS
        self._session_share = 0.02 + chance.random() * 0.05
        for number in range(1, count + 1):
            rate_ppm = (-1_000, 1_000, int(chance.random() * 2_001) - 1_000)[int(chance.random() * 3)]
            if opposed_rates:
                rate_ppm = -1_000
            client = SimClient(world, connections, self, number=number, name=f"c{number}", members=members, rate_ppm=rate_ppm)
            self.clients.append(client)
            self._sessions[number] = []
            self._under_way[number] = 0
            world.after(int(chance.random() * self._pace_ns), self._act, client)
        self.guest = SimClient(
            world, connections, self, number=count + 1, name="guest", members=members, rate_ppm=0, reads_anywhere=chance.random() < 0.5
        )
        self.guest.caller = Caller("guest", token=DIGEST)
        # It reads what others read, from whoever it is connected to; nothing that it asks leads it to the leader.
        self._reader = SimClient(
            world, connections, self, number=count + 2, name="reader", members=members, rate_ppm=0, reads_anywhere=True
        )
        self._reading: dict[tuple[int, int], tuple[ReadOperation, int]] = {}  # by client and call
        self._read_lately: deque[tuple[ReadOperation, int]] = deque(maxlen=READ_AGAIN_MAX)
        self.clients.append(self._reader)
        world.after(int(chance.random() * self._pace_ns), self._act, self._reader)
        for client in (self.guest, self._reader):
            self._sessions[client.number] = []
            self._under_way[client.number] = 0

    # --- the second phase ------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """No new operations; what is under way may finish."""
        self._stopping = True

    def longest_ttl_ms(self) -> int:
        return max(self._ttls_ms)

    def is_quiet(self) -> bool:
        return not any(self._under_way.values())

    def why_not_quiet(self) -> str:
        """What clients still wait for, in words; empty: nothing."""
        if not self.is_quiet():
            return f"{self.under_way()} operations of clients are not finished"
        waiting = (service.why_not_quiet(client) for client in self.clients if not client.is_gone() for service in self._services)
        return next((why for why in waiting if why), "")

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
            for session in list(self._sessions[client.number]):
                if session.usable:
                    self._close(client, session, now_ms)
            client.poll()

    # --- one step of one client ------------------------------------------------------------------------------------

    def _act(self, client: SimClient) -> None:
        if self._stopping:
            return
        chance = self.chance.random
        self._world.after(self._pace_ns // 2 + int(chance() * self._pace_ns), self._act, client)
        if client.is_silent():
            return
        if self._under_way[client.number] >= UNDER_WAY_MAX:
            session = self.usable_session(client) if chance() < CLOSE_BESIDE_ALL_SHARE else 0
            if session:
                self._close(client, next(each for each in self._sessions[client.number] if each.opening == session), client.clock.own_ms())
                client.poll()
            return
        ask_for_one = self._read_again if client is self._reader else self._ask_for_one
        if client is not self._reader:
            for service in self._services:
                service.before_step(client)
        for _ in range(1 + int(chance() * self._burst_max)):
            if self._operations_max and self.begun >= self._operations_max:
                break
            self.begun += 1
            if not ask_for_one(client):
                self.begun -= 1
        client.poll()

    def _ask_for_one(self, client: SimClient) -> bool:
        """A step may find nothing that it could ask for, say without a session: another one is drawn then. Whether any did."""
        chance = self.chance.random
        if chance() < self._session_share and self._change_sessions(client):
            return True
        before = self._under_way[client.number]
        for _ in range(DRAWS_MAX):
            draw = chance() * self._mix[-1][0]
            next(step for bound, step in self._mix if draw < bound)(client)
            if self._under_way[client.number] != before:
                return True
        return False

    def _read_again(self, client: SimClient) -> bool:
        if not self._read_lately:
            return False
        operation, min_revision = self._read_lately[int(self.chance.random() * len(self._read_lately))]
        self.call(client, operation, min_revision=min_revision)
        return True

    def call(
        self,
        client: SimClient,
        operation: ClientOperation | ReadOperation,
        *,
        session: int = 0,
        request_id: str = "",
        stale: bool = False,
        min_revision: int = 0,
    ) -> int:
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
        if type(operation) in READS and not stale and client is not self._reader:
            self._reading[client.number, call] = (cast(ReadOperation, operation), min_revision)
        self.recording.begun(client, call, operation, session=session, request_id=request_id, stale=stale, min_revision=min_revision)
        return call

    def open_again(self, client: SimClient, nonce: bytes, request_id: str, ttl_ms: int) -> int:
        owner = nonce.decode()
        call = self._submit(client, OpenSession(nonce, ttl_ms, owner), request_id)
        self.recording.opening_again(client, call, owner)
        return call

    def close_other(self, client: SimClient, opening: int) -> None:
        self.recording.closing(client, self._submit(client, CloseSession(client.sessions[opening])), opening)

    def _submit(self, client: SimClient, operation: ClientOperation, request_id: str = "") -> int:
        """What is done twice as it is done once."""
        now_ms = client.clock.own_ms()
        command = ClientCommand(NO_SESSION, Sequence(0), Sequence(0), request_id, operation)
        self._under_way[client.number] += 1
        return client.core.submit(command, now_ms, deadline_ms=now_ms + DEADLINE_MS, is_safe_twice=True)

    # --- what services draw from ------------------------------------------------------------------------------------

    def stream(self, name: str) -> random.Random:
        return self._world.stream(name)

    def new_value(self, client: SimClient) -> bytes:
        """Never written twice, so that a value read names its write."""
        self._value += 1
        chance = self.chance.random
        size = 0 if chance() < self._small_share else int(chance() * self._value_bytes_max)
        return b"%s.%d%s" % (client.name.encode(), self._value, b"." * size)

    def usable_session(self, client: SimClient) -> int:
        usable = [session.opening for session in self._sessions[client.number] if session.usable]
        return usable[int(self.chance.random() * len(usable))] if usable else 0

    def tokens(self) -> list[tuple[bytes, int]]:
        return [token for service in self._services for token in service.tokens()]

    def write(self, client: SimClient, operation: ClientOperation) -> int:
        """Deduplicated by a session where there is one, by a request id else."""
        session = self.usable_session(client)
        if session and self.chance.random() < 0.8:
            return self.call(client, operation, session=session)
        return self.call(client, operation, request_id=f"{client.name}-{self.begun}")

    def _barrier(self, client: SimClient) -> None:
        self.call(client, None)

    def _draw_mix(self) -> list[tuple[float, Step]]:
        """Each seed bends the weights of all steps."""
        mix: list[tuple[float, Step]] = []
        total = 0.0
        weights: dict[Step, int] = {self._barrier: BARRIER_WEIGHT}
        for service in self._services:
            weights.update(service.steps())
        for step, weight in weights.items():
            total += weight * (0.3 + 1.4 * self.chance.random())
            mix.append((total, step))
        return mix

    # --- sessions --------------------------------------------------------------------------------------------------

    def _change_sessions(self, client: SimClient) -> bool:
        sessions = self._sessions[client.number]
        chance = self.chance.random
        now_ms = client.clock.own_ms()
        if len(sessions) < 2 and chance() < 0.8:
            ttl_ms = self._ttls_ms[int(chance() * len(self._ttls_ms))]
            first = self._first_command(client) if chance() < 0.4 else None
            owner = f"{client.name}/{self.begun}"
            parent = self._parent(client)
            opening = client.core.open_session(
                now_ms, deadline_ms=now_ms + DEADLINE_MS, ttl_ms=ttl_ms, owner=owner, first=first, parent=parent
            )
            sessions.append(_Session(opening))
            self._under_way[client.number] += 1
            self.recording.opening(client, opening, owner, first)
            return True
        usable = [session for session in sessions if session.usable]
        if not usable:
            return False
        self._close(client, usable[int(chance() * len(usable))], now_ms)
        return True

    def _parent(self, client: SimClient) -> SessionId:
        """Whom the new session keeps waiting."""
        above = self.usable_session(client) if self.chance.random() < NESTED_SHARE else 0
        return client.sessions[above] if above else NO_SESSION

    def _first_command(self, client: SimClient) -> FirstOperation | None:
        offered = [first for service in self._services if (first := service.first_command(client)) is not None]
        return offered[int(self.chance.random() * len(offered))]

    def _close(self, client: SimClient, session: _Session, now_ms: int) -> None:
        self._sessions[client.number].remove(session)
        call = client.core.close_session(session.opening, now_ms, deadline_ms=now_ms + DEADLINE_MS)
        self._under_way[client.number] += 1
        self.recording.closing(client, call, session.opening)

    # --- what came of it -------------------------------------------------------------------------------------------

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        self._under_way[client.number] -= 1
        read = self._reading.pop((client.number, finished.call), None)
        if read is not None and finished.error is None:
            self._read_lately.append(read)
        self.recording.finished(client, finished)
        for service in self._services:
            service.on_finished(client, finished)
        for session in self._sessions[client.number]:
            if session.opening == finished.call:
                session.usable = isinstance(finished.result, SessionOpened)
                if not session.usable:
                    self._sessions[client.number].remove(session)
                return

    def on_session(self, client: SimClient, changed: SessionChanged) -> None:
        self.recording.session_changed(client, changed)
        if changed.state is SessionState.LOST:
            self._sessions[client.number] = [
                session for session in self._sessions[client.number] if session.opening != changed.session or not session.usable
            ]

    def on_renewing(self, client: SimClient, sessions: SequenceOf[SessionId]) -> None:
        self.recording.renewing(sessions)

    def on_belief(self, client: SimClient, session: SessionId, until_ms: int) -> None:
        self.recording.believes(client, session, until_ms)

    def on_watch(self, client: SimClient, seen: WatchEvents | WatchGapSeen | WatchFailed) -> None:
        for service in self._services:
            service.on_watch(client, seen)

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        """Told by the reference, in the order of the log."""
        self.presence.now_ms = cluster_ms
        if isinstance(result, SessionOpened) and isinstance(command.operation, OpenSession):
            self.presence.opened(int(result.session), command.operation.owner, result.ttl_ms)
        for service in self._services:
            service.on_effect(place, cluster_ms, command, result)
        operation = command.operation
        before = self._revision
        self._revision = int(getattr(result, "revision", before))
        changes = [(revision, self.recording.told_at(revision)) for revision in range(before + 1, self._revision + 1)]
        if isinstance(result, Done) and isinstance(operation, CloseSession | Expire):
            self._on_ended([operation.session] if isinstance(operation, CloseSession) else operation.sessions, cluster_ms, changes)
        self.recording.raised[place] = self._revision - before
        if not changes:
            return
        for service in self._services:
            service.on_changes(changes)
        if isinstance(operation, Wake):
            self.recording.others.append(_unseen(OTHER, None, place))

    def _on_ended(self, sessions: SequenceOf[SessionId], cluster_ms: int, changes: Changes) -> None:
        for session in sessions:
            self.presence.ended(int(session))
        told = [int(session) for session in sessions if any([service.on_session_end(session, cluster_ms) for service in self._services])]
        ended = [int(session) for session in sessions if session not in self._ended]
        self._ended.update(dict.fromkeys(ended))
        if ended and ended[-1] not in told and any([row[5] == SHARDS for _, rows in changes[-1:] for row in rows]):
            told.append(ended[-1])  # what the ends of all of them leave to be balanced is told with the last
        self.recording.ended_others += told


def _unseen(function: str, argument: object, place: tuple[int, int]) -> Operation:
    return Operation(0, function, argument, UNSEEN, 0, FOREVER, UNKNOWN, place[0], place[1] * POSITIONS)
