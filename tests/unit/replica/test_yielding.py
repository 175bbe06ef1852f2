"""A leader that cannot do what it has to, by its disk or because its state is not there yet: another one leads, and no session is lost."""

import random

import pytest

from coordnode.errors import LeadershipLost
from coordnode.ids import Index, MemberId, Sequence, SessionId
from coordnode.limits import BLOBS_UNWRITTEN_BYTES_MAX
from coordnode.raft.entry import HardState
from coordnode.raft.messages import TakeOver
from coordnode.raft.state import LEADER
from coordnode.replica.effects import Effects
from coordnode.replica.events import BlobsWritten, Events, SnapshotLoaded
from coordnode.replica.replica import Replica
from coordnode.services.commands import AppendRecords, Command, Get, Put, encode
from coordnode.services.dialogue import ErrorReply, KeepAliveAsk, KeepAliveReply, ReadAsk, Reply, TransferAsk, WriteAsk
from tests.unit.replica.trio import MEMBERS, Trio

STUCK_TICKS = 40
MEGABYTE = bytes(1_000_000)
PUT = encode(Command(SessionId(0), Sequence(0), Sequence(0), "", Put(b"key", b"value")))
APPEND = encode(Command(SessionId(0), Sequence(0), Sequence(0), "", AppendRecords(b"journal", 1, MEGABYTE)))


