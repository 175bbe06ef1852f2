"""Once a second: how the second was, for the flight recorder, and who does not answer this leader. Costs no request anything."""

import time
from collections.abc import Mapping
from typing import Protocol

from coordnode import __version__
from coordnode.errors import Overloaded
from coordnode.ids import MemberId
from coordnode.net.clients import ClientTraffic
from coordnode.node.commits import Commits
from coordnode.node.host import host_now
from coordnode.node.metrics import DURATION_BOUNDS_NS, Durations
from coordnode.node.round_trips import RoundTrips
from coordnode.node.telemetry import Telemetry
from coordnode.node.tuning import loop_waited_seconds
from coordnode.raft.state import LEADER, ROLE_NAMES
from coordnode.replica.replica import Replica

MS = 1_000_000
EVERY_NS = 1_000 * MS
OVERDUE_NS = 2 * EVERY_NS  # so long a second was none: this process was not run, and nobody else is to blame for silence
SILENT_PULSES = 2  # in a row without an answer


class Watched(Protocol):
    """The observer, as far as it is looked at here."""

    commits: Commits
    round_trips: RoundTrips
    turns: Durations
    syncs: Durations
    late_ticks: Durations


class Since:
    """What a histogram has counted since it was last asked, the first time all of it."""

    def __init__(self, durations: Durations) -> None:
        self._durations = durations
        self._counts = [0] * len(durations.counts)
        self._sum_ns = 0
        self.count = 0
        self.mean_ms = 0.0
        self.worst_ms = 0.0  # upper bound of the slowest; what is beyond all bounds is the slowest there ever was

    def advance(self) -> None:
        new = self._durations.counts
        self.count = sum(new) - sum(self._counts)
        self.mean_ms = round((self._durations.sum_ns - self._sum_ns) / self.count / MS, 2) if self.count else 0.0
        highest = next((place for place in range(len(new) - 1, -1, -1) if new[place] > self._counts[place]), -1)
        if highest < 0:
            self.worst_ms = 0.0
        else:
            bound = DURATION_BOUNDS_NS[highest] if highest < len(DURATION_BOUNDS_NS) else self._durations.max_ns
            self.worst_ms = min(bound, self._durations.max_ns) / MS
        self._counts = list(new)
        self._sum_ns = self._durations.sum_ns


class Pulse:
    def __init__(self, replica: Replica, telemetry: Telemetry, watched: Watched) -> None:
        self._replica = replica
        self._telemetry = telemetry
        self._round_trips = watched.round_trips
        self._commits = Since(watched.commits.total)
        self._turns = Since(watched.turns)
        self._syncs = Since(watched.syncs)
        self._late = Since(watched.late_ticks)
        self._peers: dict[MemberId, Since] = {}
        self._silent: dict[MemberId, int] = {}  # peer -> pulses in a row without an answer
        self._led = False
        self._began_ns = self._told_ns = time.monotonic_ns()
        self._asks = 0
        self._asked_bytes = 0
        self._opened = self._expired = 0
        self._cpu_s = time.process_time()
        self._waited_s = loop_waited_seconds() or 0.0
        self._traffic = ClientTraffic()
        self._refusals: Mapping[str, int] = {}
        self._refused = 0
        self._config_hash = ""

    def follow(self, traffic: ClientTraffic, refusals: Mapping[str, int], config_hash: str) -> None:
        self._traffic = traffic
        self._refusals = refusals
        self._config_hash = config_hash

    def maybe_tell(self, now_ns: int) -> None:
        took_ns = now_ns - self._told_ns
        if took_ns < EVERY_NS:
            return
        self._told_ns = now_ns
        raft = self._replica.raft
        leads = raft.role == LEADER
        for since in (self._commits, self._turns, self._syncs, self._late):
            since.advance()
        self._look_at_peers(leads, took_ns)
        cpu_s, waited_s = time.process_time(), loop_waited_seconds() or 0.0
        asks, asked_bytes = self._traffic.asks, self._traffic.bytes_in
        clients = self._replica.clients
        opened, expired = clients.sessions.opened, clients.sessions.expired
        refused = self._refusals.get(Overloaded.__name__, 0)
        host = host_now()
        last = raft.log.last_index()
        digest_index, digest = self._replica.checkpoint()
        wait = self._replica.longest_wait() if leads else None
        self._telemetry.emit(
            "pulse",
            build=__version__,
            config_hash=self._config_hash,
            role=ROLE_NAMES[raft.role],
            leader=raft.leader,
            uptime_ms=(now_ns - self._began_ns) // MS,
            took_ms=took_ns // MS,
            commits=self._commits.count,
            commit_ms=self._commits.mean_ms,
            commit_worst_ms=self._commits.worst_ms,
            syncs=self._syncs.count,
            sync_ms=self._syncs.mean_ms,
            sync_worst_ms=self._syncs.worst_ms,
            turns=self._turns.count,
            turn_ms=self._turns.mean_ms,
            turn_worst_ms=self._turns.worst_ms,
            late_worst_ms=self._late.worst_ms,
            round_trip_ms={str(peer): since.mean_ms for peer, since in sorted(self._peers.items())} if leads else {},
            behind={str(peer): last - progress.match for peer, progress in sorted(raft.progress.items())} if leads else {},
            lock_wait_ms={wait.name.decode(errors="replace"): wait.ms} if wait is not None else {},
            lock_waiters=wait.waiters if wait is not None else 0,
            connections=self._traffic.connections,
            refused=refused - self._refused,
            asks=asks - self._asks,
            asked_kib=(asked_bytes - self._asked_bytes) // 1024,
            sessions=clients.sessions_open(),
            opened=opened - self._opened,
            expired=expired - self._expired,
            cpu_ms=round((cpu_s - self._cpu_s) * 1_000),
            waited_ms=round((waited_s - self._waited_s) * 1_000),
            rss_kib=host.rss_kib,
            files=host.files,
            pressure=host.pressure,
            host_free_kib=host.free_kib,
            digest_index=digest_index,
            digest=digest,
        )
        self._cpu_s, self._waited_s, self._asks, self._led = cpu_s, waited_s, asks, leads
        self._asked_bytes, self._refused = asked_bytes, refused
        self._opened, self._expired = opened, expired

    def _look_at_peers(self, leads: bool, took_ns: int) -> None:
        for peer, durations in self._round_trips.by_peer.items():
            if peer not in self._peers:
                self._peers[peer] = Since(durations)
        for since in self._peers.values():
            since.advance()
        if not leads or not self._led:
            self._silent.clear()
            return
        if took_ns > OVERDUE_NS:
            return
        for peer in self._replica.raft.config.members():
            if peer == self._replica.member:
                continue
            since_last = self._peers.get(peer)
            before = self._silent.get(peer, 0)
            if since_last is not None and since_last.count:
                if before >= SILENT_PULSES:
                    self._telemetry.emit("peer_heard", peer=peer, silent_ms=before * EVERY_NS // MS)
                self._silent[peer] = 0
            else:
                self._silent[peer] = before + 1
                if before + 1 == SILENT_PULSES:
                    self._telemetry.emit("peer_silent", peer=peer)
