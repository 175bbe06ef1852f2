"""What `chaos` prints: playbooks, faults, and what is broken now."""

from typing import Literal

import msgspec


class ChaosRow(msgspec.Struct, frozen=True, kw_only=True):
    row: int  # from 1
    at_ms: int
    for_ms: int
    do: str
    to: str
    by: str  # as written; "": this fault knows no more or less


class ChaosShow(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.chaos-show/1"] = "coordctl.chaos-show/1"
    outcome: Literal["shown"] = "shown"
    exit_code: Literal[0] = 0
    name: str
    path: str
    proves: str
    members_min: int
    seed: int
    lasts_ms: int
    rows: list[ChaosRow]
    load: list[str]  # each as one would read it out, as are those below
    probes: list[str]
    goals: list[str]
    expect: list[str]
    checks: list[str]


class ChaosPlaybook(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each."""

    schema: Literal["coordctl.chaos-ls/1"] = "coordctl.chaos-ls/1"
    outcome: Literal["listed", "refused"]
    exit_code: Literal[0, 1]
    name: str
    path: str
    proves: str  # "": it is refused
    rows: int
    lasts_ms: int
    faults: list[str]


class ChaosMistake(msgspec.Struct, frozen=True, kw_only=True):
    line: int
    sentence: str


class ChaosValidated(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each file."""

    schema: Literal["coordctl.chaos-validate/1"] = "coordctl.chaos-validate/1"
    outcome: Literal["valid", "refused"]
    exit_code: Literal[0, 2]
    path: str
    mistakes: list[ChaosMistake]


class ChaosActive(msgspec.Struct, frozen=True, kw_only=True):
    """One fault at one member."""

    id: str
    fault: str
    member: str  # or links
    to: str  # as it was asked for
    owner: str
    reason: str
    since_unix_ms: int
    until_unix_ms: int
    verified: str  # what was seen of it


class ChaosInjected(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.chaos-inject/1"] = "coordctl.chaos-inject/1"
    outcome: Literal["injected"] = "injected"
    exit_code: Literal[0] = 0
    cluster: str
    fault: str
    to: str
    for_ms: int
    faults: list[ChaosActive]
    leader_before: str
    leader_after: str  # "": nobody leads, or not yet
    leaderless_ms: int  # from the fault to the new leader, where there is one; 0: the leader was not hit
    can_lose: int  # more members meanwhile; -1: there is no quorum


class ChaosHealed(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    fault: str
    member: str
    event: str  # healed, not healed, killed again, dropped
    unix_ms: int


class ChaosStatus(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.chaos-status/1"] = "coordctl.chaos-status/1"
    outcome: Literal["broken", "whole", "unknown"]
    exit_code: Literal[0, 69] = 0
    cluster: str
    faults: list[ChaosActive]
    reapers: int  # of two, where something is broken; of several hosts, where there are fewest
    lately: list[ChaosHealed]
    unseen: list[str] = []  # hosts that do not say what is broken there, and why


class ChaosReverted(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.chaos-revert/1"] = "coordctl.chaos-revert/1"
    outcome: Literal["reverted"] = "reverted"
    exit_code: Literal[0] = 0
    cluster: str
    reverted: list[ChaosActive]
    left: list[ChaosActive]  # that nobody asked to be reverted


class ChaosFault(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each."""

    schema: Literal["coordctl.chaos-faults/1"] = "coordctl.chaos-faults/1"
    fault: str
    kind: str  # process, network
    what: str
    by: str  # how hard, where there is more and less of it
    mechanism: str
    ends: str
    can_be_injected: bool
    why_not: str


class ChaosTold(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    sentence: str


class ChaosRunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was carried out."""

    row: int
    do: str
    hit: str  # members, or links
    began_ms: int
    for_ms: int
    verified: str


class ChaosVerdict(msgspec.Struct, frozen=True, kw_only=True):
    kind: str  # revert, check, log, probe, expect, goal, fault, load, start
    name: str
    outcome: str  # green, deviated, promise broken, inconclusive, not reverted
    exit_code: int
    sentence: str


class ChaosLeader(msgspec.Struct, frozen=True, kw_only=True):
    """From then on, until the next."""

    at_ms: int
    leader: str  # "": nobody
    term: int


class ChaosSecond(msgspec.Struct, frozen=True, kw_only=True):
    """How the clients were answered in it."""

    at_ms: int
    answered: int
    refused: int  # surely did not happen
    unknown: int  # may have happened
    median_ms: float
    slowest_ms: float


class ChaosSkipped(msgspec.Struct, frozen=True, kw_only=True):
    row: str
    why: str


class ChaosRun(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.chaos-run/1"] = "coordctl.chaos-run/1"
    outcome: str  # as a verdict's, or interrupted
    exit_code: int  # 5 not reverted, 2 promise broken, 1 deviated, 3 inconclusive, 0 green; 130 interrupted and reverted
    cluster: str
    playbook: str
    proves: str
    seed: int
    rows: list[ChaosRunRow]
    verdicts: list[ChaosVerdict]  # worst first
    told: list[ChaosTold]
    leaders: list[ChaosLeader]
    pace: list[ChaosSecond]
    skipped: list[ChaosSkipped]  # rows that were not carried out
    again: list[str]  # what to type to do the same once more, and on the simulator
    began_unix_ms: int
    kept: str  # folder with the histories, and what was done, as schedule.yaml; "": all was green, and nothing is kept
    elapsed_ms: int


class ChaosProxy(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.chaos-proxy/1"] = "coordctl.chaos-proxy/1"
    outcome: Literal["installed", "removed"]
    exit_code: Literal[0] = 0
    cluster: str
    links: int  # through proxies
    api: str  # of toxiproxy; "": there is none
    restarted: list[str]  # members, one at a time


class ChaosRed(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    check: str
    sentence: str
    again: str  # what to type to see it again


class ChaosSimulated(msgspec.Struct, frozen=True, kw_only=True):
    """Of `chaos run --simulate`."""

    schema: Literal["coordctl.chaos-simulate/1"] = "coordctl.chaos-simulate/1"
    outcome: Literal["green", "promise broken"]
    exit_code: Literal[0, 2]
    playbook: str
    proves: str
    seeds: int
    members: int
    operations: int
    faults: dict[str, int]  # carried out, by the simulator's names
    red: list[ChaosRed]
    approximations: list[str]  # where the simulator does not do what the row says, but something close to it
    elapsed_ms: int
