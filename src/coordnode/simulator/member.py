"""One member of the simulated cluster, over all of its lives: real replica, real driver, real storage on a simulated disk."""

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from coordnode.driver import Driver
from coordnode.errors import CoordError, DiskFailed, DiskFull, Diverged, FolderRefused, PromiseBroken, Rotten
from coordnode.ids import MemberId
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.messages import ConfirmAsk, ConfirmReply, Heartbeat, Message, VoteReply
from coordnode.raft.quorum import has_quorum
from coordnode.raft.ready import ChunkWanted, Write
from coordnode.raft.state import FOLLOWER, LEADER
from coordnode.replica.config import ReplicaConfig
from coordnode.replica.events import Events
from coordnode.replica.replica import Replica
from coordnode.services.callers import Caller
from coordnode.services.dialogue import Answer, Ask
from coordnode.simulator import marks
from coordnode.simulator.checks import Checks, Seen
from coordnode.simulator.claims import Claims
from coordnode.simulator.clock import HostClock
from coordnode.simulator.connections import Connections
from coordnode.simulator.disk import PowerLost, SimDisk
from coordnode.simulator.lanes import Lanes
from coordnode.simulator.marks import Marks
from coordnode.simulator.network import PeerNetwork
from coordnode.simulator.world import MILLISECOND, World
from coordnode.storage.block import Identity
from coordnode.storage.journals import JOURNAL_FOLDER
from coordnode.storage.recovery import Recovered, open_folder
from coordnode.storage.wal import Settings

DOWN, STARTING, UP, PAUSED, REFUSED = "down", "starting", "up", "paused", "refused to start"

UNHURRIED_NS = 4 * MILLISECOND
"""Where turns are so far apart, a follower takes none only to note what is durable: its acknowledgements have left already."""

FULL_RESTART_NS = 500 * MILLISECOND


class Site(Protocol):
    """Where the member runs."""

    world: World
    network: PeerNetwork
    connections: Connections
    checks: Checks
    marks: Marks
    replica_config: ReplicaConfig
    quantum_ns: int
    wal_settings: Settings
    snapshot_pace_ns: int

    def power_lost(self, member: "SimMember", down_ns: int) -> None:
        """The cut that was asked for came: all members lose power in this moment."""
        ...

    def on_opened(self, member: "SimMember", recovered: Recovered) -> None: ...

    def on_rot_found(self, member: "SimMember") -> None:
        """In a journal, while it runs: it gives its state up."""
        ...

    def on_ended(self, member: "SimMember") -> None:
        """Its process did; the host closes its connections."""
        ...

    def on_turned(self, member: "SimMember") -> None: ...

    def on_receiving(self, member: "SimMember", *, is_last: bool) -> None:
        """It stores a slice of a snapshot."""
        ...


