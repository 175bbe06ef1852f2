"""What a leader's answers say about time: whoever confirms a read or a lease led when it was asked, and renews nothing that is over.

Looked at where an answer leaves a member, whether or not a client ever hears it.
"""

from collections.abc import Sequence

from coordnode.errors import PromiseBroken
from coordnode.ids import Index, MemberId, SessionId, Term
from coordnode.raft.core import Raft
from coordnode.raft.entry import BATCH, CONFIG, Config, Entry, decode_config
from coordnode.raft.messages import ConfirmAsk, ConfirmReply
from coordnode.raft.quorum import has_quorum
from coordnode.raft.state import LEADER
from coordnode.replica.replica import Replica
from coordnode.services.commands import Batch, Checkpoint, Expire, Withdraw, decode_batch
from coordnode.services.dialogue import (
    Answer,
    Ask,
    ConfigAsk,
    KeepAliveAsk,
    KeepAliveReply,
    ReadAsk,
    Reply,
    TransferAsk,
    WatchProgress,
    WatchPush,
)
from coordnode.simulator import marks
from coordnode.simulator.marks import Marks
from coordnode.simulator.reference import Reference

UNRENEWED_MAX = 6  # half of what a client sends before it gives up
ASKS_KEPT = 100_000  # those that are never answered must not pile up


