"""When a member gives its state up, to regain it from others: never while it leads, and never while one of them is missing. Pure.

Without its entries it gives no vote, so the others must be able to elect and to go on. Only a leader knows how far they are, and only
one can lead; but with the leader they lose their quorum if another one is dead. So it hands the lead over first, and gives up in the
very turn in which it hears of who leads now. Nothing that it says leaves in that turn: to the new leader it has nothing yet, so that one
does not give its own state up before it has heard that this one has everything again.
"""

from collections.abc import Sequence

from coordnode.ids import NOBODY, MemberId
from coordnode.raft.core import Raft
from coordnode.raft.quorum import has_quorum
from coordnode.raft.state import LEADER
from coordnode.raft.successor import other_voters, whole


class GivingUp:
    def __init__(self, raft: Raft) -> None:
        self._raft = raft
        self._why = ""  # as soon as another one leads
        self._ticks = 0  # since all others had everything: that grows old

    def on_rot(self, problem: str) -> None:
        """Another one leads if it can, even while not all have everything."""
        raft = self._raft
        if raft.role != LEADER or raft.transferee != NOBODY:
            return
        ready = whole(raft)
        if ready:
            self._intend(f"{problem}; all other voters have everything")
            raft.transfer(ready[0])

    def on_differs(self, why: str, wrong: Sequence[MemberId]) -> None:
        """What we answer is not what the majority would: no turn more of that. Where not all others have everything now, whoever leads
        next says when."""
        self._intend(why)
        self._raft.step_down(last=wrong)

    def _intend(self, why: str) -> None:
        if {*whole(self._raft)} == {*other_voters(self._raft)} and can_go_on_without(self._raft, [self._raft.member]):
            self._why = why
            self._ticks = 0

    def on_tick(self) -> None:
        if self._why:
            self._ticks += 1
            if self._ticks > 2 * self._raft.timing.election_ticks_max:
                self._why = ""

    def take_due(self) -> str:
        """Why to give up now."""
        raft = self._raft
        if not self._why or raft.role == LEADER or raft.leader == NOBODY:
            return ""
        why, self._why = self._why, ""
        return why


def can_go_on_without(raft: Raft, members: Sequence[MemberId]) -> bool:
    """On the leader: the others are a quorum, and there."""

    def is_there(voter: MemberId) -> bool:
        return voter not in members and (voter == raft.member or raft.progress[voter].is_ready())

    return has_quorum(raft.config, is_there)
