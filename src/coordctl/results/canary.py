"""What `canary run` prints: a line for each round, and one that judges them all."""

from typing import Literal

import msgspec


class CanarySample(msgspec.Struct, frozen=True, kw_only=True):
    probe: str  # lock, write, read
    member: str  # through which one; "": the cluster as a whole
    outcome: str  # ok, failed, wrong, unreached
    ms: float
    sentence: str  # what was not as it should be


class CanaryRound(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each round, while it runs."""

    schema: Literal["coordctl.canary-round/1"] = "coordctl.canary-round/1"
    outcome: str  # well, degraded, down, broken, unreachable
    exit_code: int  # as Nagios would have it of this round alone
    cluster: str
    round: int
    unix_ms: int
    elapsed_ms: int
    sentence: str
    samples: list[CanarySample]
    drained: list[str]  # members through which nothing was asked, since an operator is at work on them


class CanaryProbe(msgspec.Struct, frozen=True, kw_only=True):
    probe: str  # lock, write, read
    member: str
    samples: int  # that could be tried
    failed: int  # of these
    unreached: int
    p50_ms: float | None  # of the newest 1,000 that succeeded
    p99_ms: float | None
    last_success_unix_ms: int | None


class CanaryRun(msgspec.Struct, frozen=True, kw_only=True):
    """The last line."""

    schema: Literal["coordctl.canary-run/1"] = "coordctl.canary-run/1"
    outcome: str  # ok, degraded, broken, unknown
    exit_code: int  # 0, 1, 2, 3, 130
    cluster: str
    sentence: str
    rounds: int
    rounds_of: dict[str, int]  # by outcome
    probes: list[CanaryProbe]
    is_clean: bool  # nothing of it was there when it ended
    clean_within_ms: int  # else it goes by itself within this time
    began_unix_ms: int
    elapsed_ms: int
