"""Changes of membership: joint consensus for every change of voters, left automatically by whoever leads. Pure."""

from collections.abc import Collection, Sequence

from coordnode.address import parse_address
from coordnode.errors import BadRequest, MembershipBusy, NotLeader
from coordnode.ids import NOBODY, Index, MemberId
from coordnode.limits import CLUSTER_MEMBERS_MAX, CONTACT_CHARACTERS_MAX, TOKEN_MAX
from coordnode.raft.entry import CONFIG, Config, encode_config
from coordnode.raft.messages import TakeOver
from coordnode.raft.state import LEADER, State
from coordnode.raft.successor import successors


def propose(raft: State, wanted: Config) -> Index:
    """Begins the change to exactly wanted.voters, wanted.learners and wanted.contacts."""
    if raft.role != LEADER:
        raise NotLeader("this member does not lead; ask the leader", leader=raft.leader)
    voters = tuple(sorted({*wanted.voters}))
    learners = tuple(sorted({*wanted.learners}))
    _check_sense(wanted)
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
    _check_majority(raft, voters)
    joint = Config(
        voters=voters,
        outgoing=now.voters,
        # A voter on its way to learner counts as a voter of the old set until the joint state is left.
        learners=tuple(member for member in learners if member not in now.voters),
        contacts=tuple(sorted({*contacts, *(kept for kept in now.contacts if kept[0] not in {member for member, _ in contacts})})),
        learners_next=learners,
    )
    return raft.append_own(CONFIG, encode_config(joint))


def _check_sense(wanted: Config) -> None:
    if not wanted.voters:
        raise BadRequest("a cluster needs at least one voter")
    if wanted.outgoing or wanted.learners_next:
        raise BadRequest("name only the voters and learners wanted in the end; the joint state is the cluster's own affair")
    both = sorted({*wanted.voters} & {*wanted.learners})
    if both:
        raise BadRequest(f"member {both[0]} is named as voter and as learner; name it once")
    members = wanted.members()
    nobody = [member for member in members if not 1 <= member <= TOKEN_MAX]
    if nobody:
        raise BadRequest(f"{nobody[0]} is no member's id: those are whole numbers from 1 to 2**53 - 1")
    if len(members) > CLUSTER_MEMBERS_MAX:
        raise BadRequest(f"a cluster has up to {CLUSTER_MEMBERS_MAX} members, not {len(members)}")
    named = {member for member, _ in wanted.contacts}
    if len(named) < len(wanted.contacts) or not named <= {*members}:
        raise BadRequest("contacts are given for others than the members that are wanted, or twice for one: name one for each")
    for member, contact in wanted.contacts:
        if len(contact) > CONTACT_CHARACTERS_MAX:
            raise BadRequest(f"the contact of member {member} has {len(contact)} characters; up to {CONTACT_CHARACTERS_MAX} are taken")
        parse_address(contact)


def _check_majority(raft: State, voters: Sequence[MemberId]) -> None:
    """Nothing would be committed any more without one, and so nobody could take the change back."""
    known = [voter for voter in voters if voter == raft.member or voter in raft.progress]
    ready = [voter for voter in known if voter == raft.member or raft.progress[voter].is_ready()]
    needed = len(voters) // 2 + 1
    if len(ready) >= needed:
        return
    if len(known) < needed:
        newcomers = ", ".join(str(voter) for voter in voters if voter not in known)
        raise BadRequest(f"a majority of these voters must belong to the cluster already: take in as learners first: {newcomers}")
    missing = ", ".join(str(voter) for voter in voters if voter not in ready)
    raise MembershipBusy(f"these voters would have no majority: not heard of lately, or still behind: {missing}", retry_after_ms=200)


def on_commit(raft: State) -> None:
    """After the commit index moved on a leader: leave a committed joint state; leave the lead when no longer a voter."""
    index, config = raft.configs[-1]
    if index > raft.committed:
        return
    if config.is_joint():
        if raft.has_own_term_committed():
            raft.append_own(CONFIG, encode_config(_after_joint(config)))
    elif raft.member not in config.voters:
        retire(raft)


def _after_joint(config: Config) -> Config:
    staying = {*config.voters, *config.learners_next}
    return Config(
        voters=config.voters,
        learners=config.learners_next,
        contacts=tuple(contact for contact in config.contacts if contact[0] in staying),
    )


def retire(raft: State, last: Collection[MemberId] = ()) -> None:
    """A leader that shall not lead any more hands over to the best of the voters, and follows."""
    best = next(iter(successors(raft, last)), NOBODY)
    if best != NOBODY:
        raft.send(TakeOver(raft.member, best, raft.boot, raft.term))
    raft.become_follower(raft.term, NOBODY)