class SimMember:
    """Implements lanes.Host, injector.Victim, connections.MemberEnd and, for its driver, driver.Network."""

    def __init__(self, site: Site, identity: Identity, disk: SimDisk, clock: HostClock, level: int, *, disk_factor: float) -> None:
        self.member: MemberId = identity.member
        self.identity = identity
        self.disk = disk
        self.clock = clock
        self.level = level  # the highest feature level that its build can apply
        self.state = DOWN
        self.inbox = Events()
        self.claims = Claims(identity.member)
        site.checks.quorums.add(identity.member, self.claims)
        self.replica: Replica | None = None
        self.lives = 0
        self.rotten: dict[int, None] = {}  # blobs of journals that rot was put into, and that were not seen whole since
        self._site = site
        self._world = site.world
        self._chance = site.world.stream(f"member {identity.member}")
        self._seen = Seen()
        self._driver: Driver | None = None
        self._lanes: Lanes | None = None
        self._life = 0  # what was asked for in an earlier life does not happen
        self._turn_due = False
        self._stalled: list[tuple[Callable[..., None], tuple[object, ...]]] = []  # what fell due during a pause
        self._led_when_paused = False
        self._cut_everyone = False
        self.cut_down_at_ns = 0  # when a cut between two disk operations last came: it waits for them, however long all is quiet
        self._cut_down_ns = -1  # how long to stay down after the cut that was asked for; -1: none was
        self._discards = False  # its next start sets log and snapshots aside
        self._slow_ms = 0
        self._disk_factor = disk.slow_factor = disk_factor  # how much slower than the best its disk is at all times

    # --- life ------------------------------------------------------------------------------------------------------

    def is_up(self) -> bool:
        return self.state in (STARTING, UP, PAUSED)

    def is_serving(self) -> bool:
        return self.state in (UP, PAUSED)

    def is_done_writing(self) -> bool:
        return self._lanes is not None and self._lanes.is_quiet()

    def leads(self) -> bool:
        return self.state == UP and self.replica is not None and self.replica.raft.role == LEADER

    def start(self) -> None:
        if self.state != DOWN:
            return
        self._life += 1
        self.lives += 1
        self.state = STARTING
        self._run(self._life, self._open)

    def _open(self) -> None:
        try:
            recovered = open_folder(self.disk, self.identity, self._site.wal_settings, discard_state=self._discards)
        except DiskFull as full:
            self.claims.found([full.sentence])
            self.crash(power=False)
            self._world.after(FULL_RESTART_NS, self.start)
            return
        except (FolderRefused, Rotten):
            self._refuse()
            return
        self.claims.found(recovered.report)
        self.after(self.disk.take_cost_ns(), self._opened, recovered)

    def _refuse(self) -> None:
        """It says what is wrong with its folder and ends; only an operator can help."""
        self.claims.refused()
        self._end_life()
        self.state = REFUSED

    def _opened(self, recovered: Recovered) -> None:
        self.disk.settle()
        self._site.on_opened(self, recovered)
        self.claims.rot_injected = self.claims.rot_injected or self._discards
        self._discards = False
        self.claims.opened(recovered, self._site.checks.committed())
        self._site.checks.quorums.configs.opened(self.member, recovered)
        seed = self._chance.getrandbits(64)
        self.replica = Replica(
            member=self.member,
            config=self._site.replica_config,
            hard_state=recovered.hard_state,
            snapshot=recovered.snapshot,
            entries=recovered.entries,
            commit_hint=recovered.commit_hint,
            rng=random.Random(seed),
            supported_level=self.level,
            known=recovered.known,
        )
        self._lanes = Lanes(self, self.disk, recovered, self._site.marks, self._site.snapshot_pace_ns)
        self._driver = Driver(self.replica, self._lanes, self)
        self._seen = Seen()
        self.inbox = Events()
        self.state = UP
        self._tick()

    def crash(self, *, power: bool) -> None:
        if not self.is_up():
            return
        self._end_life()
        if power:
            self.disk.power_loss(self._chance)
        else:
            self.disk.crash(self._chance)
            self._site.on_ended(self)

    def _end_life(self) -> None:
        self._life += 1
        self.state = DOWN
        self.replica = None
        self._driver = None
        self._lanes = None
        self._turn_due = False
        self._stalled = []
        self._cut_down_ns = -1
        self._cut_everyone = False
        self.disk.cut_at(0)
        self._site.connections.member_gone(self.member)

    def discard_state(self) -> None:
        """It found, or was told, that its state is wrong: the process ends, and the next one regains all from the others."""
        if self.is_up():
            self._discards = True
            self._fall(power=False)

    def pause(self) -> None:
        if self.state == UP:
            self._led_when_paused = self.leads()
            self.state = PAUSED

    def resume(self) -> None:
        """Everything that fell due meanwhile happens at once."""
        if self.state != PAUSED:
            return
        self.state = UP
        if self._led_when_paused and self._site.checks.leader != self.member:
            self._site.marks.reach(marks.PAUSED_LEADER_DEPOSED)
        stalled, self._stalled = self._stalled, []
        life = self._life  # one of them may end it
        for work, arguments in stalled:
            self._run(life, work, *arguments)
        self.soon()

    def describe(self) -> str:
        """One line for a report."""
        if self.replica is None:
            return f"member {self.member}: {self.state}, life {self.lives}"
        raft = self.replica.raft
        role = ("follower", "pre-candidate", "candidate", "leader")[raft.role]
        return (
            f"member {self.member}: {self.state}, life {self.lives}, {role} in term {raft.term} of leader {raft.leader}, log ends at "
            f"{raft.log.last_index()}, committed {raft.committed}, applied {self.replica.applied}, lost entries: {raft.lost_entries}, "
            f"voters {list(raft.config.voters)}, outgoing {list(raft.config.outgoing)}, learners {list(raft.config.learners)}"
        )

    # --- time ------------------------------------------------------------------------------------------------------

    def after(self, delay_ns: int, work: Callable[..., None], *arguments: object) -> None:
        self._world.after(delay_ns, self._run, self._life, work, *arguments)

    def _run(self, life: int, work: Callable[..., None], *arguments: object) -> None:
        """The one place where a life can end by itself."""
        if life != self._life:
            return
        if self.state == PAUSED:
            self._stalled.append((work, arguments))
            return
        try:
            work(*arguments)
        except PowerLost:
            self._on_cut()
        except DiskFailed:
            self._site.marks.reach(marks.FSYNC_FAILED)
            self._fall(power=False)
        except Rotten as error:
            # Found while it ran: it must start again to see what is whole.
            if not self.claims.rot_injected:
                raise PromiseBroken("rot-only-where-injected", f"member {self.member} finds rot: {error.sentence}") from error
            self._fall(power=False)
        except Diverged as error:
            if self.member in self._site.checks.flipped:
                self._site.marks.reach(marks.DIVERGENCE_FOUND)
                self.discard_state()
                return
            if self.rotten:
                self._site.on_rot_found(self)
                self.discard_state()
                return
            raise PromiseBroken("state-agreement", f"member {self.member} finds that it diverged: {error.sentence}") from error
        except PromiseBroken:
            raise
        except CoordError as error:
            # Its own word that it cannot go on: a real one would end here, and no fault is the cause.
            sentence = f"member {self.member} ends by itself with {type(error).__name__}: {error.sentence}"
            raise PromiseBroken("stops-only-for-cause", sentence) from error

    def _fall(self, *, power: bool) -> None:
        down_ns = self._cut_down_ns if self._cut_down_ns >= 0 else 200 * MILLISECOND
        self.crash(power=power)
        self._world.after(down_ns, self.start)

    def _on_cut(self) -> None:
        self.cut_down_at_ns = self._world.now_ns
        if self._cut_everyone:
            self._site.power_lost(self, self._cut_down_ns)
        else:
            self._fall(power=self._chance.random() < 0.7)

    def _tick(self) -> None:
        self.inbox.ticked = True
        assert self._lanes is not None
        assert self.replica is not None
        self._lanes.tick(self.replica.known())
        self.after(self.clock.world_ns(self._site.replica_config.tick_ms * MILLISECOND), self._tick)
        self._turn()

    def soon(self) -> None:
        if not self._turn_due and self.state == UP:
            self._turn_due = True
            self._world.after(self._site.quantum_ns, self._run, self._life, self._turn_was_due)

    def _turn_was_due(self) -> None:
        if self._turn_due:
            self._turn()

    def _turn(self) -> None:
        assert self._driver is not None
        replica = self.replica
        assert replica is not None
        self._turn_due = False
        events, self.inbox = self.inbox, Events()
        events.now_ms, events.wall_ms = self.clock.read_ms()
        self.claims.turn_begins(replica.raft)
        try:
            again = self._driver.turn(events).again
        finally:
            self.claims.turn_ended()
            # Also when the power went in the middle: answers of this turn may have left before.
            self._site.checks.turned(replica, self._seen)
        self._site.on_turned(self)
        if again:
            self.soon()

    # --- what arrives ----------------------------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        if self.state in (UP, PAUSED):
            self.inbox.messages.append(message)
            if not self._turn_due:
                self.soon()

    def on_peer_gone(self, peer: MemberId) -> None:
        if self.state in (UP, PAUSED):
            self.inbox.peers_gone.append(peer)
            self.soon()

    def on_opened(self, connection: int, caller: Caller) -> None:
        self.inbox.opened.append((connection, caller))
        self.soon()

    def on_asks(self, connection: int, asks: Sequence[Ask]) -> None:
        self.inbox.asks.extend([(connection, ask) for ask in asks])
        self._site.checks.promised.arrived(connection, asks, self._world.now_ns)
        self.soon()

    def on_closed(self, connection: int) -> None:
        self.inbox.closed.append(connection)
        self.soon()

    # --- what its driver does --------------------------------------------------------------------------------------

    def send(self, messages: Sequence[Message]) -> None:
        self.claims.sent(messages)
        for message in messages:
            if type(message) is VoteReply:
                if message.lost_entries and not message.granted:
                    self._site.marks.reach(marks.AMNESIAC_REFUSED)
                if message.pre and message.granted:
                    assert self.replica is not None
                    self.claims.check_pre_vote(message, self.replica.raft)
            elif type(message) is ConfirmAsk:
                self._site.checks.promised.asks_leader(message, self._world.now_ns)
            elif type(message) is ConfirmReply:
                assert self.replica is not None
                self._site.checks.confirms(message, self.replica.raft)
            elif type(message) is Heartbeat:
                self._site.checks.promised.round_sent(message.term, message.round, self._world.now_ns)
        self._site.network.send(messages)

    def answer(self, connection: int, replies: Sequence[Answer]) -> None:
        assert self.replica is not None
        self._site.checks.promised.answered(self.replica, connection, replies)
        self._site.connections.answer(connection, replies)

    def close(self, connection: int) -> None:
        self._site.connections.close(connection)

    # --- what its storage does -------------------------------------------------------------------------------------

    def wrote(self, write: Write) -> None:
        assert self.replica is not None
        self.claims.wrote(write, self.replica.raft.term)
        self._site.checks.wrote(self.member, write)
        if write.reset_to is not None:
            self._site.marks.reach(marks.SNAPSHOT_INSTALLED)

    def on_snapshotting(self, meta: SnapshotMeta) -> None:
        self.claims.check_snapshot(meta.index, meta.term)
        self._site.checks.quorums.configs.check_snapshot(self.member, meta)

    def on_receiving(self, *, is_last: bool) -> None:
        self._site.on_receiving(self, is_last=is_last)

    def on_sending(self, work: ChunkWanted, count: int) -> None:
        """Whoever wants more than there is begins again and again, and wants it again."""
        if count and work.number >= count:
            sentence = f"member {self.member} is asked for slice {work.number} of a snapshot of {count} by member {work.target}"
            raise PromiseBroken("snapshot-ends", sentence, (work.meta,))

    def on_written(self, writes: Sequence[Write], *, in_turn: bool) -> None:
        assert self._driver is not None
        self.inbox.persisted = self._driver.on_written(writes)
        assert self.replica is not None
        raft = self.replica.raft
        commits = raft.role != FOLLOWER and (not in_turn or has_quorum(raft.config, raft.member.__eq__))
        if commits or raft.lost_entries or self._site.quantum_ns < UNHURRIED_NS:
            self.soon()

    # --- what can be done to it ------------------------------------------------------------------------------------

    def crash_in_write(self, operations: int, *, everyone: bool, down_ns: int, in_sync: bool = False) -> bool:
        if not self.is_up() or self._cut_down_ns >= 0:
            return False
        (self.disk.cut_in_sync if in_sync else self.disk.cut_at)(self.disk.operations + operations)
        self._cut_down_ns = down_ns
        self._cut_everyone = everyone
        return True

    def fail_fsync(self, down_ns: int) -> None:
        self.disk.fail_next_sync()
        self._cut_down_ns = down_ns

    def refuse_syncs(self, count: int, *, of_journals: bool) -> None:
        if not self.disk.sync_failures:
            self.disk.fail_next_sync(count, full=True, folder=JOURNAL_FOLDER if of_journals else "")

    def slow_disk(self, sync_ms: int) -> None:
        """0: at its own speed again."""
        self._slow_ms = sync_ms
        self.disk.slow_factor = self._disk_factor if not sync_ms else sync_ms / 0.3

    def fill_disk(self, *, full: bool) -> None:
        if not full:
            self.disk.capacity = None
            return
        self.disk.capacity = 1 << 40
        used = self.disk.capacity - self.disk.free_bytes()
        self.disk.capacity = used + int(self._chance.random() * 2 * self._site.wal_settings.segment_bytes)

    def set_clock_rate(self, ppm: int) -> None:
        self.clock.set_rate(ppm)

    def jump_wall(self, by_ms: int) -> None:
        self.clock.jump_wall(by_ms)