class Disks(Trio):
    """With journals: the disks of some are full beside the log, and those of the others write at once. Some are slow to read back."""

    def __init__(self) -> None:
        self.full: set[MemberId] = set()
        self.loading: set[MemberId] = set()
        self.unwritten = dict.fromkeys(MEMBERS, 0)
        self.written = dict.fromkeys(MEMBERS, 0)
        self.loaded: dict[MemberId, SnapshotLoaded] = {}
        super().__init__(level=3)
        self.first = self.leader()
        self.others = [member for member in MEMBERS if member != self.first]

    def turn(self, member: MemberId, **what: object) -> Effects:
        events = self.inbox[member]
        if events.snapshot_loaded is not None:
            self.loaded[member], events.snapshot_loaded = events.snapshot_loaded, None
        if member not in self.loading:
            events.snapshot_loaded = self.loaded.pop(member, None)
        effects = super().turn(member, **what)  # type: ignore[arg-type]
        self.unwritten[member] += sum(blob.size() for blob in effects.store_blobs)
        if member not in self.full:
            self.write_some(member, self.unwritten[member])
        return effects

    def write_some(self, member: MemberId, size: int) -> None:
        size = min(size, self.unwritten[member])
        if size:
            self.unwritten[member] -= size
            self.written[member] += size
            self.inbox[member].blobs_written = BlobsWritten(self.written[member])

    def leads(self, member: MemberId) -> bool:
        return self.replicas[member].raft.role == LEADER

    def block(self, member: MemberId) -> None:
        """Its disk takes no journal any more, and as much waits for it as may."""
        self.full.add(member)
        for _ in range(BLOBS_UNWRITTEN_BYTES_MAX // len(MEGABYTE) + 1):
            self.ask(self.first, WriteAsk, APPEND)
            self.settle()

    def has_session(self, session: SessionId) -> bool:
        machines = [self.replicas[member].machine for member in MEMBERS]
        return all(machine is not None and machine.has_session(session) for machine in machines)

    def restart(self, member: MemberId) -> None:
        old = self.replicas[member]
        raft = old.raft
        self.replicas[member] = Replica(
            member=member,
            config=old.config,
            hard_state=HardState(raft.term, raft.vote, raft.boot + 1, False),
            snapshot=raft.snapshot,
            entries=raft.log.slice(Index(1), raft.log.last_index()),
            commit_hint=raft.committed,
            rng=random.Random(member),
            supported_level=3,
        )
        self.inbox[member] = Events()


@pytest.fixture
def trio() -> Disks:
    return Disks()


# --- nothing can be applied ------------------------------------------------------------------------------------------


def test_a_leader_that_can_apply_nothing_steps_down_and_does_not_stand(trio: Disks) -> None:
    trio.block(trio.first)
    waiting = trio.ask(trio.first, WriteAsk, PUT)
    trio.tick(STUCK_TICKS - 5)
    assert trio.leads(trio.first), "a disk may be slow for a while"
    trio.tick(10)
    assert not trio.leads(trio.first)
    answer = trio.answer(waiting)
    assert isinstance(answer, ErrorReply)
    assert answer.code == LeadershipLost.code
    leader = trio.leader()
    assert leader != trio.first
    assert isinstance(trio.write(Put(b"key", b"value")), Reply)
    request = trio.ask(leader, ReadAsk, encode(Get(b"key")))
    trio.settle()
    assert isinstance(trio.answer(request), Reply)
    raft = trio.replicas[trio.first].raft
    trio.inbox[trio.first].messages.append(TakeOver(leader, trio.first, trio.replicas[leader].raft.boot, raft.term))
    trio.tick(3)
    assert trio.leads(leader), "nor does it take the lead over"
    trio.full.clear()
    trio.tick(5)
    assert raft.may_campaign()


def test_no_session_is_lost_that_is_renewed_at_whoever_leads(trio: Disks) -> None:
    session = trio.open_session(2_000)
    trio.block(trio.first)
    for _ in range(30):
        for member in MEMBERS:
            if trio.leads(member):
                trio.ask(member, KeepAliveAsk, [session])
        trio.tick(10)
    assert trio.leader() != trio.first
    trio.full.clear()
    trio.tick(5)
    assert trio.has_session(session)


def test_while_nothing_is_applied_no_time_passes_for_sessions(trio: Disks) -> None:
    session = trio.open_session(1_000)
    trio.block(trio.first)
    trio.ask(trio.first, WriteAsk, PUT)
    trio.tick(STUCK_TICKS - 5)  # much longer than its TTL
    trio.full.clear()
    trio.tick(5)
    assert trio.leads(trio.first)
    assert trio.has_session(session)
    trio.tick(30)
    assert not trio.has_session(session), "nobody renewed it, and time goes on"


def test_who_gave_a_sign_of_life_that_waits_for_a_slow_disk_lives(trio: Disks) -> None:
    session = trio.open_session(1_000)
    trio.block(trio.first)
    for _ in range(10):
        trio.ask(trio.first, WriteAsk, APPEND)
        trio.settle()
    request = trio.ask(trio.first, KeepAliveAsk, [session])
    for _ in range(25):
        trio.tick()
        trio.write_some(trio.first, 100_000)
    assert (1, request) not in trio.answers
    trio.full.clear()
    trio.tick(5)
    assert trio.has_session(session)
    answer = trio.answer(request)
    assert isinstance(answer, KeepAliveReply)
    assert not answer.expired


def test_where_nobody_can_apply_anything_somebody_leads_all_the_same_until_one_can(trio: Disks) -> None:
    trio.block(trio.first)
    trio.full = {*MEMBERS}
    for member in MEMBERS:
        trio.replicas[member]._unwritten = 2 * BLOBS_UNWRITTEN_BYTES_MAX
        trio.unwritten[member] = 2 * BLOBS_UNWRITTEN_BYTES_MAX
    trio.ask(trio.first, WriteAsk, PUT)
    trio.tick(250)
    leading = [member for member in MEMBERS if trio.leads(member)]
    assert len(leading) == 1
    term = trio.replicas[leading[0]].raft.term
    trio.tick(150)
    assert trio.replicas[leading[0]].raft.term == term, "they do not depose each other for ever"
    healthy = next(member for member in MEMBERS if member not in leading)
    trio.full.remove(healthy)
    trio.tick(120)
    assert trio.leader() == healthy


def test_entries_that_only_the_blocked_one_has_do_not_keep_the_others_from_a_leader(trio: Disks) -> None:
    whole, dead = trio.others
    trio.block(trio.first)
    trio.cut = [whole]
    trio.ask(trio.first, WriteAsk, PUT)  # the dead one had it, too
    trio.settle()
    trio.cut = [dead]
    trio.tick(250)
    assert trio.leads(whole)
    assert trio.replicas[whole].clients.serving


# --- its disk has no room --------------------------------------------------------------------------------------------


def test_a_leader_without_room_hands_over_once_to_a_voter_that_is_there_and_has_some(trio: Disks) -> None:
    trio.inbox[trio.others[0]].space_ok = False
    trio.inbox[trio.first].space_ok = False
    trio.tick(STUCK_TICKS - 5)
    assert trio.leads(trio.first)
    trio.tick(10)
    assert trio.leads(trio.others[1])
    trio.ask(trio.others[1], TransferAsk, trio.first)
    trio.tick(260)
    assert trio.leads(trio.first), "whoever hands the lead back means it"


def test_the_lead_is_handed_to_nobody_that_is_dead_or_has_no_room_either(trio: Disks) -> None:
    full, dead = trio.others
    trio.inbox[full].space_ok = False
    trio.cut = [dead]
    trio.tick(60)
    term = trio.replicas[trio.first].raft.term
    trio.inbox[trio.first].space_ok = False
    trio.tick(260)
    assert trio.leads(trio.first)
    assert trio.replicas[trio.first].raft.term == term
    assert trio.replicas[trio.first].raft.transferee == 0


# --- its state is still being read back ------------------------------------------------------------------------------


def test_who_is_still_reading_its_state_back_does_not_stand_and_takes_no_lead_over(trio: Disks) -> None:
    loading, ready = trio.others
    trio.loading.add(loading)
    trio.restart(loading)
    trio.tick(10)
    trio.ask(trio.first, TransferAsk, loading)
    trio.tick(40)
    assert trio.leads(trio.first)
    trio.cut = [trio.first]
    first, second = trio.replicas[loading].raft, trio.replicas[ready].raft
    first.timeout = first.elapsed = 10
    second.timeout, second.elapsed = 20, 10
    trio.tick(30)
    assert trio.leads(ready)
    assert trio.replicas[ready].clients.serving


def test_where_all_read_their_states_back_the_first_that_is_done_leads(trio: Disks) -> None:
    trio.loading = {*MEMBERS}
    for member in MEMBERS:
        trio.restart(member)
    trio.tick(120)
    assert not any(trio.leads(member) for member in MEMBERS)
    done = trio.others[0]
    trio.loading.remove(done)
    trio.tick(60)
    assert trio.leads(done)
    assert trio.replicas[done].clients.serving
    trio.loading.clear()
    trio.tick(5)
    assert isinstance(trio.write(Put(b"key", b"value")), Reply)
