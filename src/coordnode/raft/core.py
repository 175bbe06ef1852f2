"""The core's door: messages, ticks, proposals and finished writes go in, `Ready` comes out. Pure."""

from collections.abc import Callable, Collection
from typing import Any

from coordnode.errors import NotLeader, Overloaded
from coordnode.ids import NOBODY, Index, MemberId, Term, WriteId
from coordnode.limits import UNCOMMITTED_BYTES_MAX
from coordnode.raft import election, membership, reads, regain, replication, snapshots
from coordnode.raft.entry import BATCH, Config, HardState, SnapshotMeta
from coordnode.raft.messages import (
    Append,
    AppendReply,
    Chunk,
    ChunkReply,
    ConfirmAsk,
    ConfirmReply,
    Heartbeat,
    HeartbeatReply,
    Message,
    TakeOver,
    VoteAsk,
    VoteReply,
)
from coordnode.raft.progress import Progress
from coordnode.raft.ready import Ready, Write
from coordnode.raft.state import CANDIDATE, FOLLOWER, LEADER, PRE_CANDIDATE, State


class Raft(State):
    # --- time ------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        if self.written + 1 < self.next_write:
            self.disk_ticks += 1
        if self.role == LEADER:
            self._tick_leader()
            return
        reads.on_tick(self)
        self.elapsed += 1
        if self.elapsed >= self.timeout:
            if self.may_campaign():
                election.campaign(self)
            else:
                self.let_pass += 1
                self.set_leader(NOBODY)
                self.reset_timeout()

    def _tick_leader(self) -> None:
        if self.disk_ticks >= self.timing.stuck_ticks:
            self.become_follower(self.term, NOBODY)
            return
        self.quorum_elapsed += 1
        if self.quorum_elapsed >= self.timing.election_ticks_min:
            self.quorum_elapsed = 0
            if not replication.has_active_quorum(self):
                self.become_follower(self.term, NOBODY)
                return
        if self.transferee != NOBODY:
            self.transfer_ticks += 1
            if self.transfer_ticks >= self.timing.election_ticks_max:
                self.transferee = NOBODY
        self.heartbeat_elapsed += 1
        if self.heartbeat_elapsed >= self.timing.heartbeat_ticks:
            self.heartbeat_elapsed = 0
            reads.send_heartbeats(self)
        snapshots.on_tick(self)

    def has_just_checked_quorum(self) -> bool:
        """Right after a tick: this one found a quorum that was heard of since the check before."""
        return self.role == LEADER and self.quorum_elapsed == 0

    # --- what the replica asks -------------------------------------------------------------------------------------

    def propose(self, data: bytes) -> Index:
        """Appends one batch. Its fate is known when an entry with this index is committed: ours only if the term is, too."""
        if self.role != LEADER:
            raise NotLeader("this member does not lead; ask the leader", leader=self.leader)
        if self.transferee != NOBODY:
            raise Overloaded("leadership is being handed over; try again", retry_after_ms=50)
        if self.log.bytes_after(self.committed) > UNCOMMITTED_BYTES_MAX:
            raise Overloaded("too much is waiting to be committed; try again later", retry_after_ms=100)
        return self.append_own(BATCH, data)

    def propose_config(self, wanted: Config) -> Index:
        return membership.propose(self, wanted)

    def transfer(self, target: MemberId) -> None:
        election.transfer(self, target)

    def step_down(self, last: Collection[MemberId] = ()) -> None:
        """Another one is to lead, now: those in `last` only where there is nobody else."""
        if self.role == LEADER:
            membership.retire(self, last)

    def read(self, read: int) -> None:
        """Answered in Ready.reads once a round begun after this call is confirmed, or in Ready.reads_lost."""
        assert read >= 0
        reads.ask(self, read)

    def compact(self, snapshot: SnapshotMeta, keep_from: Index) -> None:
        """`snapshot` is whole and durable here; entries below `keep_from` are not needed for peers any more: they go within some turns."""
        if self.snapshot is None or snapshot.index < self.snapshot.index:
            return
        assert snapshot.index <= self.persisted
        self.snapshot = snapshot
        floor = Index(min(snapshot.index, keep_from - 1))
        self.log.compact(floor)
        while len(self.configs) > 1 and self.configs[1][0] <= floor:
            self.configs.pop(0)
        if self.role == LEADER:
            snapshots.begin_newer(self, floor)

    # --- storage ---------------------------------------------------------------------------------------------------

    def on_persisted(self, write: WriteId, term: Term, index: Index) -> None:
        """Everything up to `write` is durable; the log on disk then ended with (term, index)."""
        assert write < self.next_write
        if write <= self.written:
            return
        self.written = write
        self.disk_ticks = 0
        if write >= self.rewrite and index > self.persisted and self.log.term_at(index) == term:
            assert index <= self.submitted
            self.persisted = index
            if self.role == LEADER:
                replication.maybe_commit(self)
        if not self.hard_durable and not self.hard_changed and write >= self.hard_write:
            self.hard_durable = True
            election.on_own_vote_durable(self)
        regain.maybe_regained(self)

    def on_chunk_read(self, target: MemberId, meta: SnapshotMeta, number: int, last: bool, data: bytes, found: bool) -> None:
        snapshots.on_chunk_read(self, target, meta, number, last, data, found)

    def on_chunk_stored(self, source: MemberId, meta: SnapshotMeta, next_number: int, complete: bool) -> None:
        snapshots.on_chunk_stored(self, source, meta, next_number, complete)

    # --- peers -----------------------------------------------------------------------------------------------------

    def on_peer_gone(self, member: MemberId) -> None:
        """Every connection with it ended: most likely its process did. Only a hint; whatever it still says takes it back."""
        if self.role == FOLLOWER and self.leader == member:
            election.stand_soon(self)

    def step(self, message: Message) -> None:
        assert message.target == self.member
        if message.term > self.term:
            if not self._enter_their_term(message):
                return
        elif message.term < self.term:
            self._answer_the_past(message)
            return
        handler = HANDLERS.get((self.role, type(message)))
        if handler is not None:
            handler(self, message)

    def _enter_their_term(self, message: Message) -> bool:
        """A higher term ends whatever we were, except where the message only speaks of a term nobody has entered."""
        if isinstance(message, VoteAsk):
            if message.pre:
                return True
            if not message.transfer and election.hears_a_leader(self):
                return False
        if isinstance(message, VoteReply) and message.pre and message.granted:
            return True
        self.become_follower(message.term, message.source if isinstance(message, FROM_LEADER) else NOBODY)
        return True

    def _answer_the_past(self, message: Message) -> None:
        """The sender learns our term, so that a deposed leader steps down and a candidate does not wait in vain."""
        if isinstance(message, FROM_LEADER):
            replication.send_heartbeat_reply(self, message.source, 0)
        elif isinstance(message, VoteAsk):
            self.send(VoteReply(self.member, message.source, self.boot, self.term, message.pre, False, self.lost_entries))

    # --- what came of it -------------------------------------------------------------------------------------------

    def ready(self) -> Ready:
        """Once per turn, after everything that came in."""
        self.log.forget_some()
        if self.role == LEADER:
            reads.maybe_begin_round(self)
            if self.replicate_due:
                self.replicate_due = False
                replication.replicate(self)
        else:
            reads.maybe_ask_leader(self)
        ready = Ready()
        if self.out_after or self.hard_changed or self.submitted < self.log.last_index() or self.truncate_from or self.reset_to:
            ready.write = self._take_write()
        if self.out_now:
            ready.send_now, self.out_now = self.out_now, []
        if self.delivered < self.committed:
            ready.committed = self.log.slice(Index(self.delivered + 1), self.committed)
            self.delivered = self.committed
        if self.out_reads:
            ready.reads, self.out_reads = self.out_reads, []
        if self.out_reads_lost:
            ready.reads_lost, self.out_reads_lost = self.out_reads_lost, []
        if self.out_chunks_wanted:
            ready.chunks_wanted, self.out_chunks_wanted = self.out_chunks_wanted, []
        if self.out_chunks:
            ready.chunk_received, self.out_chunks = self.out_chunks, []
        if self.out_restore is not None:
            ready.restore, self.out_restore = self.out_restore, None
        if self.out_role_changed:
            ready.role_changed, self.out_role_changed = True, False
        if self.out_config_changed:
            ready.config, self.out_config_changed = self.config, False
        return ready

    def _take_write(self) -> Write:
        write_id = self.next_write
        self.next_write = WriteId(write_id + 1)
        log = self.log
        write = Write(write_id)
        if self.hard_changed:
            write.hard_state = HardState(self.term, self.vote, self.boot, self.lost_entries)
            self.hard_changed = False
            self.hard_write = write_id
        if self.reset_to is not None:
            write.reset_to, self.reset_to = self.reset_to, None
        if self.truncate_from:
            write.truncate_from, self.truncate_from = self.truncate_from, Index(0)
        last_index = log.last_index()
        if self.submitted < last_index:
            write.entries = log.slice(Index(self.submitted + 1), last_index)
            self.submitted = last_index
        if self.out_after:
            write.send_after, self.out_after = self.out_after, []
        write.last_index = last_index
        write.last_term = log.last_term()
        write.commit = self.committed
        return write


