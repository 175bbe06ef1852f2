"""Collects one turn's commands into as few log entries as possible, and remembers who waits for each. Pure."""

from typing import cast

from coordnode.errors import CoordError
from coordnode.ids import Index, Sequence, SessionId
from coordnode.limits import BATCH_BYTES_MAX, COMMAND_BYTES_MAX
from coordnode.raft.core import Raft
from coordnode.replica.answers import NO_ASKER, Answers, Asker
from coordnode.replica.clock import Clock
from coordnode.replica.pending import Pending, Proposal
from coordnode.services.commands import (
    Batch,
    ClientCommand,
    CloseSession,
    Command,
    Expire,
    OpenSession,
    Operation,
    Put,
    encode,
    splice_batch,
)
from coordnode.services.work import work_of

CHANGES_SESSIONS = (OpenSession, CloseSession, Expire)


class Proposing:
    def __init__(self, raft: Raft, answers: Answers, pending: Pending, clock: Clock, entry_work_max: int) -> None:
        self._raft = raft
        self._answers = answers
        self._pending = pending
        self._clock = clock
        self._entry_work_max = entry_work_max  # in plain puts
        self._cluster_base = 0  # cluster_ms == _cluster_base + (lease clock - _lease_base)
        self._lease_base = 0
        self._begin()

    def _begin(self) -> None:
        self._bodies: list[bytes] = []
        self._commands: list[Command | ClientCommand] = []
        self._askers: list[Asker] = []
        self._bytes = 0
        self._work = 0
        self._changes_sessions = False

    def continue_cluster_clock(self, cluster_ms: int) -> None:
        """This member leads now: cluster time goes on where the log left it."""
        self._cluster_base = cluster_ms
        self._lease_base = self._clock.lease_ms

    def cluster_ms(self) -> int:
        return self._cluster_base + self._clock.lease_ms - self._lease_base

    def is_empty(self) -> bool:
        return not self._bodies

    def collect(self, body: bytes, command: Command | ClientCommand, asker: Asker) -> None:
        operation = command.operation
        is_put = type(operation) is Put
        work = self._work + (1 if is_put else work_of(operation))
        size = self._bytes + len(body)
        if self._bodies and (work > self._entry_work_max or size > BATCH_BYTES_MAX):
            work -= self._work
            size = len(body)
            self.flush()
        self._work = work
        self._bytes = size
        self._bodies.append(body)
        self._commands.append(command)
        self._askers.append(asker)
        if not is_put and type(operation) in CHANGES_SESSIONS:
            self._changes_sessions = True

    def collect_own(self, operation: Operation, asker: Asker = NO_ASKER) -> None:
        command = Command(SessionId(0), Sequence(0), Sequence(0), "", operation)
        body = encode(command)
        assert len(body) <= COMMAND_BYTES_MAX
        self.collect(body, command, asker)

    def flush(self) -> Index:
        """Proposes what was collected; the index of its entry, or 0 when there was nothing or it was refused."""
        if not self._bodies:
            return Index(0)
        # A ClientCommand is a Command whose operation is one of fewer kinds; nobody can tell them apart.
        batch = Batch(self.cluster_ms(), self._clock.wall_ms, cast("list[Command]", self._commands))
        data = splice_batch(batch.cluster_ms, batch.wall_ms, self._bodies)
        askers, changes_sessions = self._askers, self._changes_sessions
        self._begin()
        try:
            index = self._raft.propose(data)
        except CoordError as error:
            for asker in askers:
                if asker is not NO_ASKER:
                    self._answers.refuse(asker, error)
            return Index(0)
        self._pending.proposals[index] = Proposal(data, batch, askers, changes_sessions)
        return index
