"""Who may be elected, and who is left in peace."""

import pytest

from coordnode.errors import NotLeader
from coordnode.ids import Index, MemberId, Term
from coordnode.raft.entry import Config
from coordnode.raft.messages import Append, AppendReply, Heartbeat, HeartbeatReply, TakeOver, VoteAsk, VoteReply
from coordnode.raft.quorum import LOST, PENDING, WON, has_quorum, quorum_value, vote_result
from coordnode.raft.state import CANDIDATE, FOLLOWER, LEADER, PRE_CANDIDATE
from tests.unit.raft.hand_driven import ONE, THREE, TWO, batch, core, elect, snapshot_of, stand, turn

VOTERS = (ONE, TWO, THREE)


def ask(term: int, *, pre: bool = False, transfer: bool = False, source: MemberId = THREE) -> VoteAsk:
    return VoteAsk(source, ONE, 1, Term(term), Index(9), Term(9), pre, transfer)


@pytest.mark.parametrize(
    ("pre", "transfer", "ticks", "granted"),
    [(True, False, 9, False), (True, False, 10, True), (False, False, 9, None), (False, False, 10, True), (False, True, 0, True)],
)
def test_who_hears_a_leader_is_not_asked_away_from_it(pre: bool, transfer: bool, ticks: int, granted: bool | None) -> None:
    raft = core(snapshot_of(*VOTERS))
    raft.step(Heartbeat(TWO, ONE, 1, Term(1), Index(0), 0, True))
    turn(raft)
    for _ in range(ticks):
        raft.tick()
    raft.step(ask(2, pre=pre, transfer=transfer))
    left, _ = turn(raft)
    answers = [message.granted for message in left if isinstance(message, VoteReply)]
    assert answers == ([] if granted is None else [granted])
    assert raft.term == (2 if granted and not pre else 1)


@pytest.mark.parametrize(("gone", "granted"), [(TWO, True), (THREE, False)])
def test_a_leader_that_hung_up_is_not_heard_any_more(gone: MemberId, granted: bool) -> None:
    raft = core(snapshot_of(*VOTERS))
    raft.step(Heartbeat(TWO, ONE, 1, Term(1), Index(0), 0, True))
    raft.on_peer_gone(gone)
    raft.step(ask(2, pre=True))
    left, _ = turn(raft)
    assert [message.granted for message in left if isinstance(message, VoteReply)] == [granted]
    for _ in range(2 * raft.timing.heartbeat_ticks + 1):
        raft.tick()
    assert (raft.role == PRE_CANDIDATE) == granted


def test_a_leader_that_is_heard_again_is_given_the_whole_time() -> None:
    raft = core(snapshot_of(*VOTERS))
    heartbeat = Heartbeat(TWO, ONE, 1, Term(1), Index(0), 0, True)
    raft.step(heartbeat)
    for _ in range(raft.timing.election_ticks_min):
        raft.on_peer_gone(TWO)
        raft.tick()
        raft.step(heartbeat)
        assert (raft.role, raft.leader) == (FOLLOWER, TWO)
    for _ in range(raft.timing.election_ticks_min - 1):
        raft.tick()
    assert raft.role == FOLLOWER


@pytest.mark.parametrize("role", [CANDIDATE, LEADER])
def test_whoever_does_not_follow_does_not_mind(role: int) -> None:
    raft = core(snapshot_of(*VOTERS))
    if role == LEADER:
        elect(raft)
    else:
        stand(raft)
        raft.step(VoteReply(TWO, ONE, 1, Term(raft.term + 1), True, True, False))
    assert raft.role == role
    timeout = raft.timeout
    for member in VOTERS:
        raft.on_peer_gone(member)
    assert (raft.role, raft.timeout) == (role, timeout)


def test_a_leader_is_not_asked_away_either() -> None:
    raft = core(snapshot_of(*VOTERS))
    elect(raft)
    raft.step(ask(raft.term + 1, pre=True))
    raft.step(ask(raft.term + 1))
    left, _ = turn(raft)
    assert [message.granted for message in left if isinstance(message, VoteReply)] == [False]
    assert raft.role == LEADER
    raft.step(ask(raft.term + 1, transfer=True))
    assert raft.role == FOLLOWER


def test_one_vote_in_a_term() -> None:
    raft = core(snapshot_of(*VOTERS))
    raft.step(ask(2, source=TWO))
    raft.step(ask(2, source=THREE))
    raft.step(ask(2, source=TWO))
    left, _ = turn(raft)
    assert [(message.target, message.granted) for message in left if isinstance(message, VoteReply)] == [
        (TWO, True),
        (THREE, False),
        (TWO, True),
    ]


