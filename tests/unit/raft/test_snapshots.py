"""Snapshots in the middle of everything else: nothing acknowledged is dropped, nothing waits for ever."""

from coordnode.ids import Index, MemberId, Term
from coordnode.raft import snapshots
from coordnode.raft.core import Raft
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.messages import Append, AppendReply, Chunk, ChunkReply, HeartbeatReply, TakeOver
from coordnode.raft.progress import PROBE, SNAPSHOT
from tests.unit.raft.hand_driven import ONE, THREE, TWO, accepted, acknowledge, batch, core, elect, snapshot_of, turn


def test_a_snapshot_that_arrives_after_its_entries_drops_none_that_were_acknowledged() -> None:
    raft = core(snapshot_of(ONE, TWO, THREE))
    meta = snapshot_of(ONE, TWO, THREE, index=3, author=TWO)
    raft.step(Chunk(TWO, ONE, 1, Term(1), meta, 0, True, b""))
    _, ready = turn(raft)
    assert ready.chunk_received
    # While storage writes the slice, a leader that still has the entries sends them, and we acknowledge them.
    raft.step(Append(THREE, ONE, 1, Term(2), Index(1), Term(1), Index(1), 0, [batch(1, 2), batch(1, 3), batch(2, 4)]))
    left, _ = turn(raft)
    assert [message.match for message in left if isinstance(message, AppendReply)] == [4]
    raft.on_chunk_stored(TWO, meta, 1, True)
    left, ready = turn(raft)
    assert raft.log.last_index() == 4, "an acknowledged entry was dropped"
    assert raft.persisted == 4
    assert ready.restore is None
    assert [entry.index for entry in ready.committed] == [2, 3]
    assert raft.snapshot == meta, "it is the newest on our disk"


def test_a_snapshot_replaces_a_log_that_contradicts_it() -> None:
    raft = core(snapshot_of(ONE, TWO, THREE), [batch(1, 2), batch(1, 3), batch(1, 4)])
    meta = snapshot_of(ONE, TWO, THREE, index=3, term=2, author=TWO)
    raft.step(Chunk(TWO, ONE, 1, Term(3), meta, 0, True, b""))
    turn(raft)
    raft.on_chunk_stored(TWO, meta, 1, True)
    ready = raft.ready()
    assert ready.restore == meta
    assert ready.write is not None
    assert ready.write.reset_to == meta
    assert not ready.send_now, "the acknowledgement waits until storage has forgotten the old log"
    assert [type(message) for message in ready.write.send_after] == [ChunkReply]
    assert (raft.log.last_index(), raft.persisted, raft.committed) == (3, 0, 3)
    raft.on_persisted(ready.write.write_id, ready.write.last_term, ready.write.last_index)
    assert raft.persisted == 3


def compacted_leader_with_a_new_follower() -> tuple[Raft, SnapshotMeta]:
    raft = core(snapshot_of(ONE, TWO, THREE))
    elect(raft)
    for data in (b"a", b"b"):
        raft.propose(data)
    turn(raft)
    raft.step(accepted(raft, TWO, raft.log.last_index()))
    turn(raft)
    meta = snapshot_of(ONE, TWO, THREE, index=raft.committed, term=raft.term)
    raft.compact(meta, Index(meta.index + 1))
    raft.step(HeartbeatReply(THREE, ONE, 1, raft.term, 0, True, 1))
    _, ready = turn(raft)
    assert [(wanted.target, wanted.number) for wanted in ready.chunks_wanted] == [(THREE, 0)]
    return raft, meta


def wanted_while(raft: Raft, ticks: int, *, space_ok: bool = True, of: MemberId = THREE) -> list[int]:
    """The slices that are asked for in so many ticks, in which everybody answers heartbeats."""
    wanted: list[int] = []
    for _ in range(ticks):
        raft.tick()
        for peer in {TWO, of}:
            raft.step(HeartbeatReply(peer, ONE, 1, raft.term, 0, space_ok, 1))
        wanted += [chunk.number for chunk in turn(raft)[1].chunks_wanted]
    return wanted


def asked_for(raft: Raft, meta: SnapshotMeta, number: int) -> list[int]:
    """What is sent at once when that slice is asked for."""
    raft.step(ChunkReply(THREE, ONE, 1, raft.term, meta.index, number, False, Index(0)))
    return [wanted.number for wanted in turn(raft)[1].chunks_wanted]


def test_a_receiver_that_lost_its_slices_is_served_from_the_start_after_a_while() -> None:
    """Its disk was full: what it had received is gone, though it never restarted. So will be what is sent at once."""
    raft, meta = compacted_leader_with_a_new_follower()
    retry = raft.timing.chunk_retry_ticks
    assert asked_for(raft, meta, 2) == [2]
    waits = []
    for _ in range(3):
        assert asked_for(raft, meta, 0) == []
        ticks = next(ticks for ticks in range(1, 1_000) if wanted_while(raft, 1))
        waits.append(ticks)
        assert asked_for(raft, meta, 1) == [1]
        assert asked_for(raft, meta, 2) == [2]
    assert waits[0] >= 2 * retry
    assert waits[2] >= 2 * waits[1] >= 4 * waits[0]
    assert asked_for(raft, meta, 3) == [3]
    assert wanted_while(raft, retry) == [3], "it has come further than before"


