"""All members of one seed, their world around them, and what operators and faults may do to them."""

from collections.abc import Callable, Sequence

import msgspec

from coordnode.checking.promises import SessionLife, WatchOrder
from coordnode.client.actions import Finished, SessionChanged, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.calls import AdministrativeAsk
from coordnode.errors import PromiseBroken
from coordnode.formats import LEVEL_MAX
from coordnode.ids import ClusterId, Index, MemberId, SessionId, Term
from coordnode.raft.entry import Config, SnapshotMeta
from coordnode.raft.messages import Message
from coordnode.raft.state import Timing
from coordnode.replica.config import ReplicaConfig
from coordnode.services.dialogue import TransferAsk
from coordnode.services.machine import Machine
from coordnode.services.state import Settings as MachineSettings
from coordnode.simulator import marks
from coordnode.simulator.checks import Checks
from coordnode.simulator.client import SimClient
from coordnode.simulator.clock import HostClock
from coordnode.simulator.cluster_operator import Operator
from coordnode.simulator.connections import Connections, MemberEnd
from coordnode.simulator.damage import Damages
from coordnode.simulator.disk import SimDisk
from coordnode.simulator.injector import SnapshotCut, Victim
from coordnode.simulator.marks import Marks
from coordnode.simulator.member import DOWN, REFUSED, SimMember
from coordnode.simulator.network import PeerNetwork
from coordnode.simulator.recording import Recording
from coordnode.simulator.reference import Reference
from coordnode.simulator.services import SERVICES
from coordnode.simulator.vocabulary import Vocabulary
from coordnode.simulator.workload import Workload
from coordnode.simulator.world import MILLISECOND, SECOND, World
from coordnode.storage.block import Identity
from coordnode.storage.journals import blob_path
from coordnode.storage.recovery import Genesis, Recovered, create_folder
from coordnode.storage.wal import Settings as WalSettings
from coordnode.wire.bodies import decode_messages, encode_messages
from coordnode.wire.frames import FrameReader

