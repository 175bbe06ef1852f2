"""Writes in flight while the log changes under them: what counts as durable, and what may leave."""

from coordnode.ids import Index, Term, WriteId
from coordnode.raft.messages import Append, AppendReply, VoteAsk, VoteReply
from coordnode.raft.state import CANDIDATE, LEADER
from tests.unit.raft.hand_driven import ONE, THREE, TWO, batch, core, elect, snapshot_of, stand, turn

VOTERS = (ONE, TWO, THREE)


def test_a_write_from_before_a_truncation_makes_nothing_durable_that_was_undone_and_appended_anew() -> None:
    raft = core(snapshot_of(*VOTERS))
    first = [batch(1, 2), batch(1, 3)]
    raft.step(Append(TWO, ONE, 1, Term(1), Index(1), Term(1), Index(1), 0, first))
    ready = raft.ready()
    assert ready.write is not None
    raft.step(Append(THREE, ONE, 1, Term(2), Index(1), Term(1), Index(1), 0, [batch(2, 2)]))
    raft.step(Append(TWO, ONE, 1, Term(3), Index(1), Term(1), Index(1), 0, first))
    raft.on_persisted(ready.write.write_id, Term(1), Index(3))
    assert raft.persisted == 1
    _, ready = turn(raft)
    assert ready.write is not None
    assert (ready.write.truncate_from, [entry.term for entry in ready.write.entries]) == (2, [1, 1])
    assert raft.persisted == 3


def test_an_entry_that_replaced_another_at_its_place_is_not_durable_by_the_older_write() -> None:
    raft = core(snapshot_of(*VOTERS))
    raft.step(Append(TWO, ONE, 1, Term(1), Index(1), Term(1), Index(1), 0, [batch(1, 2)]))
    older = raft.ready().write
    raft.step(Append(THREE, ONE, 1, Term(2), Index(1), Term(1), Index(1), 0, [batch(2, 2)]))
    newer = raft.ready().write
    assert older is not None
    assert newer is not None
    assert newer.truncate_from == 2
    raft.on_persisted(older.write_id, older.last_term, older.last_index)
    assert raft.persisted == 1
    raft.on_persisted(newer.write_id, newer.last_term, newer.last_index)
    assert raft.persisted == 2


def test_an_acknowledgement_leaves_with_the_write_that_makes_it_true() -> None:
    raft = core(snapshot_of(*VOTERS))
    raft.step(Append(TWO, ONE, 1, Term(1), Index(1), Term(1), Index(1), 0, [batch(1, 2)]))
    ready = raft.ready()
    assert not ready.send_now
    assert ready.write is not None
    assert [message.match for message in ready.write.send_after if isinstance(message, AppendReply)] == [2]
    # The same again while the write is under way: this answer may not overtake it either.
    raft.step(Append(TWO, ONE, 1, Term(1), Index(1), Term(1), Index(1), 0, [batch(1, 2)]))
    again = raft.ready()
    assert not again.send_now
    assert again.write is not None
    assert again.write.entries == []
    raft.on_persisted(again.write.write_id, again.write.last_term, again.write.last_index)
    raft.step(Append(TWO, ONE, 1, Term(1), Index(1), Term(1), Index(1), 0, [batch(1, 2)]))
    assert len(raft.ready().send_now) == 1


def test_a_vote_leaves_with_the_write_that_holds_it() -> None:
    raft = core(snapshot_of(*VOTERS))
    raft.step(VoteAsk(TWO, ONE, 1, Term(2), Index(1), Term(1), False, False))
    ready = raft.ready()
    assert not ready.send_now
    assert ready.write is not None
    assert ready.write.hard_state is not None
    assert (ready.write.hard_state.term, ready.write.hard_state.vote) == (2, TWO)
    assert [message.granted for message in ready.write.send_after if isinstance(message, VoteReply)] == [True]
    raft.step(VoteAsk(THREE, ONE, 1, Term(2), Index(9), Term(2), False, False))
    refusals = raft.ready().write
    assert refusals is not None
    assert [message.granted for message in refusals.send_after if isinstance(message, VoteReply)] == [False]


def test_a_vote_in_a_term_entered_before_is_as_durable() -> None:
    raft = core(snapshot_of(*VOTERS))
    raft.step(VoteReply(THREE, ONE, 1, Term(2), False, False, False))
    turn(raft)
    assert raft.term == 2
    raft.step(VoteAsk(TWO, ONE, 1, Term(2), Index(1), Term(1), False, False))
    ready = raft.ready()
    assert not ready.send_now
    assert ready.write is not None
    assert ready.write.hard_state is not None
    assert ready.write.hard_state.vote == TWO


def test_a_candidate_does_not_count_its_own_vote_before_it_is_durable() -> None:
    raft = core(snapshot_of(ONE, TWO, THREE))
    stand(raft)
    turn(raft)
    raft.step(VoteReply(TWO, ONE, 1, Term(2), True, True, False))
    assert raft.role == CANDIDATE
    assert raft.votes == {}
    ready = raft.ready()
    assert not ready.send_now
    assert ready.write is not None
    assert len(ready.write.send_after) == 2
    raft.on_persisted(ready.write.write_id, ready.write.last_term, ready.write.last_index)
    assert raft.votes == {ONE: True}


def test_an_append_commits_nothing_beyond_what_it_proved_equal() -> None:
    raft = core(snapshot_of(*VOTERS), [batch(1, 2), batch(1, 3)])
    raft.step(Append(TWO, ONE, 1, Term(2), Index(1), Term(1), Index(3), 0, [batch(1, 2)]))
    assert [entry.index for entry in turn(raft)[1].committed] == [2], "entry 3 may be of a branch that is over"


def test_a_single_voter_leads_and_commits_only_by_its_own_durable_writes() -> None:
    raft = core(snapshot_of(ONE))
    stand(raft)
    assert raft.role == CANDIDATE
    turn(raft)
    assert raft.role == LEADER
    index = raft.propose(b"x")
    ready = raft.ready()
    assert not ready.committed
    assert ready.write is not None
    raft.on_persisted(WriteId(ready.write.write_id), ready.write.last_term, ready.write.last_index)
    assert [entry.index for entry in raft.ready().committed] == [index - 1, index]


def test_a_leader_counts_itself_only_once_its_own_write_is_durable() -> None:
    raft = core(snapshot_of(ONE, TWO))
    elect(raft)
    index = raft.propose(b"x")
    ready = raft.ready()
    raft.step(AppendReply(TWO, ONE, 1, raft.term, True, index, Index(0), Term(0), 0, True, 1))
    assert raft.committed < index
    assert ready.write is not None
    raft.on_persisted(ready.write.write_id, ready.write.last_term, ready.write.last_index)
    assert raft.committed == index