def test_whoever_lost_slices_on_a_full_disk_gets_no_more_before_there_is_room() -> None:
    raft, meta = compacted_leader_with_a_new_follower()
    assert wanted_while(raft, raft.timing.chunk_retry_ticks, space_ok=False) == [0], "the snapshot may be what makes room"
    assert asked_for(raft, meta, 2) == [2]
    assert asked_for(raft, meta, 0) == []
    assert wanted_while(raft, 2_000, space_ok=False) == []
    assert wanted_while(raft, 2, space_ok=True) == [0]


def test_a_lost_slice_is_asked_for_again_each_time_after_twice_as_long() -> None:
    raft, _ = compacted_leader_with_a_new_follower()
    retry = raft.timing.chunk_retry_ticks
    assert wanted_while(raft, retry - 1) == []
    assert wanted_while(raft, 1) == [0]
    assert wanted_while(raft, retry - 1) == []
    assert wanted_while(raft, 1) == [0]
    assert wanted_while(raft, 2 * retry) == [0]
    assert len(wanted_while(raft, 1_000)) < 9
    assert len(wanted_while(raft, 100 * retry)) >= 2, "but never gives up"


def test_nothing_is_read_for_a_member_that_is_not_heard_of() -> None:
    raft, _ = compacted_leader_with_a_new_follower()
    wanted_while(raft, 3 * raft.timing.election_ticks_min, of=TWO)
    assert wanted_while(raft, 1_000, of=TWO) == []
    assert not snapshots.is_sending(raft)
    assert wanted_while(raft, 2) == [0], "it is there again"


def test_copies_of_a_slice_do_not_queue_for_the_disk() -> None:
    raft = core(None, term=0)
    meta = snapshot_of(ONE, TWO, THREE, index=3, author=TWO)

    def receive(number: int) -> list[int]:
        raft.step(Chunk(TWO, ONE, 1, Term(1), meta, number, False, b""))
        return [received[2] for received in turn(raft)[1].chunk_received]

    assert receive(0) == [0]
    assert [receive(0) for _ in range(100)] == [[]] * 100, "it is being stored"
    raft.on_chunk_stored(TWO, meta, 1, False)
    assert receive(1) == [1]


def test_whose_snapshot_has_no_log_behind_it_any_more_gets_the_newest_at_once() -> None:
    raft, old = compacted_leader_with_a_new_follower()
    assert asked_for(raft, old, 2) == [2]
    for _ in range(4):
        raft.propose(b"c")
    turn(raft)
    acknowledge(raft, TWO)
    kept = snapshot_of(ONE, TWO, THREE, index=raft.committed - 1, term=raft.term)
    raft.compact(kept, Index(old.index + 1))
    assert turn(raft)[1].chunks_wanted == (), "what it needs behind the one under way is still there"
    newest = snapshot_of(ONE, TWO, THREE, index=raft.committed, term=raft.term)
    raft.compact(newest, Index(old.index + 2))
    assert [(wanted.target, wanted.meta, wanted.number) for wanted in turn(raft)[1].chunks_wanted] == [(THREE, newest, 0)]


def test_leadership_goes_to_whom_the_snapshot_was_all_that_was_missing() -> None:
    raft, meta = compacted_leader_with_a_new_follower()
    raft.transfer(THREE)
    assert not any(isinstance(message, TakeOver) for message in turn(raft)[0])
    raft.step(ChunkReply(THREE, ONE, 1, raft.term, meta.index, 1, True, meta.index))
    assert [message.target for message in turn(raft)[0] if isinstance(message, TakeOver)] == [THREE]


def test_a_snapshot_that_is_gone_is_replaced_by_the_newest() -> None:
    raft, meta = compacted_leader_with_a_new_follower()
    assert raft.progress[THREE].state == SNAPSHOT
    raft.on_chunk_read(THREE, meta, 0, False, b"", False)
    assert raft.progress[THREE].state == PROBE
    raft.step(HeartbeatReply(THREE, ONE, 1, raft.term, 0, True, 1))
    assert [wanted.meta for wanted in turn(raft)[1].chunks_wanted] == [meta]


def test_entries_follow_the_installed_snapshot() -> None:
    raft, meta = compacted_leader_with_a_new_follower()
    raft.propose(b"c")
    turn(raft)
    raft.step(ChunkReply(THREE, ONE, 1, raft.term, meta.index, 3, True, meta.index))
    left, _ = turn(raft)
    appends = [message for message in left if isinstance(message, Append) and message.target == THREE]
    assert [(append.prev_index, len(append.entries)) for append in appends] == [(meta.index, 1)]


def test_a_member_without_state_takes_nothing_but_a_snapshot() -> None:
    raft = core(None, term=0)
    raft.step(Append(TWO, ONE, 1, Term(1), Index(0), Term(0), Index(0), 0, [batch(1, 1)]))
    left, _ = turn(raft)
    assert [(message.accepted, message.hint_index) for message in left if isinstance(message, AppendReply)] == [(False, -1)]
    for _ in range(100):
        raft.tick()
    assert raft.term == 1, "it never stands for election"
