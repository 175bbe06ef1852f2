"""Snapshots on their way from a leader to a member whose entries are compacted: one slice at a time, resumable. Pure."""

from coordnode.ids import Index, MemberId
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.messages import Chunk, ChunkReply
from coordnode.raft.progress import LONG_OVERDUE, SNAPSHOT, Progress
from coordnode.raft.ready import ChunkWanted
from coordnode.raft.state import LEADER, State

WAIT_GROWTH_MAX = 64  # of chunk_retry_ticks: a slice is never sent again more seldom

# --- the leader's side ---------------------------------------------------------------------------------------------


def begin(raft: State, member: MemberId, peer: Progress) -> None:
    assert raft.snapshot is not None, "a leader always has the snapshot its log stands on"
    assert raft.snapshot.index >= raft.log.base_index
    peer.become_snapshot(raft.snapshot)
    _wait(raft, peer, peer.chunk_wait)
    _want_next(raft, member, peer)


def begin_newer(raft: State, floor: Index) -> None:
    """The log is forgotten up to there: whoever were to have an older snapshot could not go on behind it."""
    for member, peer in raft.progress.items():
        if peer.chunk_meta is not None and peer.chunk_meta.index < floor:
            begin(raft, member, peer)


def _want_next(raft: State, member: MemberId, peer: Progress) -> None:
    if _may_want(peer):
        peer.chunk_ticks = 0
        _want(raft, member, peer)
    else:
        peer.chunk_ticks = LONG_OVERDUE * peer.chunk_wait  # as soon as it may be


def _may_want(peer: Progress) -> bool:
    """Nobody reads for who hears nothing. Whoever lost slices, its disk being full, takes them again once it has room; before it did, the
    snapshot may be what makes room there."""
    return peer.is_heard() and (peer.space_ok or peer.chunk_number >= peer.chunk_furthest)


def _want(raft: State, member: MemberId, peer: Progress) -> None:
    assert peer.chunk_meta is not None
    raft.out_chunks_wanted.append(ChunkWanted(member, peer.chunk_meta, peer.chunk_number))


def _wait(raft: State, peer: Progress, ticks: int) -> None:
    least = raft.timing.chunk_retry_ticks
    peer.chunk_wait = min(max(ticks, least), WAIT_GROWTH_MAX * least)


def on_chunk_read(raft: State, target: MemberId, meta: SnapshotMeta, number: int, last: bool, data: bytes, found: bool) -> None:
    peer = raft.progress.get(target)
    if raft.role != LEADER or peer is None or peer.state != SNAPSHOT or peer.chunk_meta != meta or peer.chunk_number != number:
        return
    if not found:
        # A newer snapshot took its place, or it is rotten and the replica is making another: begin again with what there is then.
        peer.become_probe(Index(peer.match + 1))
        return
    raft.send(Chunk(raft.member, target, raft.boot, raft.term, meta, number, last, data))


def on_tick(raft: State) -> None:
    for member, peer in raft.progress.items():
        if peer.state != SNAPSHOT:
            continue
        peer.chunk_ticks += 1
        if peer.chunk_ticks < peer.chunk_wait or not _may_want(peer):
            continue
        _want(raft, member, peer)
        if peer.is_long_overdue():
            peer.chunk_ticks = 0  # it was away
        else:
            # It may be lost, or still on its way: each copy on a slow link makes all that follows later.
            peer.chunk_wait = min(2 * peer.chunk_wait, peer.chunk_ticks + WAIT_GROWTH_MAX * raft.timing.chunk_retry_ticks)


