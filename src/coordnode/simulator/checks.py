"""Watches every member after every turn: leaders, logs, commits and states, each through the check of that name in checking/."""

from collections.abc import Callable

from coordnode.checking.cluster import CommittedEntries, LogMatching, OneLeaderPerTerm, StateAgreement
from coordnode.errors import CoordError, PromiseBroken
from coordnode.ids import Index, MemberId, Term
from coordnode.raft.core import Raft
from coordnode.raft.entry import CONFIG, Config, Entry, decode_config
from coordnode.raft.messages import ConfirmReply
from coordnode.raft.ready import Write
from coordnode.raft.state import LEADER
from coordnode.replica.replica import Replica
from coordnode.services.machine import Machine
from coordnode.simulator import faults, marks
from coordnode.simulator.marks import Marks
from coordnode.simulator.promised import Promised
from coordnode.simulator.quorums import Quorums
from coordnode.simulator.reference import Reference
from coordnode.simulator.world import World

REFERENCE = MemberId(0)  # whom the checks name when a member differs from the reference


class Seen:
    """How far one life of one member was looked at."""

    __slots__ = ("applied", "boots", "committed", "last_index", "leads", "machine", "persisted", "round")

    def __init__(self) -> None:
        self.applied = -1
        self.boots: dict[MemberId, int] = {}  # of others, as it knew them while it led
        self.committed = 0
        self.leads = Term(0)  # the newest term it was seen to lead
        self.last_index = Index(0)  # of its log, while it led
        self.persisted = Index(0)
        self.machine: object = None
        self.round = 0  # of reads, while it led


