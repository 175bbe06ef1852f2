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
