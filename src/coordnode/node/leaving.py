"""SIGTERM: a leader hands over to the best follower first, then everyone's answers leave, then the process ends."""

from collections.abc import Callable

from coordnode.errors import CoordError
from coordnode.ids import NOBODY, MemberId
from coordnode.node.telemetry import Telemetry
from coordnode.raft.state import LEADER
from coordnode.raft.successor import successors
from coordnode.replica.replica import Replica

HAND_OVER_MS_MAX = 3_000
LINGER_MS_MAX = 300  # for answers and acknowledgements that are still on their way


def best_successor(replica: Replica, tried: list[MemberId]) -> MemberId:
    """Those that were tried in vain come last."""
    return next(iter(successors(replica.raft, tried)), NOBODY)


class Leaving:
    """Asked once per tick, and after each turn, how to go on."""

    def __init__(self, replica: Replica, telemetry: Telemetry, now_ms: Callable[[], int], is_quiet: Callable[[], bool]) -> None:
        self._replica = replica
        self._telemetry = telemetry
        self._now_ms = now_ms
        self._is_quiet = is_quiet
        self._since_ms = now_ms()
        self._target = NOBODY
        self._tried: list[MemberId] = []
        self._linger_since_ms = 0

    def is_over(self) -> bool:
        now_ms = self._now_ms()
        if not self._linger_since_ms:
            if self._must_hand_over(now_ms):
                return False
            self._linger_since_ms = now_ms
        if now_ms - self._linger_since_ms >= LINGER_MS_MAX:
            return True
        # Whoever still asks here is told who leads now, once that is known.
        return self._is_quiet() and (self._target == NOBODY or self._replica.raft.leader != NOBODY)

    def _must_hand_over(self, now_ms: int) -> bool:
        raft = self._replica.raft
        took_ms = now_ms - self._since_ms
        if raft.role != LEADER:
            if self._target != NOBODY:
                self._telemetry.emit("handed_over", target=raft.leader or self._target, took_ms=took_ms)
            return False
        if took_ms >= HAND_OVER_MS_MAX:
            self._telemetry.emit("not_handed_over", took_ms=took_ms)
            return False
        if raft.transferee == NOBODY:
            self._target = best_successor(self._replica, self._tried)
            if self._target == NOBODY:
                return False
            self._tried.append(self._target)
            try:
                raft.transfer(self._target)
            except CoordError:  # the membership changed in this very moment: the next look decides anew
                self._target = NOBODY
        return True
