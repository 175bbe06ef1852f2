"""What a member may put into a snapshot of its own."""

import random

import pytest
from msgspec import structs

from coordnode.ids import Index, MemberId, Term
from coordnode.raft.entry import NOOP, Config, Entry, HardState, SnapshotMeta
from coordnode.raft.messages import Append
from coordnode.raft.progress import SNAPSHOT, Progress
from coordnode.replica.config import ReplicaConfig
from coordnode.replica.events import Events, Persisted, SliceStored, SnapshotLoaded, SnapshotStored
from coordnode.replica.replica import Replica
from coordnode.services.commands import ClientCommand, Put, encode
from coordnode.services.dialogue import WriteAsk
from tests.unit.replica.trio import MEMBERS, TICK_MS, Trio, whole_turn

ONE, TWO, _ = MEMBERS
LOG_BYTES = 40_000


def test_a_snapshot_never_covers_more_than_what_is_persisted_here() -> None:
    """Entries may be committed by others and applied here before our own disk has them."""
    trio = Trio()
    trio.turn(ONE)  # its first turn asks for its state
    replica = trio.replicas[ONE]
    entries = [Entry(Term(1), Index(index), NOOP, b"") for index in (1, 2)]
    events, trio.inbox[ONE] = trio.inbox[ONE], Events()
    events.now_ms = trio.now_ms
    events.messages = [Append(TWO, ONE, 1, Term(1), Index(0), Term(0), Index(2), 0, entries)]
    replica._maker.due = True
    effects = whole_turn(replica, events)
    assert (replica.applied, replica.raft.persisted) == (2, 0)
    assert effects.write is not None
    assert effects.store_slice is None
    again = whole_turn(replica, Events(now_ms=trio.now_ms, ticked=True))
    assert again.store_slice is None
    write = effects.write
    done = whole_turn(replica, Events(now_ms=trio.now_ms, persisted=Persisted(write.write_id, write.last_term, write.last_index)))
    assert done.store_slice is not None
    assert done.store_slice.meta.index == replica.raft.persisted == 2


def test_large_entries_are_kept_by_bytes_and_what_is_kept_makes_no_new_snapshot_due() -> None:
    """However many entries may be kept for members that lag: the log in memory has a bound, and a snapshot is due only after
    so much log that is new."""
    replica = Replica(
        member=ONE,
        config=ReplicaConfig(snapshot_log_bytes=LOG_BYTES, keep_entries=1_000),
        hard_state=HardState(Term(0), MemberId(0), 1, False),
        snapshot=SnapshotMeta(Index(0), Term(0), MemberId(0), 0, Config(voters=(ONE,)), Index(0)),
        entries=[],
        commit_hint=Index(0),
        rng=random.Random(1),
        supported_level=2,
    )
    genesis = Trio().genesis
    snapshots = 0
    written = 0
    events = Events(ticked=True)
    for turn in range(1, 1_200):
        effects = whole_turn(replica, events)
        events = Events(now_ms=turn * 50, ticked=True)
        if effects.load_snapshot is not None:
            events.snapshot_loaded = SnapshotLoaded(effects.load_snapshot, genesis, True)
        if effects.write is not None:
            events.persisted = Persisted(effects.write.write_id, effects.write.last_term, effects.write.last_index)
        if effects.store_slice is not None and not effects.store_slice.last:
            events.slice_stored = SliceStored(effects.store_slice.number)
        elif effects.store_slice is not None:
            snapshots += 1
            events.snapshot_stored = SnapshotStored(effects.store_slice.meta)
        if replica.clients.serving and turn % 2:
            body = encode(ClientCommand(0, 0, 0, "", Put(b"key", bytes(1_000))))  # type: ignore[arg-type]
            events.asks = [(1, WriteAsk(turn, body))]
            written += 1_000
        assert replica.raft.log.bytes_after(replica.raft.log.base_index) < 2 * LOG_BYTES
    assert written / LOG_BYTES > 10
    assert 0.7 < snapshots / (written / LOG_BYTES) <= 1.2


