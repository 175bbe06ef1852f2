"""What `timeline` and `life` print."""

from typing import Literal

import msgspec


class LifeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a name."""

    schema: Literal["coordctl.life/1"] = "coordctl.life/1"
    at_ms: int  # as the leader's clock said
    entry: int  # index in the replicated log
    service: str  # lock, election, shard, task, session, operator
    name: str
    what: str
    who: str
    session: int
    token: int  # 0: none
    why: str


class TimelineLine(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.timeline/1"] = "coordctl.timeline/1"
    at_ms: int
    sort: str  # restart, election, membership, settings, alarm, clients, operator
    member: str  # "": the cluster as a whole
    what: str
    who: str
    why: str
