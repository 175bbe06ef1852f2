"""What `status`, `health` and `wait` print."""

from typing import Literal

import msgspec


class FoundMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member that does not answer has a state and a trouble; what only it could say is null."""

    name: str
    member: int
    address: str
    role: str  # voter, leader, learner
    state: str  # ok, SLOW, NOT READY, BEHIND, UNREACHABLE
    trouble: str
    lag: int | None
    seen_unix_s: int | None  # when it last answered a `status` from here; null: never
    applied: int | None
    commit_p99_ms: float | None  # since it started, while it led
    sync_p99_ms: float | None
    recent_commit_p99_ms: float | None = None  # since the earlier look of `over_s`; null: there was none
    recent_sync_p99_ms: float | None = None
    version: str | None
    term: int | None
    pid: int | None
    uptime_s: int | None
    free_bytes: int | None
    reasons: list[str]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    level: str
    sentence: str
    remedy: str
    runbook: str = ""  # a page of runbooks/; "": there is none
    host: str = ""  # whose matter it is; "": the cluster's
    check: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.status/1"] = "coordctl.status/1"
    outcome: Literal["answered", "unreachable"]
    exit_code: Literal[0, 69]
    cluster: str
    judgement: str
    can_lose: int  # more members, without an outage; below 0: too few are left
    leader: str
    term: int
    revision: int | None
    members: list[FoundMember]
    findings: list[Finding]
    digest: str  # equal, different, unknown
    digest_index: int
    sources_answered: int
    sources_asked: int
    unix_ms: int
    backup_age_s: int | None = None  # of the newest that was verified, here or as the cluster remembers; null: there is none
    over_s: int | None = (
        None  # recent figures, and lines about what is slow, are of so many seconds; null: this is the first look from here
    )
    elections: int | None = None  # in that time
    canary: str = ""  # what the one that runs on this machine finds; "": none does
    changing: str = ""  # the upgrade that is under way, or was left; "": none is


class Health(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.health/1"] = "coordctl.health/1"
    outcome: str  # ok, warning, critical, unknown
    exit_code: int  # 0, 1, 2, 3
    cluster: str
    sentence: str
    can_lose: int
    members_well: int
    members: int
    digest: str  # equal, different, unknown
    digest_index: int
    findings: list[Finding]
    sources_answered: int
    sources_asked: int
    backup_age_s: int | None = None


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.wait/1"] = "coordctl.wait/1"
    outcome: Literal["reached", "not reached"]
    exit_code: Literal[0, 1]
    condition: str
    now: str  # how the cluster was when last seen
    elapsed_ms: int