CLUSTER = ClusterId(77)
VOCABULARY = Vocabulary([kind.WORDS for kind in SERVICES])
CREATED_UNIX_S = 1_800_000_000
KIB = 1024
SEGMENT_BYTES = (16 * KIB, 32 * KIB, 64 * KIB, 128 * KIB)  # small: segments come, go and run out all the time
SPARE_HOSTS = 4  # members that may join in the course of a seed
GIVEN_UP_AFTER_NS = 5 * SECOND  # a removed member goes on for a while: it must not disturb
OPERATOR_LOOKS_NS = 250 * MILLISECOND
OPERATOR_DEADLINE_MS = 4_000
LEVELS = (1, LEVEL_MAX)
NEWEST_LEVEL_SHARE = 0.75  # of seeds have the newest one from the beginning: services of it are met in time
REQUEST_IDS_MAX = (16_384, 300)  # of the second many are forgotten; yet of no client's that may still be sent again
DISK_FACTORS = (1.0, 8.0, 60.0)
UNEQUAL_DISKS_SHARE = 0.35  # of seeds have disks of different speed: a peer's may be done before the leader's own
SNAPSHOT_PACES_NS = (MILLISECOND // 10, MILLISECOND // 10, 40 * MILLISECOND)  # slow: much is applied between two slices
OPPOSED_RATES_SHARE = 0.25  # of seeds: every member's clock runs as fast as it may, every client's as slow
THROUGH_WIRE_SHARE = 0.1  # of seeds encode and decode each message between members; in the others the structs travel

REPORT_AGAIN_MS = (100, 100, 1_250)
PUSH_BYTES_PER_TURN = (1, 8 * KIB, 512 * KIB)  # the first: one watch is told in a turn
QUANTA_NS = (MILLISECOND // 4, 2 * MILLISECOND, 4 * MILLISECOND, 4 * MILLISECOND)
"""What reaches a member within it shares a turn: fine in some seeds, as under load in most."""


class Cluster:
    """Implements what member, operator and injector ask of their surroundings."""

    def __init__(self, world: World, *, members: int, operations_max: int) -> None:
        chance = world.stream("cluster")
        self.world = world
        self.marks = Marks()
        self.session_life = SessionLife()
        watch_order = WatchOrder()
        silent_revisions_max = (20, 1_000)[int(world.stream("silent watches").random() * 2)]
        push_bytes_per_turn = PUSH_BYTES_PER_TURN[int(world.stream("shares of pushes").random() * len(PUSH_BYTES_PER_TURN))]
        self.replica_config = msgspec.structs.replace(
            _draw_replica_config(chance.random),
            silent_revisions_max=silent_revisions_max,
            push_bytes_per_turn=push_bytes_per_turn,
            report_again_ms=REPORT_AGAIN_MS[int(world.stream("reports again").random() * len(REPORT_AGAIN_MS))],
        )
        self.quantum_ns = QUANTA_NS[int(chance.random() * len(QUANTA_NS))]
        segment_bytes = SEGMENT_BYTES[int(chance.random() * len(SEGMENT_BYTES))]
        self.wal_settings = WalSettings(segment_bytes=segment_bytes, spares_max=3, free_bytes_min=128 * KIB)
        self.snapshot_pace_ns = SNAPSHOT_PACES_NS[int(world.stream("pace").random() * len(SNAPSHOT_PACES_NS))]
        request_ids_max = REQUEST_IDS_MAX[int(world.stream("request ids").random() * len(REQUEST_IDS_MAX))]
        settings = msgspec.structs.replace(_draw_machine_settings(chance.random), request_ids_max=request_ids_max)
        level = LEVELS[-1] if world.stream("level").random() < NEWEST_LEVEL_SHARE else LEVELS[0]
        machine = Machine.genesis(settings, cluster=CLUSTER, created_unix_s=CREATED_UNIX_S, level=level)
        voters = tuple([MemberId(number) for number in range(1, members + 1)])
        config = Config(voters=voters, contacts=tuple([(voter, f"host-{voter}:7000") for voter in voters]))
        meta = SnapshotMeta(Index(0), Term(0), MemberId(0), 0, config, Index(0))
        self._genesis = Genesis(meta, list(machine.snapshot()))
        self.config = config  # the newest that is committed
        self.reference = Reference(self._genesis.slices, LEVELS[-1], self.marks, self.session_life, watch_order)
        self.checks = Checks(world, self.reference, self.marks)
        self.network = PeerNetwork(world, self._deliver, _through_wire if chance.random() < THROUGH_WIRE_SHARE else None)
        self.members: dict[MemberId, SimMember] = {}
        self._ends: dict[MemberId, MemberEnd] = {}
        self.connections = Connections(world, self._ends)
        self._clock_chance = world.stream("clocks")
        self._opposed_rates = world.stream("rates").random() < OPPOSED_RATES_SHARE
        self._disk_chance = world.stream("disks")
        self._disk_factors = DISK_FACTORS if self._disk_chance.random() < UNEQUAL_DISKS_SHARE else (1.0,)
        self._levels = [LEVELS[int(chance.random() * 1.5)] for _ in range(8)] if chance.random() < 0.5 else [LEVELS[-1]] * 8
        self._host_ids = [MemberId(number) for number in range(1, members + 1 + SPARE_HOSTS)]
        for voter in voters:
            self._add_member(voter, self._genesis).start()
        self._founded_at = [(self.members[voter], self.members[voter].disk.operations) for voter in voters]
        self.damages = Damages(self)
        self.checks.on_flipped_leads = lambda member: self.members[member].discard_state()
        self.recording = Recording(world, self.reference, self.checks, self.marks, self.session_life, watch_order, VOCABULARY)
        self.workload = Workload(
            world,
            self.connections,
            self.recording,
            self.marks,
            members=self._host_ids,
            operations_max=operations_max,
            chance=world.stream("workload"),
            opposed_rates=self._opposed_rates,
        )
        self.reference.on_effect = self.workload.on_effect
        self.operator = Operator(self)
        self._snapshot_cut: SnapshotCut | None = None  # for whoever receives one next
        self._operator_ask: AdministrativeAsk | None = None
        self._operator_client = SimClient(world, self.connections, self, number=0, name="operator", members=self._host_ids, rate_ppm=0)
        world.after(SECOND, self._operator_looks)

    def _add_member(self, member: MemberId, genesis: Genesis | None) -> SimMember:
        chance = self._clock_chance.random
        identity = Identity(CLUSTER, member)
        disk = SimDisk(self.world.stream(f"disk {member}"))
        rate_ppm = (-1_000, 1_000, int(chance() * 2_001) - 1_000)[int(chance() * 3)]
        if self._opposed_rates:
            rate_ppm = 1_000
        start_ms = 1_000 + int(chance() * 1_000_000)
        clock = HostClock(self.world, start_ms=start_ms, rate_ppm=rate_ppm, wall_ms=CREATED_UNIX_S * 1_000 + int(chance() * 10_000))
        create_folder(disk, identity, genesis, self.wal_settings)
        disk.settle()
        disk.take_cost_ns()
        level = self._levels[len(self.members) % len(self._levels)]
        if self.reference.machine.level > level:
            level = int(self.reference.machine.level)
        disk_factor = self._disk_factors[int(self._disk_chance.random() * len(self._disk_factors))]
        created = SimMember(self, identity, disk, clock, level, disk_factor=disk_factor)
        self.members[member] = created
        self._ends[member] = created
        return created

    def _deliver(self, message: Message) -> None:
        target = self.members.get(message.target)
        if target is not None:
            target.receive(message)

    # --- what is asked about it ------------------------------------------------------------------------------------

    def leader(self) -> SimMember | None:
        """Whoever leads in the newest term."""
        best: SimMember | None = None
        for member in self.members.values():
            if member.leads() and (best is None or _term(member) > _term(best)):
                best = member
        return best

    def leading(self) -> MemberId | None:
        leader = self.leader()
        return leader.member if leader is not None else None

    def settled_config(self) -> Config | None:
        leader = self.leader()
        if leader is None:
            return None
        assert leader.replica is not None
        raft = leader.replica.raft
        if raft.config.is_joint() or raft.configs[-1][0] > raft.committed or not raft.has_own_term_committed():
            return None
        return raft.config

    def belonging(self) -> list[SimMember]:
        """Members of the newest committed configuration, in order."""
        config = self.checks.committed_config() or self.config
        return [self.members[member] for member in config.members() if member in self.members]

    def disk_operations(self) -> list[tuple[int, int]]:
        """Of each founding member: the first after it was made, and the last."""
        return [(begun + 1, member.disk.operations) for member, begun in self._founded_at]

    def why_not_converged(self) -> str:
        """What still differs, in words; empty: nothing does."""
        config = self.settled_config()
        if config is None:
            return "there is no leader with a settled configuration"
        if not self.operator.is_idle():
            return "the operator is not done"
        applied = self.reference.applied
        for number in config.members():
            member = self.members[number]
            replica = member.replica
            if not member.is_serving() or replica is None:
                return f"member {number} is {member.state}"
            raft = replica.raft
            if replica.machine is None or replica.applied != applied or raft.log.last_index() != applied:
                return f"member {number} applied {replica.applied} of {applied}, its log ends at {raft.log.last_index()}"
            if raft.lost_entries:
                return f"member {number} has not regained what it lost"
            if not member.is_done_writing():
                return f"member {number} still writes beside its log"
        return self.workload.why_not_quiet()

    # --- Site of the members ---------------------------------------------------------------------------------------

    def power_lost(self, member: SimMember, down_ns: int) -> None:
        self._power_loss(down_ns)

    def on_opened(self, member: SimMember, recovered: Recovered) -> None:
        for line in recovered.report:
            if line.startswith("torn tail"):
                self.marks.reach(marks.TORN_TAIL)
        self.damages.on_opened(member, recovered)

    def on_ended(self, member: SimMember) -> None:
        self.network.hang_up(member.member, list(self.members), lambda target: self.members[target].on_peer_gone(member.member))

    def on_turned(self, member: SimMember) -> None:
        if self.damages.hurt:
            self.damages.look(member)

    def on_receiving(self, member: SimMember, *, is_last: bool) -> None:
        cut = self._snapshot_cut
        if cut is not None and is_last == cut.in_last:
            self._snapshot_cut = None
            member.crash_in_write(cut.operations, everyone=False, down_ns=cut.down_ns)

    # --- Cluster of the injector -----------------------------------------------------------------------------------

    def victims(self) -> list[Victim]:
        return [member for member in self.belonging() if member.state != REFUSED]

    def client_names(self) -> list[str]:
        return [client.name for client in self.workload.clients]

    def silence_client(self, draw: int, lasting_ns: int) -> bool:
        clients = self.workload.clients
        client = clients[draw % len(clients)]
        if client.is_silent():
            return False
        client.fall_silent()
        self.world.after(lasting_ns, client.go_on)
        return True

    def power_loss(self) -> None:
        if self.reference.applied:
            self.marks.reach(marks.POWER_LOST_WITH_DATA)
        for member in self.members.values():
            member.crash(power=True)

    def _power_loss(self, down_ns: int) -> None:
        up = [member for member in self.members.values() if member.is_up()]
        self.power_loss()
        for member in up:
            self.world.after(down_ns, member.start)

    def flip_state(self, victim: Victim) -> bool:
        return self.damages.flip_state(self.members[victim.member])

    def rot_journal(self, victim: Victim, draw: int) -> bool:
        return self.damages.rot_journal(self.members[victim.member], draw)

    def on_rot_found(self, member: SimMember) -> None:
        self.marks.reach(marks.JOURNAL_ROT_FOUND)

    def check_journals(self, member: SimMember) -> None:
        """Its files hold what was told: all that its state stands on, but for what rotted and was not found."""
        replica = member.replica
        assert replica is not None
        assert replica.machine is not None
        for blob in replica.machine.blobs():
            path = blob_path(blob.id)
            found = member.disk.open(path).read(0, blob.size) if member.disk.exists(path) else b""
            if found != self.reference.blobs[blob.id][: blob.size] and blob.id not in member.rotten:
                sentence = f"member {member.member} has {len(found)} bytes of blob {blob.id}, or others than were told"
                raise PromiseBroken("journal-files", sentence, (blob, len(found)))

    def rot(self, kind: str, victim: Victim, draw: int, down_ns: int) -> bool:
        return self.damages.rot(kind, self.members[victim.member], draw, down_ns)

    def cut_next_snapshot(self, cut: SnapshotCut) -> None:
        self._snapshot_cut = cut

    def is_changing(self) -> bool:
        return self.operator.is_changing()

    # --- Site of the operator --------------------------------------------------------------------------------------

    def _operator_looks(self) -> None:
        self.operator.look()
        self.world.after(OPERATOR_LOOKS_NS, self._operator_looks)

    def refused_to_start(self) -> list[MemberId]:
        return [member.member for member in self.belonging() if member.state == REFUSED]

    def members_damaged(self) -> int:
        return len(self.damages.hurt)

    def new_member(self) -> MemberId | None:
        for member in self._host_ids:
            if member not in self.members:
                self._add_member(member, None).start()
                return member
        return None

    def give_up_member(self, member: MemberId) -> None:
        self.world.after(GIVEN_UP_AFTER_NS, self._give_up, member)

    def _give_up(self, member: MemberId) -> None:
        """Unless it was taken in again, or still may be."""
        config = self.settled_config()
        if config is None or self.operator.is_changing():
            self.world.after(SECOND, self._give_up, member)
            return
        found = self.members.get(member)
        if found is not None and member not in config.members():
            if found.state == REFUSED:
                self.marks.reach(marks.MEMBER_REPLACED)
            found.crash(power=False)
            found.state = REFUSED
            self.damages.forget(member)

    def upgrade_all(self) -> None:
        for member in self.members.values():
            if member.level < LEVELS[-1]:
                member.level = LEVELS[-1]
                member.crash(power=False)
                self.world.after(300 * MILLISECOND, member.start)

    def administer(self, ask: AdministrativeAsk) -> None:
        client = self._operator_client
        now_ms = client.clock.own_ms()
        self._operator_ask = ask
        client.core.administer(ask, now_ms, deadline_ms=now_ms + OPERATOR_DEADLINE_MS)
        client.poll()

    # --- owner of the operator's client ----------------------------------------------------------------------------

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        ask = self._operator_ask
        if isinstance(ask, TransferAsk) and finished.error is None and self.leading() == ask.target:
            self.marks.reach(marks.TRANSFER_DONE)
        self._operator_ask = None
        self.operator.on_finished()

    def on_session(self, client: SimClient, changed: SessionChanged) -> None:
        raise AssertionError("the operator opens no session")

    def on_watch(self, client: SimClient, seen: WatchEvents | WatchGapSeen | WatchFailed) -> None:
        raise AssertionError("the operator watches nothing")

    def on_renewing(self, client: SimClient, sessions: Sequence[SessionId]) -> None:
        raise AssertionError("the operator keeps no session")

    def on_belief(self, client: SimClient, session: SessionId, until_ms: int) -> None:
        raise AssertionError("the operator keeps no session")

    # --- the second phase ------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Everyone runs who can; faults are over already."""
        self.operator.forget_wishes()
        self._snapshot_cut = None
        for member in self.members.values():
            member.fill_disk(full=False)
            member.slow_disk(0)
            member.resume()
            if member.state == DOWN:
                member.start()
        for client in self.workload.clients:
            client.go_on()


def _through_wire(message: Message) -> Message:
    reader = FrameReader()
    frames = [frame for sent in encode_messages([message]) for frame in reader.feed(bytes(sent))]
    assert len(frames) == 1
    (received,) = decode_messages(frames[0])
    return received


def _term(member: SimMember) -> Term:
    assert member.replica is not None
    return member.replica.raft.term


def _draw_replica_config(chance: Callable[[], float]) -> ReplicaConfig:
    snapshot_entries = (60, 180, 600)[int(chance() * 3)]
    # Mostly the coarser tick: the rules count ticks, and half as many leave time for twice as many seeds.
    per_second = (10, 10, 10, 20)[int(chance() * 4)]
    return ReplicaConfig(
        tick_ms=1_000 // per_second,
        timing=Timing(
            election_ticks_min=per_second // 2,
            # Little between least and most: candidates meet, and elections are torn.
            election_ticks_max=per_second // 2 + (per_second // 2, per_second // 2, 1)[int(chance() * 3)],
            heartbeat_ticks=1 + int(chance() * (per_second // 5)),
            stuck_ticks=2 * per_second,
            chunk_retry_ticks=per_second // 2,
        ),
        snapshot_entries=snapshot_entries,
        snapshot_log_bytes=4096 * KIB,
        keep_entries=(2, 20, 100)[int(chance() * 3)],
        entry_work_max=(16, 1024)[int(chance() * 2)],
        apply_work_per_turn=(16, 8192)[int(chance() * 2)],
    )


def _draw_machine_settings(chance: Callable[[], float]) -> MachineSettings:
    return MachineSettings(
        history_count_max=(100, 400, 65_536)[int(chance() * 3)],
        history_bytes_max=512 * KIB,
        history_group_count_max=(4, 64)[int(chance() * 2)],
        dedupe_entries_max=(16, 1024)[int(chance() * 2)],
        digest_every=(8, 64)[int(chance() * 2)],
        expire_sessions_max=(1, 1_000)[int(chance() * 2)],
    )
