"""What status asks of a person when members lost what they had acknowledged."""

from coordnode.ids import MemberId
from coordnode.raft.entry import Config
from coordnode.replica.needs import needs
from coordnode.replica.replica import Replica
from tests.unit.replica.trio import MEMBERS, Trio

ONE, TWO, THREE = MEMBERS


def replica(*refused_for_loss: int) -> Replica:
    one = Trio().replicas[ONE]
    one.raft.lost_entries_refusals = {MemberId(member): True for member in refused_for_loss}
    return one


def test_an_ordinary_election_needs_nobody() -> None:
    assert needs(replica()) == []


def test_whoever_has_a_leader_needs_nobody() -> None:
    one = replica(TWO, THREE)
    one.raft.leader = THREE
    assert needs(one) == []
    one.raft.lost_entries = True
    assert needs(one) == []


def test_one_that_lost_entries_leaves_a_majority_that_must_answer() -> None:
    (sentence,) = needs(replica(TWO))
    assert sentence.startswith("member 2 lost log entries")
    assert "the votes of members 1 and 3" in sentence


def test_two_of_three_leave_none() -> None:
    (sentence,) = needs(replica(TWO, THREE))
    assert sentence.startswith("members 2 and 3 lost log entries")
    assert "member 1 alone cannot form a majority of 3 voters" in sentence
    assert "keep all folders as they are" in sentence
    assert "restore from a backup, or accept the loss by name" in sentence
    assert "the log of member 1 is whole up to entry 0 of term 0" in sentence


def test_both_majorities_count_while_joint() -> None:
    one = replica(4, 5)
    one.raft.config = Config(voters=MEMBERS, outgoing=(ONE, MemberId(4), MemberId(5)))
    (sentence,) = needs(one)
    assert "members 4 and 5 lost log entries that may have been committed" in sentence
    assert "members 1, 2 and 3 alone cannot form a majority of 5 voters" in sentence


def test_a_learner_is_not_asked() -> None:
    one = replica(TWO)
    one.raft.config = Config(voters=(ONE, THREE), learners=(TWO,))
    assert needs(one) == []


def test_the_member_that_lost_them_says_so_itself() -> None:
    one = replica()
    one.raft.lost_entries = True
    (sentence,) = needs(one)
    assert "gives no vote until a leader has told it what was committed" in sentence
    assert "by itself" in sentence
