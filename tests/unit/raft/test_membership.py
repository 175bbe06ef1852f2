"""Changes of membership at their edges: who may still lead, who still counts, what a change leaves behind."""

import msgspec
import pytest

from coordnode.errors import BadRequest, MembershipBusy
from coordnode.ids import NOBODY, Index, MemberId, Term
from coordnode.limits import CLUSTER_MEMBERS_MAX
from coordnode.raft.entry import CONFIG, Config, Entry, encode_config
from coordnode.raft.messages import ConfirmAsk, ConfirmReply, Heartbeat, TakeOver, VoteAsk, VoteReply
from coordnode.raft.state import FOLLOWER, LEADER, PRE_CANDIDATE
from tests.unit.raft.hand_driven import ONE, THREE, TWO, accepted, acknowledge, batch, core, elect, snapshot_of, stand, turn


def test_a_member_whose_removal_is_not_known_to_be_committed_still_stands_for_election() -> None:
    # The remaining voter may need our longer log; without us nobody could ever be elected.
    removal = Entry(Term(1), Index(2), CONFIG, encode_config(Config(voters=(TWO,))))
    raft = core(snapshot_of(ONE, TWO), [removal])
    elect(raft)
    acknowledge(raft, TWO)
    left, _ = turn(raft)
    assert raft.role == FOLLOWER, "with its removal committed it hands over"
    for _ in range(100):
        raft.tick()
    assert raft.role == FOLLOWER, "a removal that is committed is final"
    assert not any(isinstance(message, VoteAsk) for message in left)


def test_its_own_vote_does_not_count_for_a_member_that_is_being_removed() -> None:
    removal = Entry(Term(1), Index(2), CONFIG, encode_config(Config(voters=(TWO, THREE))))
    raft = core(snapshot_of(ONE, TWO, THREE), [removal])
    stand(raft)
    raft.step(VoteReply(TWO, ONE, 1, Term(2), True, True, False))
    assert raft.role == PRE_CANDIDATE
    raft.step(VoteReply(THREE, ONE, 1, Term(2), True, True, False))
    assert raft.term == 2


def test_a_member_whose_removal_is_undone_is_a_voter_again() -> None:
    removal = Entry(Term(1), Index(2), CONFIG, encode_config(Config(voters=(TWO, THREE))))
    raft = core(snapshot_of(ONE, TWO, THREE), [removal])
    assert not raft.is_voter(ONE)
    raft.truncate(Index(2))
    assert raft.is_voter(ONE)
    assert raft.ready().config == Config(voters=(ONE, TWO, THREE))


def test_a_read_round_is_confirmed_when_the_silent_voter_is_removed() -> None:
    raft = core(snapshot_of(ONE, TWO))
    elect(raft)
    acknowledge(raft, TWO)
    raft.propose_config(Config(voters=(ONE,)))
    turn(raft)
    raft.read(7)
    turn(raft)
    raft.step(accepted(raft, TWO, raft.log.last_index()))  # sent before the round reached it
    turn(raft)
    confirmed: list[tuple[int, Index]] = []
    for _ in range(raft.timing.heartbeat_ticks + 1):
        raft.tick()
        confirmed += turn(raft)[1].reads
    assert raft.config == Config(voters=(ONE,))
    assert [read for read, _ in confirmed] == [7]


def test_what_an_earlier_boot_acknowledged_stays_void_when_the_member_is_removed_and_added_again() -> None:
    raft = core(snapshot_of(ONE, TWO))
    raft_learner = Config(voters=(ONE,), learners=(TWO,))
    elect(raft)
    acknowledge(raft, TWO, boot=1)
    raft.step(ConfirmAsk(TWO, ONE, 2, raft.term))
    acknowledge(raft, TWO, boot=2)
    raft.propose_config(Config(voters=(ONE,)))
    turn(raft)
    acknowledge(raft, TWO, boot=2)
    turn(raft)
    assert raft.config == Config(voters=(ONE,))
    raft.propose_config(raft_learner)
    turn(raft)
    raft.step(accepted(raft, TWO, raft.log.last_index(), boot=1))
    assert raft.progress[TWO].match == 0
    raft.step(accepted(raft, TWO, raft.log.last_index(), boot=2))
    assert raft.progress[TWO].match == raft.log.last_index()


