"""A random schedule for one to five raft cores, and what must hold whatever happens. The seed decides everything."""

import random
from collections.abc import Sequence

from coordnode.errors import Refused
from coordnode.ids import Index, MemberId, Term
from coordnode.raft.entry import Config, Entry
from coordnode.raft.messages import Message
from coordnode.raft.ready import Ready
from coordnode.raft.state import LEADER, Timing
from tests.unit.raft.fake_disk import FIRST_INDEX, FakeDisk, first_snapshot
from tests.unit.raft.fake_member import FakeMember, chain_after

TIMING = Timing(election_ticks_min=5, election_ticks_max=10, heartbeat_ticks=2, stuck_ticks=12, chunk_retry_ticks=4)
CONVERGE_ROUNDS_MAX = 400


class RandomCluster:
    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.seed = seed
        voters = tuple(MemberId(number) for number in range(1, rng.choice((1, 2, 3, 3, 3, 4, 5, 5)) + 1))
        self.everyone = tuple(MemberId(number) for number in range(1, rng.randint(len(voters), 5) + 1))
        self.with_rot = len(voters) >= 3 and rng.random() < 0.5
        self.voters_min = 3 if self.with_rot else 1
        self.members: dict[MemberId, FakeMember] = {}
        for member in self.everyone:
            disk = FakeDisk(first_snapshot(voters) if member in voters else None)
            self.members[member] = FakeMember(member, disk, TIMING, random.Random(seed * 100 + member))
        self.network: list[Message] = []
        self.cut: set[tuple[MemberId, MemberId]] = set()
        self.loss = rng.choice((0.0, 0.02, 0.1, 0.3))
        self.duplication = rng.choice((0.0, 0.05, 0.2))
        self.next_read = 0
        self.reads: dict[tuple[MemberId, int], Index] = {}  # what was committed when it was asked
        self.proposed = 0

        # What is known by whoever sees everything.
        self.committed: list[tuple[Entry, Term]] = []  # each entry, and the term in which it was first seen to be committed
        self.chains: dict[Index, int] = {FIRST_INDEX: 0}
        self.entries: dict[tuple[int, int], tuple[int, int, bytes]] = {}  # (index, term) -> (term before it, kind, data)
        self.leaders: dict[Term, MemberId] = {}
        self.marks: dict[str, int] = {}

    def mark(self, what: str) -> None:
        self.marks[what] = self.marks.get(what, 0) + 1

    # --- the schedule ----------------------------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
        self.converge()

    def step(self) -> None:
        rng = self.rng
        member = self.members[rng.choice(self.everyone)]
        if not member.running:
            if rng.random() < 0.3:
                member.start()
                self.mark("restart")
            return
        dice = rng.random()
        if dice < 0.40:
            self.turn(member, self.some_messages(member), ticks=rng.choice((0, 0, 1, 1, 3)), writes=rng.choice((0, 1, 1, 5)))
        elif dice < 0.50:
            for each in self.members.values():
                if each.running:
                    self.turn(each, self.some_messages(each), ticks=1, writes=9)
        elif dice < 0.68:
            leaders = [each for each in self.members.values() if each.running and each.raft.role == LEADER]
            self.ask(rng.choice(leaders or [member]))
        elif dice < 0.70:
            self.turn(member, [], ticks=rng.randint(1, 8), writes=0)
        elif dice < 0.73:
            if member.snapshot(keep=rng.choice((0, 1, 3))) is not None:
                self.mark("snapshot")
        elif dice < 0.745:
            self.crash(member)
        elif dice < 0.765:
            self.partition()
        elif dice < 0.78:
            member.raft.on_peer_gone(rng.choice(self.everyone))  # whether it is true or not
        else:
            self.turn(member, self.some_messages(member), ticks=0, writes=9)

    def some_messages(self, member: FakeMember) -> list[Message]:
        """Any that are under way, in any order; some are doubled, some are lost."""
        rng = self.rng
        mine = [message for message in self.network if message.target == member.member]
        if not mine:
            return []
        count = rng.randint(1, min(len(mine), 6))
        chosen = mine[:count] if rng.random() < 0.7 else rng.sample(mine, count)
        for message in chosen:
            if rng.random() >= self.duplication:
                self.network.remove(message)
        return chosen

    def turn(self, member: FakeMember, messages: list[Message], *, ticks: int, writes: int) -> None:
        ready = member.turn(finish_writes=writes, messages=messages, ticks=ticks, chunks=self.rng.random() < 0.6)
        self.check(member, ready)

    def ask(self, member: FakeMember) -> None:
        rng = self.rng
        raft = member.raft
        if raft.role != LEADER:
            return
        dice = rng.random()
        try:
            if dice < 0.6:
                for _ in range(rng.randint(1, 4)):
                    self.proposed += 1
                    raft.propose(b"x%d" % self.proposed)
            elif dice < 0.8:
                self.next_read += 1
                self.reads[member.member, self.next_read] = Index(FIRST_INDEX + len(self.committed))
                raft.read(self.next_read)
            elif dice < 0.87:
                raft.transfer(rng.choice(self.everyone))
                self.mark("transfer")
            else:
                raft.propose_config(self.random_config())
                self.mark("config change")
        except Refused:
            self.mark("refused")
        self.check(member, member.carry_out())

    def random_config(self) -> Config:
        rng = self.rng
        shuffled = rng.sample(self.everyone, len(self.everyone))
        count = rng.randint(min(self.voters_min, len(shuffled)), len(shuffled))
        learners = shuffled[count : count + rng.randint(0, 2)]
        return Config(voters=tuple(sorted(shuffled[:count])), learners=tuple(sorted(learners)))

    def crash(self, member: FakeMember) -> None:
        member.crash(self.rng)
        self.mark("crash")
        for key in [key for key in self.reads if key[0] == member.member]:
            del self.reads[key]
        lost = sum(1 for other in self.members.values() if other.disk.hard_state.lost_entries)
        if self.with_rot and lost == 0 and self.rng.random() < 0.6 and member.disk.snapshot is not None:
            member.disk.rot(self.rng)
            self.mark("rot")

    def partition(self) -> None:
        rng = self.rng
        if self.cut or rng.random() < 0.3:
            self.cut = set()
            return
        side = rng.sample(self.everyone, rng.randint(1, len(self.everyone)))
        for source in self.everyone:
            for target in self.everyone:
                if (source in side) != (target in side) and rng.random() < 0.9:
                    self.cut.add((source, target))

    # --- what must hold --------------------------------------------------------------------------------------------

    def check(self, member: FakeMember, ready: Ready) -> None:
        rng = self.rng
        for message in member.sent:
            if (message.source, message.target) not in self.cut and rng.random() >= self.loss:
                self.network.append(message)
        member.sent.clear()
        if ready.write is not None:
            self.check_log(member, ready.write.entries)
        if ready.restore is not None:
            self.mark("installed")
            assert self.chains[ready.restore.index] == ready.restore.chain, "a snapshot holds another state"
        for entry in ready.committed:
            self.check_committed(member, entry)
        if member.raft.role == LEADER:
            self.check_leader(member)
        for read, index in ready.reads:
            asked_at = self.reads.pop((member.member, read))
            assert index >= asked_at, f"read {read} was confirmed at {index}, but {asked_at} was committed when it was asked"
            self.mark("read")
        for read in ready.reads_lost:
            del self.reads[member.member, read]
        if member.raft.config.is_joint():
            self.mark("joint")

    def check_log(self, member: FakeMember, entries: Sequence[Entry]) -> None:
        for entry in entries:
            before = member.raft.log.term_at(Index(entry.index - 1))
            assert before is not None
            known = self.entries.setdefault((entry.index, entry.term), (before, entry.kind, entry.data))
            assert known == (before, entry.kind, entry.data), f"two logs differ at ({entry.index}, {entry.term})"

    def check_committed(self, member: FakeMember, entry: Entry) -> None:
        position = entry.index - FIRST_INDEX - 1
        if position == len(self.committed):
            self.committed.append((entry, member.raft.term))
            self.chains[entry.index] = chain_after(self.chains[Index(entry.index - 1)], entry)
            return
        assert position < len(self.committed)
        assert self.committed[position][0] == entry, f"member {member.member} committed another entry {entry.index}"

    def check_leader(self, member: FakeMember) -> None:
        raft = member.raft
        leader = self.leaders.get(raft.term)
        assert leader in (None, member.member), f"members {leader} and {member.member} both lead term {raft.term}"
        if leader is not None:
            return
        self.leaders[raft.term] = member.member
        self.mark("leader")
        for entry, term in self.committed:
            if term < raft.term and entry.index > raft.log.base_index:
                assert raft.log.term_at(entry.index) == entry.term, f"leader of term {raft.term} lacks committed {entry.index}"

    # --- after all faults stopped ----------------------------------------------------------------------------------

    def converge(self) -> None:
        self.cut = set()
        self.loss = 0.0
        self.duplication = 0.0
        for member in self.members.values():
            if not member.running:
                member.start()
        wanted = Index(0)
        for _ in range(CONVERGE_ROUNDS_MAX):
            self.calm_round()
            leader = self.settled_leader()
            if leader is None:
                continue
            if wanted and all(member.raft.committed >= wanted for member in self.needed(leader)):
                self.check_converged(leader)
                return
            if not wanted or leader.raft.log.last_index() < wanted:
                wanted = leader.raft.propose(b"last")
                self.check(leader, leader.carry_out())
        raise AssertionError(f"no convergence: {self.describe()}")

    def calm_round(self) -> None:
        for member in self.members.values():
            mine = [message for message in self.network if message.target == member.member]
            self.network = [message for message in self.network if message.target != member.member]
            self.check(member, member.turn(finish_writes=9, messages=mine, ticks=1, chunks=True))
            self.check(member, member.turn(finish_writes=9, chunks=True))

    def needed(self, leader: FakeMember) -> list[FakeMember]:
        return [self.members[member] for member in leader.raft.config.members()]

    def settled_leader(self) -> FakeMember | None:
        leaders = [member for member in self.members.values() if member.raft.role == LEADER]
        if not leaders:
            return None
        leader = max(leaders, key=lambda member: member.raft.term)
        raft = leader.raft
        if raft.config.is_joint() or not raft.has_own_term_committed() or raft.transferee:
            return None
        return None if any(member.raft.lost_entries for member in self.needed(leader)) else leader

    def check_converged(self, leader: FakeMember) -> None:
        for member in self.needed(leader):
            assert member.chain == self.chains[member.applied]
            assert member.raft.config == leader.raft.config
        assert not [key for key in self.reads if key[0] == leader.member], "a read was neither confirmed nor lost"

    def describe(self) -> str:
        return "; ".join(
            f"{member.member}: role {raft.role} term {raft.term} last {raft.log.last_index()} committed {raft.committed} "
            f"persisted {raft.persisted} lost {raft.lost_entries} stateless {raft.stateless} leader {raft.leader} "
            f"voters {raft.config.voters} outgoing {raft.config.outgoing} learners {raft.config.learners} "
            f"progress {[(peer, p.state, p.match, p.next_index, p.probe_sent, p.chunk_number) for peer, p in raft.progress.items()]}"
            for member in self.members.values()
            for raft in (member.raft,)
        )
