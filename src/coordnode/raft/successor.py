"""Who is to lead next, as the leader knows the others. Pure."""

from collections.abc import Collection

from coordnode.ids import MemberId
from coordnode.raft.state import State


def successors(raft: State, last: Collection[MemberId] = ()) -> list[MemberId]:
    """The other voters, the best first: heard of lately, with all that is committed, with room on its disk, with most of the log. Who has
    been silent may be dead, however much of the log it once had. `last`: only where nobody else is left."""
    ranks = [
        (member not in last, peer.is_heard(), peer.match >= raft.committed, peer.space_ok, peer.match, -member)
        for member, peer in raft.progress.items()
        if member in raft.config.voters
    ]
    return [MemberId(-rank[-1]) for rank in sorted(ranks, reverse=True)]


def whole(raft: State) -> list[MemberId]:
    """Of those the ones that are there and miss nothing that is committed: to them the lead can be handed over at once."""
    return [member for member in successors(raft) if raft.progress[member].is_ready() and raft.progress[member].match >= raft.committed]


def other_voters(raft: State) -> list[MemberId]:
    return [voter for voter in sorted({*raft.config.voters, *raft.config.outgoing}) if voter != raft.member]
