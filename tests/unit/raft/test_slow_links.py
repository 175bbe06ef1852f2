"""Links that are full for as long as anything large is on its way: nothing is sent in vain, and nobody is taken for dead."""

import random

import pytest

from coordnode.ids import NOBODY, Index, Term
from coordnode.limits import KIB, MIB
from coordnode.raft import snapshots
from coordnode.raft.core import Raft
from coordnode.raft.entry import BATCH, Entry, HardState
from coordnode.raft.messages import Chunk, ChunkReply, Heartbeat, HeartbeatReply, Message
from coordnode.raft.state import LEADER, Timing
from tests.unit.raft.hand_driven import ONE, THREE, TWO, accepted, core, elect, snapshot_of, turn
from tests.unit.raft.slow_link import SlowLink

MBIT = 1_000_000 // 8 * 40 // 1_000  # bytes that a link of one Mbit/s carries in a tick of 40 ms
SLICES = 40
USUAL = Timing(election_ticks_min=13, election_ticks_max=21, heartbeat_ticks=2, stuck_ticks=40)


@pytest.mark.parametrize(("mbit", "slice_kib"), [(20, 256), (4, 256), (2, 256), (1, 256), (8, 512), (20, 1280)])
def test_a_snapshot_takes_as_long_as_its_bytes_take_and_the_next_one_waits_for_it(mbit: int, slice_kib: int) -> None:
    """One slice may take longer than any wait that is fixed in advance; and while it does, nothing else is heard of that member."""
    raft = core(snapshot_of(ONE, TWO, THREE, index=100))
    elect(raft, votes_of=(THREE,))
    snapshots.begin(raft, TWO, raft.progress[TWO])
    link = SlowLink(mbit * MBIT)
    size = slice_kib * KIB
    here = ticks = 0
    while here < SLICES:
        ticks += 1
        raft.tick()
        raft.step(accepted(raft, THREE, raft.log.last_index()))
        for message in link.tick():
            if isinstance(message, Heartbeat):
                raft.step(HeartbeatReply(TWO, ONE, 1, raft.term, 0, True, 1))
            elif isinstance(message, Chunk):
                here += message.number == here
                raft.step(ChunkReply(TWO, ONE, 1, raft.term, Index(100), here, False, Index(0)))
        left, ready = turn(raft)
        for wanted in ready.chunks_wanted:
            raft.on_chunk_read(wanted.target, wanted.meta, wanted.number, False, bytes(size), True)
        for message in [*left, *turn(raft)[0]]:
            if message.target == TWO:
                link.send(message)
        assert snapshots.is_sending(raft)
        assert snapshots.needed_from(raft) == 101
        assert ticks <= 2 * SLICES * size // (mbit * MBIT), "it takes twice as long as its bytes"
    assert link.sent <= (SLICES + 6) * size, "slices were sent again that were not lost"


@pytest.mark.parametrize("mbit", [60, 20, 10])
def test_a_leader_whose_log_fills_the_only_link_to_its_quorum_goes_on_leading(mbit: int) -> None:
    """It lives by the answers: none comes before a whole Append is there."""
    meta = snapshot_of(ONE, TWO, THREE)
    backlog = [Entry(Term(1), Index(2 + number), BATCH, bytes(64 * KIB)) for number in range(16 * MIB // (64 * KIB))]

    def member(entries: list[Entry], who: int) -> Raft:
        return Raft(
            member=(ONE, TWO)[who],
            hard_state=HardState(Term(1), NOBODY, 1, False),
            snapshot=meta,
            entries=entries,
            commit_hint=Index(1),
            timing=USUAL,
            rng=random.Random(who),
        )

    leader, other = member(backlog, 0), member([], 1)
    link = SlowLink(mbit * MBIT)

    def settle() -> None:
        answers: list[Message] = [accepted(leader, TWO, 0)]
        while answers:
            answers = [message for message in turn(other)[0] if message.target == ONE]
            for message in answers:
                leader.step(message)
            for message in turn(leader)[0]:
                if message.target == TWO:
                    link.send(message)

    terms = set()
    for _ in range(3_000):
        leader.tick()
        other.tick()
        settle()
        for message in link.tick():
            other.step(message)
            settle()
        if leader.role == LEADER:
            terms.add(leader.term)
            if leader.committed == leader.log.last_index():
                break
    assert leader.committed == leader.log.last_index() > len(backlog)
    assert len(terms) == 1, f"it was deposed {len(terms) - 1} times"
