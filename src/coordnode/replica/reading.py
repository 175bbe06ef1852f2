"""What clients read: linearizably after a confirmation round, here or through the leader; or stale, at once. Pure."""

from coordnode.errors import BadRequest, CoordError, NotLeader, NotReady, Overloaded
from coordnode.ids import NOBODY, Revision
from coordnode.limits import LOOKED_ROW_BYTES, READ_BYTES_LEAST, READ_BYTES_PER_TURN, WAITING_READS_MAX
from coordnode.raft.core import Raft
from coordnode.raft.state import LEADER
from coordnode.replica.admission import authorise
from coordnode.replica.answers import Answers
from coordnode.replica.authority import Authority
from coordnode.replica.clock import Clock
from coordnode.replica.fetching import Fetching
from coordnode.replica.pending import KeepAlive, Pending, Read, WatchStart
from coordnode.services.auth.permits import Permit
from coordnode.services.commands import ReadOperation
from coordnode.services.machine import Machine


class Reading:
    def __init__(self, raft: Raft, clock: Clock, tick_ms: int, answers: Answers, pending: Pending, authority: Authority) -> None:
        self._raft = raft
        self._clock = clock
        self._tick_ms = tick_ms
        self._answers = answers
        self._pending = pending
        self._authority = authority
        self.fetching = Fetching(answers, tick_ms)
        self._current_ms = 0  # when this member surely had everything that was committed
        self._led_ms = 0  # when it began to lead
        self._checked_ms = 0  # when it last asked itself whether a quorum still follows it
        self._stale_room = READ_BYTES_PER_TURN

    def new_turn(self) -> None:
        self._stale_room = READ_BYTES_PER_TURN

    def on_current(self) -> None:
        """The leader's own word that everything committed is here."""
        self._current_ms = self._clock.before_ms

    def on_leading(self) -> None:
        self._led_ms = self._checked_ms = self._clock.now_ms

    def on_serving(self) -> None:
        """What we proposed when we began to lead is committed: nobody had taken over by then."""
        self._current_ms = max(self._current_ms, self._led_ms)

    def on_quorum(self, *, serves: bool) -> None:
        """Those who follow us were heard of after the check before this."""
        if serves:
            self._current_ms = self._checked_ms
        self._checked_ms = self._clock.now_ms

    def begin(self, waiting: Read | WatchStart | KeepAlive) -> None:
        if len(self._pending.unconfirmed) >= WAITING_READS_MAX:
            raise Overloaded("too many reads are waiting; try again later", retry_after_ms=100)
        self._raft.read(self._pending.new_read(waiting))

    def begin_here(self, machine: Machine | None, read: Read) -> None:
        """By who does not lead. Who cannot, sends the asker on."""
        leader = self._raft.leader
        if leader == NOBODY:
            raise NotLeader("this member knows no leader")
        if machine is None:
            raise NotLeader("another member leads, and this one is rebuilding its state", leader=leader)
        if machine.needs_bytes(read.operation):
            raise NotLeader("another member leads, and this is read there only", leader=leader)
        self.begin(read)

    def stale(
        self, machine: Machine, operation: ReadOperation, min_revision: Revision, permit: Permit, connection: int
    ) -> tuple[bytes, int]:
        """The encoded Result from local state, and how old that may be in milliseconds."""
        authorise(permit, (operation,))
        if machine.revision < min_revision:
            raise NotReady(f"this member is at revision {machine.revision}, before {min_revision}; try again", retry_after_ms=self._tick_ms)
        if self._stale_room <= 0:
            raise Overloaded("too much is being read at once; try again", retry_after_ms=self._tick_ms)
        result, counts = self._read(machine, operation, connection)
        self._stale_room -= counts
        return result, self._age_ms()

    def _age_ms(self) -> int:
        """How old local state may be, at most, apart from what the last word of others spent under way. Counted by the clock: who stands
        still misses ticks."""
        raft = self._raft
        if raft.role == LEADER and len(raft.config.voters) == 1 and not raft.config.outgoing:
            return 0
        return self._clock.now_ms - self._current_ms

    def answer(self, machine: Machine, read: Read, now_ms: int) -> tuple[bytes | CoordError | None, int]:
        """Now that it is confirmed and applied: the Result, or why not; None: it comes once it was fetched. And what it counts towards
        the turn's room."""
        if machine.revision < read.min_revision:
            return BadRequest(f"revision {read.min_revision} has not happened in this cluster"), READ_BYTES_LEAST
        if machine.needs_bytes(read.operation):
            return None, self.fetching.fetch(machine, read)
        try:
            if read.is_unauthorised:
                authorise(self._authority.permit(machine, read.asker[0]), (read.operation,))
            return self._read(machine, read.operation, read.asker[0], now_ms)
        except CoordError as error:
            return error, READ_BYTES_LEAST

    def _read(self, machine: Machine, operation: ReadOperation, connection: int, now_ms: int = 0) -> tuple[bytes, int]:
        """The Result, and what it counts: little may be answered of much that was looked at."""
        rows = machine.rows_looked_at
        result = machine.read(operation, now_ms=now_ms)
        looked_bytes = LOOKED_ROW_BYTES * (machine.rows_looked_at - rows)
        if looked_bytes:
            self._answers.charge(connection, looked_bytes)
        return result, READ_BYTES_LEAST + len(result) + looked_bytes