def test_a_peer_that_started_anew_counts_for_nothing_until_it_says_so_again() -> None:
    raft = core(snapshot_of(ONE, TWO, THREE))
    elect(raft)
    raft.propose(b"x")
    turn(raft)
    raft.step(accepted(raft, THREE, raft.log.last_index() - 1, boot=1))
    turn(raft)
    committed = raft.committed
    raft.step(ConfirmAsk(THREE, ONE, 2, raft.term))
    assert raft.progress[THREE].match == 0
    raft.step(accepted(raft, THREE, raft.log.last_index(), boot=1))
    assert raft.progress[THREE].match == 0
    assert raft.committed == committed
    left, _ = turn(raft)
    questions = [message.round for message in left if isinstance(message, Heartbeat) and message.target == THREE]
    assert questions, "the question begins a round"
    raft.step(accepted(raft, TWO, raft.log.last_index(), round=questions[-1]))
    left, _ = turn(raft)
    answers = [message for message in left if isinstance(message, ConfirmReply)]
    assert [(answer.target, answer.asked_boot, answer.commit) for answer in answers] == [(THREE, 2, committed)]


def test_changes_that_make_no_sense_or_come_too_early_are_refused() -> None:
    raft = core(snapshot_of(ONE, TWO, THREE))
    elect(raft)
    with pytest.raises(MembershipBusy):
        raft.propose_config(Config(voters=(ONE,)))  # nothing of its own term is committed
    acknowledge(raft, TWO)
    for wrong in (
        Config(),
        Config(voters=(ONE,), learners=(ONE,)),
        Config(voters=(ONE,), outgoing=(TWO,)),
        Config(voters=(ONE,), learners_next=(TWO,)),
        Config(voters=(NOBODY,)),
        Config(voters=(MemberId(-5),)),
        Config(voters=(ONE, TWO, THREE), learners=(MemberId(2**53),)),
        Config(voters=(MemberId(9),)),
        Config(voters=(ONE, TWO, MemberId(7), MemberId(8), MemberId(9))),
        Config(voters=(ONE, TWO, THREE), learners=tuple(MemberId(number) for number in range(4, CLUSTER_MEMBERS_MAX + 2))),
        Config(voters=(ONE, TWO, THREE), contacts=((MemberId(77), "a:1"),)),
        Config(voters=(ONE, TWO, THREE), contacts=((ONE, "a:1"), (ONE, "a:2"))),
        *(Config(voters=(ONE, TWO, THREE), contacts=((ONE, contact),)) for contact in ("xxxx", "", "a:0", "::1:7", "a." * 200 + "b:1")),
    ):
        with pytest.raises(BadRequest):
            raft.propose_config(wrong)
    with pytest.raises(MembershipBusy, match="not heard of lately, or still behind: 3"):
        raft.propose_config(Config(voters=(ONE, THREE)))
    raft.propose_config(Config(voters=(ONE, TWO)))
    with pytest.raises(MembershipBusy):
        raft.propose_config(Config(voters=(ONE,)))
    with pytest.raises(BadRequest):
        raft.transfer(THREE)  # on its way out
    raft.transfer(ONE)
    assert raft.role == LEADER


def test_one_change_at_a_time_even_of_learners() -> None:
    raft = core(snapshot_of(ONE, TWO))
    elect(raft)
    acknowledge(raft, TWO)
    raft.propose_config(Config(voters=(ONE, TWO), learners=(THREE,)))
    turn(raft)
    with pytest.raises(MembershipBusy):
        raft.propose_config(Config(voters=(ONE, TWO)))
    acknowledge(raft, TWO)
    raft.propose_config(Config(voters=(ONE, TWO)))


