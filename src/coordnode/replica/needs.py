"""What the cluster needs from a person before it can go on, in sentences for status. Pure."""

from collections.abc import Sequence

from coordnode.ids import NOBODY, MemberId
from coordnode.raft.quorum import has_quorum
from coordnode.replica.replica import Replica


def needs(replica: Replica) -> list[str]:
    """As far as this member knows; empty: nothing. Members that lost log entries give no vote, so without a leader they may be why."""
    raft = replica.raft
    if raft.leader != NOBODY:
        return []
    if raft.lost_entries:
        return [
            "log entries that were durable here are lost, so this member gives no vote until a leader has told it what was committed; "
            "it regains them by itself once the other voters elect one: start those that do not run, and keep this folder as it is"
        ]
    voters = sorted({*raft.config.voters, *raft.config.outgoing})
    lost = [member for member in voters if member in raft.lost_entries_refusals]
    if not lost:
        return []
    whole = [member for member in voters if member not in lost]
    if has_quorum(raft.config, lambda member: member not in lost):
        return [
            f"{_members(lost)} lost log entries and will not vote before there is a leader; it takes the votes of {_members(whole)} "
            "to elect one: see that each of them runs and is reached"
        ]
    return [
        f"{_members(lost)} lost log entries that may have been committed, and {_members(whole)} alone cannot form a majority of "
        f"{len(voters)} voters: no leader can be elected without giving up what was acknowledged; keep all folders as they are, and "
        f"restore from a backup, or accept the loss by name: the log of member {raft.member} is whole up to entry "
        f"{raft.log.last_index()} of term {raft.log.last_term()}"
    ]


def _members(members: Sequence[MemberId]) -> str:
    if not members:
        return "nobody"
    *most, last = [str(member) for member in members]
    return f"members {', '.join(most)} and {last}" if most else f"member {last}"
