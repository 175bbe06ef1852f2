"""What `canary run` prints: a line for each round, and one that judges them all."""

from typing import Literal

import msgspec


class CanarySample(msgspec.Struct, frozen=True, kw_only=True):
    probe: str  # lock, election, queue, write, read, watch
    member: str  # through which one; "": the cluster as a whole
    outcome: str  # ok, failed, wrong, unreached, denied
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
    probe: str  # lock, election, queue, write, read, watch
    member: str
    samples: int  # that could be tried
    failed: int  # of these
    unreached: int  # denied ones, too
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
    failed_ratio: float = 0.0  # of rounds that say something of the cluster
    failed_ratio_low: float = 0.0  # its 95 % interval
    failed_ratio_high: float = 1.0
    is_clean: bool  # nothing of it was there when it ended
    clean_within_ms: int  # else it goes by itself within this time
    began_unix_ms: int
    elapsed_ms: int


class CanaryWindow(msgspec.Struct, frozen=True, kw_only=True):
    window: str
    rounds: int  # that say something of the cluster
    failed: int
    ratio_low: float  # 95 % interval of the share that fails
    ratio_high: float
    budget_used: float  # 1: as many failed as one in a thousand


class CanaryStatus(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.canary-status/1"] = "coordctl.canary-status/1"
    outcome: str  # ok, degraded, broken, unknown
    exit_code: int  # 0, 1, 2, 3
    cluster: str
    sentence: str
    windows: list[CanaryWindow]
    last_unix_ms: int | None  # of the newest round; null: there was none
    last_failure_unix_ms: int | None
    last_failure: str


class CanaryInstalled(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.canary-install/1"] = "coordctl.canary-install/1"
    outcome: Literal["installed", "unchanged", "removed", "printed"]
    exit_code: Literal[0] = 0
    cluster: str
    path: str
    unit: str
