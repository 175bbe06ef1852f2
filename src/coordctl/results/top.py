"""What `top` prints."""

from typing import Literal

import msgspec

from coordctl.results.status import Finding


class TopMember(msgspec.Struct, frozen=True, kw_only=True):
    """Of the time since the look before; null: not known, or nothing of it happened."""

    name: str
    member: int
    role: str
    state: str
    lag: int | None
    asks_per_s: float | None
    commits_per_s: float | None  # on the leader
    commit_p99_ms: float | None
    sync_p99_ms: float | None
    round_trip_ms: float | None  # from the leader, the middle one
    cpu_percent: float | None  # of one core
    cpu_wait_percent: float | None  # it could have run, and others had the CPU
    connections: int | None
    free_bytes: int | None


class Top(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.top/1"] = "coordctl.top/1"
    outcome: Literal["answered", "unreachable"]
    exit_code: Literal[0, 69]
    cluster: str
    judgement: str
    can_lose: int
    leader: str
    term: int
    over_ms: int  # figures are of so long
    members: list[TopMember]
    findings: list[Finding]
    sources_answered: int
    sources_asked: int
    unix_ms: int
