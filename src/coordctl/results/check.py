"""What `check` prints."""

from typing import Literal

import msgspec


class CheckEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Why a history cannot be explained."""

    operation: str  # the one that finds no place
    key: str | None
    other: str | None  # the one it collides with
    expected: str  # what the model would have answered; "" when there is no one answer
    prefix_operations: int  # how long the shortest impossible beginning is
    prefix_last: list[str]  # its last operations


class Check(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.check/1"] = "coordctl.check/1"
    outcome: str  # pass, violation, unknown
    exit_code: int
    history: str
    model: str
    reason: str
    method: str
    operations: int
    partitions: int
    steps: int
    elapsed_ms: int
    evidence: CheckEvidence | None
