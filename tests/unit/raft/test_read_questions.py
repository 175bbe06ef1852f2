"""What members ask the leader before they answer reads themselves."""

from coordnode.raft.messages import ConfirmAsk, ConfirmReply, HeartbeatReply
from tests.unit.raft.hand_driven import ONE, THREE, TWO, acknowledge, core, elect, snapshot_of, turn


def test_a_question_that_comes_again_while_it_waits_is_one_question() -> None:
    """A leader may have to wait for long, its first entry not being committed: whoever asks does so again every few ticks."""
    raft = core(snapshot_of(ONE, TWO, THREE))
    elect(raft)
    for _ in range(100):
        raft.step(ConfirmAsk(TWO, ONE, 1, raft.term, 7))
        raft.step(ConfirmAsk(THREE, ONE, 1, raft.term))
        turn(raft)
    assert (len(raft.reads_waiting), len(raft.confirms)) == (2, 2)
    raft.step(ConfirmAsk(THREE, ONE, 2, raft.term))  # it started anew, so that is another question
    assert len(raft.confirms) == 3
    acknowledge(raft, TWO)
    raft.step(HeartbeatReply(TWO, ONE, 1, raft.term, raft.round, True, 1))
    answers = [message for message in turn(raft)[0] if isinstance(message, ConfirmReply)]
    assert [(answer.target, answer.asked_boot, answer.number) for answer in answers] == [(TWO, 1, 7), (THREE, 1, 0), (THREE, 2, 0)]
    assert not raft.confirms