def test_votes_of_an_earlier_question_do_not_count() -> None:
    raft = core(snapshot_of(*VOTERS))
    stand(raft)
    turn(raft)
    raft.step(VoteReply(TWO, ONE, 1, Term(1), False, True, False))  # a real vote, for a question nobody asked
    raft.step(VoteReply(TWO, ONE, 1, Term(3), True, True, False))  # for another term
    assert raft.term == 1
    raft.step(VoteReply(TWO, ONE, 1, Term(2), True, True, False))
    turn(raft)
    raft.step(VoteReply(THREE, ONE, 1, Term(2), True, True, False))  # a pre-vote that comes too late
    assert raft.role == CANDIDATE
    assert raft.votes == {ONE: True}


def test_the_past_is_told_the_present_so_that_it_ends() -> None:
    raft = core(snapshot_of(*VOTERS), term=5)
    raft.step(Append(TWO, ONE, 1, Term(4), Index(1), Term(1), Index(1), 7, [batch(4, 2)]))
    raft.step(ask(4))
    left, _ = turn(raft)
    assert [(type(message), message.term) for message in left] == [(HeartbeatReply, 5), (VoteReply, 5)]
    assert raft.log.last_index() == 1


def test_a_member_that_may_not_lead_does_not_take_over() -> None:
    raft = core(snapshot_of(*VOTERS), lost_entries=True)
    raft.step(Heartbeat(TWO, ONE, 1, Term(1), Index(0), 0, True))
    raft.step(TakeOver(TWO, ONE, 1, Term(1)))
    assert raft.role == FOLLOWER
    with pytest.raises(NotLeader) as refused:
        raft.propose(b"x")
    assert refused.value.leader == TWO


def test_entries_are_taken_only_where_the_logs_are_known_to_agree() -> None:
    raft = core(snapshot_of(*VOTERS), [batch(1, 2), batch(2, 3)], term=2)
    raft.step(Append(TWO, ONE, 1, Term(3), Index(3), Term(3), Index(1), 0, [batch(3, 4)]))
    raft.step(Append(TWO, ONE, 1, Term(3), Index(7), Term(3), Index(1), 0, [batch(3, 8)]))
    left, _ = turn(raft)
    replies = [message for message in left if isinstance(message, AppendReply)]
    assert [(reply.accepted, reply.match, reply.hint_index, reply.hint_term) for reply in replies] == [(False, 3, 3, 2), (False, 7, 3, 2)]
    assert raft.log.last_index() == 3


def config(voters: int, outgoing: tuple[int, ...] = ()) -> Config:
    return Config(tuple(MemberId(number) for number in range(1, voters + 1)), tuple(MemberId(number) for number in outgoing))


@pytest.mark.parametrize(
    ("of", "values", "reached"),
    [
        (config(1), {1: 7}, 7),
        (config(2), {1: 7, 2: 5}, 5),
        (config(3), {1: 7, 2: 5, 3: 1}, 5),
        (config(4), {1: 7, 2: 6, 3: 5, 4: 1}, 5),
        (config(5), {1: 7, 2: 6, 3: 5, 4: 1, 5: 1}, 5),
        (config(3, (4, 5)), {1: 7, 2: 7, 3: 7, 4: 3, 5: 9}, 3),
        (config(3, (1, 2, 3)), {1: 7, 2: 5, 3: 1}, 5),
    ],
)
def test_what_a_quorum_has_reached(of: Config, values: dict[int, int], reached: int) -> None:
    assert quorum_value(of, lambda member: values[member]) == reached


@pytest.mark.parametrize(
    ("of", "granted", "refused", "result"),
    [
        (config(3), (1,), (), PENDING),
        (config(3), (1, 2), (), WON),
        (config(3), (1,), (2, 3), LOST),
        (config(4), (1, 2), (3,), PENDING),
        (config(4), (1, 2), (3, 4), LOST),
        (config(3, (4, 5)), (1, 2, 3), (), PENDING),
        (config(3, (4, 5)), (1, 2, 3, 4), (), PENDING),
        (config(3, (4, 5)), (1, 2, 4, 5), (), WON),
        (config(3, (4, 5)), (1, 2, 3), (5,), LOST),
    ],
)
def test_how_a_vote_ends(of: Config, granted: tuple[int, ...], refused: tuple[int, ...], result: int) -> None:
    votes = {MemberId(member): True for member in granted} | {MemberId(member): False for member in refused}
    assert vote_result(of, votes) == result
    assert has_quorum(of, lambda member: member in granted) == (result == WON)
