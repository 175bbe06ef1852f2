"""What the verbs of `member` print."""

from typing import Literal

import msgspec

from coordctl.results.deploy import Outcome


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    """A member, or a host of the inventory that could become one."""

    name: str
    member: int  # its id; 0: it has none
    role: str  # leader, voter, learner; leaving: a voter only until the change under way is done; spare, none: no member
    state: str  # ok, NOT READY, BEHIND, UNREACHABLE; "": no member
    trouble: str
    lag: int | None
    zone: str
    drained: str  # by whom, until when and why; "": it is not
    address: str


class MemberList(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.member-ls/1"] = "coordctl.member-ls/1"
    outcome: Literal["answered", "unreachable"]
    exit_code: Literal[0, 69]
    cluster: str
    leader: str
    can_lose: int  # more voters, without an outage; below 0: too few are left
    is_changing: bool  # a change of voters is under way
    members: list[MemberRow]
    sources_answered: int
    sources_asked: int


class MembersChanged(msgspec.Struct, frozen=True, kw_only=True):
    """`members`, `leader` and `can_lose` are as seen afterwards, not as asked for."""

    outcome: Outcome
    exit_code: int
    cluster: str
    sentence: str
    steps: list[str]  # what was, or would be, done
    risk: str  # of what was refused: what --accept takes; "": nothing was
    members: list[MemberRow]
    leader: str
    can_lose: int
    elapsed_ms: int


class MembersAdded(MembersChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.member-add/1"] = "coordctl.member-add/1"


class MembersRemoved(MembersChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.member-remove/1"] = "coordctl.member-remove/1"


class MemberReplaced(MembersChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.member-replace/1"] = "coordctl.member-replace/1"


class MembersPromoted(MembersChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.member-promote/1"] = "coordctl.member-promote/1"


class LeaderMoved(MembersChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.member-lead/1"] = "coordctl.member-lead/1"


class MemberDrained(MembersChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.member-drain/1"] = "coordctl.member-drain/1"


class MemberUndrained(MembersChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.member-undrain/1"] = "coordctl.member-undrain/1"


class MembersDemoted(MembersChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.member-demote/1"] = "coordctl.member-demote/1"
