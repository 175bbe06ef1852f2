"""The leader's log to the others, and what they answer: probing, pipelining, fast back-off, commit. Pure."""

from coordnode.ids import NOBODY, Index, MemberId, Term
from coordnode.limits import APPEND_BYTES_MAX
from coordnode.raft import membership, reads, regain, snapshots
from coordnode.raft.entry import Entry
from coordnode.raft.messages import Append, AppendReply, Heartbeat, HeartbeatReply, TakeOver
from coordnode.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from coordnode.raft.quorum import has_quorum, quorum_value
from coordnode.raft.state import State

NO_STATE = Index(-1)  # hint of a refusal: send a snapshot

# --- the leader's side ---------------------------------------------------------------------------------------------


def replicate(raft: State) -> None:
    """Once per turn: whatever is new goes to everyone who can take it."""
    for member, peer in raft.progress.items():
        send_entries(raft, member, peer)


def send_entries(raft: State, member: MemberId, peer: Progress) -> None:
    if peer.state == SNAPSHOT:
        return
    if peer.next_index <= raft.log.base_index:
        snapshots.begin(raft, member, peer)
        return
    if peer.state == PROBE:
        if not peer.probe_sent:
            _send_append(raft, member, peer)
            peer.probe_sent = True
        return
    last_index = raft.log.last_index()
    while peer.next_index <= last_index and not peer.is_window_full():
        _send_append(raft, member, peer)


def _send_append(raft: State, member: MemberId, peer: Progress) -> None:
    log = raft.log
    previous = Index(peer.next_index - 1)
    previous_term = log.term_at(previous)
    assert previous_term is not None
    entries = log.slice_bytes(peer.next_index, APPEND_BYTES_MAX)
    raft.send(Append(raft.member, member, raft.boot, raft.term, previous, previous_term, raft.committed, raft.round, entries))
    if peer.state == REPLICATE and entries:
        peer.sent(entries[-1].index, sum([len(entry.data) for entry in entries]))


def _send_empty_append(raft: State, member: MemberId, peer: Progress) -> None:
    """Asks "how far are you?" without sending entries twice."""
    previous = Index(peer.next_index - 1)
    previous_term = raft.log.term_at(previous)
    if previous_term is None:
        peer.become_probe(Index(peer.match + 1))
        return
    raft.send(Append(raft.member, member, raft.boot, raft.term, previous, previous_term, raft.committed, raft.round, []))


def on_append_reply(raft: State, peer: Progress, message: AppendReply) -> None:
    peer.active = True
    peer.space_ok = message.space_ok
    peer.level_max = message.level_max
    if message.round > peer.round:
        peer.round = message.round
        reads.maybe_confirm(raft)
    if not message.accepted:
        _on_refused(raft, peer, message)
        return
    assert message.match <= raft.log.last_index(), "a peer acknowledged entries that were never sent"
    news = peer.acknowledged(message.match)
    if peer.state == PROBE and peer.match + 1 >= peer.next_index:
        peer.become_replicate()
        raft.replicate_due = True
    elif peer.state == PROBE:
        # It answered, but from before the probe: try again from what is known.
        peer.become_probe(Index(peer.match + 1))
        raft.replicate_due = True
    elif peer.state == SNAPSHOT and peer.chunk_meta is not None and peer.match >= peer.chunk_meta.index:
        peer.become_probe(Index(peer.match + 1))
        raft.replicate_due = True
    if news:
        maybe_commit(raft)
        if peer.next_index <= raft.log.last_index():
            raft.replicate_due = True
        maybe_hand_over(raft)


def _on_refused(raft: State, peer: Progress, message: AppendReply) -> None:
    refused = message.match
    if message.hint_index == NO_STATE:
        if peer.state != SNAPSHOT and raft.snapshot is not None:
            snapshots.begin(raft, message.source, peer)
        return
    if peer.state == SNAPSHOT:
        return
    if peer.state == REPLICATE:
        if refused <= peer.match:
            return  # an old refusal, overtaken by an acknowledgement
        peer.become_probe(Index(peer.match + 1))
    elif refused != peer.next_index - 1:
        return  # an old refusal of an earlier probe
    # Skip every one of our terms that the peer cannot have at that place.
    agreed, _ = raft.log.last_index_with_term_up_to(message.hint_term, message.hint_index)
    peer.become_probe(Index(max(peer.match + 1, min(agreed + 1, refused))))
    raft.replicate_due = True


