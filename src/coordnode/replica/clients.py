"""What a member does for clients: it serves them while it leads, and says who leads while it does not (who asks it to read here is
answered by it). Pure."""

from collections.abc import Sequence
from typing import cast

from coordnode.errors import (
    CoordError,
    LeadershipLost,
    NotLeader,
    NotPermitted,
    NotReady,
    TimedOut,
)
from coordnode.ids import NOBODY, Index, Revision, SessionId
from coordnode.limits import (
    EXPIRE_SESSIONS_PER_ENTRY,
    READ_BYTES_PER_TURN,
)
from coordnode.raft.core import Raft
from coordnode.raft.entry import Config
from coordnode.raft.state import LEADER
from coordnode.replica.admission import admit_write, authorise, check_level, has_space_quorum
from coordnode.replica.answers import NO_ASKER, Answers, Asker
from coordnode.replica.authority import Authority
from coordnode.replica.clock import Clock
from coordnode.replica.config import ReplicaConfig
from coordnode.replica.leases import Leases, SessionTraffic, parts
from coordnode.replica.missed import Missed
from coordnode.replica.pending import KeepAlive, Pending, Proposal, Read, WatchStart
from coordnode.replica.proposing import Proposing
from coordnode.replica.reading import Reading
from coordnode.replica.told import is_told
from coordnode.replica.watching import Watching
from coordnode.services.auth.permits import Permit
from coordnode.services.callers import Caller
from coordnode.services.commands import (
    Checkpoint,
    CloseSession,
    Command,
    Expire,
    OpenSession,
    Outcome,
    RaiseLevel,
    ReadOperation,
    SessionOpened,
    Wake,
    Withdraw,
    decode_client_command,
    decode_read,
    decode_result,
)
from coordnode.services.dialogue import (
    Ask,
    ConfigAsk,
    KeepAliveAsk,
    KeepAliveReply,
    LevelAsk,
    ReadAsk,
    Reply,
    TransferAsk,
    UnwatchAsk,
    WatchAsk,
    WatchGap,
    WriteAsk,
)
from coordnode.services.machine import Machine


