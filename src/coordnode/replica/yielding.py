"""Who cannot do what a leader has to do lets another one lead. Pure."""

from collections.abc import Sequence

from coordnode.ids import NOBODY, Index, MemberId
from coordnode.raft.core import Raft
from coordnode.raft.state import LEADER
from coordnode.raft.successor import other_voters, whole

AGAIN_TIMES = 10  # the longest election timeout: then whoever has no room tries again to hand the lead over


class Yielding:
    """Asked once per tick."""

    def __init__(self, raft: Raft) -> None:
        self._raft = raft
        self._seen = (Index(0), 0)
        self._still_ticks = 0  # something waits to be applied, and nothing was
        self._reluctant_ticks = 0  # while leading
        self._full_ticks = 0  # while leading, and since our disk has no room
        self._left_for_room = False  # once is enough until there is room again: whoever hands the lead back to us means it
        self._tried: list[MemberId] = []
        self.differs = False  # our state is not the majority's

    def stands_still(self) -> bool:
        """Not one step since the tick before this."""
        return self._still_ticks > 0

    def on_tick(self, *, waits: bool, applied: Index, written: int, serving: bool) -> None:
        """`waits`: something committed is to be applied, or nothing more can be before more is `written` of what was."""
        raft = self._raft
        seen = (applied, written)
        self._still_ticks = self._still_ticks + 1 if waits and seen == self._seen else 0
        self._seen = seen
        is_stuck = self._still_ticks >= raft.timing.stuck_ticks
        raft.is_reluctant = (is_stuck or self.differs) and bool(other_voters(raft))
        if raft.space_ok:
            self._full_ticks = 0
            self._left_for_room = False
        if raft.role != LEADER:
            self._follow()
        elif is_stuck and serving and raft.is_reluctant:
            # Whoever waits here is told so, and nothing more is taken that could not be applied either.
            raft.step_down()
        elif raft.is_reluctant:
            # Nobody else could be elected, most likely for want of entries that only we had.
            if self._reluctant_ticks % (2 * raft.timing.election_ticks_max) == 0:
                self._hand_over(whole(raft))
            self._reluctant_ticks += 1
        elif not raft.space_ok and not self._left_for_room:
            self._full_ticks += 1
            if self._full_ticks % (AGAIN_TIMES * raft.timing.election_ticks_max) == raft.timing.stuck_ticks:
                self._hand_over([member for member in whole(raft) if raft.progress[member].space_ok])

    def _follow(self) -> None:
        self._left_for_room = self._left_for_room or self._full_ticks >= self._raft.timing.stuck_ticks
        self._full_ticks = 0
        self._reluctant_ticks = 0
        self._tried.clear()

    def _hand_over(self, candidates: Sequence[MemberId]) -> None:
        """One after the other: who takes no lead may have the same trouble."""
        raft = self._raft
        if not candidates or raft.transferee != NOBODY:
            return
        untried = [member for member in candidates if member not in self._tried]
        if not untried:
            self._tried.clear()
            untried = [*candidates]
        self._tried.append(untried[0])
        raft.transfer(untried[0])
