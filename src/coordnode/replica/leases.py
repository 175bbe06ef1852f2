"""When sessions end: deadlines that only the leader holds, on its own clock. Pure; forgotten with the leadership.

The clock given here stands still while the process is not scheduled (see Replica), so a long pause expires nobody.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import TypeVar

from coordnode.ids import Index, SessionId
from coordnode.limits import EXPIRE_SESSIONS_MAX, EXPIRE_SESSIONS_PER_TICK

CHECKPOINT_STEP_MS_MIN = 500

Item = TypeVar("Item")


class _Lease:
    __slots__ = ("checkpoint_at", "checkpointed", "deadline", "expiring", "ttl_ms", "withdraw_index")

    def __init__(self, ttl_ms: int, deadline: int, *, checkpointed: bool) -> None:
        self.ttl_ms = ttl_ms
        self.deadline = deadline
        self.checkpoint_at = deadline - ttl_ms // 2
        self.checkpointed = checkpointed  # the log says, or will say, that less than the whole TTL is left
        self.expiring = False  # an Expire is proposed: nothing may renew it any more
        self.withdraw_index = Index(0)  # where its newest Withdraw stands: no keep-alive is answered before that is applied


class SessionTraffic:
    """Counters of one that leads again and again; they only grow."""

    def __init__(self) -> None:
        self.opened = 0
        self.expired = 0


class Leases:
    def __init__(self, traffic: SessionTraffic) -> None:
        self._traffic = traffic
        self._leases: dict[SessionId, _Lease] = {}
        self._due: list[tuple[int, SessionId]] = []  # when to look at a session again; never later than needed, maybe earlier

    def __len__(self) -> int:
        return len(self._leases)

    def grant(self, session: SessionId, ttl_ms: int, now_ms: int) -> None:
        """A new session. One that is known is left alone: a repeated open is no sign of life, and must not undo a proposed Expire."""
        if session not in self._leases:
            self._traffic.opened += 1
            heapq.heappush(self._due, self._begin(session, ttl_ms, None, now_ms))

    def grant_all(self, found: Iterable[tuple[SessionId, int, int | None]], now_ms: int) -> None:
        """Those that a new leader found: (session, ttl_ms, what a checkpoint left of it). In one go: no turn may take long, and there
        may be a hundred thousand."""
        self._due = [self._begin(session, ttl_ms, remaining_ms, now_ms) for session, ttl_ms, remaining_ms in found]
        heapq.heapify(self._due)

    def _begin(self, session: SessionId, ttl_ms: int, remaining_ms: int | None, now_ms: int) -> tuple[int, SessionId]:
        """When it is to be looked at."""
        left_ms = ttl_ms if remaining_ms is None else remaining_ms
        lease = _Lease(ttl_ms, now_ms + left_ms, checkpointed=left_ms < ttl_ms)
        lease.checkpoint_at = max(lease.checkpoint_at, now_ms)
        self._leases[session] = lease
        return min(lease.checkpoint_at, lease.deadline), session

    def end(self, session: SessionId) -> None:
        lease = self._leases.pop(session, None)
        if lease is not None and lease.expiring:
            self._traffic.expired += 1

    def is_checkpointed(self, session: SessionId) -> bool:
        lease = self._leases.get(session)
        return lease is not None and lease.checkpointed

    def withdrawing(self, session: SessionId, index: Index) -> None:
        """A Withdraw is proposed at `index`; a keep-alive answered after it is applied may count on the whole TTL."""
        lease = self._leases[session]
        lease.checkpointed = False
        lease.withdraw_index = index

    def withdraw_index(self, sessions: list[SessionId]) -> Index:
        """Before this index is applied, a keep-alive for these sessions must not be answered."""
        known = (self._leases.get(session) for session in sessions)
        return max((lease.withdraw_index for lease in known if lease is not None), default=Index(0))

    def renew(self, session: SessionId, now_ms: int, applied: Index) -> int | None:
        """The TTL granted from now on, or None: unknown here, on its way out, or with a checkpoint still to withdraw, be it by a
        keep-alive that came later. That one lives on here all the same, however slowly the log takes it back.
        """
        lease = self._leases.get(session)
        if lease is None or lease.expiring:
            return None
        lease.deadline = now_ms + lease.ttl_ms
        lease.checkpoint_at = now_ms + lease.ttl_ms // 2
        return None if lease.checkpointed or lease.withdraw_index > applied else lease.ttl_ms

    def due(self, now_ms: int) -> tuple[list[SessionId], list[tuple[SessionId, int]]]:
        """(sessions to expire, (session, remaining) to checkpoint), as many as one tick should bring; the rest are due at the next."""
        expire: list[SessionId] = []
        checkpoint: list[tuple[SessionId, int]] = []
        while self._due and self._due[0][0] <= now_ms and len(expire) < EXPIRE_SESSIONS_PER_TICK and len(checkpoint) < EXPIRE_SESSIONS_MAX:
            _, session = heapq.heappop(self._due)
            lease = self._leases.get(session)
            if lease is None or lease.expiring:
                continue
            if lease.deadline <= now_ms:
                lease.expiring = True
                expire.append(session)
                continue
            if lease.checkpoint_at <= now_ms:
                lease.checkpointed = True
                checkpoint.append((session, lease.deadline - now_ms))
                lease.checkpoint_at = now_ms + max(lease.ttl_ms // 8, CHECKPOINT_STEP_MS_MIN)
            heapq.heappush(self._due, (min(lease.checkpoint_at, lease.deadline), session))
        return expire, checkpoint

    def not_expired(self, sessions: list[SessionId]) -> None:
        """Their Expire was not proposed after all: they are due again, and until then may be renewed."""
        for session in sessions:
            lease = self._leases.get(session)
            if lease is not None:
                lease.expiring = False
                heapq.heappush(self._due, (lease.deadline, session))


def parts(items: list[Item], count_max: int) -> Iterator[list[Item]]:
    """In order, as few as can be."""
    for start in range(0, len(items), count_max):
        yield items[start : start + count_max]