class Clients:
    def __init__(self, raft: Raft, clock: Clock, config: ReplicaConfig) -> None:
        self._raft = raft
        self._clock = clock
        self._tick_ms = config.tick_ms
        self.machine: Machine | None = None  # None: no state yet, or it is being rebuilt
        self.serving = False  # leads, and has applied an entry of its own term
        self.stopped_at = Index(0)  # states differ here without a majority: writes are refused
        self.answers = Answers()
        self._pending = Pending()
        self._proposing = Proposing(raft, self.answers, self._pending, clock, config.entry_work_max)
        self.sessions = SessionTraffic()
        self._leases = Leases(self.sessions)
        self._watching = Watching(config.silent_revisions_max)
        self._push_bytes_per_turn = config.push_bytes_per_turn
        self._missed = Missed()
        self.authority = Authority(config.client_sessions_max)
        self.reading = Reading(raft, clock, config.tick_ms, self.answers, self._pending, self.authority)
        self.fetching = self.reading.fetching
        self._has_space: bool | None = None  # have the members with room on disk a quorum? None: nothing was to be written in this turn

    # --- connections -----------------------------------------------------------------------------------------------

    def on_opened(self, connection: int, caller: Caller) -> None:
        self.authority.on_opened(connection, caller)

    def on_closed(self, connections: Sequence[int]) -> None:
        for connection in connections:
            self.authority.on_closed(connection)
            self._watching.end_connection(connection)
        self._pending.drop_connections({*connections})

    # --- what they ask ---------------------------------------------------------------------------------------------

    def on_asks(self, asks: Sequence[tuple[int, Ask]]) -> None:
        for connection, ask in asks:
            if type(ask) is WriteAsk:
                self._on_write(connection, ask)
            else:
                self._on_ask(connection, ask)

    def _on_ask(self, connection: int, ask: Ask) -> None:
        if type(ask) is UnwatchAsk:
            self._watching.end(connection, ask.request)
            return
        asker = (connection, ask.request)
        asked: object = ask
        try:
            if type(ask) is ReadAsk and ask.stale:
                asked = operation = decode_read(ask.body)
                permit = self._permit(connection)
                result, age_ms = self.read_stale(operation, ask.min_revision, permit, connection)
                self.answers.give(connection, Reply(ask.request, self._applied(), 0, result, age_ms))
                return
            if type(ask) is ReadAsk and ask.here and self._raft.role != LEADER:
                asked = operation = decode_read(ask.body)
                self.reading.begin_here(self.machine, Read(asker, operation, ask.min_revision, is_unauthorised=True))
                return
            self._check_serving()
            permit = self._permit(connection)
            if type(ask) is ReadAsk:
                asked = operation = decode_read(ask.body)
                authorise(permit, (operation,))
                self.reading.begin(Read(asker, operation, ask.min_revision))
                return
            authorise(permit, (ask,))
            if type(ask) is KeepAliveAsk:
                self._on_keep_alive(asker, ask.sessions, permit)
            elif type(ask) is WatchAsk:
                self.reading.begin(WatchStart(asker, ask))
            else:
                self._on_administration(asker, cast(TransferAsk | ConfigAsk | LevelAsk, ask), permit)
        except CoordError as error:
            self._refuse(asker, asked, error)

    def _permit(self, connection: int) -> Permit:
        return self.authority.permit(self._present(), connection)

    def _present(self) -> Machine:
        if self.machine is None:
            raise NotReady("this member is rebuilding its state; try another", retry_after_ms=self._tick_ms)
        return self.machine

    def _refuse(self, asker: Asker, asked: object, error: CoordError) -> None:
        if isinstance(error, NotPermitted):
            self.authority.on_denied(asker[0], asked, error)
        self.answers.refuse(asker, error)

    def flush(self) -> None:
        """After all asks of this turn: one entry for them all."""
        self._has_space = None
        self.reading.new_turn()
        if not self._proposing.is_empty():
            self._proposing.flush()

    def _not_leader(self) -> NotLeader:
        leader = self._raft.leader
        sentence = "another member leads" if leader != NOBODY else "this member knows no leader"
        return NotLeader(sentence, leader=leader)

    def _check_serving(self) -> None:
        if self._raft.role != LEADER:
            raise self._not_leader()
        if not self.serving:
            raise NotReady("the leader is new and not ready yet; try again", retry_after_ms=self._tick_ms)

    def _on_write(self, connection: int, ask: WriteAsk) -> None:
        asker = (connection, ask.request)
        asked: object = ask
        try:
            if self._has_space is None:  # the first write of this turn
                self._check_serving()
                self._has_space = has_space_quorum(self._raft)
            machine = self.machine
            assert machine is not None
            command = decode_client_command(ask.body)
            asked = command.operation
            permit = self.authority.permit(machine, connection)
            admit_write(machine, command, permit, self.stopped_at, has_space=self._has_space)
            if is_told(asked):
                self._maybe_note(connection, permit, asked)
            body, command = self.authority.signed(machine, connection, permit, ask.body, command)
        except CoordError as error:
            self._refuse(asker, asked, error)
            return
        self._proposing.collect(body, command, asker)

    def _maybe_note(self, connection: int, permit: Permit, asked: object) -> None:
        note = self.authority.note_of(self._present(), connection, permit, asked)
        if note is not None:
            self._proposing.collect_own(note)

    def cluster_ms(self) -> int:
        """As the leader counts it now."""
        return self._proposing.cluster_ms()

    def _on_keep_alive(self, asker: Asker, named: list[SessionId], permit: Permit) -> None:
        """Answered after a round that begins now; sessions with a checkpoint first withdraw it through the log."""
        leases = self._leases
        sessions: list[SessionId] = []
        hidden: list[SessionId] = []  # others': to this caller they are over
        for session in named:
            (sessions if permit.owns(session) else hidden).append(session)
        withdraw = [session for session in sessions if leases.is_checkpointed(session)]
        for some in parts(withdraw, self._sessions_named()):
            index = self._propose_own(Withdraw(some))
            if index:
                for session in some:
                    leases.withdrawing(session, index)
        self.reading.begin(KeepAlive(asker, sessions, leases.withdraw_index(sessions), hidden))

    def _sessions_named(self) -> int:
        """As many as apply takes in one command."""
        assert self.machine is not None
        return self.machine.settings.expire_sessions_max

    def _propose_own(self, operation: Withdraw | Expire) -> Index:
        """In an entry of its own, behind what was collected before; 0: it was refused."""
        self._proposing.flush()
        self._proposing.collect_own(operation)
        return self._proposing.flush()

    def permitted(self, caller: Caller, operation: ReadOperation) -> Permit:
        """For who has no connection of the kind. Raises NotPermitted."""
        permit = Permit(self._present().auth, caller)
        try:
            authorise(permit, (operation,))
        except NotPermitted as error:
            self.authority.note(caller, operation, error)
            raise
        return permit

    def read_stale(
        self, operation: ReadOperation, min_revision: Revision, permit: Permit, connection: int = NO_ASKER[0]
    ) -> tuple[bytes, int]:
        """The encoded Result from local state, and how old that may be in milliseconds."""
        return self.reading.stale(self._present(), operation, min_revision, permit, connection)

    # --- administration --------------------------------------------------------------------------------------------

    def _on_administration(self, asker: Asker, ask: TransferAsk | ConfigAsk | LevelAsk, permit: Permit) -> None:
        if isinstance(ask, ConfigAsk):
            self._pending.configs.append((self._raft.propose_config(ask.config), asker))
            self._maybe_note(asker[0], permit, ask)
        elif isinstance(ask, LevelAsk):
            check_level(self._raft, self._present().level, ask.level)
            self._maybe_note(asker[0], permit, ask)
            self._proposing.collect_own(RaiseLevel(ask.level), asker)
        else:
            self._maybe_note(asker[0], permit, ask)
            self._proposing.flush()
            self._raft.transfer(ask.target)
            if ask.target == self._raft.member:
                self.answers.give(asker[0], Reply(asker[1], self._applied(), 0, b""))
            else:
                self._pending.transfers.append((asker, ask.target, 0))

    def _applied(self) -> Index:
        return self.machine.applied if self.machine is not None else Index(0)

    def on_config_applied(self, index: Index, config: Config) -> None:
        """A joint one is only half of the change: until the next is committed, whoever is removed is still needed."""
        if not config.is_joint():
            self._answer_changes(index)

    def _answer_changes(self, index: Index) -> None:
        """The configuration at this index is committed, and no joint one."""
        pending = self._pending
        for wanted, asker in pending.configs:
            if wanted <= index:
                self.answers.give(asker[0], Reply(asker[1], index, 0, b""))
        pending.configs = [waiting for waiting in pending.configs if waiting[0] > index]

    def sessions_open(self) -> int:
        """On the leader; 0 on others."""
        return len(self._leases)

    # --- leading ---------------------------------------------------------------------------------------------------

    def begin_serving(self) -> None:
        """An entry of our own term is applied: everything that was committed before us is, too."""
        machine = self.machine
        assert machine is not None
        self.serving = True
        self.reading.on_serving()
        self._proposing.continue_cluster_clock(machine.cluster_ms)
        self._leases = Leases(self.sessions)
        self._leases.grant_all(machine.leases(), self._clock.lease_ms)

    def on_role_changed(self) -> None:
        raft = self._raft
        self.stopped_at = Index(0)
        if raft.role == LEADER:
            self.reading.on_leading()
            return
        # We do not lead: nothing that waits here can be answered with knowledge.
        self.serving = False
        self._leases = Leases(self.sessions)
        self._missed.forget()
        self.authority.openings.forget()
        answers, pending = self.answers, self._pending
        index, config = raft.configs[-1]
        if index <= raft.committed and not config.is_joint():
            self._answer_changes(index)  # a leader that leaves with the change is none any more when it would apply it
        for asker in pending.drop_all():
            answers.refuse(asker, LeadershipLost("the leader lost its term before this was committed; it may have happened or not"))
        for asker in pending.drop_reads():
            answers.refuse(asker, self._not_leader())
        for asker in self.fetching.drop_all():
            answers.refuse(asker, self._not_leader())
        for asker in self._watching.end_all():
            answers.refuse(asker, self._not_leader())
        if raft.leader == NOBODY:
            return
        for asker, target, _ in pending.transfers:
            if target == raft.leader:
                answers.give(asker[0], Reply(asker[1], self._applied(), 0, b""))
            else:
                answers.refuse(asker, LeadershipLost("another member than the one asked for took over"))
        pending.transfers = []

    def tick(self, *, stands_still: bool) -> None:
        """While serving: ends what is due, and brings due time into the log; not while nothing is applied, as signs of life wait then."""
        machine = self.machine
        assert machine is not None
        self._missed.tick()
        proposing = self._proposing
        expire, checkpoint = ([], []) if stands_still else self._leases.due(self._clock.lease_ms)
        expire = self._without_those_that_wait(expire)
        for some in parts(expire, min(self._sessions_named(), EXPIRE_SESSIONS_PER_ENTRY)):
            if not self._propose_own(Expire(self._raft.term, some)):
                self._leases.not_expired(some)  # nothing can be proposed now: the next tick tries again
        for noted in parts(checkpoint, self._sessions_named()):
            proposing.collect_own(Checkpoint(noted))
        due = machine.due()
        if due is not None and proposing.is_empty() and due <= proposing.cluster_ms():
            proposing.collect_own(Wake())
        waiting, self._pending.transfers = self._pending.transfers, []
        for asker, target, ticks in waiting:
            if ticks > 2 * self._raft.timing.election_ticks_max:
                self.answers.refuse(asker, TimedOut(f"member {target} did not take over in time; this member still leads"))
            else:
                self._pending.transfers.append((asker, target, ticks + 1))

    def _without_those_that_wait(self, expire: list[SessionId]) -> list[SessionId]:
        """Whose sign of life is here, and only waits for what is to be applied before, lives."""
        waiting = self._pending.kept_alive() if expire else {}
        self._leases.not_expired([session for session in expire if session in waiting])
        return [session for session in expire if session not in waiting]

    def on_read_confirmed(self, read: int, index: Index) -> None:
        self._pending.confirm(read, index)

    def on_read_lost(self, read: int) -> None:
        asker = self._pending.lose(read)
        if asker is not None:
            self.answers.refuse(asker, self._not_leader())

    # --- answering what was committed --------------------------------------------------------------------------------

    def take_proposal(self, index: Index, data: bytes) -> Proposal | None:
        """Our own batch, still decoded, when the entry at this index is the one that we proposed."""
        proposal = self._pending.proposals.pop(index, None)
        assert proposal is None or proposal.data is data, "another entry was committed where ours stood, and we still lead"
        return proposal

    def on_applied(self, proposal: Proposal, outcomes: list[Outcome]) -> None:
        self.answers.give_outcomes(proposal.askers, outcomes)
        if proposal.changes_sessions and self.serving:
            for command, outcome, (connection, _) in zip(proposal.batch.commands, outcomes, proposal.askers, strict=True):
                self._follow_session(command, outcome, connection)

    def _follow_session(self, command: Command, outcome: Outcome, connection: int) -> None:
        """Leases follow what the log says about sessions."""
        machine = self.machine
        assert machine is not None
        operation = command.operation
        if isinstance(operation, OpenSession):
            result = decode_result(outcome.result)
            if isinstance(result, SessionOpened) and machine.has_session(result.session):  # a retry may find one that is over
                self._leases.grant(result.session, result.ttl_ms, self._clock.lease_ms)
                self.authority.opened(machine, connection, result.session)
        elif isinstance(operation, CloseSession | Expire):
            ended = operation.sessions if isinstance(operation, Expire) else [operation.session]
            for session in ended:
                if not machine.has_session(session):
                    self._leases.end(session)
                    self.authority.openings.ended(session)

    def is_committing(self) -> bool:
        """Something that was asked here is proposed and not committed yet."""
        return bool(self._pending.proposals)

    def has_to_serve(self) -> bool:
        machine = self.machine
        return machine is not None and (
            self._pending.has_confirmed()
            or self._watching.has_due()
            or self._watching.is_behind(machine.scalars.revision)
            or (bool(self._watching) and self.authority.is_to_review(machine))
        )

    def serve(self) -> None:
        """After applying: reads, keep-alives and watches whose time has come."""
        machine = self.machine
        if machine is None:
            return
        pending, applied = self._pending, machine.applied
        if self._watching and self.authority.is_to_review(machine):
            self._review_watches(machine)
        for waiting in pending.take_served(applied):
            connection, request = waiting.asker
            if isinstance(waiting, KeepAlive):
                self.answers.give(connection, self._renew(machine, request, waiting))
            else:
                assert isinstance(waiting, WatchStart)
                if self._may_watch(connection, waiting.ask):  # still
                    self._begin_watch(machine, connection, waiting.ask)
        self._show_watches(machine)
        for connection, push in self._watching.push(self._push_bytes_per_turn):
            self.answers.give(connection, push)
        room = READ_BYTES_PER_TURN
        now_ms = self.cluster_ms() if self.serving else 0  # who does not lead knows none but that of its state
        while room > 0 and (read := pending.next_read(applied)) is not None:
            room -= self._answer_read(machine, read, now_ms)

    def has_more_to_serve(self) -> bool:
        """What is due waits for the next turn, so that this one holds no more answers than the bounds say."""
        return self.machine is not None and (self._watching.has_due() or self._pending.has_read(self.machine.applied))

    def _answer_read(self, machine: Machine, read: Read, now_ms: int) -> int:
        """What it counts towards the turn's room."""
        result, counts = self.reading.answer(machine, read, now_ms)
        if isinstance(result, CoordError):
            self._refuse(read.asker, read.operation, result)
        elif result is not None:
            self.answers.give(read.asker[0], Reply(read.asker[1], machine.applied, 0, result))
        return counts

    def _renew(self, machine: Machine, request: int, waiting: KeepAlive) -> KeepAliveReply:
        alive: list[tuple[SessionId, int]] = []
        expired: list[SessionId] = list(waiting.hidden)
        now_ms = self._clock.lease_ms
        for session in waiting.sessions:
            ttl_ms = self._leases.renew(session, now_ms, machine.applied)
            if ttl_ms is not None:
                alive.append((session, ttl_ms))
            elif not machine.has_session(session):
                expired.append(session)
        return KeepAliveReply(request, alive, expired)

    def _begin_watch(self, machine: Machine, connection: int, ask: WatchAsk) -> None:
        revision = machine.revision
        missed = []
        if ask.start_revision:
            if ask.start_revision < machine.history_floor:
                self.answers.give(connection, WatchGap(ask.request, machine.history_floor))
                return
            missed = self._missed.of(machine, ask)
        # What those who watch already are to be told of this turn's changes is found before the common mark moves.
        self._show_watches(machine)
        self.answers.give(connection, self._watching.begin(connection, ask, missed, revision))

    def _review_watches(self, machine: Machine) -> None:
        """Before anything more is pushed: who watches what it may not see any more is told so."""
        self.authority.reviewed(machine)
        for connection, ask in self._watching.asks():
            if not self._may_watch(connection, ask):
                self._watching.end(connection, ask.request)

    def _may_watch(self, connection: int, ask: WatchAsk) -> bool:
        try:
            authorise(self._permit(connection), (ask,))
        except CoordError as error:
            self._refuse((connection, ask.request), ask, error)
            return False
        return True

    def _show_watches(self, machine: Machine) -> None:
        watching = self._watching
        if not watching.is_behind(machine.revision):
            return
        if machine.history_floor <= watching.seen() + 1:
            watching.see(machine.changes(watching.seen(), machine.revision), machine.revision)
            return
        for connection, request in watching.end_all():  # what was applied since the last turn is more than the history holds
            self.answers.give(connection, WatchGap(request, machine.history_floor))
