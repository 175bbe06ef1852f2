"""What a member may put into a snapshot of its own."""

from coordnode.ids import Index, Term
from coordnode.raft.entry import NOOP, Entry
from coordnode.raft.messages import Append
from coordnode.replica.events import Events, Persisted
from tests.unit.replica.trio import MEMBERS, Trio, whole_turn

ONE, TWO, _ = MEMBERS


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
