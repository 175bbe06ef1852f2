"""Changes of membership: joint consensus for every change of voters, left automatically by whoever leads. Pure."""

from coordnode.errors import BadRequest, MembershipBusy, NotLeader
from coordnode.ids import NOBODY, Index, MemberId
from coordnode.raft.entry import CONFIG, Config, encode_config
from coordnode.raft.messages import TakeOver
from coordnode.raft.state import LEADER, State


def propose(raft: State, wanted: Config) -> Index:
    """Begins the change to exactly wanted.voters, wanted.learners and wanted.contacts."""
    if raft.role != LEADER:
        raise NotLeader("this member does not lead; ask the leader", leader=raft.leader)
    if not wanted.voters:
        raise BadRequest("a cluster needs at least one voter")
    if wanted.outgoing or wanted.learners_next:
        raise BadRequest("name only the voters and learners wanted in the end; the joint state is the cluster's own affair")
    voters = tuple(sorted({*wanted.voters}))
    learners = tuple(sorted({*wanted.learners}))
    both = [member for member in learners if member in voters]
    if both:
        raise BadRequest(f"member {both[0]} is named as voter and as learner; name it once")
    if raft.config.is_joint() or raft.configs[-1][0] > raft.committed:
        raise MembershipBusy("another membership change is under way; try again when it is done", retry_after_ms=200)
    if not raft.has_own_term_committed():
        raise MembershipBusy("this leader is new and has not committed yet; try again", retry_after_ms=200)
    if raft.transferee != NOBODY:
        raise MembershipBusy("leadership is being handed over; try again with the new leader", retry_after_ms=200)
    now = raft.config
    contacts = tuple(sorted(wanted.contacts))
    if voters == now.voters:
        return raft.append_own(CONFIG, encode_config(Config(voters=voters, learners=learners, contacts=contacts)))
    joint = Config(
        voters=voters,
        outgoing=now.voters,
        # A voter on its way to learner counts as a voter of the old set until the joint state is left.
        learners=tuple(member for member in learners if member not in now.voters),
        contacts=tuple(sorted({*contacts, *(kept for kept in now.contacts if kept[0] not in {member for member, _ in contacts})})),
        learners_next=learners,
    )
    return raft.append_own(CONFIG, encode_config(joint))


def on_commit(raft: State) -> None:
    """After the commit index moved on a leader: leave a committed joint state; leave the lead when no longer a voter."""
    index, config = raft.configs[-1]
    if index > raft.committed:
        return
    if config.is_joint():
        if raft.has_own_term_committed():
            raft.append_own(CONFIG, encode_config(_after_joint(config)))
    elif raft.member not in config.voters:
        _retire(raft, config)


def _after_joint(config: Config) -> Config:
    staying = {*config.voters, *config.learners_next}
    return Config(
        voters=config.voters,
        learners=config.learners_next,
        contacts=tuple(contact for contact in config.contacts if contact[0] in staying),
    )


def _retire(raft: State, config: Config) -> None:
    """A leader that is not a voter any more hands over to the voter whose log is longest, and follows."""
    best = NOBODY
    best_match = -1
    for member in config.voters:
        peer = raft.progress.get(member)
        if peer is not None and peer.match > best_match:
            best, best_match = MemberId(member), peer.match
    if best != NOBODY:
        raft.send(TakeOver(raft.member, best, raft.boot, raft.term))
    raft.become_follower(raft.term, NOBODY)