def test_a_leader_on_its_way_to_learner_hands_over_when_the_joint_state_is_left() -> None:
    raft = core(snapshot_of(ONE, TWO, THREE))
    elect(raft)
    acknowledge(raft, TWO)
    acknowledge(raft, THREE)
    raft.propose_config(Config(voters=(TWO, THREE), learners=(ONE,)))
    turn(raft)
    assert raft.config.outgoing == (ONE, TWO, THREE)
    assert raft.config.learners == ()
    raft.step(accepted(raft, TWO, raft.log.last_index()))
    acknowledge(raft, THREE)
    assert raft.config == Config(voters=(TWO, THREE), learners=(ONE,))
    assert raft.role == LEADER
    raft.step(accepted(raft, THREE, raft.log.last_index()))
    raft.step(accepted(raft, TWO, raft.log.last_index()))
    left, _ = turn(raft)
    assert [message.target for message in left if isinstance(message, TakeOver)] == [TWO]
    assert raft.role == FOLLOWER


@pytest.mark.parametrize(("dead_has_all", "successor"), [(True, 3), (False, 4)])
def test_a_leader_that_leaves_hands_over_to_none_that_is_silent_and_to_one_that_has_room(*, dead_has_all: bool, successor: int) -> None:
    four = MemberId(4)
    raft = core(snapshot_of(ONE, TWO, THREE, four))
    elect(raft, votes_of=(THREE, four))
    for other in (TWO, THREE, four):
        acknowledge(raft, other)
    for _ in range(2 * raft.timing.election_ticks_min):
        acknowledge(raft, THREE)
        acknowledge(raft, four)
        raft.tick()
    raft.propose_config(Config(voters=(TWO, THREE, four)))
    turn(raft)
    while raft.role == LEADER:
        raft.progress[TWO].match = raft.log.last_index() if dead_has_all else Index(1)
        last_index = raft.log.last_index()
        for reply in (accepted(raft, THREE, last_index), accepted(raft, four, last_index)):
            raft.step(msgspec.structs.replace(reply, space_ok=dead_has_all or reply.source != THREE))
        left, _ = turn(raft)
    assert [message.target for message in left if isinstance(message, TakeOver)] == [successor]


def test_a_vote_of_another_branch_is_weighed_by_term_before_length() -> None:
    raft = core(snapshot_of(ONE, TWO, THREE), [batch(1, 2), batch(1, 3), batch(1, 4)])
    raft.step(VoteAsk(TWO, ONE, 1, Term(2), Index(3), Term(1), False, False))
    left, _ = turn(raft)
    assert [message.granted for message in left if isinstance(message, VoteReply)] == [False]
    raft.step(VoteAsk(TWO, ONE, 1, Term(3), Index(2), Term(2), False, False))
    left, _ = turn(raft)
    assert [message.granted for message in left if isinstance(message, VoteReply)] == [True]


def test_a_voter_that_is_new_is_given_until_the_next_quorum_check() -> None:
    """The check may come right after the change. Silent for a whole window, it counts."""
    raft = core(snapshot_of(ONE))
    stand(raft)
    for _ in range(3):
        turn(raft)
    with pytest.raises(BadRequest, match="take in as learners first: 2"):
        raft.propose_config(Config(voters=(ONE, TWO)))
    raft.propose_config(Config(voters=(ONE,), learners=(TWO,)))
    turn(raft)
    with pytest.raises(MembershipBusy):
        raft.propose_config(Config(voters=(ONE, TWO)))
    while raft.quorum_elapsed < raft.timing.election_ticks_min - 1:
        raft.tick()
    acknowledge(raft, TWO)
    raft.propose_config(Config(voters=(ONE, TWO)))
    raft.tick()
    assert raft.role == LEADER
    for _ in range(raft.timing.election_ticks_min):
        raft.tick()
    assert raft.role == FOLLOWER


def test_a_silent_voter_does_not_count_for_the_majority_that_a_change_needs() -> None:
    raft = core(snapshot_of(ONE, TWO, THREE))
    elect(raft)
    for other in (TWO, THREE):
        acknowledge(raft, other)
    for _ in range(2 * raft.timing.election_ticks_min):
        acknowledge(raft, TWO)
        raft.tick()
    with pytest.raises(MembershipBusy, match="not heard of lately, or still behind: 3"):
        raft.propose_config(Config(voters=(ONE, THREE)))
    acknowledge(raft, THREE)
    raft.propose_config(Config(voters=(ONE, THREE)))
