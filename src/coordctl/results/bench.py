"""What `bench` prints: how fast, where the time of a request goes, and what is short."""

from typing import Literal

import msgspec


class BenchOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Times from when each was meant to be sent (open loop) or was sent (closed) until it was answered."""

    operation: str
    done: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


class BenchSecond(msgspec.Struct, frozen=True, kw_only=True):
    second: int  # since the load began, the warm-up included
    done: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None


class BenchPart(msgspec.Struct, frozen=True, kw_only=True):
    part: str  # way, queue, log_wait, log_sync, replication, apply
    mean_ms: float


class BenchCause(msgspec.Struct, frozen=True, kw_only=True):
    cause: str  # disk, network, CPU, generator; cluster: its members do not say which of them
    mean_ms: float  # of the mean time of a request
    evidence: str


class BenchMember(msgspec.Struct, frozen=True, kw_only=True):
    """While it was measured. Null: it did not say."""

    name: str
    is_leader: bool
    sync_mean_ms: float | None
    sync_p99_ms: float | None
    round_trip_ms: float | None  # leader's heartbeat to it and back, before the load
    acknowledged_mean_ms: float | None  # from proposing to its acknowledgement
    late_p99_ms: float | None  # its ticks
    loop_share: float | None  # of one core
    wait_share: float | None  # of the time, that its loop was ready and others had the CPU


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.bench/1"] = "coordctl.bench/1"
    outcome: str  # measured, crossed, broken, unknown
    exit_code: int  # 0, 1, 2, 3, 130
    cluster: str
    workload: str
    loop: str  # open, closed
    rate_asked: float | None  # in a second; null: as fast as it is answered
    connections: int
    outstanding: int | None  # of each connection; null: an open loop does not bound it
    processes: int
    value_bytes: int
    seconds: float  # measured
    done: int
    failed: dict[str, int]  # why -> how many
    rate: float  # that succeeded, in a second
    operations: list[BenchOperation]
    commit_p99_ms: float | None  # as the leader counts, one for many requests
    breakdown: list[BenchPart]  # of a write's mean time; empty: nothing was written
    causes: list[BenchCause]
    verdict: str  # disk, network, CPU, generator, cluster; "": too little was seen
    share: float  # of the mean time; of one core, for the generator
    is_clear: bool  # the verdict's cause is at least half of the time
    sentence: str
    next: str  # what to type now
    members: list[BenchMember]
    generator_busy_share: float  # of one core, the busiest process
    generator_late_mean_ms: float
    generator_late_p99_ms: float
    crossed: list[str]  # thresholds of --fail-on, how
    wrong: list[str]  # answers that break a promise
    is_clean: bool  # nothing of it was there when it ended
    clean_within_ms: int  # else what is bound to sessions goes by itself within this time, and the rest with the next run or --sweep
    series: list[BenchSecond]


class BenchSwept(msgspec.Struct, frozen=True, kw_only=True):
    """`bench --sweep`."""

    schema: Literal["coordctl.bench-sweep/1"] = "coordctl.bench-sweep/1"
    outcome: Literal["clean", "not clean"]
    exit_code: Literal[0, 1]
    removed: int  # queues and journals of runs that are over
    running: list[str]  # runs that go on, or ended without a word a moment ago
    sentence: str
