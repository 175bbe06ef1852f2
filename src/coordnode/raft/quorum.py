"""Majorities, simple and joint. Pure functions of a configuration and what each voter said."""

from collections.abc import Callable, Mapping, Sequence

from coordnode.ids import MemberId
from coordnode.raft.entry import Config

PENDING = 0
WON = 1
LOST = 2


def _majority_value(voters: Sequence[MemberId], value: Callable[[MemberId], int]) -> int:
    """The largest value that a majority has reached."""
    ascending = sorted([value(voter) for voter in voters])
    return ascending[(len(ascending) - 1) // 2]


def quorum_value(config: Config, value: Callable[[MemberId], int]) -> int:
    """The largest value that the quorum has reached; while joint, both majorities."""
    incoming = _majority_value(config.voters, value)
    if not config.outgoing:
        return incoming
    return min(incoming, _majority_value(config.outgoing, value))


def _majority_vote(voters: Sequence[MemberId], votes: Mapping[MemberId, bool]) -> int:
    needed = len(voters) // 2 + 1
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    if granted >= needed:
        return WON
    if refused > len(voters) - needed:
        return LOST
    return PENDING


def vote_result(config: Config, votes: Mapping[MemberId, bool]) -> int:
    incoming = _majority_vote(config.voters, votes)
    if not config.outgoing:
        return incoming
    outgoing = _majority_vote(config.outgoing, votes)
    if incoming == WON and outgoing == WON:
        return WON
    if LOST in (incoming, outgoing):
        return LOST
    return PENDING


def has_quorum(config: Config, holds: Callable[[MemberId], bool]) -> bool:
    return quorum_value(config, lambda voter: 1 if holds(voter) else 0) == 1
