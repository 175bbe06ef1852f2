"""What a vote rests on: two copies, each enough alone, both durable before the commit that holds the vote returns."""

from random import Random

import pytest

from coordnode.ids import MemberId, Term, WriteId
from coordnode.raft.entry import HardState
from coordnode.raft.ready import Write
from coordnode.storage.hard_state import HARD_STATE_FILES
from tests.unit.storage.lives import filled, reopen


@pytest.mark.parametrize("damaged", HARD_STATE_FILES)
@pytest.mark.parametrize("seed", range(8))
def test_a_vote_outlives_the_power_and_the_rot_of_either_copy(damaged: str, seed: int) -> None:
    disk, found, _ = filled(1)
    state = HardState(Term(9), MemberId(8), found.hard_state.boot, False)
    found.wal.commit([Write(WriteId(5), hard_state=state)])
    disk.settle()  # it has returned, and the vote may have left; only what was synced stays
    disk.power_loss(Random(seed))
    disk.rot(damaged, seed * 8, Random(seed))
    again = reopen(disk).hard_state
    assert (again.term, again.vote, again.lost_entries) == (9, 8, False)
