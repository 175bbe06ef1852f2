"""A snapshot carries the configuration of its index, and where that took effect."""

from coordnode.ids import Index, MemberId, Term
from coordnode.raft.entry import CONFIG, Config, Entry, SnapshotMeta, encode_config
from coordnode.raft.messages import Chunk
from tests.unit.raft.hand_driven import ONE, THREE, TWO, batch, core, snapshot_of, turn

FOUR = MemberId(4)


def test_an_installed_snapshot_brings_its_configuration() -> None:
    raft = core(snapshot_of(ONE, TWO, THREE))
    meta = SnapshotMeta(Index(9), Term(2), TWO, 0, Config(voters=(TWO, FOUR), learners=(ONE,)), Index(7))
    raft.step(Chunk(TWO, ONE, 1, Term(2), meta, 0, True, b"all of it"))
    _, ready = turn(raft)
    assert [(received[1], received[2]) for received in ready.chunk_received] == [(meta, 0)]
    assert raft.config.voters == (ONE, TWO, THREE), "nothing counts before it is whole and durable"
    raft.on_chunk_stored(TWO, meta, 1, True)
    assert (raft.config, raft.config_at(Index(9))) == (meta.config, (7, meta.config))
    assert not raft.may_campaign(), "it is a learner there"


def test_a_restarted_member_begins_with_the_newest_configuration_of_snapshot_and_log() -> None:
    wanted = Config(voters=(ONE, FOUR))
    change = Entry(Term(1), Index(3), CONFIG, encode_config(wanted))
    raft = core(snapshot_of(ONE, TWO, THREE), [batch(1, 2), change])
    assert raft.config == wanted, "in force from where it was appended, committed or not"
    assert raft.config_at(Index(2))[1].voters == (ONE, TWO, THREE)
