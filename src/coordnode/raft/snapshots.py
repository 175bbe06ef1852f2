"""Snapshots on their way from a leader to a member whose entries are compacted: one slice at a time, resumable. Pure."""

from coordnode.ids import Index, MemberId
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.messages import Chunk, ChunkReply
from coordnode.raft.progress import SNAPSHOT, Progress
from coordnode.raft.ready import ChunkWanted
from coordnode.raft.state import LEADER, State

# --- the leader's side ---------------------------------------------------------------------------------------------


def begin(raft: State, member: MemberId, peer: Progress) -> None:
    assert raft.snapshot is not None, "a leader always has the snapshot its log stands on"
    assert raft.snapshot.index >= raft.log.base_index
    peer.become_snapshot(raft.snapshot)
    _want_chunk(raft, member, peer)


def _want_chunk(raft: State, member: MemberId, peer: Progress) -> None:
    assert peer.chunk_meta is not None
    peer.chunk_ticks = 0
    raft.out_chunks_wanted.append(ChunkWanted(member, peer.chunk_meta, peer.chunk_number))


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
        if peer.state == SNAPSHOT:
            peer.chunk_ticks += 1
            if peer.chunk_ticks >= raft.timing.chunk_retry_ticks:
                _want_chunk(raft, member, peer)


def on_chunk_reply(raft: State, peer: Progress, message: ChunkReply) -> None:
    peer.active = True
    if peer.state != SNAPSHOT or peer.chunk_meta is None or peer.chunk_meta.index != message.index:
        return
    if message.installed:
        peer.match = max(peer.match, message.match)
        peer.become_probe(Index(peer.match + 1))
        raft.replicate_due = True
    elif message.next_number != peer.chunk_number:
        # May jump ahead: the receiver kept what it had before an interruption. May fall back: it lost that, its disk being full.
        peer.chunk_number = message.next_number
        _want_chunk(raft, message.source, peer)


def is_sending(raft: State) -> bool:
    return raft.role == LEADER and any(peer.state == SNAPSHOT and peer.is_heard() for peer in raft.progress.values())


def needed_from(raft: State) -> Index:
    """The first entry that anybody who is heard of has still to get: it would begin again with a snapshot, and again, if it were gone."""
    behind = [peer.needs_from() for peer in raft.progress.values() if peer.is_heard()] if raft.role == LEADER else []
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
    if raft.reset_to is None and raft.out_restore is None:
        raft.out_chunks.append((message.source, meta, message.number, message.last, message.data))


def on_chunk_stored(raft: State, source: MemberId, meta: SnapshotMeta, next_number: int, complete: bool) -> None:
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