class Promised:
    def __init__(self, reference: Reference, marks_: Marks) -> None:
        self._marks = marks_
        self.newest_term = Term(0)  # of all that had a leader
        self.said_over: list[SessionId] = []  # sessions, in answers of the turn under way
        self.said_changed: list[tuple[Config, Index]] = []  # configurations likewise, and where they are said to be in force
        self._reference = reference
        # By connection and request: the newest term then, when, for which sessions, what was committed, and whether any member may answer.
        self._asked: dict[tuple[int, int], tuple[Term, int, Sequence[SessionId], int, bool]] = {}
        self._administrative: dict[tuple[int, int], TransferAsk | ConfigAsk] = {}  # by connection and request
        self._rounds: dict[tuple[Term, int], int] = {}  # when the first heartbeat left that carries it
        self._confirmed: dict[MemberId, tuple[Term, int]] = {}  # the newest round that a quorum answered while that member led
        self._questions: dict[tuple[MemberId, int, int], int] = {}  # by who does not lead, its boot and number: when it left last
        self._told_ns: dict[MemberId, int] = {}  # by who does not lead: when the newest round began that a leader answered its question by
        self._pushed: dict[tuple[int, int], int] = {}  # by connection and request of a watch: what it was told of last
        self._unrenewed: dict[tuple[Term, SessionId], int] = {}  # answers in a row that leave open what becomes of it
        self._expiring: dict[tuple[Term, SessionId], Index] = {}  # by the term that decided it: where its Expire stands
        self._checkpoints: dict[tuple[Term, SessionId], tuple[bool, Index]] = {}  # likewise: (whether withdrawn, where it says so)

    # --- facts -----------------------------------------------------------------------------------------------------

    def round_sent(self, term: Term, number: int, now_ns: int) -> None:
        self._rounds.setdefault((term, number), now_ns)

    def leads(self, raft: Raft) -> None:
        """After a turn: what it confirmed may be answered when it leads no more, for its state may take a while to come so far."""
        known = self._confirmed.get(raft.member, (Term(0), 0))
        if known != (raft.term, raft.round):
            self._confirmed[raft.member] = max(known, (raft.term, _confirmed_by(raft)))

    def arrived(self, connection: int, asks: Sequence[Ask], now_ns: int) -> None:
        asked, committed = self._asked, self._reference.applied
        for ask in asks:
            if type(ask) is ReadAsk:
                if not ask.stale:
                    asked[connection, ask.request] = (self.newest_term, now_ns, (), committed, ask.here)
            elif type(ask) is TransferAsk or type(ask) is ConfigAsk:
                self._administrative[connection, ask.request] = ask
            elif type(ask) is KeepAliveAsk:
                asked[connection, ask.request] = (self.newest_term, now_ns, ask.sessions, committed, False)
        if len(asked) > ASKS_KEPT:
            for key in list(asked)[: ASKS_KEPT // 2]:
                del asked[key]

    def wrote(self, entries: Sequence[Entry]) -> None:
        """Of any member; the first to write an entry is the leader that proposes it."""
        reference = self._reference
        for entry in entries:
            if entry.kind != BATCH or entry.index <= reference.applied or (entry.term, entry.index) in reference.decoded:
                continue
            batch = reference.decoded[entry.term, entry.index] = decode_batch(entry.data)
            self._proposed(entry, batch)

    def _proposed(self, entry: Entry, batch: Batch) -> None:
        for command in batch.commands:
            operation = command.operation
            if type(operation) is Expire:
                for session in operation.sessions:
                    self._expiring[entry.term, session] = entry.index
            elif type(operation) is Checkpoint:
                for session, _ in operation.remaining_ms:
                    self._checkpoints[entry.term, session] = (False, entry.index)
            elif type(operation) is Withdraw:
                for session in operation.sessions:
                    self._checkpoints[entry.term, session] = (True, entry.index)

    # --- what is answered ------------------------------------------------------------------------------------------

    def answered(self, replica: Replica, connection: int, answers: Sequence[Answer]) -> None:
        for answer in answers:
            if type(answer) is WatchPush or type(answer) is WatchProgress:
                self._check_seen(replica, answer)
            if type(answer) is WatchPush:
                self._check_push(connection, answer)
                continue
            administrative = self._administrative.pop((connection, answer.request), None)
            if administrative is not None and type(answer) is Reply:
                self._check_done(replica, administrative, answer)
            asked = self._asked.pop((connection, answer.request), None)
            if asked is None:
                continue
            asked_in, asked_ns, sessions, committed, here = asked
            if type(answer) is Reply:
                if here and replica.raft.role != LEADER:
                    self._marks.reach(marks.READ_BY_FOLLOWER)
                self._check_term(replica, asked_in, "a read")
                if not here or self._told_ns.get(replica.member, -1) < asked_ns:
                    self._check_round(replica, asked_ns, "a read")
                self._check_index(replica, answer, committed)
            elif type(answer) is KeepAliveReply:
                self._check_term(replica, asked_in, "a keep-alive")
                self._check_round(replica, asked_ns, "a keep-alive")
                self._check_keep_alive(replica, answer)
                self._check_renewed(replica, answer, sessions)

    def _check_term(self, replica: Replica, asked_in: Term, what: str) -> None:
        if asked_in > replica.raft.term:
            raise PromiseBroken(
                "confirmed-after-asked",
                f"member {replica.member} answers {what} in term {replica.raft.term}; when it was asked, term {asked_in} had a leader",
                (replica.member, replica.raft.term, asked_in),
            )

    def _check_round(self, replica: Replica, asked_ns: int, what: str) -> None:
        """The newest round that a quorum has answered began no earlier than the question came."""
        raft = replica.raft
        if raft.role != LEADER:
            term, confirmed = self._confirmed.get(raft.member, (Term(0), 0))
            self._must_have_begun(replica, (term, confirmed), asked_ns, what)
        elif not _cannot_be_told(raft):
            self._must_have_begun(replica, (raft.term, _confirmed_by(raft)), asked_ns, what)

    def asks_leader(self, question: ConfirmAsk, now_ns: int) -> None:
        self._questions.setdefault((question.source, question.boot, question.number), now_ns)

    def confirms(self, reply: ConfirmReply, raft: Raft, now_ns: int) -> None:
        """A leader answers a member's question: after a round that began when it had come, unless the two of them are a quorum.

        It may have changed its configuration since, in the very turn, or lead no more.
        """
        configs = raft.configs[-2:]
        are_quorum = any(has_quorum(each, lambda voter: voter in (raft.member, reply.target)) for _, each in configs)
        if are_quorum or raft.role != LEADER:
            begun_ns = self._questions.get((reply.target, reply.asked_boot, reply.number), -1)
        else:
            begun_ns = now_ns if _cannot_be_told(raft) else self._rounds.get((reply.term, _newest_answered(raft, configs)), -1)
        self._told_ns[reply.target] = max(self._told_ns.get(reply.target, -1), begun_ns)

    def _must_have_begun(self, replica: Replica, confirmed: tuple[Term, int], asked_ns: int, what: str) -> None:
        begun_ns = self._rounds.get(confirmed)
        if begun_ns is None or begun_ns < asked_ns:
            raise PromiseBroken(
                "confirmed-after-asked",
                f"member {replica.member} answers {what} that came at {asked_ns}; round {confirmed[1]} of term {confirmed[0]}, the newest "
                f"that a quorum answered, began at {begun_ns}",
                (replica.member, replica.raft.term, replica.raft.round, confirmed),
            )

    def _check_index(self, replica: Replica, answer: Reply, committed: int) -> None:
        """Whatever was committed when it was asked is in the state that it is answered from."""
        if answer.index < committed:
            sentence = f"member {replica.member} answers a read at index {answer.index}; when it was asked, {committed} was committed"
            raise PromiseBroken("read-index", sentence, (answer.index, committed, replica.raft.committed))

    def _check_done(self, replica: Replica, ask: TransferAsk | ConfigAsk, answer: Reply) -> None:
        """An operator is told that it is done: whom it named leads, or what it named is committed, and not only half of it."""
        if type(ask) is TransferAsk:
            if replica.raft.leader != ask.target:
                sentence = f"member {replica.member} says that it handed over to {ask.target}, and {replica.raft.leader} leads"
                raise PromiseBroken("handed-over", sentence, (ask, answer))
            return
        assert type(ask) is ConfigAsk
        self.said_changed.append((ask.config, Index(answer.index)))

    def _check_changed(self, asked: Config, index: Index) -> None:
        newest = next((entry for entry in reversed(self._reference.entries[:index]) if entry.kind == CONFIG), None)
        config = decode_config(newest.data) if newest is not None else Config()
        if config.is_joint() or [*config.voters] != sorted({*asked.voters}) or [*config.learners] != sorted({*asked.learners}):
            sentence = f"an operator is told at {index} that the members are changed as asked; the newest configuration there is another"
            raise PromiseBroken("members-changed", sentence, (asked, config))

    def _check_seen(self, replica: Replica, told: WatchPush | WatchProgress) -> None:
        revision = replica.machine.scalars.revision if replica.machine is not None else None
        if revision is not None and told.up_to > revision:
            sentence = f"member {replica.member} tells a watch that it has seen revision {told.up_to}; its own state is at {revision}"
            raise PromiseBroken("watch-order", sentence, (replica.member, told))

    def _check_push(self, connection: int, push: WatchPush) -> None:
        name = connection, push.request
        told = self._pushed.get(name, 0)
        if push.changes and push.changes[0].revision <= told:
            sentence = f"a watch is pushed revision {push.changes[0].revision} after {told}"
            raise PromiseBroken("watch-order", sentence, (connection, push))
        self._pushed[name] = max(told, int(push.up_to))

    def _check_keep_alive(self, replica: Replica, answer: KeepAliveReply) -> None:
        member, term = replica.member, replica.raft.term
        # What an earlier leader noted; as long as nobody leads since, nothing but this term's entries can have changed it.
        leases = self._reference.machine.leases() if term == self.newest_term else ()
        noted = [session for session, _, remaining_ms in leases if remaining_ms is not None]
        for session, _ in answer.alive:
            index = self._expiring.get((term, session))
            if index is not None:
                sentence = f"member {member} renews session {session}, whose expiry it has proposed at {index}"
                raise PromiseBroken("not-while-expiring", sentence, (member, term, session, index))
            withdrawn, index = self._checkpoints.get((term, session), (session not in noted, Index(0)))
            if not withdrawn or index > replica.applied:
                sentence = f"member {member} renews session {session}; that its checkpoint at {index} is void, the log does not say yet"
                raise PromiseBroken("withdrawn-before-renewed", sentence, (member, term, session, index, withdrawn, replica.applied))
        self.said_over.extend(answer.expired)

    def _check_renewed(self, replica: Replica, answer: KeepAliveReply, sessions: Sequence[SessionId]) -> None:
        """A session that lives is renewed, if not by this keep-alive, then by one of the next."""
        term = replica.raft.term
        settled = [*[session for session, _ in answer.alive], *answer.expired]
        for session in sessions:
            key = (term, session)
            _, index = self._checkpoints.get(key, (False, Index(0)))
            under_way = index > replica.applied  # the checkpoint itself, maybe: those that came before it took nothing back
            if session in settled or key in self._expiring or under_way or replica.raft.transferee:
                self._unrenewed.pop(key, None)
                continue
            count = self._unrenewed[key] = self._unrenewed.get(key, 0) + 1
            if count >= UNRENEWED_MAX:
                sentence = f"member {replica.member} answers {count} keep-alives and neither renews nor ends session {session}"
                raise PromiseBroken("renewed-when-asked", sentence, (replica.member, term, session))

    def check_said(self) -> None:
        """After the turn: whatever the member had committed in it is known by now."""
        for asked, index in self.said_changed:
            self._check_changed(asked, index)
        self.said_changed.clear()
        for session in self.said_over:
            if not self._reference.is_over(int(session)):
                raise PromiseBroken("session-life", f"a client is told that session {session} is over, and it lives", session)
        self.said_over.clear()


def _cannot_be_told(raft: Raft) -> bool:
    """By which round it is that this leader's reads are confirmed."""
    config = raft.config
    if _confirmed_by(raft) == raft.round and config.voters == (raft.member,) and not config.outgoing:
        return True  # nobody else is asked
    # One of them started anew, or came only now: what it answered before counted, and is forgotten.
    return any(raft.progress[voter].round == 0 for voter in (*config.voters, *config.outgoing) if voter in raft.progress)


def _confirmed_by(raft: Raft) -> int:
    """A configuration that took effect since the round was answered has no say in it."""
    return _newest_answered(raft, raft.configs)


def _newest_answered(raft: Raft, configs: Sequence[tuple[Index, Config]]) -> int:
    return max([min([_reached(raft, voters) for voters in (each.voters, each.outgoing) if voters]) for _, each in configs])


def _reached(raft: Raft, voters: Sequence[MemberId]) -> int:
    """The newest round that a majority of these has answered."""
    answered = {member: peer.round for member, peer in raft.progress.items()}
    answered[raft.member] = raft.round
    return sorted([answered.get(voter, 0) for voter in voters], reverse=True)[len(voters) // 2]