def on_heartbeat_reply(raft: State, peer: Progress, message: HeartbeatReply) -> None:
    peer.active = True
    peer.space_ok = message.space_ok
    peer.level_max = message.level_max
    if message.round > peer.round:
        peer.round = message.round
        reads.maybe_confirm(raft)
    if peer.state == PROBE:
        peer.probe_sent = False
        send_entries(raft, message.source, peer)
    elif peer.state == REPLICATE and peer.match < peer.next_index - 1:
        if peer.match == peer.match_at_heartbeat:
            _send_empty_append(raft, message.source, peer)
        peer.match_at_heartbeat = peer.match


def maybe_commit(raft: State) -> None:
    """Only entries of our own term commit by counting; older ones commit with them."""
    own = raft.member

    def durable(member: MemberId) -> int:
        if member == own:
            return raft.persisted
        peer = raft.progress.get(member)
        return peer.match if peer is not None else 0

    index = Index(quorum_value(raft.config, durable))
    if index > raft.committed and raft.log.term_at(index) == raft.term:
        raft.committed = index
        membership.on_commit(raft)


def maybe_hand_over(raft: State) -> None:
    target = raft.transferee
    if target == NOBODY:
        return
    peer = raft.progress.get(target)
    if peer is not None and peer.match == raft.log.last_index():
        raft.send(TakeOver(raft.member, target, raft.boot, raft.term))


def has_active_quorum(raft: State) -> bool:
    """Asked once per election timeout; the answers so far are forgotten."""

    def active(member: MemberId) -> bool:
        if member == raft.member:
            return True
        peer = raft.progress.get(member)
        return peer is not None and peer.active

    enough = has_quorum(raft.config, active)
    for peer in raft.progress.values():
        peer.was_active, peer.active = peer.active, False
    return enough


# --- the follower's side -------------------------------------------------------------------------------------------


def on_append(raft: State, message: Append) -> None:
    log = raft.log
    if raft.stateless:
        _refuse(raft, message, NO_STATE, Term(0))
        return
    previous = message.prev_index
    if previous < raft.committed:
        # Committed entries are never questioned: continue from there.
        _accept(raft, message, raft.committed)
        return
    if log.term_at(previous) != message.prev_term:
        hint, hint_term = log.last_index_with_term_up_to(message.prev_term, previous)
        _refuse(raft, message, hint, hint_term)
        return
    entries = message.entries
    if previous != log.last_index():
        entries = _without_known(raft, message)
    raft.append_received(entries)
    match = Index(previous + len(message.entries))
    raft.agreed = max(raft.agreed, match)
    raft.committed = max(raft.committed, min(message.commit, match))
    _accept(raft, message, match)


def _without_known(raft: State, message: Append) -> list[Entry]:
    """What of the message is new here; entries of ours that contradict it are undone."""
    entries = message.entries
    for position, entry in enumerate(entries):
        term = raft.log.term_at(entry.index)
        if term is None:
            return entries[position:]
        if term != entry.term:
            raft.truncate(entry.index)
            return entries[position:]
    return []


def _accept(raft: State, message: Append, match: Index) -> None:
    raft.send_durable(
        AppendReply(
            raft.member, message.source, raft.boot, raft.term, True, match, Index(0), Term(0), message.round, raft.space_ok, raft.level_max
        ),
        match,
    )


def _refuse(raft: State, message: Append, hint: Index, hint_term: Term) -> None:
    raft.send(
        AppendReply(
            raft.member,
            message.source,
            raft.boot,
            raft.term,
            False,
            message.prev_index,
            hint,
            hint_term,
            message.round,
            raft.space_ok,
            raft.level_max,
        )
    )


def on_heartbeat(raft: State, message: Heartbeat) -> None:
    # The leader names no more than what we acknowledged; but an earlier boot may have done so, and lost it since.
    raft.committed = max(raft.committed, min(message.commit, raft.agreed))
    send_heartbeat_reply(raft, message.source, message.round)
    regain.on_leader_heard(raft)


def send_heartbeat_reply(raft: State, target: MemberId, number: int) -> None:
    raft.send(HeartbeatReply(raft.member, target, raft.boot, raft.term, number, raft.space_ok, raft.level_max))
