"""On boot the revision never decreases: a state that fell back behind what this member once had is not served."""

import random

import pytest

from coordnode.ids import Index, MemberId, Revision, Term
from coordnode.raft.entry import Config, HardState, SnapshotMeta
from coordnode.replica.config import ReplicaConfig
from coordnode.replica.events import Events, SnapshotLoaded
from coordnode.replica.known import Known
from coordnode.replica.replica import Replica
from coordnode.services.commands import Put
from tests.unit.replica.trio import MEMBERS, Trio, whole_turn


def started_again(trio: Trio, known: Known, entries: int) -> Replica:
    """Member 1 in its next life, with what it had stored up to an index."""
    raft = trio.replicas[MEMBERS[0]].raft
    stored = raft.log.slice(Index(1), Index(entries))
    meta = SnapshotMeta(Index(0), Term(0), MemberId(0), 0, Config(voters=MEMBERS), Index(0))
    return Replica(
        member=MEMBERS[0],
        config=ReplicaConfig(),
        hard_state=HardState(raft.term, MemberId(0), 2, False),
        snapshot=meta,
        entries=stored,
        commit_hint=Index(entries),
        rng=random.Random(1),
        supported_level=2,
        known=known,
    )


def failure(trio: Trio, replica: Replica) -> str:
    effects = whole_turn(replica, Events(now_ms=1))
    assert effects.load_snapshot is not None
    assert not effects.failed
    loaded = SnapshotLoaded(effects.load_snapshot, trio.genesis, True)
    return whole_turn(replica, Events(now_ms=2, snapshot_loaded=loaded)).failed or whole_turn(replica, Events(now_ms=3)).failed


@pytest.fixture
def trio() -> Trio:
    trio = Trio()
    for number in range(5):
        trio.result(Put(b"a", b"%d" % number))
    trio.tick(4)
    return trio


def test_what_has_come_as_far_as_before_is_served(trio: Trio) -> None:
    known = trio.replicas[MEMBERS[0]].known()
    assert known.revision == 5
    replica = started_again(trio, known, known.applied)
    assert failure(trio, replica) == ""
    assert replica.known() == known


def test_a_state_that_fell_back_is_not(trio: Trio) -> None:
    applied, revision = trio.replicas[MEMBERS[0]].known()
    replica = started_again(trio, Known(applied, Revision(revision + 1)), applied)
    assert failure(trio, replica).endswith(f"is of revision 5, and this member once had revision 6 at index {applied}")
    assert replica.known() == (applied, 6)  # nor does the next start believe it


def test_what_was_known_is_kept_until_the_state_has_come_as_far_again(trio: Trio) -> None:
    """A start that is cut short must not forget it."""
    known = trio.replicas[MEMBERS[0]].known()
    replica = started_again(trio, known, known.applied - 2)
    assert replica.known() == known
    assert failure(trio, replica) == ""
    assert replica.applied == known.applied - 2
    assert replica.known() == known