def on_chunk_reply(raft: State, peer: Progress, message: ChunkReply) -> None:
    peer.active = True
    if peer.state != SNAPSHOT or peer.chunk_meta is None or peer.chunk_meta.index != message.index:
        return
    if message.installed:
        peer.match = max(peer.match, message.match)
        peer.become_probe(Index(peer.match + 1))
        raft.replicate_due = True
    elif message.next_number > peer.chunk_number:
        # May jump ahead: the receiver kept what it had before an interruption.
        peer.chunk_number = message.next_number
        if peer.chunk_number > peer.chunk_furthest:
            peer.chunk_furthest = peer.chunk_number
            _wait(raft, peer, 2 * peer.chunk_ticks)  # copies that are still before it on the link count: none is added to them
        else:
            _wait(raft, peer, peer.chunk_wait)
        _want_next(raft, message.source, peer)
    elif message.next_number < peer.chunk_number:
        # It lost what it had, its disk being full: it would do so again at once, and until it has come further than before.
        peer.chunk_number = message.next_number
        peer.chunk_ticks = 0
        _wait(raft, peer, 2 * peer.chunk_wait)


def is_sending(raft: State) -> bool:
    return raft.role == LEADER and any(peer.is_given_a_snapshot() for peer in raft.progress.values())


def needed_from(raft: State) -> Index:
    """The first entry that anybody who is heard of has still to get: it would begin again with a snapshot, and again, if it were gone."""
    peers = raft.progress.values() if raft.role == LEADER else ()
    behind = [peer.needs_from() for peer in peers if peer.is_heard() or peer.is_given_a_snapshot()]
    return min(behind, default=Index(raft.log.last_index() + 1))


# --- the receiver's side -------------------------------------------------------------------------------------------


def on_chunk(raft: State, message: Chunk) -> None:
    meta = message.meta
    if not raft.stateless and meta.index <= raft.committed:
        _reply(raft, message.source, meta, 0, installed=True, match=raft.committed)
        return
    if not raft.stateless and raft.log.term_at(meta.index) == meta.term:
        # Our log reaches that far already and, having the snapshot's last entry, agrees with it.
        raft.committed = meta.index
        _reply(raft, message.source, meta, 0, installed=True, match=meta.index)
        return
    if raft.reset_to is not None or raft.out_restore is not None:
        return
    storing = (message.source, meta)
    if storing not in raft.chunks_storing:  # else it came again before the answer, which names what is wanted next
        raft.chunks_storing.append(storing)
        raft.out_chunks.append((message.source, meta, message.number, message.last, message.data))


def on_chunk_stored(raft: State, source: MemberId, meta: SnapshotMeta, next_number: int, complete: bool) -> None:
    if (source, meta) in raft.chunks_storing:
        raft.chunks_storing.remove((source, meta))
    if not complete:
        _reply(raft, source, meta, next_number, installed=False, match=Index(0))
        return
    if raft.stateless or (meta.index > raft.committed and raft.log.term_at(meta.index) != meta.term):
        _install(raft, meta)
    else:
        # Entries overtook the slices: the log reaches that far, and what follows there may be acknowledged already.
        raft.committed = max(raft.committed, meta.index)
        if raft.snapshot is not None and meta.index > raft.snapshot.index:
            raft.snapshot = meta
    _reply(raft, source, meta, next_number, installed=True, match=raft.committed)


def _reply(raft: State, target: MemberId, meta: SnapshotMeta, next_number: int, *, installed: bool, match: Index) -> None:
    raft.send_durable(ChunkReply(raft.member, target, raft.boot, raft.term, meta.index, next_number, installed, match), match)


def _install(raft: State, meta: SnapshotMeta) -> None:
    """The snapshot is durable and in place; now the log starts anew behind it."""
    raft.stateless = False
    raft.snapshot = meta
    raft.log.reset(meta.index, meta.term)
    raft.committed = meta.index
    raft.delivered = meta.index
    raft.submitted = meta.index
    raft.persisted = Index(0)  # until storage has forgotten the old log
    raft.truncate_from = Index(0)
    raft.reset_to = meta
    raft.rewrite = raft.next_write
    raft.out_restore = meta
    raft.configs = [(meta.config_index, meta.config)]
    raft.set_config(meta.config)
