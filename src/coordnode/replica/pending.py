"""Who waits for what: proposed batches, reads under confirmation, confirmed reads that wait for apply. Pure."""

import heapq
from collections import deque

import msgspec

from coordnode.ids import Index, SessionId
from coordnode.replica.answers import NO_ASKER, Asker
from coordnode.services.commands import Batch, ReadOperation, RecordsRead
from coordnode.services.dialogue import WatchAsk


class Proposal(msgspec.Struct):
    """One batch of ours in the log. The entry that commits at its index is ours only if it is the very same object."""

    data: bytes
    batch: Batch
    askers: list[Asker]
    changes_sessions: bool  # carries commands that open or close sessions


class Read(msgspec.Struct):
    asker: Asker
    operation: ReadOperation
    min_revision: int
    is_unauthorised: bool = False  # whether the asker may is decided when it is answered: only then is it known what is committed


class KeepAlive(msgspec.Struct):
    asker: Asker
    sessions: list[SessionId]
    applied_min: Index  # a Withdraw for one of them stands at this index: it must be applied before the answer
    hidden: list[SessionId] = []  # the asker may not know of these: to it they are over


class WatchStart(msgspec.Struct):
    asker: Asker
    ask: WatchAsk


class Fetch(msgspec.Struct):
    """A read that waits for the files."""

    asker: Asker
    applied: Index
    answer: RecordsRead


Waiting = Read | KeepAlive | WatchStart


class Pending:
    def __init__(self) -> None:
        self.proposals: dict[Index, Proposal] = {}
        self.unconfirmed: dict[int, Waiting] = {}  # by read id: the round is under way
        self._confirmed: list[tuple[Index, int, Waiting]] = []  # heap: answered once applied >= index
        # The same, for what may be large: answered only as fast as turns stay short. Rounds are confirmed in order, and their
        # indexes only grow.
        self._reads: deque[tuple[Index, Read]] = deque()
        self._next_read = 0
        self._waiting: dict[int, int] = {}  # connection -> how many of all these are its own
        self.configs: list[tuple[Index, Asker]] = []  # membership changes under way
        self.transfers: list[tuple[Asker, int, int]] = []  # (asker, target, ticks waited)

    def new_read(self, waiting: Waiting) -> int:
        read = self._next_read
        self._next_read += 1
        self.unconfirmed[read] = waiting
        connection = waiting.asker[0]
        self._waiting[connection] = self._waiting.get(connection, 0) + 1
        return read

    def _taken(self, waiting: Waiting) -> None:
        """It waits here no more."""
        connection = waiting.asker[0]
        left = self._waiting[connection] - 1
        if left:
            self._waiting[connection] = left
        else:
            del self._waiting[connection]

    def lose(self, read: int) -> Asker | None:
        """Its round can be confirmed no more. None: nobody waits for it."""
        waiting = self.unconfirmed.pop(read, None)
        if waiting is None:
            return None
        self._taken(waiting)
        return waiting.asker

    def confirm(self, read: int, index: Index) -> None:
        waiting = self.unconfirmed.pop(read, None)
        if waiting is None:
            return  # confirmed and deposed in one turn: the asker was told to go elsewhere
        if type(waiting) is Read:
            assert not self._reads or self._reads[-1][0] <= index
            self._reads.append((index, waiting))
            return
        if type(waiting) is KeepAlive:
            index = max(index, waiting.applied_min)
        heapq.heappush(self._confirmed, (index, read, waiting))

    def has_confirmed(self) -> bool:
        return bool(self._confirmed or self._reads)

    def take_served(self, applied: Index) -> list[Waiting]:
        """All but the reads."""
        served: list[Waiting] = []
        while self._confirmed and self._confirmed[0][0] <= applied:
            served.append(heapq.heappop(self._confirmed)[2])
            self._taken(served[-1])
        return served

    def kept_alive(self) -> dict[SessionId, None]:
        """By the keep-alives that wait to be answered."""
        waiting = [*self.unconfirmed.values(), *[confirmed[2] for confirmed in self._confirmed]]
        return {session: None for one in waiting if type(one) is KeepAlive for session in one.sessions}

    def next_read(self, applied: Index) -> Read | None:
        if not self.has_read(applied):
            return None
        read = self._reads.popleft()[1]
        self._taken(read)
        return read

    def has_read(self, applied: Index) -> bool:
        return bool(self._reads) and self._reads[0][0] <= applied

    def drop_all(self) -> list[Asker]:
        """Leadership is lost: everyone who waits must be told that nobody knows, or that nothing happened."""
        askers = [asker for proposal in self.proposals.values() for asker in proposal.askers if asker is not NO_ASKER]
        askers.extend(asker for _, asker in self.configs)
        self.proposals.clear()
        self.configs.clear()
        return askers

    def drop_connections(self, gone: set[int]) -> None:
        """Reads of theirs: nobody is left to be answered. Most have none, and cost no look at everything that waits."""
        if gone.isdisjoint(self._waiting):
            return
        self._waiting = {connection: count for connection, count in self._waiting.items() if connection not in gone}
        for read in [read for read, waiting in self.unconfirmed.items() if waiting.asker[0] in gone]:
            del self.unconfirmed[read]
        self._confirmed = [confirmed for confirmed in self._confirmed if confirmed[2].asker[0] not in gone]
        heapq.heapify(self._confirmed)
        self._reads = deque((index, read) for index, read in self._reads if read.asker[0] not in gone)

    def drop_reads(self) -> list[Asker]:
        askers = [waiting.asker for waiting in self.unconfirmed.values()]
        askers.extend(waiting.asker for _, _, waiting in self._confirmed)
        askers.extend(waiting.asker for _, waiting in self._reads)
        self.unconfirmed.clear()
        self._confirmed.clear()
        self._reads.clear()
        self._waiting.clear()
        return askers