def test_members_of_one_cluster_make_their_snapshots_after_different_shares_of_the_bounds() -> None:
    config = ReplicaConfig(snapshot_entries=600, snapshot_log_bytes=6_000)
    due = []
    for replica in Trio().replicas.values():
        replica.config = config
        by_entries = next(entries for entries in range(601) if replica._is_long(entries, 0))
        by_bytes = next(size for size in range(6_002) if replica._is_long(0, size))
        due.append((by_entries, by_bytes))
    assert due == [(400, 4_001), (500, 5_001), (600, 6_001)]


# --- members that are slow to get one --------------------------------------------------------------------------------------


BOUNDS = ReplicaConfig(tick_ms=TICK_MS, snapshot_entries=40, snapshot_log_bytes=1 << 20, keep_entries=2)


def leading() -> tuple[Trio, Replica, SnapshotMeta]:
    """A leader, and the snapshot that it made first."""
    trio = Trio()
    leader = trio.leader()
    replica = trio.replicas[leader]
    replica.config = BOUNDS
    return trio, replica, snapshot_of(trio, replica)


def snapshot_of(trio: Trio, replica: Replica) -> SnapshotMeta:
    """The next that becomes due, once it is stored."""
    for _ in range(1_000):
        trio.write(Put(b"key", b"value"))
        maker = replica._maker
        if not maker.is_idle():
            assert maker._meta is not None
            meta = maker._meta
            trio.inbox[replica.member].snapshot_stored = SnapshotStored(meta)
            trio.turn(replica.member)
            trio.tick()
            return meta
    raise AssertionError("no snapshot after 1,000 writes")


def given(trio: Trio, replica: Replica, meta: SnapshotMeta) -> Progress:
    """A member that gets it, slowly: it is heard of, and says nothing of slices."""
    peer = next(peer for member, peer in replica.raft.progress.items() if member != trio.leader())
    peer.match = Index(0)
    peer.become_snapshot(meta)
    return peer


def test_no_third_snapshot_is_made_while_a_member_is_given_the_last_one_until_the_log_is_very_long() -> None:
    trio, replica, first = leading()
    usual = snapshot_of(trio, replica).index - first.index
    last = snapshot_of(trio, replica)
    peer = given(trio, replica, last)
    longer = snapshot_of(trio, replica).index - last.index
    assert usual <= BOUNDS.snapshot_entries < 2 * BOUNDS.snapshot_entries < longer
    assert peer.state == SNAPSHOT
    assert peer.chunk_meta == last, "it began again"
    assert replica.raft.log.base_index <= last.index, "what it needs behind that snapshot is gone"


@pytest.mark.parametrize(
    ("written", "is_heard", "kept_behind"),
    [
        (70, True, 70),
        (70, False, BOUNDS.keep_entries),  # gone, or cut off: it may never come back
        (300, True, 3 * BOUNDS.snapshot_entries),
    ],
)
def test_whoever_catches_up_behind_a_snapshot_finds_the_log_there_when_the_next_is_made(
    written: int, is_heard: bool, kept_behind: int
) -> None:
    trio, replica, first = leading()
    replica.config = structs.replace(BOUNDS, snapshot_entries=100_000)
    while replica.applied < first.index + written:
        trio.write(Put(b"key", b"value"))
    replica.config = BOUNDS
    for peer in replica.raft.progress.values():
        peer.match = replica.applied
        peer.active = True
    slow = next(peer for member, peer in replica.raft.progress.items() if member != replica.member)
    slow.match = first.index
    slow.active = slow.was_active = is_heard
    meta = structs.replace(first, index=replica.applied, term=replica.raft.term)
    replica._on_snapshot_events(Events(snapshot_stored=SnapshotStored(meta)))
    assert replica.raft.log.base_index == meta.index - kept_behind