Handler = Callable[[State, Any], None]  # the second argument is of the type that the table names


def _of_peer(handler: Callable[[State, Progress, Any], None]) -> Handler:
    def on_message(raft: State, message: Message) -> None:
        peer = _peer(raft, message)
        if peer is not None:
            handler(raft, peer, message)

    return on_message


def _peer(raft: State, message: Message) -> Progress | None:
    """The sender's progress; None for a stranger and for a message from before its last restart."""
    peer = raft.progress.get(message.source)
    known = raft.boots.get(message.source, 0)
    if peer is None or message.boot < known:
        return None
    if message.boot > known:
        raft.boots[message.source] = message.boot
        if known:
            peer.restarted(Index(raft.log.last_index() + 1))
            raft.replicate_due = True
    return peer


def _on_chunk_reply(raft: State, peer: Progress, message: ChunkReply) -> None:
    snapshots.on_chunk_reply(raft, peer, message)
    if message.installed and message.source == raft.transferee:
        replication.maybe_hand_over(raft)  # the snapshot may be all that was missing there


def _on_confirm_ask(raft: State, message: ConfirmAsk) -> None:
    if _peer(raft, message) is not None:
        reads.on_confirm_ask(raft, message)


def _on_confirm_reply(raft: State, message: ConfirmReply) -> None:
    if message.number:
        reads.on_confirm_reply(raft, message)
    regain.on_confirm_reply(raft, message)


