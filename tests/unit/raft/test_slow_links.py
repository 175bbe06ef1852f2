"""Links that are full for as long as anything large is on its way: nothing is sent in vain, and nobody is taken for dead."""

import random

import pytest

from coordnode.ids import NOBODY, Index, Term
from coordnode.limits import KIB, MIB
from coordnode.raft.core import Raft
from coordnode.raft.entry import BATCH, Entry, HardState
from coordnode.raft.messages import Message
from coordnode.raft.state import LEADER, Timing
from tests.unit.raft.hand_driven import ONE, THREE, TWO, accepted, snapshot_of, turn
from tests.unit.raft.slow_link import SlowLink

MBIT = 1_000_000 // 8 * 40 // 1_000  # bytes that a link of one Mbit/s carries in a tick of 40 ms
USUAL = Timing(election_ticks_min=13, election_ticks_max=21, heartbeat_ticks=2, stuck_ticks=40)


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
