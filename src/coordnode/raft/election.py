"""Who leads: pre-vote, vote, check-quorum, hand-over. Pure."""

from coordnode.errors import BadRequest, NotLeader
from coordnode.ids import NOBODY, MemberId, Term
from coordnode.raft import replication
from coordnode.raft.entry import NOOP
from coordnode.raft.messages import VoteAsk, VoteReply
from coordnode.raft.quorum import LOST, WON, vote_result
from coordnode.raft.state import CANDIDATE, LEADER, PRE_CANDIDATE, State


def campaign(raft: State) -> None:
    """First asks whether an election could be won: a member cut off from the others never raises the term."""
    raft.set_role(PRE_CANDIDATE)
    raft.set_leader(NOBODY)
    raft.reset_timeout()
    raft.votes = {raft.member: True}
    _ask_votes(raft, Term(raft.term + 1), pre=True, transfer=False)
    _count(raft)


def stand_soon(raft: State) -> None:
    """The leader seems to be gone. Should it live, its next heartbeat comes first; should only we have lost it, the others
    refuse. Jitter as long as a heartbeat's interval keeps two from standing in the same moment."""
    raft.set_leader(NOBODY)
    raft.elapsed = 0
    raft.timeout = min(raft.timeout, raft.rng.randint(raft.timing.heartbeat_ticks, 2 * raft.timing.heartbeat_ticks + 1))


def campaign_in_earnest(raft: State, *, transfer: bool) -> None:
    raft.enter_term(Term(raft.term + 1))
    raft.vote_for(raft.member)
    raft.set_role(CANDIDATE)
    raft.set_leader(NOBODY)
    raft.reset_timeout()
    raft.votes = {}  # our own vote counts once it is durable
    _ask_votes(raft, raft.term, pre=False, transfer=transfer)


def _ask_votes(raft: State, term: Term, *, pre: bool, transfer: bool) -> None:
    for member in sorted({*raft.config.voters, *raft.config.outgoing}):
        if member != raft.member:
            raft.send(VoteAsk(raft.member, member, raft.boot, term, raft.log.last_index(), raft.log.last_term(), pre, transfer))


def hears_a_leader(raft: State) -> bool:
    """Then an election would only disturb, and a vote is refused unless the leader itself asked for the election."""
    return raft.role == LEADER or (raft.leader != NOBODY and raft.elapsed < raft.timing.election_ticks_min)


def on_vote_ask(raft: State, message: VoteAsk) -> None:
    """For a real vote the term was entered before this; a pre-vote changes nothing here."""
    if message.pre:
        fresh = message.term > raft.term and not hears_a_leader(raft)
    else:
        fresh = raft.vote in (NOBODY, message.source) and (message.transfer or raft.leader == NOBODY)
    log_is_enough = (message.last_term, message.last_index) >= (raft.log.last_term(), raft.log.last_index())
    granted = fresh and log_is_enough and not raft.lost_entries
    if granted and not message.pre:
        raft.vote_for(message.source)
        raft.reset_timeout()
    term = message.term if granted else raft.term
    raft.send(VoteReply(raft.member, message.source, raft.boot, term, message.pre, granted, raft.lost_entries))


def on_vote_reply(raft: State, message: VoteReply) -> None:
    if message.pre != (raft.role == PRE_CANDIDATE):
        return  # an answer to an earlier question
    if message.granted and message.term != raft.term + (1 if message.pre else 0):
        return
    if message.lost_entries:
        raft.lost_entries_refusals[message.source] = True
    raft.votes.setdefault(message.source, message.granted)
    _count(raft)


def on_own_vote_durable(raft: State) -> None:
    if raft.role == CANDIDATE and raft.vote == raft.member:
        raft.votes[raft.member] = True
        _count(raft)


def _count(raft: State) -> None:
    result = vote_result(raft.config, raft.votes)
    if result == WON:
        if raft.role == PRE_CANDIDATE:
            campaign_in_earnest(raft, transfer=False)
        else:
            become_leader(raft)
    elif result == LOST:
        raft.become_follower(raft.term, NOBODY)


def become_leader(raft: State) -> None:
    assert raft.role == CANDIDATE
    assert raft.hard_durable
    raft.set_role(LEADER)
    raft.set_leader(raft.member)
    raft.progress = {}
    raft.match_progress_to_config()
    raft.round = 0
    raft.transferee = NOBODY
    raft.heartbeat_elapsed = 0
    raft.quorum_elapsed = 0
    raft.disk_ticks = 0
    raft.append_own(NOOP, b"")


def on_take_over(raft: State) -> None:
    if raft.may_campaign():
        campaign_in_earnest(raft, transfer=True)


def transfer(raft: State, target: MemberId) -> None:
    if raft.role != LEADER:
        raise NotLeader("this member does not lead; ask the leader", leader=raft.leader)
    if target not in raft.config.voters:
        raise BadRequest(f"member {target} is not a voter, so it cannot lead; name one of {list(raft.config.voters)}")
    if target == raft.member:
        return
    raft.transferee = target
    raft.transfer_ticks = 0
    replication.send_entries(raft, target, raft.progress[target])
    replication.maybe_hand_over(raft)