class Checks:
    def __init__(self, world: World, reference: Reference, marks_: Marks) -> None:
        self.leader = REFERENCE  # who led last, in the newest term
        self.leader_term = Term(0)
        self.leaders = 0  # terms that had a leader
        self.leads_since_ns = 0
        self._committed_before: dict[Term, int] = {}  # by term: what was committed when its leader was elected
        self.quorums = Quorums()
        self.promised = Promised(reference, marks_)
        self.flipped: dict[MemberId, int] = {}  # whose state in memory changed by itself -> what it had applied then
        self.on_flipped_leads: Callable[[MemberId], None] = lambda member: None
        self.on_moment: Callable[[str], None] = lambda strike: None  # a fault may wait for it
        self._joint_index = Index(0)  # of the newest joint configuration that anybody wrote
        self._world = world
        self._reference = reference
        self._marks = marks_
        self._one_leader = OneLeaderPerTerm()
        self._committed = CommittedEntries()
        self._matching = LogMatching()
        self._agreement = StateAgreement()
        self._joint_begun_in = Term(0)  # term of the joint configuration that is not left yet
        self._last_config: Config | None = None
        # What equal states come to is equal: the digest made anew, by whole state; what is restored, by the slices of a snapshot.
        self._recomputed: dict[bytes, int] = {}
        self._restored: dict[tuple[bytes, ...], tuple[int, bytes]] = {}

    # --- facts -----------------------------------------------------------------------------------------------------

    def wrote(self, member: MemberId, write: Write) -> None:
        """It hands these to its disk: the moment at which entries become part of its log."""
        self.quorums.configs.wrote(member, write)
        if write.entries:
            self.promised.wrote(write.entries)
        observe = self._matching.observe
        for entry in write.entries:
            observe(member, entry.index, entry.term, entry)
            if entry.kind == CONFIG and entry.index > self._joint_index and decode_config(entry.data).is_joint():
                self._joint_index = entry.index
                self.on_moment(faults.STRIKE_JOINT)
        if write.truncate_from:
            self._marks.reach(marks.ENTRIES_TRUNCATED)

    def turned(self, replica: Replica, seen: Seen) -> None:
        raft = replica.raft
        if raft.persisted != seen.persisted:
            seen.persisted = raft.persisted
            self.quorums.on_persisted(raft)
        if raft.rounds and raft.rounds[-1][0] != seen.round:
            self._on_round(raft, seen)
        configs = self.quorums.configs
        if configs.agreed[replica.member] is not raft.config:
            configs.check(raft)
        if raft.role == LEADER:
            if raft.term != seen.leads:
                seen.leads = raft.term
                self._on_leader(replica)
            elif raft.committed > seen.committed:
                self.quorums.on_committed(raft, seen.last_index, seen.boots)
            if raft.boots != seen.boots:
                self.quorums.on_restarts(raft, seen.boots)
            seen.last_index = raft.log.last_index()
            configs.check_leader(raft)
            self.promised.leads(raft)
        if raft.committed > seen.committed:
            self._on_committed(replica.member, raft, seen)
        if replica.applied != seen.applied or replica.machine is not seen.machine:
            self._on_applied(replica, seen)
        if self.promised.said_over or self.promised.said_changed:
            self.promised.check_said()

    def _on_leader(self, replica: Replica) -> None:
        raft = replica.raft
        log = raft.log
        self._one_leader.observe(raft.term, replica.member)
        if replica.member in self.flipped:
            self.on_flipped_leads(replica.member)  # before it answers from it: what a wrong leader says is beyond what is promised
        self._committed_before[raft.term] = int(self._reference.applied)
        self.quorums.on_elected(raft)
        if raft.term > self.leader_term:
            self.leader_term = self.promised.newest_term = raft.term
            self.leader = replica.member
            self.leaders += 1
            self.leads_since_ns = self._world.now_ns
            self.on_moment(faults.STRIKE_ELECTED)
            if raft.config.is_joint():
                self._marks.reach(marks.ELECTION_WHILE_JOINT)

        def entry_at(index: int) -> tuple[int, Entry]:
            entry = log.entries[index - log.base_index - 1]
            return entry.term, entry

        self._committed.observe_leader(replica.member, raft.term, log.base_index + 1, log.last_index(), entry_at)

    def _on_round(self, raft: Raft, seen: Seen) -> None:
        """Reads that wait for it are answered from a state that has whatever was committed before this leader was elected, and whatever
        it knew to be committed when the round began."""
        seen.round, index, _ = raft.rounds[-1]
        if raft.term == seen.leads and index < seen.committed:
            sentence = f"member {raft.member} begins to confirm reads at index {index}; it knows {seen.committed} to be committed"
            raise PromiseBroken("read-index", sentence, (raft.member, raft.term, seen.round, index, seen.committed))
        before = self._committed_before.get(raft.term, int(self._reference.applied))
        if index < before:
            sentence = f"member {raft.member} begins to confirm reads at {index}; {before} was committed before it led term {raft.term}"
            raise PromiseBroken("read-index", sentence, (raft.member, raft.term, seen.round, index, before))

    def _on_committed(self, member: MemberId, raft: Raft, seen: Seen) -> None:
        log = raft.log
        reference = self._reference
        known = reference.entries
        if raft.committed > log.last_index():
            sentence = f"member {member} holds {raft.committed} to be committed; its log ends at {log.last_index()}"
            raise PromiseBroken("committed-entries", sentence, (member, raft.committed, log.last_index()))
        first = max(seen.committed, int(log.base_index)) + 1
        seen.committed = raft.committed
        for index in range(first, raft.committed + 1):
            entry = log.entries[index - log.base_index - 1]
            if index <= len(known):
                if known[index - 1] is not entry:
                    self._committed.observe(member, raft.term, index, entry.term, entry)
                continue
            self._committed.observe(member, raft.term, index, entry.term, entry)
            if index != len(known) + 1:
                sentence = f"member {member} commits {index}; nobody has seen {len(known) + 1}"
                raise PromiseBroken("committed-entries", sentence, (member, index))
            reference.apply(entry, self._world.now_ns)
            if entry.kind == CONFIG:
                self._on_config(raft, entry)
        if first <= raft.committed:
            entry = log.entries[raft.committed - log.base_index - 1]
            self._committed.observe(member, raft.term, raft.committed, entry.term, entry)

    def _on_config(self, raft: Raft, entry: Entry) -> None:
        config = decode_config(entry.data)
        if config.is_joint():
            self._joint_begun_in = entry.term
        elif self._joint_begun_in:
            if entry.term != self._joint_begun_in:
                self._marks.reach(marks.JOINT_LEFT_BY_ANOTHER)
            self._joint_begun_in = Term(0)
        self._last_config = config

    def _on_applied(self, replica: Replica, seen: Seen) -> None:
        machine = replica.machine
        seen.machine = machine
        seen.applied = replica.applied
        if machine is None:
            return
        applied = replica.applied
        reference = self._reference
        if applied > reference.applied:
            raise PromiseBroken("committed-entries", f"member {replica.member} applied {applied}, which is not committed", (applied,))
        if self.flipped and replica.member in self.flipped:
            if machine.digest == reference.digests[applied]:
                del self.flipped[replica.member]
            return
        if machine.digest != reference.digests[applied]:
            self._agreement.observe(REFERENCE, applied, reference.digests[applied])
            self._agreement.observe(replica.member, applied, machine.digest)

    def confirms(self, reply: ConfirmReply, raft: Raft) -> None:
        """A leader tells a member how far it must come: before it votes again, when it lost entries; before it answers a read."""
        self.promised.confirms(reply, raft, self._world.now_ns)
        before = self._committed_before.get(reply.term, int(self._reference.applied))
        if reply.commit < before:
            raise PromiseBroken(
                "confirmed-commit",
                f"member {reply.source} tells member {reply.target}, which asked, that {reply.commit} is the last committed entry; "
                f"{before} was before it led",
                (reply, before),
            )

    # --- in the end ------------------------------------------------------------------------------------------------

    def note_reference(self) -> None:
        """What every member's whole state must be equal to."""
        machine = self._reference.machine
        self._agreement.observe(REFERENCE, machine.applied, machine.digest, machine.dump())
        self._recomputed.clear()
        self._restored.clear()

    def compare_whole(self, replica: Replica) -> None:
        """The state itself, not only its digest; and the digest made anew from it; and what a snapshot gives back."""
        machine = replica.machine
        assert machine is not None
        reference = self._reference
        member = replica.member
        if member in self.flipped:
            self._check_flipped(member, machine.settings.digest_every)
            return
        assert replica.applied == reference.applied
        dump = machine.dump()
        recomputed = self._recomputed.get(dump)
        if recomputed is None:
            recomputed = self._recomputed[dump] = machine.recompute_digest()
        if recomputed != machine.digest:
            raise PromiseBroken("digest", f"the digest of member {member} is not that of its state", (replica.applied, machine.digest))
        self._agreement.observe(member, replica.applied, machine.digest, dump)
        if self._restore(member, tuple(machine.snapshot())) != (machine.digest, dump):
            raise PromiseBroken("snapshot", f"what a snapshot of member {member} restores is not its state", (replica.applied,))

    def _restore(self, member: MemberId, slices: tuple[bytes, ...]) -> tuple[int, bytes]:
        """Digest and whole state."""
        known = self._restored.get(slices)
        if known is None:
            try:
                restored = Machine.restore(slices)
            except CoordError as error:
                sentence = f"what a snapshot of member {member} holds is refused by its own restoring: {error.sentence}"
                raise PromiseBroken("snapshot", sentence, (self._reference.applied,)) from error
            known = self._restored[slices] = restored.digest, restored.dump()
        return known

    def _check_flipped(self, member: MemberId, digest_every: int) -> None:
        """It is still wrong: that is right only as long as members have not compared their states since."""
        since, applied = self.flipped[member], int(self._reference.applied)
        if applied // digest_every > since // digest_every:
            sentence = f"member {member} is wrong since index {since}, applied {applied}, and compares every {digest_every}: nobody told it"
            raise PromiseBroken("divergence-heals", sentence, (member, since, applied))

    def committed(self) -> int:
        """The last index that anybody knows to be committed."""
        return int(self._reference.applied)

    def committed_config(self) -> Config | None:
        return self._last_config