def _on_take_over(raft: State, message: Message) -> None:
    election.on_take_over(raft)


def _from_leader(handler: Handler) -> Handler:
    """A message of this term's leader: follow it, whatever we were about to become."""

    def on_message(raft: State, message: Message) -> None:
        if raft.role != FOLLOWER or raft.leader != message.source:
            raft.become_follower(raft.term, message.source)
        raft.elapsed = 0
        handler(raft, message)

    return on_message


FROM_LEADER = (Append, Heartbeat, Chunk)

_append = _from_leader(replication.on_append)
_heartbeat = _from_leader(replication.on_heartbeat)
_chunk = _from_leader(snapshots.on_chunk)

HANDLERS: dict[tuple[int, type], Handler] = {
    (FOLLOWER, Append): _append,
    (FOLLOWER, Heartbeat): _heartbeat,
    (FOLLOWER, Chunk): _chunk,
    (PRE_CANDIDATE, Append): _append,
    (PRE_CANDIDATE, Heartbeat): _heartbeat,
    (PRE_CANDIDATE, Chunk): _chunk,
    (CANDIDATE, Append): _append,
    (CANDIDATE, Heartbeat): _heartbeat,
    (CANDIDATE, Chunk): _chunk,
    (FOLLOWER, VoteAsk): election.on_vote_ask,
    (PRE_CANDIDATE, VoteAsk): election.on_vote_ask,
    (CANDIDATE, VoteAsk): election.on_vote_ask,
    (LEADER, VoteAsk): election.on_vote_ask,
    (PRE_CANDIDATE, VoteReply): election.on_vote_reply,
    (CANDIDATE, VoteReply): election.on_vote_reply,
    (LEADER, AppendReply): _of_peer(replication.on_append_reply),
    (LEADER, HeartbeatReply): _of_peer(replication.on_heartbeat_reply),
    (LEADER, ChunkReply): _of_peer(_on_chunk_reply),
    (LEADER, ConfirmAsk): _on_confirm_ask,
    (FOLLOWER, ConfirmReply): _on_confirm_reply,
    (FOLLOWER, TakeOver): _on_take_over,
}
"""The protocol on one screen: who reacts to what. What is not here is ignored: it belongs to a role that is over."""
