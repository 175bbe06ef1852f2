"""A member that lost entries to rot: what it may believe of its past, and when it votes again."""

from coordnode.ids import Index, Term
from coordnode.raft.messages import Append, AppendReply, ConfirmAsk, ConfirmReply, Heartbeat, VoteAsk, VoteReply
from tests.unit.raft.hand_driven import ONE, THREE, TWO, batch, core, snapshot_of, turn

VOTERS = (ONE, TWO, THREE)


def test_a_commit_hint_says_nothing_about_a_log_that_rotted() -> None:
    # Rot can bring back an older branch: the hint was about the entries that replaced it.
    raft = core(snapshot_of(*VOTERS), [batch(1, 2), batch(1, 3)], term=3, lost_entries=True, commit_hint=3)
    assert not turn(raft)[1].committed


def test_a_heartbeat_commits_only_what_this_boot_found_equal_to_the_leaders_log() -> None:
    raft = core(snapshot_of(*VOTERS), [batch(1, 2), batch(1, 3)], term=3, lost_entries=True)
    # The leader still counts what our earlier boot acknowledged: (2, term 3) and (3, term 3).
    raft.step(Heartbeat(TWO, ONE, 1, Term(3), Index(3), 0, False))
    assert not turn(raft)[1].committed
    raft.step(Append(TWO, ONE, 1, Term(3), Index(1), Term(1), Index(1), 0, [batch(3, 2)]))
    turn(raft)
    raft.step(Heartbeat(TWO, ONE, 1, Term(3), Index(3), 0, False))
    assert [(entry.index, entry.term) for entry in turn(raft)[1].committed] == [(2, 3)]


def test_what_was_agreed_with_one_leader_is_not_agreed_with_the_next() -> None:
    raft = core(snapshot_of(*VOTERS))
    raft.step(Append(TWO, ONE, 1, Term(2), Index(1), Term(1), Index(1), 0, [batch(2, 2), batch(2, 3)]))
    turn(raft)
    raft.step(Heartbeat(THREE, ONE, 1, Term(3), Index(3), 0, False))
    assert not turn(raft)[1].committed


def vote_asked(raft_term: int) -> VoteAsk:
    return VoteAsk(THREE, ONE, 1, Term(raft_term + 1), Index(99), Term(raft_term), False, True)


def test_no_vote_until_everything_up_to_a_confirmed_commit_is_durable_even_when_nothing_new_is_written() -> None:
    raft = core(snapshot_of(*VOTERS), [batch(1, 2)], lost_entries=True)
    raft.step(Heartbeat(TWO, ONE, 1, Term(1), Index(0), 0, False))
    left, _ = turn(raft)
    assert [message.target for message in left if isinstance(message, ConfirmAsk)] == [TWO]
    raft.step(Append(TWO, ONE, 1, Term(1), Index(2), Term(1), Index(1), 0, [batch(1, 3)]))
    left, _ = turn(raft)
    assert [message.match for message in left if isinstance(message, AppendReply)] == [3]
    raft.step(ConfirmReply(TWO, ONE, 1, Term(1), Index(3), 1))
    turn(raft)
    assert raft.lost_entries, "entry 3 is durable, but not known to be committed"
    raft.step(Heartbeat(TWO, ONE, 1, Term(1), Index(3), 0, False))
    turn(raft)
    assert not raft.lost_entries
    raft.step(vote_asked(1))
    left, _ = turn(raft)
    assert [message.granted for message in left if isinstance(message, VoteReply)] == [True]


def test_what_is_committed_but_not_durable_again_is_not_regained() -> None:
    raft = core(snapshot_of(*VOTERS), lost_entries=True)
    raft.step(Append(TWO, ONE, 1, Term(1), Index(1), Term(1), Index(2), 0, [batch(1, 2)]))
    write = raft.ready().write
    assert write is not None
    raft.step(ConfirmReply(TWO, ONE, 1, Term(1), Index(2), 1))
    assert raft.committed == 2
    assert raft.lost_entries
    raft.on_persisted(write.write_id, write.last_term, write.last_index)
    assert not raft.lost_entries


def test_an_answer_to_an_earlier_boot_does_not_count() -> None:
    raft = core(snapshot_of(*VOTERS), lost_entries=True)
    raft.step(Heartbeat(TWO, ONE, 1, Term(1), Index(0), 0, False))
    raft.step(ConfirmReply(TWO, ONE, 1, Term(1), Index(1), 0))
    turn(raft)
    assert raft.lost_entries
    raft.step(vote_asked(1))
    left, _ = turn(raft)
    assert [(message.granted, message.lost_entries) for message in left if isinstance(message, VoteReply)] == [(False, True)]


def test_that_it_votes_again_is_durable_before_it_votes() -> None:
    raft = core(snapshot_of(*VOTERS), lost_entries=True)
    raft.step(Heartbeat(TWO, ONE, 1, Term(1), Index(0), 0, False))
    turn(raft)
    raft.step(ConfirmReply(TWO, ONE, 1, Term(1), Index(1), 1))
    raft.step(vote_asked(1))
    ready = raft.ready()
    assert not [message for message in ready.send_now if isinstance(message, VoteReply)]
    assert ready.write is not None
    assert ready.write.hard_state is not None
    assert ready.write.hard_state.lost_entries is False
